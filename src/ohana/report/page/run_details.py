"""The summary of a run on the page: names and values in sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ohana.config import DetectorConfig
from ohana.results.prediction import Prediction
from ohana.results.summary import FACTS
from ohana.utils.formatting import ranges

Rows = list[list[str]]
#: Parts of ``run.json`` that are shown as they are, and their titles.
SECTIONS = {"seconds": "Seconds", "versions": "Versions", "machine": "Machine"}


def sections(prediction: Prediction) -> list[dict[str, Any]]:
    """Return title and rows of each section: what the user should know first, defaults last.

    What the run record lacks is left out.
    """
    run = prediction.run
    changed, default = _settings(run.get("config") or {})
    shown = [
        ("Run", _about(prediction)),
        ("Health", _health(run.get("health") or ())),
        ("Settings that differ from the defaults", changed),
        ("Detector", _detector(run.get("facts") or {})),
        *((title, _rows(run.get(name) or {})) for name, title in SECTIONS.items()),
        ("Files", [[name, f"{size / 1e6:.3g} MB"] for name, size in _sizes(run)]),
    ]
    listed: list[dict[str, Any]] = [{"title": title, "rows": rows} for title, rows in shown if rows]
    if default:
        listed.append({"title": "Settings by default", "rows": default, "folded": True})
    return listed


def _about(prediction: Prediction) -> Rows:
    """Return the section on the exposure: input, date, notices."""
    run, (reads, height, width) = prediction.run, prediction.shape
    rows: Rows = [["exposure", prediction.name]]
    if isinstance(run.get("input"), Mapping):
        rows.append(["input", _text(run["input"].get("path"))])
    several = f", {len(prediction.reads)} integrations" if len(prediction.reads) > 1 else ""
    rows.append(["size", f"{reads} reads of {height} x {width}{several}"])
    if run.get("started"):
        rows.append(["started", _text(run["started"])])
    rows.append(["network", _text(run.get("network") or "none, by rules alone")] if run else [])
    rows += [["notice", _text(notice)] for notice in run.get("notices", ())]
    if not run:
        rows.append(["record", "none: this prediction has no run.json"])
    return [row for row in rows if row]


def _health(entries: Sequence[Mapping[str, Any]]) -> Rows:
    """Return what is not as it should be, warnings first."""
    rows: Rows = []
    for entry in entries:
        several = f" ({entry['integration']})" if len(entries) > 1 else ""
        noise = entry["decoys_by_noise"]
        by_noise = _text(noise) if noise is None else f"{noise:.2g}"
        rows += [["warning" + several, _text(warning)] for warning in entry["warnings"]]
        rows += [
            ["pixels that rise, fall" + several, f"{entry['rises']}, {entry['falls']}"],
            ["falls like events" + several, f"{entry['decoys']} ({by_noise} by noise)"],
            ["pixels in events" + several, f"{100 * entry['pixels_in_events']:.3g} %"],
            ["pixels flagged, but used" + several, _text(entry["suspect_pixels"])],
        ]
        reads: dict[str, list[int]] = {}
        for item in entry["not_searched"]:
            reads.setdefault(_text(item["reason"]), []).append(item["read"])
        rows += [
            [f"read{'s' * (len(left) > 1)} {ranges(left)} not searched" + several, why]
            for why, left in reads.items()
        ]
        rows += [["missing" + several, _text(text)] for text in entry["missing"]]
    return rows


def _detector(facts: Mapping[str, Any]) -> Rows:
    """Return what was taken for the detector, with units and from where."""
    units, sources = dict(FACTS), facts.get("sources") or {}
    rows: Rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping) or value is None:
            continue
        source = f" ({sources[name]})" if name in sources else ""
        rows.append([name.replace("_", " "), f"{_text(value)} {units.get(name, '')}{source}"])
    return rows


def _sizes(run: Mapping[str, Any]) -> list[tuple[str, float]]:
    return list(run["files"].items()) if isinstance(run.get("files"), Mapping) else []


def _rows(values: Mapping[str, Any]) -> Rows:
    return [[str(name), _text(value)] for name, value in values.items()]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "-"
    return str(value)


def _settings(config: Mapping[str, Any]) -> tuple[Rows, Rows]:
    """Return the settings that differ from the defaults, and the others."""
    defaults = DetectorConfig().model_dump(mode="json")
    changed = [
        [name, f"{_text(value)} (default {_text(defaults.get(name))})"]
        for name, value in config.items()
        if value != defaults.get(name)
    ]
    same = {name: value for name, value in config.items() if value == defaults.get(name)}
    return changed or ([["", "none"]] if config else []), _rows(same)
