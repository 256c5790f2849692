"""Model files: a network with all that prediction needs, as pure data."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_bytes

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.network.calibration import Calibration
from ohana.network.contract import Network3D
from ohana.network.inputs import CHANNELS
from ohana.network.model_content import VERSION, build_network, json_facts, read_content
from ohana.network.networks import NETWORKS
from ohana.utils.files import replacing

#: Name of the network inside the package, and its file.
PRETRAINED = "pretrained"
PRETRAINED_FILE = "unet3d.safetensors"


@dataclass(frozen=True)
class Network:
    """A network for prediction.

    Attributes
    ----------
    model : Network3D
        In evaluation mode, float32, on the CPU.
    calibration : Calibration, optional
        Converts scores of rules and network into confidences, if it was fitted.
    facts : dict
        Plain values: ``architecture``, ``channels`` (names of the inputs), ``classes`` (name of
        each id), ``versions``; if known, ``window`` (reads, rows and columns of the training
        samples), ``training`` (hash of the settings), ``scores``, ``card``.
    """

    model: Network3D
    calibration: Calibration | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Name of the class of each output, background first."""
        return self.facts.get("classes") or [label.key for label in Label]

    def fingerprint(self) -> str:
        """Return a hash of all that affects results: weights, architecture, calibration."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.model.architecture, self.calibration)).encode())
        for name, weights in self.model.state_dict().items():
            digest.update(name.encode() + weights.numpy(force=True).tobytes())
        return digest.hexdigest()


def save_network(path: str | Path, network: Network) -> None:
    """Write a network to a ``.pth`` (torch) or ``.safetensors`` file of the same content.

    Raises
    ------
    OhanaError
        If the file cannot be written.
    ValueError
        If the name has another ending, or a fact is not a plain finite value.

    Examples
    --------
    >>> import tempfile
    >>> from ohana.network.unet3d import UNet3D
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_network(path, Network(UNet3D(), facts={"card": "untrained"}))
    >>> load_network(path).facts["card"]
    'untrained'
    """
    path, model = Path(path), network.model
    if path.suffix not in (".pth", ".safetensors"):
        raise ValueError(f"path: wanted a name that ends in .pth or .safetensors, got {path.name}")
    architecture = model.architecture.as_dict()
    derived = {
        "format": _name_of(model),
        "version": VERSION,
        "architecture": architecture,
        "channels": list(CHANNELS),
        "classes": network.classes,
        "versions": {"ohana": version("ohana"), "torch": torch.__version__},
        "calibration": network.calibration and network.calibration.as_dict(),
    }
    facts = json_facts(network.facts | derived)
    tensors = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    if path.suffix == ".safetensors":
        content = safetensors_bytes(tensors, {"ohana": json.dumps(facts)})
    else:
        buffer = io.BytesIO()
        torch.save(facts | {"state_dict": tensors}, buffer)
        content = buffer.getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load_network(path: str | Path) -> Network:
    """Read a model file, or the network inside the package.

    Nothing in the file is ever executed.

    Parameters
    ----------
    path : str or Path
        A ``.pth`` or ``.safetensors`` file, or ``"pretrained"``.

    Raises
    ------
    OhanaError
        If it is not a model of this package, damaged, or made for other inputs or classes.
    """
    path = _pretrained() if str(path) == PRETRAINED else Path(path)
    facts, tensors = read_content(path)
    model = build_network(path, facts, tensors)
    return Network(model, _calibration(path, facts.pop("calibration", None)), facts)


def _calibration(path: Path, values: Any) -> Calibration | None:
    try:
        return None if values is None else Calibration.from_dict(values)
    except OhanaError as error:
        raise OhanaError(f"{path}: {error}") from error


def _pretrained() -> Path:
    """Return the file of the network inside the package."""
    path = Path(str(resources.files("ohana.network") / PRETRAINED / PRETRAINED_FILE))
    if not path.is_file():
        raise OhanaError(
            f"{PRETRAINED}: this installation holds no trained network: wanted {path}; "
            "give a file that ohana-train has written instead"
        )
    return path


def _name_of(model: Network3D) -> str:
    """Return the name of a network in model files."""
    return next(name for name, (kind, _) in NETWORKS.items() if type(model) is kind)
