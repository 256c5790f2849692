"""Files written after every epoch: the best network, the history, a checkpoint."""

from __future__ import annotations

import logging
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.network.model_file import Network, save_network
from ohana.training.history import Row, best_row, save_history, scores
from ohana.training.learner import Learner
from ohana.utils.formatting import json_safe
from ohana.utils.progress import Progress, no_progress

log = logging.getLogger("ohana")
#: Names of the files in the output folder.
MODEL, CHECKPOINT = "best_model_unet3d.pth", "last.ckpt"
#: Entry of a checkpoint that identifies its training, and the version of that entry.
OURS, FORMAT = "ohana_training", 1


class Recorder(Callback):
    """Record the history of a training, and write it, the best network and a checkpoint.

    It must come before `lightning.pytorch.callbacks.WeightAveraging`, so that the averaged
    weights are in place when the network is saved.

    Parameters
    ----------
    folder : Path
        Output folder.
    identity : dict
        Plain values that identify the training, for the checkpoint.
    facts : dict
        Plain values for the model file.
    progress : callable, optional
        Called with the name of the stage, the batches done and the batches in all.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        facts: dict[str, Any],
        progress: Progress = no_progress,
    ) -> None:
        self.folder, self.identity, self.facts, self.progress = folder, identity, facts, progress
        self.history: list[Row] = []
        self.batches = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self.history = state_dict["history"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict) -> None:
        """Add the identity of the training to a checkpoint."""
        checkpoint[OURS] = {"format": FORMAT} | self.identity

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Restore the count of batches; stop at once if training had ended."""
        self.batches = len(self.history) * _batches(trainer)
        self._stop_in_time(trainer, pl_module.config.patience)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Begin an epoch with random numbers that do not depend on earlier epochs."""
        self.started = time.perf_counter()
        seeds = [pl_module.config.seed, trainer.current_epoch, trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        pl_module.train_tally.empty()
        pl_module.val_tally.empty()

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Note the learning rate before the step changes it."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Report progress."""
        self._one_more(trainer)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Report progress."""
        self._one_more(trainer)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Add an epoch to the history, and save the network if it is the best one so far."""
        row = self._row(trainer, pl_module)
        self.history.append(row)
        best = best_row(self.history) is row
        if trainer.is_global_zero:
            log.info(_line(row, trainer.max_epochs, best))
            if best:
                facts = self.facts | {"scores": row}
                save_network(self.folder / MODEL, Network(pl_module.model, facts=facts))
            save_history(self.folder, self.history)
        self._stop_in_time(trainer, pl_module.config.patience)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write the checkpoint, from which training resumes without a difference."""
        part = self.folder / f".{CHECKPOINT}.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.folder / CHECKPOINT)

    def _row(self, trainer: Trainer, learner: Learner) -> Row:
        names = [label.key for label in Label]
        reduce = trainer.strategy.reduce
        train_confusion, train_loss = learner.train_tally.result(reduce)
        val_confusion, val_loss = learner.val_tally.result(reduce)
        epoch = trainer.current_epoch + 1
        if not math.isfinite(train_loss + val_loss):
            raise OhanaError(
                f"epoch {epoch}: the loss is no finite number any more: try a lower lr than "
                f"{learner.config.lr:g}, or precision 32"
            )
        val_scores = scores(val_confusion, names)
        return json_safe(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "val_loss": val_loss,
                "train_accuracy": scores(train_confusion, names)["accuracy"],
                "val_accuracy": val_scores.pop("accuracy"),
                **val_scores,
                "learning_rate": self.rate,
                "seconds": time.perf_counter() - self.started,
            }
        )

    def _one_more(self, trainer: Trainer) -> None:
        self.batches += 1
        if trainer.is_global_zero:
            total = (trainer.max_epochs or 0) * _batches(trainer)
            self.progress("training", self.batches, total)

    def _stop_in_time(self, trainer: Trainer, patience: int) -> None:
        """Stop training when the score no longer improves."""
        if self.history and self.history[-1]["epoch"] - best_row(self.history)["epoch"] >= patience:
            trainer.should_stop = True


def _batches(trainer: Trainer) -> int:
    """Return the number of batches of an epoch, training and validation."""
    return int(trainer.num_training_batches) + int(sum(trainer.num_val_batches))


def _line(row: Row, epochs: int | None, best: bool) -> str:
    """Return the scores of an epoch in one line."""
    f1 = ", ".join(
        f"{name.replace('_', ' ')} {'-' if value is None else format(value, '.3f')}"
        for name, value in list(row["f1"].items())[1:]
    )
    losses = f"loss {row['train_loss']:.4g}, validation {row['val_loss']:.4g}"
    end = "; best so far" if best else ""
    return f"epoch {row['epoch']}/{epochs}: {losses}; F1 {f1}; {row['seconds']:.0f} s{end}"
