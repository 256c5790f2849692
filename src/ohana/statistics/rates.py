"""Rates of events with their intervals, and spectra of their amplitudes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ohana.classes import EVENT_LABELS, Column
from ohana.statistics.tally import EDGES, SPECTRA, Count, Tally, megapixels
from ohana.utils.intervals import poisson_interval

#: Intervals hold the true value with this chance.
CHANCE = 0.6827


#: What ``rates.ecsv`` has.
RATES = (
    Column("detector", str, "", "Telescope, instrument, detector, size of the array"),
    Column("type", str, "", "Class of the events"),
    Column("exposures", int, "", "Exposures"),
    Column("area_time", float, "cm2 s", "Area that sees light times first to last frame"),
    Column("events", int, "", "Events in pixels that see light"),
    Column("expected_real", float, "", "Sum of their confidences: how many should be real"),
    Column("rate", float, "1 / (cm2 s)", "Events by area and time"),
    Column("rate_low", float, "1 / (cm2 s)", "Its 68.3 % interval: from"),
    Column("rate_high", float, "1 / (cm2 s)", "Its 68.3 % interval: to"),
    Column("per_mpix", float, "1 / Mpix", "Events by million pixels, mean of the integrations"),
    Column("per_mpix_low", float, "1 / Mpix", "Its 68.3 % interval: from"),
    Column("per_mpix_high", float, "1 / Mpix", "Its 68.3 % interval: to"),
    Column("hit_per_1000_s", float, "%", "Pixels covered by events in 1000 s"),
    Column("chi2", float, "", "Of a rate that is the same in all exposures"),
    Column("dof", int, "", "Its degrees of freedom"),
    Column("chance", float, "", "To get such a chi-squared or a larger one"),
    Column("slope", float, "1 / (cm2 s d)", "Change of the rate"),
    Column("slope_error", float, "1 / (cm2 s d)", "Its standard error"),
)


def rate_rows(tally: Tally) -> list[dict[str, Any]]:
    """Return a row of `RATES` for each class.

    Telegraph noise stays in its pixels, so that it has no rate in time.
    """
    area_time = np.array([exposure.area_time for exposure in tally.exposures])
    mpix = sum(megapixels(exposure) for exposure in tally.exposures)
    pixel_time = sum(exposure.active * exposure.live_time for exposure in tally.exposures)
    days = np.array([exposure.mjd for exposure in tally.exposures])
    rows = []
    for label in EVENT_LABELS:
        counts = [count[label] for count in tally.counts]
        total = Count(*(sum(part) for part in zip(*counts, strict=True)))
        low, high = (float(limit) for limit in poisson_interval(total.events, CHANCE))
        row = {
            "detector": tally.detector.label,
            "type": label.key,
            "exposures": len(counts),
            "area_time": float(area_time.sum()),
            "events": total.events,
            "expected_real": total.real,
            "per_mpix": total.events / mpix,
            "per_mpix_low": low / mpix,
            "per_mpix_high": high / mpix,
        }
        if label.traits.has_first_read:
            area = float(area_time.sum())
            row |= {"rate": total.events / area, "rate_low": low / area, "rate_high": high / area}
            row["hit_per_1000_s"] = 100 * total.pixels / pixel_time * 1000
            row |= _changes(np.array([count.events for count in counts]), area_time, days)
        rows.append(row)
    return rows


def _changes(counts: np.ndarray, area_time: np.ndarray, days: np.ndarray) -> dict[str, Any]:
    """Return the columns on the trend; no slope where times are not known."""
    known = bool(np.isfinite(days).all())
    found = trend(counts, area_time, days if known else np.arange(len(days), dtype=float))
    if found is None:
        return {}
    line = {"slope": found.slope, "slope_error": found.error} if known else {}
    return {"chi2": found.chi2, "dof": found.dof, "chance": found.p} | line


def spectrum_columns(column: str) -> tuple[Column, ...]:
    """Return what the table of a spectrum has."""
    unit = SPECTRA[column]
    per = f"1 / (cm2 s {unit})"
    what = "events / cm2 / s by width of the bin"
    return (
        Column("detector", str, "", "Telescope, instrument, detector, size of the array"),
        Column("type", str, "", "Class of the events"),
        Column("low", float, unit, f"Bin of {column}: from"),
        Column("high", float, unit, f"Bin of {column}: up to"),
        Column("events", int, "", "Events in the bin"),
        Column("rate", float, per, f"Differential rate: {what}"),
        Column("rate_low", float, per, "Its 68.3 % interval: from"),
        Column("rate_high", float, per, "Its 68.3 % interval: to"),
        Column("per_mpix", float, f"1 / (Mpix {unit})", "Events by million pixels and width"),
    )


def spectrum_rows(tally: Tally, column: str) -> list[dict[str, Any]]:
    """Return the differential spectrum of each class, from its first to its last filled bin."""
    rows = []
    area_time, mpix = tally.exposed[column]
    for label, counts in tally.spectra[column].items():
        filled = np.flatnonzero(counts)
        if not filled.size:
            continue
        low, high = poisson_interval(counts, CHANCE)
        for k in range(filled[0], filled[-1] + 1):
            width = float(EDGES[k + 1] - EDGES[k])
            row = {
                "detector": tally.detector.label,
                "type": label.key,
                "low": float(EDGES[k]),
                "high": float(EDGES[k + 1]),
                "events": int(counts[k]),
                "per_mpix": counts[k] / mpix / width,
            }
            if label.traits.has_first_read:
                scale = 1 / area_time / width
                row |= {"rate": counts[k] * scale}
                row |= {"rate_low": low[k] * scale, "rate_high": high[k] * scale}
            rows.append(row)
    return rows


#: What ``exposures.ecsv`` has; for each class come its events and their rate, see
#: `exposure_columns`.
EXPOSURES = (
    Column("exposure", str, "", "Name of the exposure"),
    Column("folder", str, "", "Folder of its results"),
    Column("detector", str, "", "Telescope, instrument, detector, size of the array"),
    Column("start", str, "", "Begin of the exposure (UTC)"),
    Column("mjd", float, "d", "The same as a modified Julian date"),
    Column("reads", int, "", "Reads of an integration"),
    Column("integrations", int, "", "Integrations"),
    Column("live_time", float, "s", "First to last frame, all integrations"),
    Column("area_time", float, "cm2 s", "Area that sees light times live time"),
    Column("active_pixels", int, "", "Pixels that see light"),
    Column("pixel_pitch", float, "um", "Width of a pixel"),
    Column("gain", float, "electron / DN", "Gain, where it is known"),
    Column("found_by", str, "", "Version, settings, and rules or network"),
    Column("rises", float, "", "Steps of pixels upward, telegraph noise left out"),
    Column("falls", float, "", "Steps of pixels downward, telegraph noise left out"),
    Column("decoys", float, "", "Falls that would be events if they were rises"),
    Column("decoys_by_noise", float, "", "How many of them Gaussian noise makes"),
    Column("reads_not_searched", float, "", "Reads in which no step was looked for"),
    Column("warnings", str, "", "What is not believable"),
)


def exposure_columns() -> tuple[Column, ...]:
    """Return what ``exposures.ecsv`` has."""
    columns = list(EXPOSURES)
    for label in EVENT_LABELS:
        key, name = label.key, label.title
        unit = "1 / (cm2 s)" if label.traits.has_first_read else "1 / Mpix"
        columns += [
            Column(key, int, "", f"Events: {name}"),
            Column(f"{key}_rate", float, unit, f"Their rate: {name}"),
            Column(f"{key}_rate_low", float, unit, "Its 68.3 % interval: from"),
            Column(f"{key}_rate_high", float, unit, "Its 68.3 % interval: to"),
        ]
    return tuple(columns)


def exposure_rows(tally: Tally, root: Path) -> list[dict[str, Any]]:
    """Return a row of `exposure_columns` for each exposure; folders relative to ``root``."""
    rows = []
    for exposure, counts in zip(tally.exposures, tally.counts, strict=True):
        row: dict[str, Any] = {
            "exposure": exposure.name,
            "folder": os.path.relpath(exposure.folder, root),
            "detector": exposure.detector.label,
            "start": exposure.start,
            "mjd": exposure.mjd,
            "reads": len(exposure.times),
            "integrations": exposure.integrations,
            "live_time": exposure.live_time,
            "area_time": exposure.area_time,
            "active_pixels": exposure.active,
            "pixel_pitch": exposure.pitch,
            "gain": exposure.gain,
            "found_by": exposure.found_by,
            "rises": exposure.health.rises,
            "falls": exposure.health.falls,
            "decoys": exposure.health.decoys,
            "decoys_by_noise": exposure.health.decoys_by_noise,
            "reads_not_searched": exposure.health.not_searched,
            "warnings": "; ".join(exposure.health.warnings),
        }
        for label, count in counts.items():
            of_pixels = not label.traits.has_first_read
            unit = megapixels(exposure) if of_pixels else exposure.area_time
            low, high = poisson_interval(count.events, CHANCE)
            key = label.key
            row |= {key: count.events, f"{key}_rate": count.events / unit}
            row |= {f"{key}_rate_low": float(low / unit), f"{key}_rate_high": float(high / unit)}
        rows.append(row)
    return rows


class Trend(NamedTuple):
    """How a rate changes from exposure to exposure.

    ``chi2`` of a constant rate with ``dof`` degrees of freedom comes by chance with
    probability ``p``; ``slope`` and its ``error`` are those of a straight line, per day, or per
    exposure where times are not known.
    """

    chi2: float
    dof: int
    p: float
    slope: float
    error: float


def trend(counts: np.ndarray, exposure: np.ndarray, time: np.ndarray) -> Trend | None:
    """Compare counts with a constant rate, and fit a straight line.

    Weights are the variances that a constant rate gives, so that both are unbiased for small
    counts too. None for fewer than three exposures or no event.

    Parameters
    ----------
    counts, exposure, time : ndarray, shape (n,)
        Events, what they are proportional to, and when.

    Examples
    --------
    >>> trend(np.array([100, 200, 300]), np.ones(3), np.arange(3.0)).slope
    100.0
    """
    if len(counts) < 3 or not counts.sum() or not (exposure > 0).all():
        return None
    rate = counts.sum() / exposure.sum()
    expected = rate * exposure
    chi2, dof = float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1
    weight = exposure / rate  # of counts / exposure, whose variance is rate / exposure
    away = time - (weight * time).sum() / weight.sum()
    spread = (weight * away**2).sum()
    if not spread > 0:
        return Trend(chi2, dof, float(special.chdtrc(dof, chi2)), np.nan, np.nan)
    slope = (weight * away * counts / exposure).sum() / spread
    chance = float(special.chdtrc(dof, chi2))
    return Trend(chi2, dof, chance, float(slope), float(1 / np.sqrt(spread)))
