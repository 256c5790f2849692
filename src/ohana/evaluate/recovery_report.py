"""Recovery of added events as a table, and on disk: ``recovery.json`` and one page of plots.

Limits are objects ``{"value", "low", "high"}`` with a 68 % interval; a null ``value`` with a
``low`` means "not reached, if at all above", with a ``high`` "reached below". Of every charge the
unit is in the key.

==================  ============================================================================
key                 content
==================  ============================================================================
``ohana``           version
``source``          the exposure; ``shape`` its reads, rows, columns; ``gain`` [e-/DN]
``settings``        what was added, see `ohana.evaluate.placing.InjectionSettings`
``classes``         for each class ``added``, ``found``, limits ``charge_50_e``,
                    ``charge_90_e``, ``charge_50_dn``, ``charge_90_dn``, ``snr_50``, ``snr_90``;
                    the fitted ``curve`` (``charge_e``, ``completeness``, ``low``, ``high``); the
                    same limits for each of ``regions`` and ``parts`` of the ramp; ``found_as``
                    (class, ``other_read`` or ``nothing``: events); ``dating`` of bright ones
                    (``count``, ``exact``, ``within_one_read``, ``offsets``: [reads late, events])
``regions``         ``kind`` and edges: ``rows``, ``cols``; regions are numbered along the rows
``changes``         detections of the exposure itself after events were added: ``looked_at``
                    (once per round), ``lost``, ``covered`` by added events, ``strays``
``false_alarms``    null if not asked for; pixels ``usable`` and ``counted``; for each class
                    detections ``forward``, ``backward`` and in pure ``noise``, false ones per
                    million pixels (``rate_per_mpix``, ``noise_rate_per_mpix``) and ``purity``,
                    with 95 % intervals; ``significances`` [sigma] and ``amplitudes_dn`` of false
                    charge; ``tail``: pixels per million whose best step exceeds a threshold
``events``          every added event, see `ohana.evaluate.recovery.Injected`; charges in e-
``notices``         what the user should know
==================  ============================================================================
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ohana import __version__
from ohana.cli.common import columns
from ohana.evaluate.backwards import Alarms, Estimate
from ohana.evaluate.completeness import Completeness, Limit
from ohana.evaluate.limits import READ_TOLERANCE
from ohana.files import make_folder, replacing
from ohana.labels import Label

if TYPE_CHECKING:
    from ohana.evaluate.recovery import Injected, Recovery

#: Events above this S/N are asked for their first read.
DATED_SNR = 8.0
#: Dots per inch of the page of plots.
DPI = 110


def save_recovery(recovery: Recovery, output_dir: str | Path) -> list[Path]:
    """Write ``recovery.json`` and ``recovery.png``; returns their paths.

    Without matplotlib there is no page of plots.

    Raises
    ------
    OhanaError
        They cannot be written.
    """
    folder = make_folder(Path(output_dir))
    text = json.dumps(recovery_content(recovery), allow_nan=False)
    files = [folder / "recovery.json"]
    with replacing(files[0]) as temporary:
        temporary.write_text(text + "\n", "utf-8")
    try:
        from ohana.evaluate.recovery_plot import recovery_figure

        figure = recovery_figure(recovery)
    except ImportError:
        return files
    files.append(folder / "recovery.png")
    with replacing(files[1]) as temporary:
        figure.savefig(temporary, dpi=DPI)
    return files


def recovery_content(recovery: Recovery) -> dict[str, Any]:
    """Return everything that was measured as plain values, None for what is not known."""
    reads, height, width = recovery.shape
    regions = recovery.regions
    return _plain(
        {
            "ohana": __version__,
            "source": str(recovery.source),
            "shape": [reads, height, width],
            "gain": recovery.facts.gain,
            "settings": recovery.settings.model_dump(),
            "classes": {label.key: _class(recovery, label) for label in recovery.by_charge},
            "regions": {"kind": regions.kind, "rows": regions.rows, "cols": regions.cols},
            "changes": recovery.changes._asdict(),
            "false_alarms": _false_alarms(recovery),
            "events": [event._asdict() | {"label": event.label.key} for event in recovery.events],
            "notices": list(recovery.notices),
            "seconds": round(recovery.seconds, 2),
        }
    )


def _class(recovery: Recovery, label: Label) -> dict[str, Any]:
    gain, events = recovery.facts.gain, recovery.of(label)
    fit, snr = recovery.by_charge[label], recovery.by_snr[label]
    return {
        **_limits(fit, gain),
        "snr_50": snr.half._asdict(),
        "snr_90": snr.most._asdict(),
        "curve": {
            "charge_e": fit.at,
            "completeness": fit.curve,
            "low": fit.low,
            "high": fit.high,
        },
        "regions": [_limits(part, gain) for part in recovery.by_region[label]],
        "parts": {name: _limits(part, gain) for name, part in recovery.by_part[label].items()},
        "found_as": dict(Counter(event.found_as for event in events)),
        "dating": _dating(events),
    }


def _limits(fit: Completeness, gain: float) -> dict[str, Any]:
    return {
        "added": fit.count,
        "found": fit.found,
        "charge_50_e": fit.half._asdict(),
        "charge_90_e": fit.most._asdict(),
        "charge_50_dn": Limit(*(x / gain for x in fit.half))._asdict(),
        "charge_90_dn": Limit(*(x / gain for x in fit.most))._asdict(),
    }


def offsets_of(events: Sequence[Injected]) -> np.ndarray:
    """Return by how many reads bright events are found late, of those found at their place."""
    return np.array([e.offset for e in events if e.offset is not None and e.snr >= DATED_SNR], int)


def _dating(events: Sequence[Injected]) -> dict[str, Any]:
    late = offsets_of(events)
    return {
        "count": len(late),
        "exact": int(np.count_nonzero(late == 0)),
        "within_one_read": int(np.count_nonzero(np.abs(late) <= READ_TOLERANCE)),
        "offsets": sorted(Counter(late.tolist()).items()),
    }


def _false_alarms(recovery: Recovery) -> dict[str, Any] | None:
    alarms = recovery.false_alarms
    if alarms is None:
        return None
    return {
        "usable": alarms.usable,
        "counted": alarms.counted,
        "classes": {
            each.label.key: {
                "forward": each.forward,
                "backward": each.backward,
                "noise": each.noise,
                "rate_per_mpix": each.rate._asdict(),
                "noise_rate_per_mpix": each.noise_rate._asdict(),
                "purity": each.purity._asdict(),
            }
            for each in alarms.alarms
        },
        "significances": alarms.significances,
        "amplitudes_dn": alarms.amplitudes,
        "tail": {
            "threshold_sigma": alarms.thresholds,
            "forward_per_mpix": alarms.forward,
            "backward_per_mpix": alarms.backward,
            "noise_per_mpix": alarms.noise,
        },
    }


def _plain(value: Any) -> Any:
    """Return plain lists and numbers of five digits, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


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
        rows.append((_name(label), *_cells(fit, gain), *_snr_cells(recovery.by_snr[label])))
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
            f"{_name(label)} by {recovery.regions.kind}: 50 % of {len(known)} of {len(values)} "
            f"from {show_limit(fits[best].half)} e- (no. {best}) to "
            f"{show_limit(fits[worst].half)} e- (no. {worst}), about {few} events each"
        )
    return lines


