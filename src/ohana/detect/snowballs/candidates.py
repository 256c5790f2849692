"""Candidates for snowballs, seen again in a window of the array that holds their halo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ohana.config import DetectorConfig
from ohana.detect.snowballs.cores import CORE_READ_TOLERANCE, GROWTH_READS, RING_WIDTH, Core
from ohana.detect.snowballs.halo import (
    FOOTPRINT_SIGMA,
    Profile,
    footprint,
    radial_profile,
    with_later,
)
from ohana.detect.snowballs.step_image import StepImage, step_image
from ohana.detect.tuning import TUNING as DETECT
from ohana.events import PixelMaps, Steps
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.load import CorrectedRamp

#: How much further than steps of single pixels a halo may be seen: in core radii, and pixels.
FURTHER, MORE = 0.6, 4
#: Within so many core radii of its centre, another snowball is taken out of the ramps.
AROUND = 4.0


@dataclass(frozen=True)
class SnowballContext:
    """What every candidate is judged by: the ramp, the maps, all steps, and the settings."""

    source: CorrectedRamp
    steps: Steps
    group: np.ndarray
    maps: PixelMaps
    model: DifferenceCovariance
    stop: np.ndarray
    config: DetectorConfig

    @property
    def gain(self) -> float:
        """Gain [e-/DN]."""
        return self.source.ramp.facts.gain


class Candidate(NamedTuple):
    """A candidate seen in a window of the array; maps of the window's shape.

    ``distance`` is from the centre; ``core``, ``own`` and ``profiles`` are as in
    `ohana.detect.snowballs.halo.footprint`, which gives ``member``.
    """

    window: tuple[slice, slice]
    look: StepImage
    distance: np.ndarray
    core: np.ndarray
    own: np.ndarray
    profiles: tuple[Profile, Profile]
    member: np.ndarray


def measure_candidate(core: Core, others: list[Core], scene: SnowballContext) -> Candidate:
    """Look at a candidate again, in a window that holds its halo."""
    reach = _reach(core, scene)
    most = float(np.hypot(*scene.stop.shape))
    while True:
        view = _view(core, others, min(reach, most), scene)
        if reach >= most or halo_radius(core, view) + 1 < reach:
            return view
        reach *= 1.5


def _reach(core: Core, scene: SnowballContext) -> float:
    """Guess how far the halo can be seen, from the steps of single pixels [pixel]."""
    same = (scene.group == core.group) & (
        np.abs(scene.steps.read - core.read) <= DETECT.max_read_tolerance
    )
    away = core.disk.distance(scene.steps.row[same], scene.steps.col[same])
    radius = core.disk.radius
    count = np.bincount((away / 2).astype(int))
    filled = count / (4 * np.pi * (2 * np.arange(len(count)) + 1))
    outer = 2 * (1 + np.flatnonzero(filled > 0.2).max(initial=int(radius / 2)))
    return max(outer + FURTHER * radius, radius + RING_WIDTH) + MORE


def _view(core: Core, others: list[Core], reach: float, scene: SnowballContext) -> Candidate:
    disk, shape = core.disk, scene.stop.shape
    down, right = (
        slice(max(int(at - reach), 0), min(int(at + reach) + 2, size))
        for at, size in zip((disk.row, disk.col), shape, strict=True)
    )
    window = down, right
    rows, cols = np.ogrid[window]
    distance = disk.distance(rows, cols)
    stop = scene.stop[window]
    apart: dict[int, np.ndarray] = {}
    for other in others:
        near = other.disk.distance(rows, cols) < AROUND * other.disk.radius
        apart[other.read] = apart.get(other.read, False) | near
    look = step_image(
        scene.source, scene.maps, scene.model, window, core.read, scene.steps, apart, GROWTH_READS
    )
    # What was full before shows nothing, and neither does the border.
    look.error[stop < core.read] = look.alone[stop < core.read] = np.inf
    own = np.ones(distance.shape, bool)
    for other in others:
        if abs(other.read - core.read) <= CORE_READ_TOLERANCE:
            own &= distance - disk.radius <= other.disk.distance(rows, cols) - other.disk.radius
    full = fills(stop, core.read, scene.model)
    # Beside the rim there is always charge that the core couples into its neighbours.
    inside = distance <= disk.radius + 1
    halo = own & ~full
    landed = radial_profile(distance, look, halo, disk.radius, scene.gain)
    total = with_later(landed, distance, look, halo, disk.radius + RING_WIDTH)
    inside &= stop >= core.read
    member = footprint(distance, look, (landed, total), inside, own, scene.gain)
    return Candidate(window, look, distance, inside, own, (landed, total), member)


def fills(stop: np.ndarray, read: int, model: DifferenceCovariance) -> np.ndarray:
    """Tell the pixels that what lands in a read has filled, by their first saturated reads.

    Where reads average frames, only the next one may be full.
    """
    return (stop == read) | ((stop == read + 1) & bool(may_split_jump(model)[read]))


def halo_radius(core: Core, view: Candidate) -> float:
    """Return the distance at which the halo falls below `FOOTPRINT_SIGMA` errors [pixel]."""
    error = view.look.alone[np.isfinite(view.look.alone) & ~view.core]
    if not len(error):
        return core.disk.radius
    seen = view.profiles[1].level > FOOTPRINT_SIGMA * np.median(error)
    return float(view.profiles[1].distance[seen].max(initial=core.disk.radius))
