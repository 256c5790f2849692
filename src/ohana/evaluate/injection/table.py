"""Recovery of added events as lines and tables for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from ohana.classes import Label
from ohana.evaluate.injection.completeness import Completeness, Limit
from ohana.evaluate.injection.false_alarms import Alarms, Estimate
from ohana.evaluate.injection.scoring import DATED_SNR, offsets_of
from ohana.evaluate.truth.limits import READ_TOLERANCE
from ohana.utils.formatting import columns

if TYPE_CHECKING:
    from ohana.evaluate.injection.recovery import Recovery


def recovery_table(recovery: Recovery) -> str:
    """Describe a recovery on some lines for the terminal."""
    reads, height, width = recovery.shape
    rounds = max((event.round for event in recovery.events), default=0)
    lines = [
        f"{recovery.source}: {reads} reads of {height} x {width}, {len(recovery.events)} events "
        f"added in {rounds} round{'s' if rounds != 1 else ''}",
        *(f"  note: {notice}" for notice in recovery.notices),
        "charge of the brightest pixel from which 50 % and 90 % are found",
        columns([_HEADING, *_rows(recovery)]),
        "  (intervals are 68 %; > and <: outside the range of what was added)",
        *_regions(recovery),
        *_found_as(recovery),
        *_dates(recovery),
        _changes(recovery),
        *_alarm_lines(recovery),
        f"{recovery.seconds:.1f} s",
    ]
    return "\n".join(lines)


_HEADING = ("class", "added", "found", "50 % [e-]", "[DN]", "90 % [e-]", "[DN]", "S/N 50 %", "90 %")


def _rows(recovery: Recovery) -> list[tuple[str, ...]]:
    gain, rows = recovery.facts.gain, []
    for label, fit in recovery.by_charge.items():
        rows.append((label.title, *_cells(fit, gain), *_snr_cells(recovery.by_snr[label])))
        for part, some in recovery.by_part[label].items():
            rows.append((f"  {part} in the ramp", *_cells(some, gain), "", ""))
    return rows


def _cells(fit: Completeness, gain: float) -> tuple[str, ...]:
    in_dn = [show_limit(Limit(*(x / gain for x in limit)), False) for limit in (fit.half, fit.most)]
    return (
        str(fit.count),
        str(fit.found),
        show_limit(fit.half),
        in_dn[0],
        show_limit(fit.most),
        in_dn[1],
    )


def _snr_cells(fit: Completeness) -> tuple[str, ...]:
    return show_limit(fit.half, False), show_limit(fit.most, False)


def show_limit(limit: Limit, interval: bool = True) -> str:
    """Write a limit with its interval, ``>`` or ``<`` where it is outside what was added.

    Examples
    --------
    >>> show_limit(Limit(61.5, 58.2, 66.0)), show_limit(Limit(np.nan, 900.0, np.nan))
    ('61.5 (58.2-66)', '> 900')
    """
    value, low, high = limit
    if np.isnan(value):
        if np.isnan(low):
            return "-" if np.isnan(high) else f"< {_number(high)}"
        return f"> {_number(low)}"
    if not interval:
        return _number(value)
    return f"{_number(value)} ({_number(low)}-{_number(high)})"


def _number(value: float) -> str:
    """Write three digits without an exponent."""
    return (
        "?" if np.isnan(value) else f"{float(f'{value:.3g}'):g}" if value < 1e5 else f"{value:.2e}"
    )


def _regions(recovery: Recovery) -> list[str]:
    """Say between which values the 50 % charge lies over the regions."""
    lines = []
    for label, fits in recovery.by_region.items():
        values = np.array([fit.half.value for fit in fits])
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            continue
        best, worst = known[values[known].argmin()], known[values[known].argmax()]
        few = int(np.median([fit.count for fit in fits]))
        lines.append(
            f"{label.title} by {recovery.regions.kind}: 50 % of {len(known)} of {len(values)} "
            f"from {show_limit(fits[best].half)} e- (no. {best}) to "
            f"{show_limit(fits[worst].half)} e- (no. {worst}), about {few} events each"
        )
    return lines


def _found_as(recovery: Recovery) -> list[str]:
    outcomes = [*(label.key for label in Label if label), "other_read", "nothing"]
    rows = [("added, found as", *(outcome.replace("_", " ") for outcome in outcomes))]
    for label in recovery.by_charge:
        count = Counter(event.found_as for event in recovery.of(label))
        rows.append((label.title, *(str(count[outcome]) for outcome in outcomes)))
    return [columns(rows)] if len(rows) > 1 else []


def _dates(recovery: Recovery) -> list[str]:
    lines = []
    for label in recovery.by_charge:
        late = offsets_of(recovery.of(label))
        if label.traits.has_first_read and len(late):
            lines.append(
                f"{label.title} above S/N {DATED_SNR:g}: first read exact in "
                f"{np.mean(late == 0):.1%}, to one read in "
                f"{np.mean(np.abs(late) <= READ_TOLERANCE):.1%} of {len(late)}"
            )
    return lines


def _changes(recovery: Recovery) -> str:
    compared, lost, covered, strays = recovery.changes
    return (
        f"detections of the exposure itself: {compared} compared, {lost} lost, {covered} covered "
        f"by added events, {strays} new where nothing was added"
    )


def _alarm_lines(recovery: Recovery) -> list[str]:
    alarms = recovery.false_alarms
    if alarms is None:
        return []
    heading = ("false alarms", "forward", "backward", "per Mpix (95 %)", "purity (95 %)")
    more = ("pure noise", "per Mpix (95 %)")
    rows = [heading + more, *map(_alarm_row, alarms.alarms)]
    share = alarms.counted / max(alarms.usable, 1)
    return [
        columns(rows),
        f"  backward: in {alarms.counted} pixels, {share:.1%} of the usable ones; telegraph noise "
        "is the same backwards",
    ]


def _alarm_row(alarms: Alarms) -> tuple[str, ...]:
    return (
        alarms.label.title,
        str(alarms.forward),
        str(alarms.backward),
        _interval(alarms.rate, "{:.3g}"),
        _interval(alarms.purity, "{:.1%}"),
        str(alarms.noise),
        _interval(alarms.noise_rate, "{:.3g}"),
    )


def _interval(estimate: Estimate, form: str) -> str:
    if np.isnan(estimate.value):
        return "-"
    value, low, high = (form.format(x) for x in estimate)
    return f"{value} ({low}-{high})"
