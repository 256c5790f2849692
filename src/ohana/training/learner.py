"""Training of the network: steps, learning rate, averaged weights, and the tally of scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.nn import functional

from ohana.classes import EVENT_LABELS
from ohana.network.contract import Network3D
from ohana.training.config import TrainConfig
from ohana.training.tuning import TUNING
from ohana.training_sets.labels import IGNORE

#: Weight of each voxel in the loss, by the id of its class.
WEIGHTS = (1.0, *(label.traits.loss_weight for label in EVENT_LABELS))


class Tally:
    """Loss and confusion matrix of the voxels since the last reset."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.empty()

    def empty(self) -> None:
        """Reset all counts."""
        self.sums: Tensor = torch.zeros(self.classes**2 + 2, dtype=torch.float64)

    def add(self, logits: Tensor, y: Tensor, value: Tensor) -> None:
        """Count the voxels of a batch and its loss."""
        counts = y != IGNORE
        pairs = y[counts].long() * self.classes + logits.detach().argmax(1)[counts]
        table = torch.bincount(pairs, minlength=self.classes**2).double()
        samples = value.new_tensor([len(y)]).double()
        self.sums = self.sums.to(table.device)
        self.sums += torch.cat([table, value.detach().double() * samples, samples])

    def result(self, reduce: Callable[..., Tensor]) -> tuple[np.ndarray, float]:
        """Return the confusion (C, C) and the mean loss, over all processes."""
        sums = reduce(self.sums, reduce_op="sum").cpu().numpy()
        confusion = sums[:-2].astype(np.int64).reshape(self.classes, self.classes)
        return confusion, float(sums[-2] / max(sums[-1], 1.0))


class Learner(LightningModule):
    """The network as Lightning trains it.

    Parameters
    ----------
    model : Network3D
        Network to train.
    config : TrainConfig
        Settings.
    """

    def __init__(self, model: Network3D, config: TrainConfig) -> None:
        super().__init__()
        plain: Any = model  # torch's type hints do not know this way to call it
        self.model: Any = plain.to(memory_format=torch.channels_last_3d)
        self.config = config
        classes = model.architecture.classes
        self.train_tally, self.val_tally = Tally(classes), Tally(classes)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss of a training batch."""
        return self._step(batch, self.train_tally)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Count a validation batch."""
        self._step(batch, self.val_tally)

    def _step(self, batch: tuple[Tensor, Tensor], tally: Tally) -> Tensor:
        x, y = batch
        logits = self.model(x.contiguous(memory_format=torch.channels_last_3d))
        value = loss(logits, y)
        tally.add(logits, y, value)
        return value

    def configure_optimizers(self):
        """Return AdamW, and a learning rate that rises at first and then falls as a cosine."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.config.lr, weight_decay=self.config.weight_decay
        )
        # Lightning's own estimate would draw samples before the epoch is known.
        steps = self.trainer.datamodule.steps()  # type: ignore[attr-defined]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def rate(step: int, steps: int) -> float:
    """Return the learning rate at a step, as a fraction of its maximum.

    Examples
    --------
    >>> [round(rate(step, 200), 2) for step in (0, 4, 9, 10, 105, 200)]
    [0.1, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warm_up = max(min(round(TUNING.warm_up * steps), TUNING.max_warm_up), 1)
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(steps - warm_up, 1)
    return (1 + math.cos(math.pi * min(done, 1.0))) / 2


def averaging(decay: float) -> WeightAveraging:
    """Return a callback that keeps an exponential moving average of the weights.

    The average is what is validated and saved. It is shorter over the first steps, so that the
    random initial weights soon lose their influence.
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        steps = torch.as_tensor(count)
        kept = torch.clamp((1 + steps) / (TUNING.average_delay + steps), max=decay)
        return current + kept * (averaged - current)

    return WeightAveraging(avg_fn=average)


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy of the voxels whose label is not `IGNORE`.

    Parameters
    ----------
    logits : Tensor, shape (N, classes, T, H, W)
        From the network.
    labels : Tensor of uint8 or int64, shape (N, T, H, W)
        Classes; if all are `IGNORE`, the loss is 0.

    Examples
    --------
    >>> labels = torch.tensor([[[[0, 1, IGNORE]]]])
    >>> sure = 20.0 * functional.one_hot(labels % 254, 4).movedim(-1, 1)
    >>> bool(loss(sure.float(), labels) < 1e-6), round(float(loss(0 * sure.float(), labels)), 4)
    (True, 1.3863)
    """
    weight = torch.tensor(WEIGHTS, device=logits.device)
    if not (labels != IGNORE).any():
        return 0.0 * logits.float().sum()  # the mean of no voxels would be NaN
    return functional.cross_entropy(
        logits.float(), labels.long(), weight, ignore_index=IGNORE, reduction="mean"
    )
