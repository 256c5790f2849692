"""Read settings from YAML, with every mistake reported at once by line and key."""

from __future__ import annotations

import difflib
import re
import reprlib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ohana.config import DetectorConfig
from ohana.errors import OhanaError

Settings = TypeVar("Settings", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Safe YAML with decimal numbers only: `2.0e2` is 200 (PyYAML: text), `010` is 10 (8)."""


_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?(0|[1-9]\d*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT, re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"), list("-+.0123456789")
)

_PLAINER = {
    "Input should be greater than or equal to": "wanted at least",
    "Input should be less than or equal to": "wanted at most",
    "Input should be greater than": "wanted more than",
    "Input should be less than": "wanted less than",
    "Input should be": "wanted",
}


class _Entry(NamedTuple):
    """Value of a key and the line (from 1) on which the key stands."""

    value: Any
    line: int


def preset_names() -> list[str]:
    """Return the names of the settings that ship with the package.

    Examples
    --------
    >>> preset_names()
    ['sensitive']
    """
    folder = resources.files("ohana") / "presets"
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def load_config(source: str | Path | None) -> DetectorConfig:
    """Read settings of the detector from a YAML file, or take a preset by its name.

    Parameters
    ----------
    source : str or Path, optional
        A file, or a name of `preset_names`; None for the defaults. Write ``./NAME`` for a file
        that has the name of a preset.

    Raises
    ------
    OhanaError
        The file cannot be read, or some settings are wrong: one line for each of them.
    """
    if source is None:
        return DetectorConfig()
    if str(source) in preset_names():
        path = resources.files("ohana") / "presets" / f"{source}.yaml"
        return parse_config(path.read_text("utf-8"), str(source))
    if not Path(source).exists():
        presets = ", ".join(preset_names())
        raise OhanaError(f"{source}: no such settings file, and no preset ({presets})")
    return load_settings(source, DetectorConfig)


def load_settings(source: str | Path, kind: type[Settings]) -> Settings:
    """Read settings of some kind from a YAML file; errors as in `load_config`."""
    return parse_settings(read_text(source), str(source), kind)


def read_text(source: str | Path) -> str:
    """Return the text of a settings file; OhanaError if it cannot be read."""
    try:
        return Path(source).read_text("utf-8")
    except UnicodeDecodeError:
        raise OhanaError(
            f"{source}: wanted a YAML text file, got bytes that are not UTF-8"
        ) from None
    except FileNotFoundError:
        raise OhanaError(f"{source}: no such settings file") from None
    except OSError as error:
        raise OhanaError(f"{source}: cannot read settings: {error.strerror}") from None


def keys_of(text: str, name: str) -> list[str]:
    """Return the keys of YAML text, known or not.

    Examples
    --------
    >>> keys_of("{epochs: 3, lr: 1e-3}", "my.yaml")
    ['epochs', 'lr']
    """
    return list(_read_entries(text, name)[0])


def parse_config(text: str, name: str = "settings") -> DetectorConfig:
    """Read settings of the detector from YAML text; see `parse_settings`.

    Examples
    --------
    >>> parse_config("sigma_threshold: 6").sigma_threshold
    6.0
    >>> parse_config("sigma_treshold: 6", "my.yaml")
    Traceback (most recent call last):
        ...
    ohana.errors.OhanaError: my.yaml:1: sigma_treshold: unknown key, did you mean sigma_threshold?
    """
    return parse_settings(text, name, DetectorConfig)


def parse_settings(text: str, name: str, kind: type[Settings]) -> Settings:
    """Read settings of some kind from YAML text.

    Parameters
    ----------
    text : str
        ``key: value`` lines.
    name : str
        Name of the text in error messages.
    kind : type of pydantic.BaseModel
        Defines keys and valid values.

    Raises
    ------
    OhanaError
        One line for each mistake: name, line, key, expected and actual value.
    """
    entries, problems = _read_entries(text, name)
    values = {}
    for key, entry in entries.items():
        if key in kind.model_fields:
            values[key] = entry.value
        else:
            problems.append((entry.line, f"{key}: unknown key{suggestion(key, kind)}"))
    config, invalid = _validate(values, kind)
    for key, message in invalid:
        line = max((entries[k].line for k in values if re.search(rf"\b{k}\b", key)), default=1)
        problems.append((line, f"{key}: {message}" if message else key))
    if problems:
        raise OhanaError(
            "\n".join(f"{name}:{line}: {message}" for line, message in sorted(problems))
        )
    assert config is not None  # without problems there is a result
    return config


def _read_entries(text: str, name: str) -> tuple[dict[str, _Entry], list[tuple[int, str]]]:
    """Return the top-level entries, and keys given twice as problems (line, message)."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
            return {}, []
        if not isinstance(root, yaml.MappingNode):
            kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            raise OhanaError(f"{name}:1: wanted `key: value` lines, got {kind}")
        entries: dict[str, _Entry] = {}
        problems = []
        for key_node, value_node in root.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                problems.append((line, "wanted a name as the key, got a list or mapping"))
            elif key in entries:
                problems.append((line, f"{key}: given twice, first on line {entries[key].line}"))
            else:
                entries[key] = _Entry(loader.construct_object(value_node, deep=True), line)
        return entries, problems
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise OhanaError(f"{name}:{line}: not valid YAML: {error.problem}") from None
    except RecursionError:
        raise OhanaError(f"{name}: wanted `key: value` lines, got deeply nested lists") from None
    except (yaml.YAMLError, ValueError) as error:
        raise OhanaError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from None


def suggestion(key: str, kind: type[BaseModel]) -> str:
    """Name the known key nearest to an unknown one."""
    known = list(kind.model_fields)
    near = difflib.get_close_matches(key.lower().replace("telegraph_noise", "rtn"), known, n=1)
    return f", did you mean {near[0]}?" if near else ""


def plain_message(detail: Any) -> str:
    """Rephrase the message of pydantic on the value of one key."""
    message = detail["msg"].removeprefix("Value error, ")
    for long, short in _PLAINER.items():
        message = message.replace(long, short)
    return f"{message.split(', got')[0]}, got {reprlib.repr(detail['input'])}"


def _validate(
    values: dict[str, Any], kind: type[Settings]
) -> tuple[Settings | None, list[tuple[str, str]]]:
    """Return the settings or None, and the errors as (key, message).

    Invalid values are removed and the others checked again, because relations between fields
    are only checked once each of them is valid.
    """
    problems: list[tuple[str, str]] = []
    while True:
        try:
            return kind(**values), problems
        except ValidationError as error:
            details = error.errors()
        for detail in details:
            if not detail["loc"]:
                parts = detail["msg"].removeprefix("Value error, ").split("; ")
                return None, problems + [(part, "") for part in parts]
            first, *rest = detail["loc"]
            key = str(first) + "".join(f"[{part}]" for part in rest)
            problems.append((key, plain_message(detail)))
            values = {k: v for k, v in values.items() if k != detail["loc"][0]}
