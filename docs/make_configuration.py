"""Write docs/configuration.md and configs/detector.yaml from the settings themselves.

Run it (or ``make docs``) after a change of `ohana.config`; a test compares the files.
"""

from __future__ import annotations

import json
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from ohana.config import DetectorConfig, stage_of, unit_of
from ohana.config_file import preset_names

ROOT = Path(__file__).parents[1]

HEAD = """\
# Configuration

Every setting is optional. `ohana-predict --config my.yaml` reads them from a YAML file of
`name: value` lines such as

```yaml
sigma_threshold: 6
gain: 1.5
rtn_amplitude_range: [20, 500]
```

and `DetectorConfig(sigma_threshold=6, gain=1.5)` is the same in Python. All mistakes of a file
are reported at once, each with its line; an unknown name comes with the nearest known one. A file
with all settings at their defaults is `configs/detector.yaml`.

Numbers are decimal (`2.0e2` is 200, `010` is 10). Empty or `null` leaves a fact about the
detector to the header of the exposure, and to a default where the header does not have it; the
summary of a run says which.

Three kinds of number are never interchanged: intensities in DN, significances in units of each
pixel's own noise (sigma), and confidences between 0 and 1. A floor in DN that is set to 0 leaves
`sigma_threshold` alone in charge.
"""


def limits(name: str) -> str:
    """Return the allowed range of a field in words, as its JSON schema has it."""
    schema: dict[str, Any] = DetectorConfig.model_json_schema()["properties"][name]
    if name.endswith("_range"):
        low, high = schema["prefixItems"]
        top = f" <= {high['maximum']:g}" if "maximum" in high else ""
        return f"[low, high], {low['minimum']:g} <= low < high{top}"
    for option in schema.get("anyOf", [schema]):
        if option["type"] == "boolean":
            return "true or false"
        if option["type"] == "string":
            return "text"
        if option["type"] in ("number", "integer"):
            signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<="}
            return ", ".join(f"{signs[k]} {option[k]:g}" for k in signs if k in option)
    raise ValueError(f"{name}: no type known to this script in {schema}")


def default(name: str) -> str:
    """Return the default of a field as YAML."""
    return json.dumps(DetectorConfig.model_fields[name].default)


def stages() -> list[tuple[str, list[str]]]:
    """Return the fields of each stage in their order."""
    return [(stage, list(names)) for stage, names in groupby(DetectorConfig.model_fields, stage_of)]


def page() -> str:
    """Return the documentation of all fields and presets."""
    parts = [HEAD]
    for stage, names in stages():
        rows = [
            f"| `{name}` | {default(name)} | {unit_of(name)} | {limits(name)} "
            f"| {DetectorConfig.model_fields[name].description} |"
            for name in names
        ]
        head = ["| setting | default | unit | range | meaning |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"## {stage.capitalize()}", "", *head, *rows, ""]))
    for name in preset_names():
        text = (resources.files("ohana") / "presets" / f"{name}.yaml").read_text("utf-8")
        parts.append(f"## Preset `{name}`\n\n`--config {name}`\n\n```yaml\n{text}```\n")
    return "\n".join(parts)


def template() -> str:
    """Return a settings file with every default."""
    lines = ["# All settings with their defaults. Keep only the lines that you change."]
    for stage, names in stages():
        lines += ["", f"# {stage.capitalize()}"]
        for name in names:
            unit = f" [{unit_of(name)}]" if unit_of(name) else ""
            note = f"# {DetectorConfig.model_fields[name].description}{unit}"
            lines.append(f"{name}: {default(name)}  {note}")
    return "\n".join(lines) + "\n"


def files() -> dict[Path, str]:
    """Return the text of each file that this script writes."""
    return {
        ROOT / "docs" / "configuration.md": page(),
        ROOT / "configs" / "detector.yaml": template(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
