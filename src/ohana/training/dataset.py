"""A training set as a data set of torch: windows of raw reads with their labels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import zarr
from torch.utils.data import Dataset

from ohana.errors import OhanaError
from ohana.refpix.correction import Reference
from ohana.simulate.truth import FOOTPRINT_SIGMA
from ohana.training_sets.labels import Runs, paint
from ohana.training_sets.store import (
    FORMAT,
    load_array,
    load_labels,
    load_reference,
    open_array,
    split_path,
)

#: Exposures that a process keeps open, with their labels in memory (a few MB each).
KEPT_OPEN = 32

#: Threads of zarr per process: a window is one or two chunks, and there are several processes.
ZARR_THREADS: dict[str, Any] = {"threading.max_workers": 1, "async.concurrency": 2}


class Window(NamedTuple):
    """One item of the data set.

    Attributes
    ----------
    reads : torch.Tensor of uint16, shape (T, h, w)
        Raw reads [DN], neither corrected nor scaled.
    labels : torch.Tensor of uint8, shape (T, h, w)
        Class of each pixel in each read.
    place : torch.Tensor of int64, shape (3,)
        Number of the exposure in ``names``, of the patch, and first read.
    """

    reads: torch.Tensor
    labels: torch.Tensor
    place: torch.Tensor


class StoredExposure(NamedTuple):
    """One exposure of the set.

    ``patches`` is the zarr array (P, T, h, w), ``corners`` (P, 2) the first row and column of
    each patch; ``runs`` are the labels above the minimum S/N.
    """

    patches: zarr.Array
    corners: np.ndarray
    runs: Runs
    reference: Reference | None


class OhanaDataset(Dataset):
    """Windows of all patches of the exposures of a split.

    Files are opened by the process that reads them, so the set can be passed to the workers of
    a `torch.utils.data.DataLoader`, forked or spawned.

    Parameters
    ----------
    path : str or Path
        Folder that `ohana-create-training` has written.
    split : str
        ``"training"`` or ``"test"``.
    window : int, optional
        Reads of an item; those of a chunk if absent, which is the fastest. Windows are adjacent;
        the last one is moved back to end with the exposure.
    min_snr : float
        Minimum S/N of an event in a pixel for a label.
    exposures : list of str, optional
        Names of the exposures to take, all if absent.

    Attributes
    ----------
    names : list of str
        Exposures, in the order of items.
    num_classes : int
        Classes of the labels, background included.
    window : int
        Reads of an item.

    Raises
    ------
    OhanaError
        If the training set does not exist or is incomplete.

    Examples
    --------
    >>> import tempfile
    >>> from ohana.training_sets.config import CreatorConfig
    >>> from ohana.training_sets.creator import DataSetCreator
    >>> config = CreatorConfig(
    ...     output_dir=tempfile.mkdtemp(), image_shape=(32, 32), num_frames=8, patch_size=16,
    ...     overlap=0, outputs=1, gain_library=[1.5], workers=1,
    ...     num_baseline_exposures=0,
    ... )
    >>> _ = DataSetCreator(config).create(0, 0)
    >>> data = OhanaDataset(config.output_dir, window=4)
    >>> len(data), data[0].reads.shape, data[0].reads.dtype
    (8, torch.Size([4, 16, 16]), torch.uint16)
    """

    def __init__(
        self,
        path: str | Path,
        split: str = "training",
        *,
        window: int | None = None,
        min_snr: float = FOOTPRINT_SIGMA,
        exposures: list[str] | None = None,
    ) -> None:
        self.store, self.min_snr = split_path(path, split), min_snr
        there = _exposures(self.store)
        self.names = list(there) if exposures is None else exposures
        missing = [name for name in self.names if name not in there]
        if missing:
            raise OhanaError(f"{self.store}: no exposure {missing[0]}")
        shape, stored, self.num_classes = _layout(self.store, self.names)
        self.window = min(window or stored, shape[1])
        if self.window < 1:
            raise ValueError(f"window: wanted at least 1 read, got {window}")
        self.patches = shape[0]
        starts = np.arange(0, shape[1] - self.window, self.window)
        self.starts = [*starts.tolist(), shape[1] - self.window]

    def __len__(self) -> int:
        return len(self.names) * self.patches * len(self.starts)

    def __getitem__(self, item: int) -> Window:
        if not 0 <= item < len(self):
            raise IndexError(f"item: wanted 0 to {len(self) - 1}, got {item}")
        rest, which = divmod(item, len(self.starts))
        number, patch = divmod(rest, self.patches)
        return self.read(number, patch, self.starts[which])

    def read(self, number: int, patch: int, first: int) -> Window:
        """Return the window of a patch that begins at any read."""
        exposure = self.open(number)
        try:
            with zarr.config.set(ZARR_THREADS):
                reads = np.asarray(exposure.patches[patch, first : first + self.window])
        except (OSError, ValueError, RuntimeError) as error:
            raise OhanaError(f"{self.store / self.names[number]}: cannot read: {error}") from error
        row, col = map(int, exposure.corners[patch])
        labels = paint(exposure.runs, (row, col), first, reads.shape)
        place = torch.tensor([number, patch, first])
        return Window(torch.from_numpy(reads), torch.from_numpy(labels), place)

    def open(self, number: int) -> StoredExposure:
        """Return an exposure, with its correction, opened in this process."""
        return _open(self.store / self.names[number], self.min_snr)


@lru_cache(KEPT_OPEN)
def _open(folder: Path, min_snr: float) -> StoredExposure:
    try:
        group = zarr.open_group(folder, mode="r")
        runs = load_labels(group)
        return StoredExposure(
            open_array(group, "patches"),
            load_array(group, "corners"),
            runs.select(runs.snr >= min_snr),
            load_reference(group),
        )
    except (KeyError, OSError, ValueError) as error:
        raise OhanaError(f"{folder}: incomplete exposure: {error}") from error


def _exposures(store: Path) -> list[str]:
    """Return the names of the exposures in a store."""
    if not (store / "zarr.json").is_file():
        raise OhanaError(f"{store}: no training set: wanted what ohana-create-training writes")
    names = sorted(path.name for path in store.iterdir() if path.is_dir())
    if not names:
        raise OhanaError(f"{store}: no exposures in it yet")
    return names


def _layout(store: Path, names: list[str]) -> tuple[tuple[int, ...], int, int]:
    """Return the shape of the patches of an exposure, their window, and the number of classes."""
    try:
        root = zarr.open_group(store, mode="r")
        facts: Any = root.attrs
        version, classes = facts["ohana_format"], facts["num_classes"]
        patches = open_array(root, f"{names[0]}/patches")
    except (KeyError, OSError, ValueError) as error:
        raise OhanaError(f"{store}: incomplete training set: {error}") from error
    if version != FORMAT:
        raise OhanaError(f"{store}: wanted a training set of format {FORMAT}, got {version}")
    return patches.shape, patches.chunks[1], classes
