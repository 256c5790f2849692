"""Write the pages of settings, docs/tuning.md and configs/detector.yaml from the code.

Run it (or ``make docs``) after a change of settings or tuned numbers; a test compares the files.
"""

from __future__ import annotations

import json
from importlib import import_module, resources
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import ohana
from ohana.config import DetectorConfig
from ohana.config_file import preset_names
from ohana.simulate import PRESETS, SimulationConfig
from ohana.training.config import TrainConfig
from ohana.training_sets.config import CreatorConfig
from ohana.utils.tuning import tuned_numbers

ROOT = Path(__file__).parents[1]
#: Folders of src/ohana along the data path: the order of the tables of docs/tuning.md.
DATA_PATH = ("read", "refpix", "rampfit", "detect", "network", "results", "products")

DETECTOR = """\
# Configuration

Every setting is optional. `ohana-predict --config my.yaml` reads them from a YAML file of
`name: value` lines:

```yaml
sigma_threshold: 6
gain: 1.5
rtn_amplitude_range: [20, 500]
```

In Python: `DetectorConfig(sigma_threshold=6, gain=1.5)`. All mistakes in a file are reported at
once, each with its line; for an unknown name the nearest known one is suggested.
[configs/detector.yaml](../configs/detector.yaml) has all settings at their defaults. Numbers that
affect the results but are not settings are listed in [tuning.md](tuning.md).

Numbers are decimal (`2.0e2` is 200, `010` is 10). Where a property of the detector is empty or
`null`, it is taken from the header of the exposure, or else from a default; the summary of a run
reports which.

Three kinds of number are never interchanged: intensities in DN, significances in units of each
pixel's own noise (sigma), and confidences between 0 and 1. With a floor in DN set to 0, only
`sigma_threshold` applies.
"""

TRAINING = """\
# Settings of a training set

`ohana-create-training --config my.yaml` reads them from a YAML file, `CreatorConfig` takes them in
Python. All are optional; [creator_config.yaml](../configs/creator_config.yaml) and
[small.yaml](../configs/small.yaml) are complete files to start from. [training.md](training.md)
describes the training sets.
"""

SIMULATOR = """\
# Settings of the simulator

In Python: `SimulationConfig(reads=20, sky=0.5)`, or `preset("l2", reads=20)` to start from a named
set. In the settings of a training set they are entries of `simulation`. The simulator is described
in [simulator.md](simulator.md). A pair is the range from which a value is drawn for each star,
pixel or event.
"""

TRAINING_NETWORK = """\
# Settings of the training of a network

`ohana-train --config my.yaml` reads them from a YAML file, `TrainConfig` takes them in Python. All
are optional; [train.yaml](../configs/train.yaml) is a complete file to start from.
[training_network.md](training_network.md) describes the training.
"""

TUNING = """\
# Tuned numbers

These numbers affect the results but are not settings: they belong to the algorithms of
[algorithms.md](algorithms.md), and users have no reason to change them. Each stage keeps its own in
a module `tuning.py`. The origin is a paper, the script that measured the number, or "chosen": set
by judgement, without a measurement of its own. The settings are in
[configuration.md](configuration.md).
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
    if len(schema["prefixItems"]) == 4:
        first = schema["prefixItems"][0]
        return f"four of {first['minimum']:g} to {first['maximum']:g}"
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


def tuning_page() -> str:
    """Return the documentation of the tuned numbers of every stage."""
    return "\n".join([TUNING, *(tuning_table(stage) for stage in tuned_stages())])


def tuned_stages() -> list[str]:
    """Return the folders of src/ohana with tuned numbers, along the data path."""
    package = Path(ohana.__file__).parent
    files = [path for path in package.rglob("tuning.py") if path.parent.name != "utils"]
    names = [path.parent.relative_to(package).as_posix() for path in files]
    return sorted(names, key=lambda name: (_place(name.split("/")[0]), name))


def _place(room: str) -> int:
    return DATA_PATH.index(room) if room in DATA_PATH else len(DATA_PATH)


def tuning_table(stage: str) -> str:
    """Return the table of the tuned numbers of one stage."""
    module = import_module(f"ohana.{stage.replace('/', '.')}.tuning")
    rows = [
        f"| `{name}` | {_short(value)} | "
        + " | ".join(text.replace("|", "\\|") for text in rest)
        + " |"
        for name, value, *rest in tuned_numbers(module.TUNING)
    ]
    head = ["| name | value | unit | meaning | origin |", "|---|---|---|---|---|"]
    return "\n".join([f"## `{stage}/tuning.py`", "", *head, *rows, ""])


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
        ROOT / "docs" / "tuning.md": tuning_page(),
        ROOT / "configs" / "detector.yaml": template(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
