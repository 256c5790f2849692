"""An exposure of a training set as a ramp, for the same processing as any other."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ohana.correction.load import Corrected, CorrectedRamp
from ohana.ramp import DetectorInfo, Ramp
from ohana.simulate.config import SimulationConfig
from ohana.training_sets.store import load_array, load_reference, open_array


class StoredPlanes:
    """The reads of an exposure, assembled from its patches, with the interface of `Planes`.

    Parameters
    ----------
    patches : zarr.Array, shape (P, T, h, w)
        Patches that cover the array.
    corners : ndarray of int, shape (P, 2)
        Their first rows and columns.
    kept : int, optional
        Patches in memory; two rows of patches if absent, for reading row blocks.
    first : int
        First read.
    """

    def __init__(
        self, patches: zarr.Array, corners: np.ndarray, kept: int | None = None, first: int = 0
    ) -> None:
        self.patches, self.corners = patches, corners
        _, reads, *self.size = patches.shape
        self.reads = reads - first
        height, width = corners.max(axis=0) + self.size
        self.shape = int(height), int(width)
        kept = 2 * len(np.unique(corners[:, 1])) if kept is None else kept
        self._patch = lru_cache(kept)(lambda p: np.asarray(self.patches[p, first:]))

    def __len__(self) -> int:
        return self.reads

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of a window as float32 (T, rows, cols) [DN]."""
        (top, bottom, _), (left, right, _) = (
            cut.indices(size) for cut, size in zip((rows, cols), self.shape, strict=True)
        )
        out = np.empty((self.reads, max(bottom - top, 0), max(right - left, 0)), np.float32)
        for p, (row, col) in enumerate(self.corners.tolist()):
            first, last = max(row, top), min(row + self.size[0], bottom)
            start, stop = max(col, left), min(col + self.size[1], right)
            if first < last and start < stop:
                part = self._patch(p)[:, first - row : last - row, start - col : stop - col]
                out[:, first - top : last - top, start - left : stop - left] = part
        return out


def stored_source(folder: Path, kept: int | None = None) -> CorrectedRamp:
    """Return an exposure of a training set with its reference-pixel correction, or corrected.

    Parameters
    ----------
    folder : Path
        Its group in the store, such as ``training.zarr/detector_0-00000-000``.
    kept : int, optional
        Patches in memory, see `StoredPlanes`.

    Raises
    ------
    KeyError, OSError, ValueError
        If it is incomplete.
    """
    group = zarr.open_group(folder, mode="r")
    patches, corners = open_array(group, "patches"), load_array(group, "corners")
    planes: Any = StoredPlanes(patches, corners, kept)
    if "facts" not in group.attrs:
        config = SimulationConfig.model_validate(group.attrs["simulation"])
        ramp = Ramp(folder.name, folder, planes, config.read_times, _simulated(config))
        return CorrectedRamp(ramp, load_reference(group))
    known: Any = group.attrs.asdict()
    times, frames = np.array(known["times"]), known["frames"]
    ramp = Ramp(
        folder.name,
        folder,
        planes,
        times,
        _recorded(known["facts"]),
        frames=None if frames is None else np.array(frames),
    )
    later: Any = StoredPlanes(patches, corners, kept, first=1)
    corrected = Corrected(later, load_array(group, "first_usable"), load_array(group, "stop"))
    return CorrectedRamp(ramp, None, corrected)


def _simulated(config: SimulationConfig) -> DetectorInfo:
    """Return the facts of a simulated detector."""
    return DetectorInfo(
        gain=config.gain,
        saturation=config.saturation,
        frame_time=config.frame_time,
        outputs=config.outputs,
        border=config.border,
        nframes=config.nframes,
        groupgap=config.groupgap,
    )


def _recorded(facts: dict[str, Any]) -> DetectorInfo:
    """Return the facts of the detector that the record of a run holds."""
    none = facts["saturation"] is None  # JSON knows no infinity
    saturation = np.inf if none else facts["saturation"]
    sides = tuple(facts["border_sides"])
    known = {name: value for name, value in facts.items() if name != "origin"}
    return DetectorInfo(**known | {"saturation": saturation, "border_sides": sides})
