"""What a training leaves behind after every epoch: the best network, the history, a checkpoint."""

from __future__ import annotations

import json
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
from ohana.training.learner import Learner
from ohana.utils.files import replacing
from ohana.utils.formatting import plain
from ohana.utils.progress import Progress

log = logging.getLogger("ohana")
#: Names of the files in the output folder.
MODEL, CHECKPOINT = "best_model_unet3d.pth", "last.ckpt"
#: Entry of a checkpoint that says whose it is, and the version of what is in it.
OURS, FORMAT = "ohana_training", 1
#: Names of the files in the output folder.
HISTORY, PLOT = "training_history_unet3d.json", "training_history_unet3d.png"
#: One epoch of a training.
Row = dict[str, Any]


class Recorder(Callback):
    """Keep the history of a training, and write it, the best network and a checkpoint.

    It must come before `lightning.pytorch.callbacks.WeightAveraging`, so that the averaged
    weights are in place when the network is saved.

    Parameters
    ----------
    folder : Path
        Output folder.
    marks : dict
        Plain values that say which training this is; a checkpoint holds them.
    facts : dict
        Plain values to go with the network.
    progress : callable, optional
        Called with the name of the stage, the batches done and those in all.
    """

    def __init__(
        self,
        folder: Path,
        marks: dict[str, Any],
        facts: dict[str, Any],
        progress: Progress | None = None,
    ) -> None:
        self.folder, self.marks, self.facts, self.progress = folder, marks, facts, progress
        self.history: list[Row] = []
        self.batches = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = state_dict["history"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict) -> None:
        """Mark a checkpoint as ours."""
        checkpoint[OURS] = {"format": FORMAT} | self.marks

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Take up the count of batches; do not go on with what was at its end already."""
        self.batches = len(self.history) * _batches(trainer)
        self._stop_in_time(trainer, pl_module.config.patience)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Begin an epoch, with random numbers that depend on nothing that came before."""
        self.started = time.perf_counter()
        seeds = [pl_module.config.seed, trainer.current_epoch, trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        pl_module.learnt.empty()
        pl_module.judged.empty()

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Note the learning rate before the step changes it."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Say how far it is."""
        self._one_more(trainer)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Say how far it is."""
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
        """Write the checkpoint, from which training goes on as if it had never stopped."""
        part = self.folder / f".{CHECKPOINT}.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.folder / CHECKPOINT)

    def _row(self, trainer: Trainer, learner: Learner) -> Row:
        names = [label.key for label in Label]
        reduce = trainer.strategy.reduce
        learnt, train_loss = learner.learnt.result(reduce)
        judged, val_loss = learner.judged.result(reduce)
        epoch = trainer.current_epoch + 1
        if not math.isfinite(train_loss + val_loss):
            raise OhanaError(
                f"epoch {epoch}: the loss is no finite number any more: try a lower lr than "
                f"{learner.config.lr:g}, or precision 32"
            )
        judgement = scores(judged, names)
        return plain(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "val_loss": val_loss,
                "train_accuracy": scores(learnt, names)["accuracy"],
                "val_accuracy": judgement.pop("accuracy"),
                **judgement,
                "learning_rate": self.rate,
                "seconds": time.perf_counter() - self.started,
            }
        )

    def _one_more(self, trainer: Trainer) -> None:
        self.batches += 1
        if self.progress is not None and trainer.is_global_zero:
            total = (trainer.max_epochs or 0) * _batches(trainer)
            self.progress("training", self.batches, total)

    def _stop_in_time(self, trainer: Trainer, patience: int) -> None:
        """Let training end where it gets no better."""
        if self.history and self.history[-1]["epoch"] - best_row(self.history)["epoch"] >= patience:
            trainer.should_stop = True


def _batches(trainer: Trainer) -> int:
    """Return the batches of an epoch, learnt from and judged by."""
    return int(trainer.num_training_batches) + int(sum(trainer.num_val_batches))


def _line(row: Row, epochs: int | None, best: bool) -> str:
    """Say in one line how an epoch went."""
    f1 = ", ".join(
        f"{name.replace('_', ' ')} {'-' if value is None else format(value, '.3f')}"
        for name, value in list(row["f1"].items())[1:]
    )
    losses = f"loss {row['train_loss']:.4g}, validation {row['val_loss']:.4g}"
    end = "; best so far" if best else ""
    return f"epoch {row['epoch']}/{epochs}: {losses}; F1 {f1}; {row['seconds']:.0f} s{end}"


def scores(confusion: np.ndarray, names: list[str]) -> Row:
    """Return what a table of confusion says of each class.

    Parameters
    ----------
    confusion : ndarray of int, shape (C, C)
        Voxels of each true class (rows) that were taken for each class (columns).
    names : list of str
        Of the classes, background first.

    Returns
    -------
    dict
        ``accuracy`` of all voxels; ``precision``, ``recall`` and ``f1`` of each class, None
        where there is nothing to divide by; ``score``, the mean F1 of those classes of events
        that are there, None without any.

    Examples
    --------
    >>> scores(np.array([[90, 0], [5, 5]]), ["background", "event"])["f1"]["event"]
    0.666667
    """
    right, true, found = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = _by_name(2 * right, true + found, names)
    there = [f1[name] or 0.0 for name, count in zip(names[1:], true[1:], strict=True) if count]
    return plain(
        {
            "accuracy": right.sum() / max(confusion.sum(), 1),
            "precision": _by_name(right, found, names),
            "recall": _by_name(right, true, names),
            "f1": f1,
            "score": sum(there) / len(there) if there else None,
        }
    )


def _by_name(part: np.ndarray, whole: np.ndarray, names: list[str]) -> dict[str, float | None]:
    return {
        name: float(p / w) if w else None for name, p, w in zip(names, part, whole, strict=True)
    }


def best_row(history: list[Row]) -> Row:
    """Return the row with the best score, the earliest of equals; the loss decides without events.

    Examples
    --------
    >>> reached = enumerate((0.1, 0.8, 0.8), 1)
    >>> rows = [{"epoch": i, "score": score, "val_loss": 1.0} for i, score in reached]
    >>> best_row(rows)["epoch"]
    2
    """
    return max(history, key=lambda row: (row["score"] or 0.0, -row["val_loss"], -row["epoch"]))


def save_history(folder: Path, history: list[Row]) -> None:
    """Write the rows of a training, and a plot of them."""
    with replacing(folder / HISTORY) as temporary:
        temporary.write_text(json.dumps(history, indent=1, allow_nan=False))
    with replacing(folder / PLOT) as temporary:
        history_figure(history).savefig(temporary)


def history_figure(history: list[Row]):
    """Draw loss, F1 of each class of events and learning rate against epochs.

    Returns
    -------
    matplotlib.figure.Figure
        It belongs to no window: ``savefig`` is all it is for.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(13, 4), dpi=100, layout="constrained")
    losses, f1, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    for name, label in (("train_loss", "training"), ("val_loss", "validation")):
        losses.plot(epochs, _column(row[name] for row in history), ".-", label=label)
    for name in list(history[0]["f1"])[1:]:
        label = name.replace("_", " ")
        f1.plot(epochs, _column(row["f1"][name] for row in history), ".-", label=label)
    f1.plot(epochs, _column(row["score"] for row in history), "k--", lw=1, label="score")
    f1.axvline(best_row(history)["epoch"], color="0.7", lw=1, zorder=0, label="best")
    rate.plot(epochs, [row["learning_rate"] for row in history], ".-")
    titles = ("loss", "F1, validation", "learning rate")
    for panel, title in zip((losses, f1, rate), titles, strict=True):
        panel.set(title=title, xlabel="epoch", xlim=(0.5, max(epochs[-1], 2) + 0.5))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
    f1.set_ylim(-0.02, 1.02)
    losses.legend()
    f1.legend(fontsize="small")
    return figure


def _column(values: Any) -> list[float]:
    return [np.nan if value is None else value for value in values]
