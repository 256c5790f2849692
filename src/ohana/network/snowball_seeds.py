"""Snowballs of the network: where its probability lands, and the core that lies there."""

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
from ohana.events import Event, Steps
from ohana.network.probabilities import Voxels


class SnowballSeed(NamedTuple):
    """Pixels in which the network sees the charge of one snowball begin, and the read."""

    read: int
    rows: np.ndarray
    cols: np.ndarray


def find_snowball_seeds(
    voxels: Voxels, shape: tuple[int, int], config: DetectorConfig
) -> list[SnowballSeed]:
    """Group the voxels of snowballs by where and when they begin.

    What follows in the same pixels, while the charge grows, belongs to the voxels before.

    Parameters
    ----------
    voxels : Voxels
        What the network says.
    shape : tuple of int
        (H, W).
    config : DetectorConfig
        ``snowball_min_radius`` acts here: a landing has at least the pixels of such a core.
    """
    some = voxels.select(voxels.p_snowball >= Label.SNOWBALL.traits.network_threshold)
    pixel = np.ravel_multi_index((some.row, some.col), shape)
    order = np.lexsort((some.read, pixel))
    pixel, read = pixel[order], some.read[order]
    begins = (np.diff(pixel, prepend=-1) != 0) | (
        np.diff(read, prepend=-1) > SNOWBALLS.core_read_tolerance
    )
    first = some.select(order[begins])
    group = _linked(first, shape)
    least = np.pi * (config.snowball_min_radius - SNOWBALLS.radius_tolerance) ** 2
    landings = []
    for number in np.flatnonzero(np.bincount(group) >= least):
        mine = first.select(group == number)
        reads, count = np.unique(mine.read, return_counts=True)
        landings.append(SnowballSeed(int(reads[count.argmax()]), mine.row, mine.col))
    return landings


def _linked(voxels: Voxels, shape: tuple[int, int]) -> np.ndarray:
    steps = Steps(voxels.row, voxels.col, voxels.read, *[voxels.p_snowball] * 5)
    return link_steps(steps, np.ones(len(voxels.row), int), shape)


def is_known(landing: SnowballSeed, balls: list[Event], shape: tuple[int, int]) -> bool:
    """Tell whether most pixels of a landing lie in snowballs that have landed or still grow."""
    inside = np.zeros(shape, bool)
    for ball in balls:
        if -SNOWBALLS.core_read_tolerance <= landing.read - ball.reads[0] <= SNOWBALLS.growth_reads:
            inside[ball.rows, ball.cols] = True
    return bool(np.mean(inside[landing.rows, landing.cols]) > 0.5)


def core_of(landing: SnowballSeed, scene: SnowballContext) -> Core | None:
    """Find the core of a landing: a disk of its brightest steps, if that is within the limits."""
    here = np.zeros(scene.stop.shape, bool)
    here[landing.rows, landing.cols] = True
    steps = scene.steps
    near = np.abs(steps.read - landing.read) <= SNOWBALLS.core_read_tolerance
    at = np.flatnonzero(here[steps.row, steps.col] & near)
    at = at[bright_steps(steps.select(at))]
    if not len(at):
        return None
    bright = steps.select(at)
    reads, count = np.unique(bright.read, return_counts=True)
    read, group = int(reads[count.argmax()]), int(np.bincount(scene.group[at]).argmax())
    patch = max(bright_patches(bright, read, group, scene.stop), key=lambda patch: patch.size)
    (disk,) = fit_disks(patch.inside, patch.visible)
    least, most = radius_limits(patch, scene.config)
    return patch.core(disk) if least <= disk.radius <= most else None


def core_of_event(ball: Event) -> Core:
    """Return the core of a snowball of the rules, as its catalogue fields tell it."""
    radius, circularity = (
        float(ball.extra[name])  # type: ignore[arg-type]
        for name in ("core_radius", "circularity")
    )
    disk = Disk(float(ball.rows.mean()), float(ball.cols.mean()), radius, circularity, False)
    peak = float(np.nanmax(ball.amplitude))
    return Core(int(ball.reads[0]), -1, disk, peak, float(np.nanmax(ball.significance)))
