"""Snowballs of the network: pixels in which they begin, and the cores there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.linking import link_steps
from ohana.detect.snowballs.candidates import SnowballContext
from ohana.detect.snowballs.cores import Core, bright_patches, bright_steps, radius_limits
from ohana.detect.snowballs.disks import Disk, fit_disks
from ohana.detect.snowballs.tuning import TUNING as SNOWBALLS
from ohana.events import Event
from ohana.network.probabilities import Voxels
from ohana.network.tuning import TUNING


class SnowballSeed(NamedTuple):
    """Pixels in which the network detects the first charge of a snowball, and the read."""

    read: int
    rows: np.ndarray
    cols: np.ndarray


def find_snowball_seeds(
    voxels: Voxels, shape: tuple[int, int], config: DetectorConfig
) -> list[SnowballSeed]:
    """Group the voxels in which snowballs begin by place and time.

    Later voxels of the same pixels are growth of the same snowball.

    Parameters
    ----------
    voxels : Voxels
        Possible hits of the network.
    shape : tuple of int
        (H, W).
    config : DetectorConfig
        ``snowball_min_radius`` acts here: a seed has at least the pixels of such a core.
    """
    some = voxels.select(voxels.p_snowball >= Label.SNOWBALL.traits.network_threshold)
    pixel = np.ravel_multi_index((some.row, some.col), shape)
    order = np.lexsort((some.read, pixel))
    pixel, read = pixel[order], some.read[order]
    begins = (np.diff(pixel, prepend=-1) != 0) | (
        np.diff(read, prepend=-1) > SNOWBALLS.core_read_tolerance
    )
    first = some.select(order[begins])
    group = link_steps(first.row, first.col, first.read, np.ones(len(first.row), int), shape)
    least = np.pi * (config.snowball_min_radius - SNOWBALLS.radius_tolerance) ** 2
    seeds = []
    for number in np.flatnonzero(np.bincount(group) >= least):
        mine = first.select(group == number)
        reads, count = np.unique(mine.read, return_counts=True)
        seeds.append(SnowballSeed(int(reads[count.argmax()]), mine.row, mine.col))
    return seeds


def is_known(seed: SnowballSeed, balls: list[Event], shape: tuple[int, int]) -> bool:
    """Return whether most pixels of a seed lie in snowballs that begin or grow at that time."""
    inside = np.zeros(shape, bool)
    for ball in balls:
        if -SNOWBALLS.core_read_tolerance <= seed.read - ball.reads[0] <= SNOWBALLS.growth_reads:
            inside[ball.rows, ball.cols] = True
    return bool(np.mean(inside[seed.rows, seed.cols]) > TUNING.min_known_fraction)


def core_of(seed: SnowballSeed, context: SnowballContext) -> Core | None:
    """Return the core of a seed: a disk of its bright steps, if its radius is within the limits."""
    here = np.zeros(context.stop.shape, bool)
    here[seed.rows, seed.cols] = True
    steps = context.steps
    near = np.abs(steps.read - seed.read) <= SNOWBALLS.core_read_tolerance
    at = np.flatnonzero(here[steps.row, steps.col] & near)
    at = at[bright_steps(steps.select(at))]
    if not len(at):
        return None
    bright = steps.select(at)
    reads, count = np.unique(bright.read, return_counts=True)
    read, group = int(reads[count.argmax()]), int(np.bincount(context.group[at]).argmax())
    patch = max(bright_patches(bright, read, group, context.stop), key=lambda patch: patch.size)
    (disk,) = fit_disks(patch.inside, patch.visible)
    least, most = radius_limits(patch, context.config)
    return patch.core(disk) if least <= disk.radius <= most else None


def core_of_event(ball: Event) -> Core:
    """Return the core of a snowball of the rules, from its fields in the catalogue."""
    radius, circularity = (
        float(ball.extra[name])  # type: ignore[arg-type]
        for name in ("core_radius", "circularity")
    )
    disk = Disk(float(ball.rows.mean()), float(ball.cols.mean()), radius, circularity, False)
    peak = float(np.nanmax(ball.amplitude))
    return Core(int(ball.reads[0]), -1, disk, peak, float(np.nanmax(ball.significance)))
