"""History of a training: scores per epoch, their file and their plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ohana.utils.files import replacing
from ohana.utils.formatting import json_safe

#: Names of the files in the output folder.
HISTORY, PLOT = "training_history_unet3d.json", "training_history_unet3d.png"
#: One epoch of a training.
Row = dict[str, Any]


def scores(confusion: np.ndarray, names: list[str]) -> Row:
    """Return the scores of each class from a confusion matrix.

    Parameters
    ----------
    confusion : ndarray of int, shape (C, C)
        Voxels by true class (rows) and predicted class (columns).
    names : list of str
        Names of the classes, background first.

    Returns
    -------
    dict
        ``accuracy`` of all voxels; ``precision``, ``recall`` and ``f1`` of each class, None
        where undefined; ``score``, the mean F1 of the classes of events that are present, None
        without any.

    Examples
    --------
    >>> scores(np.array([[90, 0], [5, 5]]), ["background", "event"])["f1"]["event"]
    0.666667
    """
    right, true, found = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = _by_name(2 * right, true + found, names)
    there = [f1[name] or 0.0 for name, count in zip(names[1:], true[1:], strict=True) if count]
    return json_safe(
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
    """Return the row with the best score, the earliest of equals; without events, the lowest loss.

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
        Without a window, for ``savefig``.
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
