"""Snowballs: a round core in a halo that lands in one read and goes on growing slowly."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage, special

from ohana.border import border_mask
from ohana.config import DetectorConfig
from ohana.cutout import Cutout, step_window
from ohana.differences import Differences
from ohana.events import Event, PixelMaps, Steps
from ohana.labels import Label
from ohana.linking import MOST_READS, dating_error
from ohana.rules.cores import GROWTH_READS, RING_WIDTH, SAME, Core, find_cores
from ohana.rules.disks import EIGHT
from ohana.rules.halo import FOOTPRINT_SIGMA, Profile, footprint, radial_profile, with_later
from ohana.walk import Source

#: Place of the brightest part of the halo, outside the rim of the core [pixel].
BRIGHTEST = (0.5, 2.5)
#: How much further than steps of single pixels a halo may be seen: in core radii, and pixels.
FURTHER, MORE = 0.6, 4
#: Within so many core radii of its centre, another snowball is taken out of the ramps.
AROUND = 4.0
#: A trail reaches so many core radii beyond the rim.
TRAIL = 0.4
#: Confidence is logistic in (1, log10 of the step of core over halo, circularity);
#: fitted by ``benchmarks/snowballs.py --calibrate``.
CONFIDENCE = (-8.5, 1.32, 9.57)


@dataclass(frozen=True)
class Scene:
    """What every candidate is judged by: the ramp, the maps, all steps, and the settings."""

    source: Source
    steps: Steps
    group: np.ndarray
    maps: PixelMaps
    model: Differences
    stop: np.ndarray
    config: DetectorConfig

    @property
    def gain(self) -> float:
        """Gain [e-/DN]."""
        return self.source.ramp.facts.gain


class View(NamedTuple):
    """A candidate seen in a window of the array; maps of the window's shape.

    ``distance`` is from the centre; ``core``, ``own`` and ``profiles`` are as in
    `ohana.rules.halo.footprint`.
    """

    window: tuple[slice, slice]
    look: Cutout
    distance: np.ndarray
    core: np.ndarray
    own: np.ndarray
    profiles: tuple[Profile, Profile]


def find_snowballs(
    source: Source,
    steps: Steps,
    group: np.ndarray,
    maps: PixelMaps,
    model: Differences,
    config: DetectorConfig,
) -> tuple[list[Event], np.ndarray]:
    """Find snowballs among linked steps.

    Parameters
    ----------
    source : Source
        Ramp and correction, for a second look at each candidate.
    steps : Steps
        n upward steps of the whole array.
    group : ndarray of int, shape (n,)
        The event each belongs to, from `ohana.linking.link_steps`.
    maps : PixelMaps
        Per-pixel results.
    model : Differences
        Covariance coefficients.
    config : DetectorConfig
        The fields of the stage "snowballs" act here.

    Returns
    -------
    events : list of Event
        Every pixel in which the charge exceeds three errors of a step is a member.
    claimed : ndarray of bool, shape (n,)
        Steps that are part of them: those of the landing, and of later growth.
    """
    dead = ~np.isfinite(maps.noise) | border_mask(source.ramp)
    stop = np.where(dead, -1, maps.stop)
    scene = Scene(source, steps, group, maps, model, stop, config)
    cores, events = find_cores(steps, group, stop, config), []
    claimed = np.zeros(len(steps.row), bool)

    def work(core: Core) -> tuple[Event | None, np.ndarray]:
        view = _look(core, [other for other in cores if other is not core], scene)
        member = footprint(view.distance, view.look, view.profiles, view.core, view.own, scene.gain)
        return _judge(core, view, member, scene), _claim(core, view, member, scene)

    with ThreadPoolExecutor(config.threads or os.cpu_count()) as pool:
        for event, claim in pool.map(work, cores):
            if event is not None:
                events.append(event)
                claimed |= claim
    return events, claimed


def _look(core: Core, others: list[Core], scene: Scene) -> View:
    """Look at a candidate again, in a window that holds its halo."""
    reach = _reach(core, scene)
    most = np.sqrt(scene.config.snowball_max_area / np.pi) + MORE
    while True:
        view = _view(core, others, min(reach, most), scene)
        if reach >= most or _halo_radius(core, view) + 1 < reach:
            return view
        reach *= 1.5


def _reach(core: Core, scene: Scene) -> float:
    """Guess how far the halo can be seen, from the steps of single pixels [pixel]."""
    same = (scene.group == core.group) & (np.abs(scene.steps.read - core.read) <= MOST_READS)
    away = core.disk.distance(scene.steps.row[same], scene.steps.col[same])
    radius = core.disk.radius
    count = np.bincount((away / 2).astype(int))
    filled = count / (4 * np.pi * (2 * np.arange(len(count)) + 1))
    outer = 2 * (1 + np.flatnonzero(filled > 0.2).max(initial=int(radius / 2)))
    return max(outer + FURTHER * radius, radius + RING_WIDTH) + MORE


def _view(core: Core, others: list[Core], reach: float, scene: Scene) -> View:
    disk, shape = core.disk, scene.stop.shape
    down, right = (
        slice(max(int(at - reach), 0), min(int(at + reach) + 2, size))
        for at, size in zip((disk.row, disk.col), shape, strict=True)
    )
    window = down, right
    rows, cols = np.ogrid[window]
    distance = disk.distance(rows, cols)
    stop = scene.stop[window]
    apart = np.zeros((scene.source.ramp.shape[0], *stop.shape), bool)
    for other in others:
        apart[other.read] |= other.disk.distance(rows, cols) < AROUND * other.disk.radius
    look = step_window(
        scene.source, scene.maps, scene.model, window, core.read, scene.steps, apart, GROWTH_READS
    )
    # What was full before shows nothing, and neither does the border.
    look.error[stop < core.read] = look.alone[stop < core.read] = np.inf
    own = np.ones(distance.shape, bool)
    for other in others:
        if abs(other.read - core.read) <= SAME:
            own &= distance - disk.radius <= other.disk.distance(rows, cols) - other.disk.radius
    full = stop == core.read
    # Beside the rim there is always charge that the core couples into its neighbours.
    inside = distance <= disk.radius + 1
    halo = own & ~full
    landed = radial_profile(distance, look, halo, disk.radius, scene.gain)
    total = with_later(landed, distance, look, halo, disk.radius + RING_WIDTH)
    return View(window, look, distance, inside & (stop >= core.read), own, (landed, total))


def _halo_radius(core: Core, view: View) -> float:
    """Return the distance at which the halo falls below `FOOTPRINT_SIGMA` errors [pixel]."""
    error = view.look.alone[np.isfinite(view.look.alone) & ~view.core]
    if not len(error):
        return core.disk.radius
    seen = view.profiles[1].level > FOOTPRINT_SIGMA * np.median(error)
    return float(view.profiles[1].distance[seen].max(initial=core.disk.radius))


def _judge(core: Core, view: View, member: np.ndarray, scene: Scene) -> Event | None:
    """Make an event of a candidate, unless it fails a test."""
    config, disk, look = scene.config, core.disk, view.look
    outside = view.distance - disk.radius
    known = np.isfinite(look.error) & view.own
    known &= scene.stop[view.window] != core.read
    ring = known & (outside > BRIGHTEST[0]) & (outside <= BRIGHTEST[1])
    if not ring.any():
        return None
    brightest = float(view.profiles[1].level.max(initial=0.0))
    # The median of n values is sqrt(pi / 2) less certain than their mean.
    evidence = float(np.median(look.significance[ring]) * np.sqrt(ring.sum() * 2 / np.pi))
    halo = look.amplitude[member & known & ~view.core]
    typical = float(np.median(halo)) if len(halo) else brightest
    area = float(np.count_nonzero(member))
    if disk.cut:
        # What is seen of the core tells how much of the whole is seen.
        area *= max(np.pi * (disk.radius + 1) ** 2 / np.count_nonzero(view.core), 1.0)
    if (
        max(evidence, core.significance) < config.sigma_threshold
        or brightest < config.snowball_min_intensity
        or typical > config.snowball_max_intensity
        or not config.snowball_min_area <= area <= config.snowball_max_area
    ):
        return None
    contrast = core.level / max(float(view.profiles[0].level.max()), 1.0)
    base, per_contrast, per_circularity = CONFIDENCE
    score = base + per_contrast * np.log10(contrast) + per_circularity * disk.circularity
    confidence = float(special.expit(score))
    if confidence < config.snowball_min_confidence:
        return None
    measured: dict[str, object] = {
        "core_radius": disk.radius,
        "halo_radius": _halo_radius(core, view),
        "circularity": disk.circularity,
        "growth": _growth(core, view, scene),
        "halo_level": brightest,
        "halo_significance": evidence,
        "contrast": contrast,
        "trailed": _trailed(core, view, member),
        "cut_by_edge": disk.cut,
        "saturated": bool((scene.stop[view.window][view.core] == core.read).any()),
    }
    return _event(core.read, view, member, confidence, measured)


def _growth(core: Core, view: View, scene: Scene) -> float:
    """Return the mean growth of the radius over the reads that follow [pixel per read]."""
    followed = min(GROWTH_READS, scene.source.ramp.shape[0] - 1 - core.read)
    if not followed:
        return 0.0
    stop, disk = scene.stop[view.window], core.disk
    later = (stop > core.read) & (stop <= core.read + GROWTH_READS)
    later &= view.distance <= disk.radius + _swept(scene) + 1
    landed = int(np.count_nonzero((stop == core.read) & view.core))
    # Of the part that is seen: the rim grows by area over length.
    return float(np.count_nonzero(later) * disk.radius / (2 * max(landed, 1)) / followed)


def _swept(scene: Scene) -> float:
    """Return how far a core may grow while it is followed [pixel]."""
    return scene.config.snowball_expansion_rate * GROWTH_READS


def _event(
    read: int,
    view: View,
    member: np.ndarray,
    confidence: float,
    measured: dict[str, object],
) -> Event:
    rows, cols = np.nonzero(member)
    with np.errstate(invalid="ignore"):
        significance = np.where(np.isfinite(view.look.error), view.look.significance, 0.0)
    return Event(
        Label.SNOWBALL,
        (rows + view.window[0].start).astype(np.int32),
        (cols + view.window[1].start).astype(np.int32),
        np.full(len(rows), read, np.int32),
        view.look.amplitude[member].astype(np.float32),
        significance[member].astype(np.float32),
        read,
        confidence,
        extra=measured,
    )


def _trailed(core: Core, view: View, member: np.ndarray) -> bool:
    """Tell whether pixels far above the profile reach out from the core."""
    variance = view.look.error**2 + view.profiles[0].at(view.distance)
    with np.errstate(invalid="ignore"):
        excess = view.look.amplitude - view.profiles[0].at(view.distance) > 10 * np.sqrt(variance)
    excess &= member & view.own
    joined, _ = ndimage.label(excess | view.core, EIGHT)
    beside = np.isin(joined, np.unique(joined[view.core])) & ~view.core
    radius = core.disk.radius
    return bool(view.distance[beside].max(initial=0.0) > radius + max(TRAIL * radius, 2.0))


def _claim(core: Core, view: View, member: np.ndarray, scene: Scene) -> np.ndarray:
    """Tell the steps that a snowball accounts for."""
    steps, (rows, cols) = scene.steps, view.window
    inside = (steps.row >= rows.start) & (steps.row < rows.stop)
    inside &= (steps.col >= cols.start) & (steps.col < cols.stop)
    at = np.flatnonzero(inside)
    here = steps.select(at)
    row, col = here.row - rows.start, here.col - cols.start
    since = here.read - core.read
    landing = np.abs(since) <= np.maximum(dating_error(here, scene.maps.noise), 1)
    landing &= member[row, col]
    outside = view.distance[row, col] - core.disk.radius
    swept = outside <= _swept(scene)
    brightest = float(view.profiles[0].level.max(initial=0.0))
    faint = (outside <= RING_WIDTH) & (here.amplitude <= brightest)
    growth = (since > 0) & (since <= GROWTH_READS) & (swept | faint)
    claimed = np.zeros(len(steps.row), bool)
    claimed[at[landing | growth]] = True
    return claimed
