"""Content of model files: reading without executing, and building the network within limits."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.network.contract import Network3D
from ohana.network.inputs import CHANNELS
from ohana.network.networks import NETWORKS

#: Version of the layout of the files; their ``format`` is a name in `NETWORKS`.
VERSION = 1
#: Upper limits of the architecture in a file, far beyond any sensible network: without them a
#: damaged or hostile file could exhaust memory before its weights are checked.
MAX_VALUES, MAX_WIDTH, MAX_WEIGHTS = 16, 1024, 50_000_000

Tensors = dict[str, torch.Tensor]


def read_content(path: Path) -> tuple[dict[str, Any], Tensors]:
    """Read the facts and weights of a model file of this version of the package.

    Raises
    ------
    OhanaError
        If it is not a model of this package, damaged, or made for other inputs.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        _refuse(path, "a model file", error.strerror or str(error))
    read = _read_safetensors if path.suffix == ".safetensors" else _read_torch
    facts, tensors = read(path)
    _check_facts(path, facts)
    return facts, tensors


def build_network(path: Path, facts: dict[str, Any], tensors: Tensors) -> Network3D:
    """Build the network that a file describes, with its weights."""
    kind, size = NETWORKS[facts["format"]]
    values = facts["architecture"]
    names = [field.name for field in fields(size)]
    if not isinstance(values, dict) or sorted(values) != sorted(names):
        got = _names(list(values)) if isinstance(values, dict) else type(values).__name__
        _refuse(path, f"an architecture of {_names(names)}", got)
    for name, value in values.items():
        if not _sensible(value):
            _refuse(path, f"a sensible architecture, {name} up to {MAX_WIDTH}", _names([value]))
    try:
        architecture = size(**{name: _tuples(value) for name, value in values.items()})
        with torch.device("meta"):
            empty = kind(architecture)
        weights = sum(value.numel() for value in empty.state_dict().values())
        if weights > MAX_WEIGHTS:
            _refuse(path, f"a network of at most {MAX_WEIGHTS} weights", str(weights))
        model = kind(architecture)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        _refuse(path, "an architecture that can be built", str(error))
    _check_tensors(path, model.state_dict(), tensors)
    _check_classes(path, facts["classes"], architecture.classes)
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def _sensible(value: Any, depth: int = 0) -> bool:
    """Return whether a value of an architecture is a name, a small number, or a few of these."""
    if isinstance(value, list):
        few = len(value) <= MAX_VALUES and depth < 2
        return few and all(_sensible(item, depth + 1) for item in value)
    if isinstance(value, str):
        return len(value) <= 64
    if isinstance(value, bool) or value is None:
        return True
    return isinstance(value, int | float) and isinstance(value, int) <= value <= MAX_WIDTH


def _tuples(value: Any) -> Any:
    """Return lists as tuples, as before JSON."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _check_tensors(path: Path, wanted: Tensors, tensors: Tensors) -> None:
    """Refuse weights that are missing, surplus, of another shape or type, or not finite."""
    for name in [*wanted, *tensors]:
        value = tensors.get(name)
        if name not in tensors:
            _refuse(path, f"the weights {name}", "a file without them")
        if name not in wanted:
            _refuse(path, "only weights of the network described", f"{name} too")
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            _refuse(path, f"{name} as a plain tensor", type(value).__name__)
        if value.shape != wanted[name].shape:
            _refuse(path, f"{name} of shape {tuple(wanted[name].shape)}", f"{tuple(value.shape)}")
        if value.is_floating_point() != wanted[name].is_floating_point() or value.is_complex():
            _refuse(path, f"{name} as {wanted[name].dtype}", str(value.dtype))
        if not torch.isfinite(value).all():
            _refuse(path, f"finite weights in {name}", "NaN or infinite ones")


def _read_torch(path: Path) -> tuple[dict[str, Any], Tensors]:
    """Read a torch file without executing any of its content."""
    model = "a model that ohana-train has written"
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes can make an unpickler raise anything
        foreign = re.search(r"GLOBAL (\S+)|unrecognized function|Unsupported class", str(error))
        what = foreign and f"a pickle with other things than weights ({foreign[1] or 'objects'})"
        _refuse(path, model, what or "a file that is damaged, cut short or of another kind")
    if isinstance(stored, dict) and "pytorch-lightning_version" in stored:
        beside = "a checkpoint of Lightning: the model is in best_model_unet3d.pth"
        _refuse(path, model, beside)
    if not isinstance(stored, dict) or stored.get("format") not in list(NETWORKS):
        _refuse(path, model, "a torch file with other content")
    tensors = stored.pop("state_dict", None)
    if not isinstance(tensors, dict):
        _refuse(path, "weights under 'state_dict'", type(tensors).__name__)
    try:
        return json_facts(stored), tensors
    except ValueError as error:
        _refuse(path, "plain values beside the weights", str(error.__cause__))


def _read_safetensors(path: Path) -> tuple[dict[str, Any], Tensors]:
    """Read a safetensors file."""
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("ohana")
            if text is None:
                _refuse(path, "a model of ohana", "a safetensors file with other content")
            return json.loads(text), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        _refuse(path, "a safetensors file", f"one that is damaged or cut short ({error})")


def _check_facts(path: Path, facts: Any) -> None:
    """Refuse a file that was not written for the inputs of this version of the package."""
    if not isinstance(facts, dict) or facts.get("format") not in list(NETWORKS):
        _refuse(path, "a model of ohana", "a safetensors file with other content")
    if facts.get("version") != VERSION:
        _refuse(path, f"a model file of version {VERSION}", repr(facts.get("version")))
    if facts.get("channels") != list(CHANNELS):
        _refuse(
            path, f"a network of the inputs {_names(list(CHANNELS))}", _names(facts.get("channels"))
        )
    missing = [name for name in ("architecture", "classes") if name not in facts]
    if missing:
        _refuse(path, f"the entry {missing[0]}", "a model file without it")


def _check_classes(path: Path, classes: Any, outputs: int) -> None:
    """Refuse outputs that are not classes of this package; the network may lack some."""
    known = [label.key for label in Label]
    if (
        not isinstance(classes, list)
        or len(classes) != outputs
        or len(set(map(str, classes))) != outputs
        or classes[0] != Label.BACKGROUND.key
        or not set(map(str, classes)) <= set(known)
    ):
        _refuse(path, f"{outputs} of the classes {_names(known)}, the first first", _names(classes))


def json_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts as JSON restores them, so that both kinds of file hold the same."""
    try:
        return json.loads(json.dumps(facts, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"facts: wanted plain finite values, got {error}") from error


def _refuse(path: Path, wanted: str, got: str) -> NoReturn:
    raise OhanaError(f"{path}: wanted {wanted}, got {' '.join(str(got).split())}")


def _names(values: Any) -> str:
    """Return a value, normally a list of names, as a short text."""
    text = ", ".join(map(str, values)) if isinstance(values, list) else repr(values)
    return text if len(text) <= 200 else f"{text[:200]} ..."
