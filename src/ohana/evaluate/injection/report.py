"""Recovery of added events on disk: ``recovery.json`` and one page of plots.

Limits are objects ``{"value", "low", "high"}`` with a 68 % interval; a null ``value`` with a
``low`` means "not reached, if at all above", with a ``high`` "reached below". Of every charge the
unit is in the key.

==================  ============================================================================
key                 content
==================  ============================================================================
``ohana``           version
``source``          the exposure; ``shape`` its reads, rows, columns; ``gain`` [e-/DN]
``settings``        what was added, see `ohana.evaluate.injection.draw_events.InjectionSettings`
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
``events``          every added event (`ohana.evaluate.injection.scoring.Injected`), charges in e-
``notices``         what the user should know
==================  ============================================================================
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ohana import __version__
from ohana.classes import Label
from ohana.evaluate.injection.completeness import Completeness, Limit
from ohana.evaluate.injection.scoring import Injected, offsets_of
from ohana.evaluate.truth.limits import READ_TOLERANCE
from ohana.utils.files import make_folder, replacing
from ohana.utils.formatting import json_safe

if TYPE_CHECKING:
    from ohana.evaluate.injection.recovery import Recovery

#: Digits of all numbers.
DIGITS = 5
#: Dots per inch of the page of plots.
DPI = 110


def save_recovery(recovery: Recovery, output_dir: str | Path) -> list[Path]:
    """Write ``recovery.json`` and ``recovery.png``; returns their paths.

    Raises
    ------
    OhanaError
        They cannot be written.
    """
    from ohana.evaluate.injection.plot import recovery_figure

    folder = make_folder(Path(output_dir))
    numbers, page = folder / "recovery.json", folder / "recovery.png"
    text = json.dumps(recovery_content(recovery), allow_nan=False)
    with replacing(numbers) as temporary:
        temporary.write_text(text + "\n", "utf-8")
    figure = recovery_figure(recovery)
    with replacing(page) as temporary:
        figure.savefig(temporary, dpi=DPI)
    return [numbers, page]


def recovery_content(recovery: Recovery) -> dict[str, Any]:
    """Return everything that was measured as plain values, None for what is not known."""
    reads, height, width = recovery.shape
    regions = recovery.regions
    content = {
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
    return json_safe(content, DIGITS)


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
