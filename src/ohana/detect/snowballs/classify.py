"""Snowballs: a round core in a halo that lands in one read and goes on growing slowly."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage, special

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.linking import read_tolerance
from ohana.detect.snowballs.candidates import (
    Candidate,
    SnowballContext,
    halo_radius,
    measure_candidate,
    saturated_at,
)
from ohana.detect.snowballs.cores import Core, find_cores
from ohana.detect.snowballs.disks import EIGHT
from ohana.detect.snowballs.tuning import TUNING
from ohana.events import Event, PixelMaps, Steps
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.load import CorrectedRamp
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
        return event, _explained_steps(core, candidate, context)

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
    config, disk, image = context.config, core.disk, candidate.image
    outside = candidate.distance - disk.radius
    known = np.isfinite(image.error) & candidate.own
    saturated = saturated_at(context.stop[candidate.window], core.read, context.covariance)
    known &= ~saturated
    inner, outer = TUNING.rim_ring
    ring = known & (outside > inner) & (outside <= outer)
    if not ring.any():
        return None
    brightest = float(candidate.profiles[1].level.max(initial=0.0))
    # The error of a median is sqrt(pi / 2) times that of the mean.
    evidence = float(np.median(image.significance[ring]) * np.sqrt(ring.sum() * 2 / np.pi))
    if core.significance < config.sigma_threshold and _is_saturated_star(
        core, candidate, ring, context
    ):
        return None
    halo = image.amplitude[candidate.member & known & ~candidate.core]
    typical = float(np.median(halo)) if len(halo) else brightest
    area = float(np.count_nonzero(candidate.member))
    if disk.cut:
        # As much of the halo is hidden as of the core.
        area *= max(np.pi * (disk.radius + 1) ** 2 / np.count_nonzero(candidate.core), 1.0)
    contrast = core.level / max(float(candidate.profiles[0].level.max()), 1.0)
    core_saturated = bool(saturated[candidate.core].any())
    oversized = (
        disk.radius > config.snowball_max_radius + TUNING.radius_tolerance
        or area > config.snowball_max_area
    )
    if (
        max(evidence, core.significance) < config.sigma_threshold
        or brightest < config.snowball_min_intensity
        or area < config.snowball_min_area
        # What saturates a round core at once is a snowball, however large the core or bright the
        # halo. Light that saturates pixels ends less sharply.
        or (contrast < TUNING.min_contrast if core_saturated else oversized)
        or (typical > config.snowball_max_intensity and not core_saturated)
    ):
        return None
    score = np.dot(TUNING.confidence, features(contrast, disk.circularity, disk.radius))
    confidence = float(special.expit(score))
    if confidence < min_confidence:
        return None
    measured: dict[str, object] = {
        "core_radius": disk.radius,
        "halo_radius": halo_radius(core, candidate),
        "circularity": disk.circularity,
        "growth": _growth(core, candidate, context),
        "halo_level": brightest,
        "halo_significance": evidence,
        "contrast": contrast,
        "trailed": _trailed(core, candidate),
        "cut_by_edge": disk.cut,
        "saturated": core_saturated,
        "oversized": oversized,
    }
    return _event(core.read, candidate, confidence, measured)


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


def _growth(core: Core, candidate: Candidate, context: SnowballContext) -> float:
    """Return the mean growth of the radius over the reads that follow [pixel per read]."""
    followed = min(TUNING.growth_reads, context.source.ramp.shape[0] - 1 - core.read)
    if not followed:
        return 0.0
    stop, disk = context.stop[candidate.window], core.disk
    saturated = saturated_at(stop, core.read, context.covariance)
    later = (stop > core.read) & (stop <= core.read + TUNING.growth_reads) & ~saturated
    later &= candidate.distance <= disk.radius + _max_growth(context) + 1
    at_once = int(np.count_nonzero(saturated & candidate.core))
    # Growth in area over the length of the rim, both of the visible part.
    return float(np.count_nonzero(later) * disk.radius / (2 * max(at_once, 1)) / followed)


def _max_growth(context: SnowballContext) -> float:
    """Return the largest growth of the core radius over the reads that count [pixel]."""
    return context.config.snowball_expansion_rate * TUNING.growth_reads


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


def _explained_steps(core: Core, candidate: Candidate, context: SnowballContext) -> np.ndarray:
    """Return which steps a snowball explains: those of its first read, and of later growth."""
    steps, (rows, cols) = context.steps, candidate.window
    inside = (steps.row >= rows.start) & (steps.row < rows.stop)
    inside &= (steps.col >= cols.start) & (steps.col < cols.stop)
    at = np.flatnonzero(inside)
    here = steps.select(at)
    row, col = here.row - rows.start, here.col - cols.start
    since = here.read - core.read
    prompt = np.abs(since) <= np.maximum(read_tolerance(here, context.maps.noise), 1)
    prompt &= candidate.member[row, col]
    outside = candidate.distance[row, col] - core.disk.radius
    core_growth = outside <= _max_growth(context)
    brightest = float(candidate.profiles[0].level.max(initial=0.0))
    ring = (outside <= TUNING.ring_width) & (here.amplitude <= brightest)
    growth = (since > 0) & (since <= TUNING.growth_reads) & (core_growth | ring)
    claimed = np.zeros(len(steps.row), bool)
    claimed[at[prompt | growth]] = True
    return claimed
