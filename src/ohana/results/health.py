"""Health of an exposure: what is not as it should be, and how far its events can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.correction.load import CorrectedRamp
from ohana.correction.report import table
from ohana.events import Event, PixelMaps, Steps, pixels_of
from ohana.utils.formatting import json_safe

#: Part of all pixels that step in one read, or are in events, from which on that is not believable.
MANY_PIXELS = 0.01
MOST_IN_EVENTS = 0.3
#: Part of all pixels with telegraph noise from which on that is not believable: detectors have
#: less than a twentieth of it.
MANY_TELEGRAPH = 0.01
#: How many times more often than in a usual read pixels must step in such a read.
CROWD = 10.0
#: Decoys beyond those of noise from which on a warning is given, and in units of their scatter.
SURPLUS, SURPLUS_SIGMA = 10.0, 4.0
#: Reads that are named one by one.
NAMED = 3


class ReadReport(NamedTuple):
    """What was measured of the reads before any step was looked for.

    Attributes
    ----------
    per_read : mapping
        Label with unit, such as ``offset [DN]``, -> values of all reads, shape (T,).
    not_searched : mapping
        Read -> why no step was looked for in it.
    missing : sequence of str
        Data that were recognised as missing.
    """

    per_read: Mapping[str, np.ndarray] = {}
    not_searched: Mapping[int, str] = {}
    missing: Sequence[str] = ()


def report_of(source: CorrectedRamp, missing: Sequence[str]) -> ReadReport:
    """Report what was measured of the reads of a ramp; ``missing`` describes data that are not."""
    quality = source.ramp.quality
    odd = [] if quality is None else np.flatnonzero(quality.unsearched).tolist()
    why = "more pixels step than particles hit"
    return ReadReport(table(source), {int(read): why for read in odd}, tuple(missing))


class FalseSteps(NamedTuple):
    """Decoys: falls that would be cosmic rays if they were rises, and how many noise makes."""

    decoys: int
    by_noise: float


@dataclass(frozen=True)
class Health:
    """Health of one integration.

    Attributes
    ----------
    rises, falls : ndarray of int, shape (T,)
        Pixels that step up and down significantly at each read, those with telegraph noise apart.
    false : FalseSteps
        Falls taken for events.
    in_events : float
        Part of the pixels that see light in events.
    suspect : int
        Pixels that the mission has flagged and that are used.
    report : ReadReport
        What was measured of the reads.
    warnings : tuple of str
        What is not believable.
    integration : int
        Index in the file.
    """

    rises: np.ndarray
    falls: np.ndarray
    false: FalseSteps
    in_events: float
    suspect: int
    report: ReadReport = field(default_factory=ReadReport)
    warnings: tuple[str, ...] = ()
    integration: int = 0

    def lines(self) -> list[str]:
        """Return the three lines of the summary."""
        up, down = int(self.rises.sum()), int(self.falls.sum())
        decoys, noise = self.false
        steps = (
            f"{up} rises, {down} falls; falls like events: {decoys} ({noise:.2g} by noise); "
            f"{100 * self.in_events:.3g} % of pixels in events"
        )
        values = self.report.per_read
        shared = [f"{_span(name, series)}" for name, series in values.items()]
        left = [f"read {read} ({why})" for read, why in self.report.not_searched.items()]
        if len(left) > NAMED:
            left = [*left[:NAMED], f"{len(left) - NAMED} more reads"]
        return [
            f"  {'steps':<12} {steps}",
            f"  {'shared':<12} {', '.join(shared) or 'nothing taken off'}",
            f"  {'left out':<12} {'; '.join([*left, *self.report.missing]) or 'nothing'}",
        ]

    def record(self) -> dict[str, Any]:
        """Return its entry in ``run.json``."""
        reads = {"rises": self.rises, "falls": self.falls} | dict(self.report.per_read)
        return {
            "integration": self.integration,
            "rises": int(self.rises.sum()),
            "falls": int(self.falls.sum()),
            "decoys": self.false.decoys,
            "decoys_by_noise": json_safe(self.false.by_noise),
            "pixels_in_events": json_safe(self.in_events),
            "suspect_pixels": self.suspect,
            "reads": {name: json_safe(np.asarray(series)) for name, series in reads.items()},
            "not_searched": [
                {"read": int(read), "reason": why} for read, why in self.report.not_searched.items()
            ],
            "missing": list(self.report.missing),
            "warnings": list(self.warnings),
        }


def warnings_of(health: Iterable[tuple[int, Sequence[str]]]) -> list[str]:
    """Return the warnings of integrations, each with its number if there are several.

    Examples
    --------
    >>> warnings_of([(2, ["falls"])])
    ['falls']
    >>> warnings_of([(0, []), (1, ["falls", "rises"])])
    ['integration 1: falls', 'integration 1: rises']
    """
    each = list(health)
    return [
        f"integration {number}: {warning}" if len(each) > 1 else warning
        for number, warnings in each
        for warning in warnings
    ]


def _span(name: str, values: np.ndarray) -> str:
    """Tell the range of a series, its unit behind it.

    Examples
    --------
    >>> _span("offset [DN]", np.array([0.0, -2.0, 3.5]))
    'offset -2 to 3.5 DN'
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    label, _, unit = name.partition(" [")
    if not known.size:
        return f"{label} unknown"
    unit = f" {unit.rstrip(']')}" if unit else ""
    return f"{label} {known.min():.3g} to {known.max():.3g}{unit}"


