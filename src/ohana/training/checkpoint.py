"""Contents of an output folder, and whether a training can resume from them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch

from ohana.errors import OhanaError
from ohana.training.history import HISTORY, PLOT
from ohana.training.recorder import CHECKPOINT, FORMAT, MODEL, OURS

log = logging.getLogger("ohana")


def prepare_output(
    folder: Path, identity: dict[str, Any], resume: bool, overwrite: bool
) -> Path | None:
    """Return the checkpoint to resume from, None to start from the beginning.

    Parameters
    ----------
    folder : Path
        Output folder.
    identity : dict
        Plain values that identify the training.
    resume : bool
        Resume the training there.
    overwrite : bool
        Remove the training there.

    Raises
    ------
    OhanaError
        The folder holds a training and neither option is set, or the checkpoint is damaged or
        belongs to another training.
    """
    checkpoint = folder / CHECKPOINT
    there = [name for name in (MODEL, CHECKPOINT, HISTORY, PLOT) if (folder / name).exists()]
    if resume and checkpoint.exists():
        _compare(checkpoint, identity)
        return checkpoint
    if resume and not there:
        log.info(f"{folder}: no {CHECKPOINT} to go on from: training starts from the beginning")
    elif resume:
        raise OhanaError(f"{folder}: wanted {CHECKPOINT} to go on from, got {there[0]} without it")
    elif there and not overwrite:
        raise OhanaError(
            f"{folder}: holds another training ({there[0]}): --resume goes on with it, "
            "--overwrite replaces it, or choose another output_dir"
        )
    for name in there:
        (folder / name).unlink(missing_ok=True)
    return None


def _compare(checkpoint: Path, identity: dict[str, Any]) -> None:
    """Refuse a checkpoint of another training."""
    before = _read(checkpoint)
    settings, now = before.pop("settings"), identity["settings"]
    differ = [name for name in sorted(settings | now) if settings.get(name) != now.get(name)]
    if differ:
        what = "; ".join(
            f"{name} was {json.dumps(settings.get(name))}, now {json.dumps(now.get(name))}"
            for name in differ
        )
        raise OhanaError(
            f"{checkpoint}: wanted the settings that training began with, got others ({what})"
        )
    if before["exposures"] != identity["exposures"]:
        raise OhanaError(
            f"{checkpoint}: wanted the exposures that training began with, got others: the "
            "training set has changed"
        )


def _read(checkpoint: Path) -> dict[str, Any]:
    """Return the identity in a checkpoint; none of its content is executed."""
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        identity = dict(stored[OURS])
        found = identity.pop("format"), set(identity)
    except Exception as error:  # foreign bytes can make an unpickler raise anything
        raise OhanaError(
            f"{checkpoint}: wanted a checkpoint that ohana-train has written, got another file, "
            f"or one that is damaged ({type(error).__name__})"
        ) from None
    if found != (FORMAT, {"settings", "exposures"}):
        raise OhanaError(f"{checkpoint}: wanted a checkpoint of format {FORMAT}, got {found[0]!r}")
    return identity
