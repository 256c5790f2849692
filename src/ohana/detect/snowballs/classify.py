"""Classification of candidates: snowballs among tracks, stars and flashes of light."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy import ndimage, special

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp
from ohana.detect.snowballs.candidates import (
    Candidate,
    SnowballContext,
    halo_radius,
    measure_candidate,
    saturated_at,
)
from ohana.detect.snowballs.cores import Core, find_cores
from ohana.detect.snowballs.disks import EIGHT
from ohana.detect.snowballs.growth import explained_steps, growth_rate
from ohana.detect.snowballs.tuning import TUNING
from ohana.events import Event, PixelMaps, Steps
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.refpix.border import border_mask


def find_snowballs(
    source: CorrectedRamp,
    steps: Steps,
    group: np.ndarray,
    maps: PixelMaps,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> tuple[list[Event], np.ndarray]:
    """Find snowballs among linked steps.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and correction, from which each candidate is measured.
    steps : Steps
        n upward steps of the whole array.
    group : ndarray of int, shape (n,)
        The group that each belongs to, from `ohana.detect.linking.link_steps`.
    maps : PixelMaps
        Per-pixel results.
    covariance : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        The fields of the stage "snowballs" act here.

    Returns
    -------
    events : list of Event
        Every pixel in which the charge exceeds three errors of a step is a member.
    claimed : ndarray of bool, shape (n,)
        Steps that are part of them, in the first read or by later growth.
    """
    dead = ~np.isfinite(maps.noise) | border_mask(source.ramp)
    stop = np.where(dead, -1, maps.stop)
    context = SnowballContext(source, steps, group, maps, covariance, stop, config)
    cores, events = find_cores(steps, group, stop, config), []
    claimed = np.zeros(len(steps.row), bool)

    def work(core: Core) -> tuple[Event | None, np.ndarray]:
        others = [other for other in cores if other is not core]
        candidate = measure_candidate(core, others, context)
        event = classify(core, candidate, context, config.snowball_min_confidence)
        return event, explained_steps(core, candidate, context)

    with ThreadPoolExecutor(config.threads or os.cpu_count()) as pool:
        for event, claim in pool.map(work, cores):
            if event is not None:
                events.append(event)
                claimed |= claim
    return events, claimed


def classify(
    core: Core, candidate: Candidate, context: SnowballContext, min_confidence: float
) -> Event | None:
    """Make an event of a candidate, unless it fails a test.

    Parameters
    ----------
    core : Core
        The candidate.
    candidate : Candidate
        Its surroundings, from `ohana.detect.snowballs.candidates.measure_candidate`.
    context : SnowballContext
        What all candidates share.
    min_confidence : float
        Least confidence of an event.
    """
    config, disk = context.config, core.disk
    found = _measure(core, candidate, context)
    if found is None or not _within_limits(core, found, config):
        return None
    score = np.dot(TUNING.confidence, features(found.contrast, disk.circularity, disk.radius))
    confidence = float(special.expit(score))
    if confidence < min_confidence:
        return None
    catalogued: dict[str, object] = {
        "core_radius": disk.radius,
        "halo_radius": halo_radius(core, candidate),
        "circularity": disk.circularity,
        "growth": growth_rate(core, candidate, context),
        "halo_level": found.halo_level,
        "halo_significance": found.halo_significance,
        "contrast": found.contrast,
        "trailed": _trailed(core, candidate),
        "cut_by_edge": disk.cut,
        "saturated": found.saturated,
        "oversized": _oversized(core, found, config),
    }
    return _event(core.read, candidate, confidence, catalogued)


class _Measures(NamedTuple):
    """Measures of a candidate.

    ``halo_level`` is the brightest step of the radial profile, ``typical_level`` the median of the
    halo [DN]; ``area`` [pixel] is that of the whole footprint, hidden parts included.
    """

    halo_level: float
    halo_significance: float
    typical_level: float
    area: float
    contrast: float
    saturated: bool


def _measure(core: Core, candidate: Candidate, context: SnowballContext) -> _Measures | None:
    """Measure a candidate; None without a visible halo, or if it is a star."""
    disk, image = core.disk, candidate.image
    outside = candidate.distance - disk.radius
    saturated = saturated_at(context.stop[candidate.window], core.read, context.covariance)
    known = np.isfinite(image.error) & candidate.own & ~saturated
    inner, outer = TUNING.rim_ring
    ring = known & (outside > inner) & (outside <= outer)
    if not ring.any():
        return None
    is_faint = core.significance < context.config.sigma_threshold
    if is_faint and _is_saturated_star(core, candidate, ring, context):
        return None
    prompt, total = candidate.profiles
    halo_level = float(total.level.max(initial=0.0))
    # The error of a median is sqrt(pi / 2) times that of the mean.
    significance = float(np.median(image.significance[ring]) * np.sqrt(ring.sum() * 2 / np.pi))
    halo = image.amplitude[candidate.member & known & ~candidate.core]
    typical = float(np.median(halo)) if len(halo) else halo_level
    area = float(np.count_nonzero(candidate.member))
    if disk.cut:
        # As much of the halo is hidden as of the core.
        area *= max(np.pi * (disk.radius + 1) ** 2 / np.count_nonzero(candidate.core), 1.0)
    contrast = _core_level(core, candidate, ring, context) / max(float(prompt.level.max()), 1.0)
    full = bool(saturated[candidate.core].any())
    return _Measures(halo_level, significance, typical, area, contrast, full)


def _core_level(
    core: Core, candidate: Candidate, ring: np.ndarray, context: SnowballContext
) -> float:
    """Return the level of a core above the reset [DN].

    The step of a core that saturates is only what was left of the well: light that had filled a
    part of the well around the core by then had done so in the core as well.
    """
    rate = float(np.median(np.nan_to_num(context.maps.rate[candidate.window][ring])))
    return core.level + max(rate, 0.0) * float(context.covariance.dt[: core.read].sum())


def _within_limits(core: Core, found: _Measures, config: DetectorConfig) -> bool:
    """Return whether a candidate is within the limits of the settings.

    What saturates a round core at once is a snowball, however large the core or bright the halo.
    Light that saturates pixels ends less sharply.
    """
    if found.saturated:
        plausible = found.contrast >= TUNING.min_contrast
    else:
        faint = found.typical_level <= config.snowball_max_intensity
        plausible = faint and not _oversized(core, found, config)
    return (
        plausible
        and max(found.halo_significance, core.significance) >= config.sigma_threshold
        and found.halo_level >= config.snowball_min_intensity
        and found.area >= config.snowball_min_area
    )


def _oversized(core: Core, found: _Measures, config: DetectorConfig) -> bool:
    """Return whether a candidate exceeds the upper limits of radius or area."""
    most = config.snowball_max_radius + TUNING.radius_tolerance
    return core.disk.radius > most or found.area > config.snowball_max_area


def features(contrast: float, circularity: float, radius: float) -> list[float]:
    """Return the features of which the confidence is a logistic function.

    Parameters
    ----------
    contrast : float
        Step of the core over that of the halo.
    circularity : float
        Of the core.
    radius : float
        Of the core [pixel].
    """
    larger = max(radius, TUNING.plain_radius) / TUNING.plain_radius
    return [1.0, float(np.log10(contrast)), circularity, float(np.log10(larger))]


def _is_saturated_star(
    core: Core, candidate: Candidate, ring: np.ndarray, context: SnowballContext
) -> bool:
    """Return whether a core is a star saturated from the first read on: light goes on around."""
    rate = np.nan_to_num(context.maps.rate[candidate.window][ring], nan=np.inf)
    collected = np.median(rate) * context.covariance.dt[core.read - 1]
    return bool(collected >= np.median(candidate.image.amplitude[ring]))


def _event(
    read: int,
    candidate: Candidate,
    confidence: float,
    measured: dict[str, object],
) -> Event:
    rows, cols = np.nonzero(candidate.member)
    with np.errstate(invalid="ignore"):
        significance = np.where(
            np.isfinite(candidate.image.error), candidate.image.significance, 0.0
        )
    return Event(
        Label.SNOWBALL,
        (rows + candidate.window[0].start).astype(np.int32),
        (cols + candidate.window[1].start).astype(np.int32),
        np.full(len(rows), read, np.int32),
        candidate.image.amplitude[candidate.member].astype(np.float32),
        significance[candidate.member].astype(np.float32),
        read,
        confidence,
        extra=measured,
    )


def _trailed(core: Core, candidate: Candidate) -> bool:
    """Return whether pixels far above the profile reach out from the core."""
    expected, image = candidate.profiles[0].at(candidate.distance), candidate.image
    sigma = np.sqrt(image.error**2 + expected)
    with np.errstate(invalid="ignore"):
        excess = image.amplitude - expected > TUNING.trail_sigma * sigma
    excess &= candidate.member & candidate.own
    joined, _ = ndimage.label(excess | candidate.core, EIGHT)
    beside = np.isin(joined, np.unique(joined[candidate.core])) & ~candidate.core
    radius = core.disk.radius
    length = max(TUNING.trail_radii * radius, TUNING.trail_pixels)
    return bool(candidate.distance[beside].max(initial=0.0) > radius + length)
