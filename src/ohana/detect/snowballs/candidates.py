"""Candidates for snowballs: step images of a window that holds the core and its halo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp
from ohana.detect.snowballs.cores import Core
from ohana.detect.snowballs.halo import Profile, footprint, radial_profile, with_later_signal
from ohana.detect.snowballs.step_image import StepImage, step_image
from ohana.detect.snowballs.tuning import TUNING
from ohana.detect.tuning import TUNING as DETECT
from ohana.events import PixelMaps, Steps
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump


@dataclass(frozen=True)
class SnowballContext:
    """What all candidates of an exposure share: ramp, steps, maps and settings.

    ``stop`` (H, W) is the first saturated read, -1 for pixels without signal.
    """

    source: CorrectedRamp
    steps: Steps
    group: np.ndarray
    maps: PixelMaps
    covariance: DifferenceCovariance
    stop: np.ndarray
    config: DetectorConfig

    @property
    def gain(self) -> float:
        """Gain [e-/DN]."""
        return self.source.ramp.facts.gain


class Candidate(NamedTuple):
    """A candidate in its window of the array; maps of the window's shape.

    ``distance`` is from the centre; ``core``, ``own`` and ``profiles`` are as in
    `ohana.detect.snowballs.halo.footprint`, which gives ``member``.
    """

    window: tuple[slice, slice]
    image: StepImage
    distance: np.ndarray
    core: np.ndarray
    own: np.ndarray
    profiles: tuple[Profile, Profile]
    member: np.ndarray


def measure_candidate(core: Core, others: list[Core], context: SnowballContext) -> Candidate:
    """Measure a candidate in a window that is enlarged until it holds the halo."""
    reach = _expected_reach(core, context)
    most = float(np.hypot(*context.stop.shape))
    while True:
        candidate = _measure(core, others, min(reach, most), context)
        if reach >= most or halo_radius(core, candidate) + 1 < reach:
            return candidate
        reach *= TUNING.window_growth


def _expected_reach(core: Core, context: SnowballContext) -> float:
    """Return the expected extent of the halo, from the steps of single pixels [pixel]."""
    same = (context.group == core.group) & (
        np.abs(context.steps.read - core.read) <= DETECT.max_read_tolerance
    )
    away = core.disk.distance(context.steps.row[same], context.steps.col[same])
    radius = core.disk.radius
    # Rings two pixels wide.
    count = np.bincount((away / 2).astype(int))
    filled = count / (4 * np.pi * (2 * np.arange(len(count)) + 1))
    dense = np.flatnonzero(filled > TUNING.halo_filled_fraction)
    outer = 2 * (1 + dense.max(initial=int(radius / 2)))
    reach = max(outer + TUNING.extra_radii * radius, radius + TUNING.ring_width)
    return reach + TUNING.extra_pixels


def _measure(core: Core, others: list[Core], reach: float, context: SnowballContext) -> Candidate:
    disk, shape = core.disk, context.stop.shape
    down, right = (
        slice(max(int(at - reach), 0), min(int(at + reach) + 2, size))
        for at, size in zip((disk.row, disk.col), shape, strict=True)
    )
    window = down, right
    rows, cols = np.ogrid[window]
    distance = disk.distance(rows, cols)
    stop = context.stop[window]
    other_snowballs: dict[int, np.ndarray] = {}
    for other in others:
        near = other.disk.distance(rows, cols) < TUNING.neighbour_radii * other.disk.radius
        other_snowballs[other.read] = other_snowballs.get(other.read, False) | near
    image = step_image(
        context.source,
        context.maps,
        context.covariance,
        window,
        core.read,
        context.steps,
        other_snowballs,
        TUNING.growth_reads,
    )
    # Pixels saturated before the core, and those of the border, show no step.
    blind = stop < core.read
    image.error[blind] = image.error_if_single_step[blind] = np.inf
    own = np.ones(distance.shape, bool)
    for other in others:
        if abs(other.read - core.read) <= TUNING.core_read_tolerance:
            own &= distance - disk.radius <= other.disk.distance(rows, cols) - other.disk.radius
    halo = own & ~saturated_at(stop, core.read, context.covariance)
    prompt = radial_profile(distance, image, halo, disk.radius, context.gain)
    total = with_later_signal(prompt, distance, image, halo, disk.radius + TUNING.ring_width)
    # Beside the rim there is always charge that the core couples into its neighbours.
    inside = (distance <= disk.radius + 1) & (stop >= core.read)
    member = footprint(distance, image, (prompt, total), inside, own, context.gain)
    return Candidate(window, image, distance, inside, own, (prompt, total), member)


def saturated_at(stop: np.ndarray, read: int, covariance: DifferenceCovariance) -> np.ndarray:
    """Return which pixels the charge of one read has saturated, by their first saturated reads.

    Where reads average frames, the next read may be the first saturated one.
    """
    return (stop == read) | ((stop == read + 1) & bool(may_split_jump(covariance)[read]))


def halo_radius(core: Core, candidate: Candidate) -> float:
    """Return the distance at which the halo falls below the limit of the footprint [pixel]."""
    error = candidate.image.error_if_single_step
    error = error[np.isfinite(error) & ~candidate.core]
    if not len(error):
        return core.disk.radius
    _, total = candidate.profiles
    significant = total.level > TUNING.footprint_sigma * np.median(error)
    return float(total.distance[significant].max(initial=core.disk.radius))
