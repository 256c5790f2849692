"""Training samples: windows drawn from stored exposures, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import zarr
from torch.utils.data import Dataset, Sampler

from ohana.classes import Label
from ohana.training.rule_maps import load_prepared
from ohana.training.tuning import TUNING
from ohana.training.window import (
    OpenExposure,
    cut_sample,
    flip_and_transpose,
    invert_telegraph_noise,
)
from ohana.training_sets.labels import IGNORE, is_partial
from ohana.training_sets.store import load_labels, open_array, split_path
from ohana.training_sets.stored_exposure import stored_source

#: Maps and steps of exposures that a process keeps in memory [bytes].
MAX_KEPT = 500_000_000


class Folder(NamedTuple):
    """Exposures of one training set, all of the same number of reads."""

    store: Path
    names: tuple[str, ...]
    reads: int


def folder_of(path: str | Path, names: list[str], split: str = "training") -> Folder:
    """Describe some exposures of a training set.

    Parameters
    ----------
    path : str or Path
        Folder that ``ohana-create-training`` has written.
    names : list of str
        Exposures, at least one.
    split : str
        ``"training"`` or ``"test"``.
    """
    store = split_path(path, split)
    patches = open_array(zarr.open_group(store / names[0], mode="r"), "patches")
    return Folder(store, tuple(names), patches.shape[1])


class Samples(Dataset):
    """Windows of exposures, drawn anew in each epoch.

    An item is an array of `ohana.network.inputs.CHANNELS` (C, t, h, w) in float32 and the labels
    (t, h, w) in uint8, `ohana.training_sets.labels.IGNORE` where they have no weight. Items depend
    on index, seed and epoch alone. Windows have ``window`` reads, or all reads of a shorter ramp
    and then more pixels, for nearly the same size.

    Parameters
    ----------
    folders : list of Folder
        Exposures with maps from `ohana.training.rule_maps.cache_rule_maps`.
    size : int
        Items of an epoch, spread evenly over the folders.
    crop, window : int
        Height and width [pixel] and reads of a window.
    seed : int
        Of all draws.
    augment : bool
        Flip and transpose windows, change the sign of telegraph noise, add noise. Gain, pedestal
        and rate need no change: they cancel in the input.
    """

    def __init__(
        self,
        folders: list[Folder],
        size: int,
        *,
        crop: int = 64,
        window: int = 64,
        seed: int = 0,
        augment: bool = True,
    ) -> None:
        if not folders:
            raise ValueError("folders: wanted at least one, got none")
        self.folders, self.size, self.seed, self.augment = folders, size, seed, augment
        self.crop, self.window, self.epoch = crop, window, 0

    def set_epoch(self, epoch: int) -> None:
        """Go on to the draws of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def folder_of(self, item: int) -> int:
        """Return which folder an item is drawn from."""
        return item % len(self.folders)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not 0 <= item < self.size:
            raise IndexError(f"item: wanted 0 to {self.size - 1}, got {item}")
        rng = np.random.default_rng([self.seed, self.epoch, item])
        folder = self.folders[self.folder_of(item)]
        exposure = _open(folder.store, folder.names[rng.integers(len(folder.names))])
        where = self._place(exposure, folder.reads, rng)
        noisier = self.augment and rng.random() < TUNING.noisier_fraction
        extra = rng.uniform(0, TUNING.max_added_noise) if noisier else 0.0
        x, y = cut_sample(exposure, where, extra, rng)
        if self.augment:
            x, y = flip_and_transpose(x, y, rng)
            invert_telegraph_noise(x, y, rng)
        return torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))

    def _place(
        self, exposure: OpenExposure, total: int, rng: np.random.Generator
    ) -> tuple[slice, slice, slice]:
        """Draw reads, rows and columns of a window."""
        _, height, width = exposure.source.ramp.shape
        reads = min(total, self.window)
        side = int(self.crop * np.sqrt(self.window / reads)) // TUNING.grid * TUNING.grid
        sizes = reads, min(side, height), min(side, width)
        runs, at = exposure.runs, [int(rng.integers(n)) for n in (total, height, width)]
        if len(runs.row) and (rng.random() < TUNING.event_fraction or is_partial(runs)):
            known = np.unique(runs.label[runs.label != IGNORE])
            mine = np.flatnonzero(runs.label == rng.choice(known))
            run = rng.choice(mine)
            if runs.label[run] != Label.TELEGRAPH_NOISE:
                at[0] = int(runs.start[run])
            at[1:] = int(runs.row[run]), int(runs.col[run])
        first = [
            int(np.clip(place - rng.integers(size), 0, whole - size))
            for place, size, whole in zip(at, sizes, (total, height, width), strict=True)
        ]
        t, y, x = (slice(a, a + size) for a, size in zip(first, sizes, strict=True))
        return t, y, x


class Batches(Sampler[list[int]]):
    """Batches of items of one folder each, in an order drawn anew in each epoch."""

    def __init__(self, samples: Samples, batch_size: int) -> None:
        self.samples, self.batch_size = samples, batch_size

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches()
        rng = np.random.default_rng([self.samples.seed, self.samples.epoch])
        return iter([batches[i] for i in rng.permutation(len(batches))])

    def _batches(self) -> list[list[int]]:
        count, size = len(self.samples.folders), self.batch_size
        items = [list(range(f, len(self.samples), count)) for f in range(count)]
        return [mine[i : i + size] for mine in items for i in range(0, len(mine), size)]


#: Exposures in memory, the most recently used at the end.
_kept: dict[tuple[Path, str], OpenExposure] = {}


def _open(store: Path, name: str) -> OpenExposure:
    """Open an exposure, and drop the least recently used ones from memory."""
    opened = _kept.pop((store, name), None) or _load(store, name)
    _kept[store, name] = opened
    while len(_kept) > 1 and sum(map(_size, _kept.values())) > MAX_KEPT:
        del _kept[next(iter(_kept))]
    return opened


def _load(store: Path, name: str) -> OpenExposure:
    runs = load_labels(zarr.open_group(store / name, mode="r"))
    prepared = load_prepared(store, name)
    return OpenExposure(stored_source(store / name, kept=0), prepared.steps, prepared.maps, runs)


def _size(opened: OpenExposure) -> int:
    return sum(values.nbytes for values in (*vars(opened.maps).values(), *opened.steps))
