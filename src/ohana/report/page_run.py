"""The summary of a run on the page: names and values in sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ohana.config import DetectorConfig
from ohana.report.prediction import Prediction

Rows = list[list[str]]

#: Parts of ``run.json`` that are shown as they are, and their titles.
SECTIONS = {
    "input": "Input",
    "facts": "Detector",
    "seconds": "Seconds",
    "versions": "Versions",
    "machine": "Machine",
    "files": "Files",
}


def sections(prediction: Prediction) -> list[dict[str, Any]]:
    """Return title and rows of each section: what the user should know first, settings last.

    What the run record lacks is left out.
    """
    run, (reads, height, width) = prediction.run, prediction.shape
    size = f"{reads} reads of {height} x {width}"
    about: Rows = [["exposure", prediction.name], ["size", size]]
    if len(prediction.reads) > 1:
        about.append(["integrations", str(len(prediction.reads))])
    if run.get("started"):
        about.append(["started", str(run["started"])])
    about += [["notice", str(notice)] for notice in run.get("notices", ())]
    shown: list[dict[str, Any]] = [{"title": "Run", "rows": about}]
    for name, title in SECTIONS.items():
        if isinstance(run.get(name), Mapping) and run[name]:
            shown.append({"title": title, "rows": _rows(run[name])})
    changed, default = _settings(run.get("config"))
    if changed or default:
        rows = changed or [["", "all as by default"]]
        shown.append({"title": "Settings that differ from the defaults", "rows": rows})
    if default:
        shown.append({"title": "Settings by default", "rows": default, "folded": True})
    if not run:
        rows = [["", "This prediction holds no record of its run (run.json)."]]
        shown.append({"title": "Record", "rows": rows})
    return shown


def _rows(values: Mapping[str, Any]) -> Rows:
    """Return names and values; a table of tables is flattened by one level."""
    rows: Rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += [[f"{name} {key}", _text(each)] for key, each in value.items()]
        else:
            rows.append([str(name), _text(value)])
    return rows


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "-"
    return str(value)


def _settings(config: Any) -> tuple[Rows, Rows]:
    """Return the settings that differ from the defaults, and the others."""
    if not isinstance(config, Mapping):
        return [], []
    defaults = DetectorConfig().model_dump(mode="json")
    changed = [
        [name, f"{_text(value)} (default {_text(defaults.get(name))})"]
        for name, value in config.items()
        if value != defaults.get(name)
    ]
    same = {name: value for name, value in config.items() if value == defaults.get(name)}
    return changed, _rows(same)
