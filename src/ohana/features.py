"""The per-pixel maps on disk: ``<exposure>_temporal.npz``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from ohana.events import PixelMaps
from ohana.files import replacing


def write_features(path: Path, maps: PixelMaps, fingerprint: str, frame_time: float) -> None:
    """Write the maps, the frame time [s] and the fingerprint of the corrected cube."""
    arrays = {field.name: getattr(maps, field.name) for field in fields(maps)}
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary, **arrays, frame_time=np.float64(frame_time), fingerprint=np.str_(fingerprint)
        )


def read_features(path: Path) -> tuple[dict[str, np.ndarray], str] | None:
    """Read maps and fingerprint; None if the file is not there or not whole."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, str(arrays["fingerprint"])
    except Exception:  # a damaged zip can raise nearly anything
        return None