def _found_as(recovery: Recovery) -> list[str]:
    outcomes = [*(label.key for label in Label if label), "other_read", "nothing"]
    rows = [("added, found as", *(outcome.replace("_", " ") for outcome in outcomes))]
    for label in recovery.by_charge:
        count = Counter(event.found_as for event in recovery.of(label))
        rows.append((_name(label), *(str(count[outcome]) for outcome in outcomes)))
    return [columns(rows)] if len(rows) > 1 else []


def _dates(recovery: Recovery) -> list[str]:
    lines = []
    for label in recovery.by_charge:
        late = offsets_of(recovery.of(label))
        if label != Label.TELEGRAPH_NOISE and len(late):
            lines.append(
                f"{_name(label)} above S/N {DATED_SNR:g}: first read exact in "
                f"{np.mean(late == 0):.1%}, to one read in "
                f"{np.mean(np.abs(late) <= READ_TOLERANCE):.1%} of {len(late)}"
            )
    return lines


def _changes(recovery: Recovery) -> str:
    looked_at, lost, covered, strays = recovery.changes
    return (
        f"detections of the exposure itself: {looked_at} looked at, {lost} lost, {covered} covered "
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
        "looks the same backwards",
    ]


def _alarm_row(alarms: Alarms) -> tuple[str, ...]:
    return (
        _name(alarms.label),
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


def _name(label: Label) -> str:
    return label.key.replace("_", " ")