def health_of(
    found: tuple[Steps, PixelMaps, Sequence[Event]],
    reads: int,
    border: np.ndarray,
    suspect: np.ndarray | None,
    false: FalseSteps,
    dropped: int,
    report: ReadReport | None = None,
) -> Health:
    """Measure the health of an integration.

    Parameters
    ----------
    found : tuple
        All significant steps, the per-pixel maps, and the events.
    reads : int
        Reads of the ramp.
    border : ndarray of bool, shape (H, W)
        Reference pixels.
    suspect : ndarray of uint8, shape (H, W), optional
        See `ohana.ramp.Ramp`.
    false : FalseSteps
        Falls taken for events.
    dropped : int
        Pixels like telegraph noise that switch together, and are left out.
    report : ReadReport, optional
        What was measured of the reads.
    """
    steps, maps, events = found
    lit = ~border & np.isfinite(maps.noise)
    telegraph = (event for event in events if event.label == Label.TELEGRAPH_NOISE)
    flickers = pixels_of(telegraph, border.shape)
    some = steps.select((lit & ~flickers)[steps.row, steps.col])
    rises, falls = (
        np.bincount(some.read[moved], minlength=reads)
        for moved in (some.amplitude > 0, some.amplitude < 0)
    )
    # A snowball in a small array is many pixels, and believable.
    balls = pixels_of((e for e in events if e.label == Label.SNOWBALL), border.shape)
    others = some.select(~balls[some.row, some.col])
    pixels = max(int(lit.sum()), 1)
    inside = float(np.sum(pixels_of(events, border.shape) & lit) / pixels)
    told = [
        *_crowded(np.bincount(others.read, minlength=reads), pixels),
        *_surplus(false),
        *_parts(inside, float(np.sum(flickers & lit) / pixels)),
    ]
    if dropped:
        told.append(f"{dropped} pixels switch level in the same reads: no telegraph noise")
    marked = 0 if suspect is None else int(np.sum((suspect > 0) & lit))
    return Health(rises, falls, false, inside, marked, report or ReadReport(), tuple(told))


def _crowded(both: np.ndarray, pixels: int) -> list[str]:
    """Warn of reads in which more pixels step, up and down, than particles or noise make."""
    usual = float(np.median(both[1:])) if len(both) > 1 else 0.0
    many = np.flatnonzero((both > MANY_PIXELS * pixels) & (both > CROWD * usual))
    if len(both) <= NAMED + 1:
        # With few reads the usual one may be no better.
        many = np.flatnonzero(both > MANY_PIXELS * CROWD * pixels)
    worst = many[np.argsort(-both[many], kind="stable")][:NAMED]
    told = [
        f"{100 * both[read] / pixels:.3g} % of all pixels step in read {read}: not believable"
        for read in sorted(worst.tolist())
    ]
    if len(many) > NAMED:
        told.append(f"the same in {len(many) - NAMED} more reads")
    return told


def _surplus(false: FalseSteps) -> list[str]:
    """Warn of falls that noise does not explain."""
    beyond = false.decoys - false.by_noise
    if beyond < max(SURPLUS, SURPLUS_SIGMA * np.sqrt(false.by_noise)):
        return []
    return [f"falls outnumber what noise makes by {beyond:.0f}: confidences lowered"]


def _parts(inside: float, flickers: float) -> list[str]:
    """Warn of too many pixels in events."""
    told = []
    if inside > MOST_IN_EVENTS:
        told.append(f"{100 * inside:.3g} % of all pixels are in events: not believable")
    if flickers > MANY_TELEGRAPH:
        told.append(f"{100 * flickers:.2g} % of all pixels have telegraph noise: not believable")
    return told
