"""Snowballs: a round core in a halo that lands in one read and goes on growing slowly."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage, special

from ohana.border import border_mask
from ohana.config import DetectorConfig
from ohana.differences import Differences
from ohana.events import Event, PixelMaps, Steps
from ohana.labels import Label
from ohana.linking import dating_error
from ohana.rules.candidates import Scene, View, fills, halo_radius, look_at
from ohana.rules.cores import GROWTH_READS, PIXEL, RING_WIDTH, Core, find_cores
from ohana.rules.disks import EIGHT
from ohana.walk import Source

#: Place of the brightest part of the halo, outside the rim of the core [pixel].
BRIGHTEST = (0.5, 2.5)
#: A trail reaches so many core radii beyond the rim.
TRAIL = 0.4
#: Level of a saturated core, what it had collected before included, over the step of its halo.
LEAST_CONTRAST = 4.0
#: Confidence is logistic in these times what `features` returns; fitted to simulated exposures
#: as by ``benchmarks/snowballs.py --calibrate``.
CONFIDENCE = (-14.69, 1.92, 15.05, 8.81)
#: Radius up to which a core is not surer for its size [pixel]: tracks side by side get as large.
PLAIN_RADIUS = 5.0


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
        view = look_at(core, [other for other in cores if other is not core], scene)
        event = judge(core, view, scene, config.snowball_min_confidence)
        return event, _claim(core, view, scene)

    with ThreadPoolExecutor(config.threads or os.cpu_count()) as pool:
        for event, claim in pool.map(work, cores):
            if event is not None:
                events.append(event)
                claimed |= claim
    return events, claimed


def judge(core: Core, view: View, scene: Scene, least: float) -> Event | None:
    """Make an event of a candidate, unless it fails a test.

    Parameters
    ----------
    core : Core
        The candidate.
    view : View
        Its surroundings, from `ohana.rules.candidates.look_at`.
    scene : Scene
        What it is judged by.
    least : float
        Confidence that it needs.
    """
    config, disk, look, member = scene.config, core.disk, view.look, view.member
    outside = view.distance - disk.radius
    known = np.isfinite(look.error) & view.own
    full = fills(scene.stop[view.window], core.read, scene.model)
    known &= ~full
    ring = known & (outside > BRIGHTEST[0]) & (outside <= BRIGHTEST[1])
    if not ring.any():
        return None
    brightest = float(view.profiles[1].level.max(initial=0.0))
    # The median of n values is sqrt(pi / 2) less certain than their mean.
    evidence = float(np.median(look.significance[ring]) * np.sqrt(ring.sum() * 2 / np.pi))
    if core.significance < config.sigma_threshold and _shines(core, view, ring, scene):
        return None
    halo = look.amplitude[member & known & ~view.core]
    typical = float(np.median(halo)) if len(halo) else brightest
    area = float(np.count_nonzero(member))
    if disk.cut:
        # What is seen of the core tells how much of the whole is seen.
        area *= max(np.pi * (disk.radius + 1) ** 2 / np.count_nonzero(view.core), 1.0)
    contrast = _core_level(core, view, ring, scene) / max(float(view.profiles[0].level.max()), 1.0)
    saturated = bool(full[view.core].any())
    oversized = disk.radius > config.snowball_max_radius + PIXEL or area > config.snowball_max_area
    if (
        max(evidence, core.significance) < config.sigma_threshold
        or brightest < config.snowball_min_intensity
        or area < config.snowball_min_area
        # What fills a round core at once is a snowball, however large the core or bright the
        # halo. Light that fills pixels ends less sharply.
        or (contrast < LEAST_CONTRAST if saturated else oversized)
        or (typical > config.snowball_max_intensity and not saturated)
    ):
        return None
    score = np.dot(CONFIDENCE, features(contrast, disk.circularity, disk.radius))
    confidence = float(special.expit(score))
    if confidence < least:
        return None
    measured: dict[str, object] = {
        "core_radius": disk.radius,
        "halo_radius": halo_radius(core, view),
        "circularity": disk.circularity,
        "growth": _growth(core, view, scene),
        "halo_level": brightest,
        "halo_significance": evidence,
        "contrast": contrast,
        "trailed": _trailed(core, view),
        "cut_by_edge": disk.cut,
        "saturated": saturated,
        "oversized": oversized,
    }
    return _event(core.read, view, confidence, measured)


def features(contrast: float, circularity: float, radius: float) -> list[float]:
    """Return what the confidence rests on.

    Parameters
    ----------
    contrast : float
        Step of the core over that of the halo.
    circularity : float
        Of the core.
    radius : float
        Of the core [pixel].
    """
    larger = max(radius, PLAIN_RADIUS) / PLAIN_RADIUS
    return [1.0, float(np.log10(contrast)), circularity, float(np.log10(larger))]


def _shines(core: Core, view: View, ring: np.ndarray, scene: Scene) -> bool:
    """Tell a star that is full from the first read on: the light goes on around it."""
    rate = np.nan_to_num(scene.maps.rate[view.window][ring], nan=np.inf)
    collected = np.median(rate) * scene.model.dt[core.read - 1]
    return bool(collected >= np.median(view.look.amplitude[ring]))


def _core_level(core: Core, view: View, ring: np.ndarray, scene: Scene) -> float:
    """Return the level of a core above the reset [DN].

    The step of a core that fills up is only what was left of the well: where light around it had
    filled a part of the well by then, so it had in the core.
    """
    rate = float(np.median(np.nan_to_num(scene.maps.rate[view.window][ring])))
    return core.level + max(rate, 0.0) * float(scene.model.dt[: core.read].sum())


def _growth(core: Core, view: View, scene: Scene) -> float:
    """Return the mean growth of the radius over the reads that follow [pixel per read]."""
    followed = min(GROWTH_READS, scene.source.ramp.shape[0] - 1 - core.read)
    if not followed:
        return 0.0
    stop, disk = scene.stop[view.window], core.disk
    full = fills(stop, core.read, scene.model)
    later = (stop > core.read) & (stop <= core.read + GROWTH_READS) & ~full
    later &= view.distance <= disk.radius + _swept(scene) + 1
    landed = int(np.count_nonzero(full & view.core))
    # Of the part that is seen: the rim grows by area over length.
    return float(np.count_nonzero(later) * disk.radius / (2 * max(landed, 1)) / followed)


def _swept(scene: Scene) -> float:
    """Return how far a core may grow while it is followed [pixel]."""
    return scene.config.snowball_expansion_rate * GROWTH_READS


def _event(
    read: int,
    view: View,
    confidence: float,
    measured: dict[str, object],
) -> Event:
    rows, cols = np.nonzero(view.member)
    with np.errstate(invalid="ignore"):
        significance = np.where(np.isfinite(view.look.error), view.look.significance, 0.0)
    return Event(
        Label.SNOWBALL,
        (rows + view.window[0].start).astype(np.int32),
        (cols + view.window[1].start).astype(np.int32),
        np.full(len(rows), read, np.int32),
        view.look.amplitude[view.member].astype(np.float32),
        significance[view.member].astype(np.float32),
        read,
        confidence,
        extra=measured,
    )


def _trailed(core: Core, view: View) -> bool:
    """Tell whether pixels far above the profile reach out from the core."""
    variance = view.look.error**2 + view.profiles[0].at(view.distance)
    with np.errstate(invalid="ignore"):
        excess = view.look.amplitude - view.profiles[0].at(view.distance) > 10 * np.sqrt(variance)
    excess &= view.member & view.own
    joined, _ = ndimage.label(excess | view.core, EIGHT)
    beside = np.isin(joined, np.unique(joined[view.core])) & ~view.core
    radius = core.disk.radius
    return bool(view.distance[beside].max(initial=0.0) > radius + max(TRAIL * radius, 2.0))


def _claim(core: Core, view: View, scene: Scene) -> np.ndarray:
    """Tell the steps that a snowball accounts for."""
    steps, (rows, cols) = scene.steps, view.window
    inside = (steps.row >= rows.start) & (steps.row < rows.stop)
    inside &= (steps.col >= cols.start) & (steps.col < cols.stop)
    at = np.flatnonzero(inside)
    here = steps.select(at)
    row, col = here.row - rows.start, here.col - cols.start
    since = here.read - core.read
    landing = np.abs(since) <= np.maximum(dating_error(here, scene.maps.noise), 1)
    landing &= view.member[row, col]
    outside = view.distance[row, col] - core.disk.radius
    swept = outside <= _swept(scene)
    brightest = float(view.profiles[0].level.max(initial=0.0))
    faint = (outside <= RING_WIDTH) & (here.amplitude <= brightest)
    growth = (since > 0) & (since <= GROWTH_READS) & (swept | faint)
    claimed = np.zeros(len(steps.row), bool)
    claimed[at[landing | growth]] = True
    return claimed
