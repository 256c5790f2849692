"""Write the pages of settings and configs/detector.yaml from the settings themselves.

Run it (or ``make docs``) after a change of settings; a test compares the files.
"""

from __future__ import annotations

import json
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ohana.config import DetectorConfig
from ohana.config_file import preset_names
from ohana.simulate import PRESETS, SimulationConfig
from ohana.training.config import TrainConfig
from ohana.training_sets.config import CreatorConfig

ROOT = Path(__file__).parents[1]

DETECTOR = """\
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

TRAINING = """\
# Settings of a training set

`ohana-create-training --config my.yaml` reads them from a YAML file, `CreatorConfig` takes them in
Python. All are optional; [creator_config.yaml](../configs/creator_config.yaml) and
[small.yaml](../configs/small.yaml) are whole files to start from. What they do is told in
[training.md](training.md).
"""

SIMULATOR = """\
# Settings of the simulator

`SimulationConfig(reads=20, sky=0.5)` takes them in Python, `preset("l2", reads=20)` starts from a
named set, and in the settings of a training set they stand under `simulation`. What they do is
told in [simulator.md](simulator.md). A pair is the range of a draw for each star, pixel or event.
"""

TRAINING_NETWORK = """\
# Settings of the training of a network

`ohana-train --config my.yaml` reads them from a YAML file, `TrainConfig` takes them in Python. All
are optional; [train.yaml](../configs/train.yaml) is a whole file to start from. How to train is
told in [training_network.md](training_network.md).
"""

#: Ranges of types that have no numbers.
WORDS = {"boolean": "true or false", "string": "text", "object": "`name: value`"}


def limits(schema: dict[str, Any]) -> str:
    """Return the allowed values of a field in words, from its JSON schema."""
    for option in schema.get("anyOf", [schema]):
        if "enum" in option:
            return " or ".join(map(str, option["enum"]))
        if option["type"] == "array":
            return "list" if "items" in option else _pair(schema | option)
        if option["type"] in WORDS:
            return WORDS[option["type"]]
        signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
        return ", ".join(f"{signs[k]} {option[k]:g}" for k in signs if k in option)
    raise ValueError(f"no type known to this script in {schema}")


def _pair(schema: dict[str, Any]) -> str:
    if "prefixItems" not in schema:
        return "[low, high]"
    if schema["description"].startswith("Height and width"):
        return "[height, width]"
    low, high = schema["prefixItems"]
    above = f"{low['minimum']:g} <= " if "minimum" in low else ""
    order = "<" if "exclusiveMinimum" in high else "<="
    top = f" <= {high['maximum']:g}" if "maximum" in high else ""
    return f"[low, high], {above}low {order} high{top}"


def default(kind: type[BaseModel], name: str) -> str:
    """Return the default of a field as YAML."""
    return json.dumps(kind.model_fields[name].default)


def stages(kind: type[BaseModel]) -> list[tuple[str, list[str]]]:
    """Return the fields of each stage in their order."""
    fields = kind.model_json_schema()["properties"]
    return [(k, list(names)) for k, names in groupby(fields, lambda name: fields[name]["stage"])]


def tables(kind: type[BaseModel]) -> list[str]:
    """Return a table of settings for each stage."""
    fields, parts = kind.model_json_schema()["properties"], []
    for stage, names in stages(kind):
        rows = [
            f"| `{name}` | {default(kind, name)} | {fields[name]['unit']} | {limits(fields[name])} "
            f"| {fields[name]['description']} |"
            for name in names
        ]
        head = ["| setting | default | unit | range | meaning |", "|---|---|---|---|---|"]
        parts.append("\n".join([f"## {stage.capitalize()}", "", *head, *rows, ""]))
    return parts


def detector_page() -> str:
    """Return the documentation of the settings of detection and their presets."""
    parts = [DETECTOR, *tables(DetectorConfig)]
    for name in preset_names():
        text = (resources.files("ohana") / "presets" / f"{name}.yaml").read_text("utf-8")
        parts.append(f"## Preset `{name}`\n\n`--config {name}`\n\n```yaml\n{text}```\n")
    return "\n".join(parts)


def simulator_page() -> str:
    """Return the documentation of the settings of the simulator and their presets."""
    rows = []
    for name, values in PRESETS.items():
        every = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
        rows.append(f"| `{name}` | {every} |")
    presets = ["## Presets", "", "| preset | other than default |", "|---|---|", *rows, ""]
    return "\n".join([SIMULATOR, *tables(SimulationConfig), "\n".join(presets)])


def _short(value: Any) -> str:
    """Return a value as YAML, numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def template() -> str:
    """Return a settings file with every default."""
    lines = ["# All settings with their defaults. Keep only the lines that you change."]
    fields = DetectorConfig.model_json_schema()["properties"]
    for stage, names in stages(DetectorConfig):
        lines += ["", f"# {stage.capitalize()}"]
        for name in names:
            unit = f" [{fields[name]['unit']}]" if fields[name]["unit"] else ""
            note = f"# {fields[name]['description']}{unit}"
            lines.append(f"{name}: {default(DetectorConfig, name)}  {note}")
    return "\n".join(lines) + "\n"


def files() -> dict[Path, str]:
    """Return the text of each file that this script writes."""
    return {
        ROOT / "docs" / "configuration.md": detector_page(),
        ROOT / "docs" / "training_settings.md": "\n".join([TRAINING, *tables(CreatorConfig)]),
        ROOT / "docs" / "train_settings.md": "\n".join([TRAINING_NETWORK, *tables(TrainConfig)]),
        ROOT / "docs" / "simulator_settings.md": simulator_page(),
        ROOT / "configs" / "detector.yaml": template(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
