"""Training and validation samples as a data module of Lightning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.training.config import TrainConfig
from ohana.training.dataset import OhanaDataset
from ohana.training.rule_maps import cache_rule_maps
from ohana.training.samples import Batches, Folder, Samples, folder_of
from ohana.training.split import ExposureSplit, split_exposures
from ohana.training_sets.store import split_path
from ohana.utils.progress import Progress, no_progress

#: Epoch and items of a batch.
Drawn = tuple[int, list[int]]
log = logging.getLogger("ohana")


class BatchDataset(Dataset):
    """Whole batches of samples.

    The index includes the epoch, so that the worker processes can serve all epochs.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, drawn: Drawn) -> list[Tensor]:
        epoch, items = drawn
        self.samples.set_epoch(epoch)
        try:
            return default_collate([self.samples[item] for item in items])
        except (KeyError, OSError) as error:
            store = self.samples.folders[self.samples.folder_of(items[0])].store
            raise OhanaError(f"{store}: incomplete exposure: cannot read {error}") from error


class DistributedBatchSampler(Sampler[Drawn]):
    """The batches of an epoch, distributed over the processes that train together.

    Parameters
    ----------
    batches : Batches
        Batches of all processes.
    fixed : bool
        The same batches in every epoch, for validation. Otherwise all processes have the same
        number of batches, as training requires.
    """

    def __init__(self, batches: Batches, fixed: bool) -> None:
        self.batches, self.fixed = batches, fixed

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this."""
        if not self.fixed:
            self.batches.samples.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._own())

    def __iter__(self) -> Iterator[Drawn]:
        every, epoch = list(self.batches), self.batches.samples.epoch
        return iter([(epoch, every[i]) for i in self._own()])

    def _own(self) -> range:
        together = distributed.is_available() and distributed.is_initialized()
        rank, of = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
        count = len(self.batches)
        return range(rank, count if self.fixed else count // of * of, of)


class TrainingData(LightningDataModule):
    """Exposures of training sets, split into those for training and for validation.

    Parameters
    ----------
    config : TrainConfig
        Settings.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Attributes
    ----------
    training, validation : list of ExposureSplit
        Exposures.

    Raises
    ------
    OhanaError
        A training set is missing, incomplete or incompatible with the others.
    """

    def __init__(self, config: TrainConfig, progress: Progress = no_progress) -> None:
        super().__init__()
        # All machines share the folders, so one prepares them.
        self.prepare_data_per_node = False
        self.config, self.progress = config, progress
        folders = [Path(folder) for folder in config.data]
        self.training, self.validation = split_exposures(folders, config.val_split, config.seed)
        for folder in folders:
            number = OhanaDataset(folder).num_classes
            if number != len(Label):
                raise OhanaError(f"{folder}: wanted labels of {len(Label)} classes, got {number}")

    def names(self) -> dict[str, list[list[str]]]:
        """Return the names of the exposures of each side, set by set."""
        sides = {"training": self.training, "validation": self.validation}
        return {side: [part.names for part in parts] for side, parts in sides.items()}

    def prepare_data(self) -> None:
        """Compute maps by the rules; Lightning calls this in one process only."""
        names: dict[Path, list[str]] = {}
        for part in self.training + self.validation:
            names[part.folder] = names.get(part.folder, []) + part.names
        total, before = sum(map(len, names.values())), 0
        for folder, own in names.items():

            def in_all(stage: str, done: int, _: int, before: int = before) -> None:
                self.progress(stage, before + done, total)

            cache_rule_maps(split_path(folder, "training"), own, self.config.workers or 1, in_all)
            before += len(own)

    def train_dataloader(self) -> DataLoader:
        """Return the batches for training."""
        samples = self._training_samples()
        if self.trainer is not None:
            # Lightning draws the first batches before it sets the epoch, which may be a later one.
            done: Any = self.trainer.fit_loop.epoch_progress.current
            samples.set_epoch(done.processed)
        return self._loader(samples, False)

    def steps(self) -> int:
        """Return the number of optimiser steps of the whole training, per process."""
        return self.config.epochs * len(
            DistributedBatchSampler(
                Batches(self._training_samples(), self.config.batch_size), False
            )
        )

    def val_dataloader(self) -> DataLoader:
        """Return the batches for validation."""
        return self._loader(self._samples(self.validation, self.config.validation_samples), True)

    def one(self) -> Tensor:
        """Return the input of one sample."""
        return self._training_samples()[0][0]

    def _training_samples(self) -> Samples:
        return self._samples(self.training, self.config.samples_per_epoch)

    def _samples(self, parts: list[ExposureSplit], count: int) -> Samples:
        config = self.config
        return Samples(
            [_folder(part) for part in parts],
            count,
            crop=config.crop,
            window=config.window,
            seed=config.seed,
            augment=config.augment and parts is self.training,
        )

    def _loader(self, samples: Samples, fixed: bool) -> DataLoader:
        workers = self.config.workers
        return DataLoader(
            BatchDataset(samples),
            batch_size=None,
            sampler=DistributedBatchSampler(Batches(samples, self.config.batch_size), fixed),
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _folder(part: ExposureSplit) -> Folder:
    try:
        return folder_of(part.folder, part.names)
    except (KeyError, OSError, ValueError) as error:
        raise OhanaError(f"{part.folder}: incomplete training set: {error}") from error
