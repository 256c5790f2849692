"""The summary as text and table cells, for the terminal and the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ohana.classes import label_of
from ohana.export.exposure import ExposureMetadata, Skipped
from ohana.statistics.rates import rate_rows
from ohana.statistics.repeats import Repeats
from ohana.statistics.tally import Tally
from ohana.utils.formatting import columns

RATES_HEAD = (
    "class",
    "events",
    "expected real",
    "per cm2 s",
    "from to",
    "per Mpix",
    "from to",
    "% hit in 1000 s",
    "chance if constant",
    "change per cm2 s d",
)
PIXELS_HEAD = (
    "row, column",
    "seen",
    "of",
    "levels apart [DN]",
    "scatter",
    "dwell low [s]",
    "scatter",
    "dwell high [s]",
    "scatter",
)
NOTHING = "-"


def _cell(value: float | None, form: str) -> str:
    if value is None or value != value:
        return NOTHING
    return format(value, ".0f" if abs(value) >= 1000 else form)


def _range(row: dict[str, Any], name: str) -> str:
    if row.get(name) is None:
        return NOTHING
    return f"{_cell(row[f'{name}_low'], '.4g')} to {_cell(row[f'{name}_high'], '.4g')}"


def rate_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a class under `RATES_HEAD`."""
    slope = row.get("slope")
    known = slope is not None and slope == slope
    return (
        label_of(row["type"]).title,
        f"{row['events']}",
        f"{row['expected_real']:.1f}",
        _cell(row.get("rate"), ".4g"),
        _range(row, "rate"),
        _cell(row["per_mpix"], ".4g"),
        _range(row, "per_mpix"),
        _cell(row.get("hit_per_1000_s"), ".3g"),
        _cell(row.get("chance"), ".2g"),
        f"{slope:.2g} +- {row['slope_error']:.2g}" if known else NOTHING,
    )


def pixel_cells(pixel: dict[str, Any]) -> tuple[str, ...]:
    """Return the cells of a pixel under `PIXELS_HEAD`."""
    names = ("amplitude", "dwell_low", "dwell_high")
    measured = [
        _cell(pixel.get(f"{name}{what}"), ".1f") for name in names for what in ("", "_spread")
    ]
    place = f"{pixel['row']}, {pixel['col']}"
    return (place, f"{pixel['seen']}", f"{pixel['searched']}", *measured)


def time_span(tally: Tally) -> str:
    """Describe the exposures of a detector: number, dates, live time, area."""
    exposures = tally.exposures
    number, seconds = len(exposures), sum(exposure.live_time for exposure in exposures)
    area = sum(exposure.area_time for exposure in exposures) / seconds
    starts = sorted(exposure.start[:16] for exposure in exposures if exposure.start)
    span = f", {starts[0]} to {starts[-1]} UTC" if starts else ", times not known"
    pitches = sorted({exposure.pitch for exposure in exposures})
    pitch = ", ".join(f"{value:g}" for value in pitches)
    return (
        f"{number} exposure{'s' * (number != 1)}{span}; {seconds:.0f} s on {area:.4g} cm2 "
        f"(pixels of {pitch} micron, reference border left out)"
    )


def repeated(repeats: Repeats) -> str:
    """Describe how many pixels show telegraph noise repeatedly."""
    number = len(repeats.pixels)
    return (
        f"{number} pixel{'s' * (number != 1)} in {repeats.least} or more of "
        f"{repeats.searched} exposures, {repeats.by_chance:.2g} by chance"
    )


def health_text(tally: Tally) -> str:
    """Sum up the health of the exposures of a detector; empty where no record has any.

    Falls that look like events, beyond those of noise, are as many as there are false events.
    """
    known = [e.health for e in tally.exposures if e.health.rises == e.health.rises]
    if not known:
        return ""
    rises, falls, decoys, by_noise, left_out = (
        sum(getattr(each, name) for each in known)
        for name in ("rises", "falls", "decoys", "decoys_by_noise", "not_searched")
    )
    warned = sum(bool(each.warnings) for each in known)
    return (
        f"{rises:.0f} rises, {falls:.0f} falls; falls like events: {decoys:.0f} "
        f"({by_noise:.2g} by noise); {left_out:.0f} reads not searched; "
        f"warnings in {warned} of {len(known)} exposures"
    )


def summary_text(statistics: Statistics) -> str:
    """Return the summary as lines for a terminal: detectors, rates, repeated pixels, notes."""
    lines = []
    for tally, repeats in zip(statistics.tallies, statistics.repeats, strict=True):
        lines += [tally.detector.label, f"  {time_span(tally)}"]
        cells = [RATES_HEAD[:7], *(rate_cells(row)[:7] for row in rate_rows(tally))]
        lines += [columns(cells)]
        if health := health_text(tally):
            lines.append(f"  health: {health}")
        if repeats is not None:
            lines.append(f"  repeated telegraph noise: {repeated(repeats)}")
        lines.append("")
    lines += [f"  note: {notice}" for notice in statistics.notices]
    lines += [f"  {path}" for path in statistics.files]
    return "\n".join(lines)


@dataclass
class Statistics:
    """Statistics of many exposures.

    Attributes
    ----------
    root : Path
        Folder that contains them.
    tallies : list of Tally
        One for each detector.
    repeats : list of Repeats or None
        For each detector the pixels with repeated telegraph noise.
    skipped : list of Skipped
        Folders that could not be used.
    notices : list of str
        Notices for the user.
    files : list of Path
        Files written.
    """

    root: Path
    tallies: list[Tally] = field(default_factory=list)
    repeats: list[Repeats | None] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def exposures(self) -> list[ExposureMetadata]:
        """All exposures, detector by detector."""
        return [exposure for tally in self.tallies for exposure in tally.exposures]
