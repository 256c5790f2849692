"""Single plots of an `Evaluation`: confusion, overlaps, reliability, dates; see `plots`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ohana.classes import CLASSES, EVENT_LABELS, Label
from ohana.evaluate.bins import FEW, Bin
from ohana.evaluate.reliability import ConfidenceBin
from ohana.evaluate.truth.scores import ClassScore
from ohana.report.figures.canvas import say_nothing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colour and marker of each class.
STYLES: dict[Label, dict[str, Any]] = {
    row.label: {"color": row.light, "marker": row.marker} for row in CLASSES.values()
}
GREY = "0.45"
#: Error of the first read beyond which events are counted together [reads]. Chosen.
LATEST = 4


def draw_confusion(axes: Axes, counts: np.ndarray) -> None:
    """Write counts, on the part of each true class that they are; false ones below."""
    names = [label.title.replace(" ", "\n") for label in EVENT_LABELS]
    count, order = len(names), [*EVENT_LABELS, Label.BACKGROUND]
    table = counts[np.ix_(order, order)]
    parts = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    parts[count] = 0  # false detections are no part of any class
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, col in list(np.ndindex(table.shape))[:-1]:
        share = f"\n{parts[row, col]:.1%}" if table[row].any() and row < count else ""
        colour = "white" if parts[row, col] > 0.6 else "black"
        text = f"{table[row, col]}{share}"
        axes.text(col, row, text, ha="center", va="center", color=colour, fontsize=10)
    axes.axhline(count - 0.5, color=GREY, lw=1)
    axes.set_xticks(range(count + 1), [*names, "missed"])
    axes.set_yticks(range(count + 1), [*names, "nothing\n(false)"])
    axes.set_xlabel("detected as")
    axes.set_ylabel("true event")
    axes.set_title("events: what is taken for what [number, % of row]", fontsize=11)


def draw_overlaps(axes: Axes, classes: Sequence[ClassScore]) -> None:
    """Draw histograms of the overlap of footprints."""
    edges = np.linspace(0, 1, 21)
    for score in classes:
        if score.overlaps:
            counts = np.histogram(score.overlaps, edges)[0]
            median = np.median(score.overlaps)
            label = f"{score.label.title}: median {median:.2f}, n {len(score.overlaps)}"
            colour = STYLES[score.label]["color"]
            axes.stairs(counts / len(score.overlaps), edges, color=colour, lw=1.5, label=label)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(0, 1.3)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel("intersection over union (0: missed)")
    axes.set_ylabel("part of the detectable events")
    axes.set_title("overlap of footprints", fontsize=11)
    _legend_or_nothing(axes)


def draw_reliability(axes: Axes, classes: Sequence[ClassScore]) -> None:
    """Draw the real fraction of detections against confidence."""
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, zorder=0)
    for score in classes:
        bins, style = score.reliability.bins, STYLES[score.label]
        if not bins:
            continue
        mean = np.array([each.mean for each in bins])
        value, error = with_errors(bins)
        trust = score.reliability
        off = f"off {trust.error:.3f} (chance {trust.chance:.3f})"
        label = f"{score.label.title}: {off}, n {score.detected}"
        axes.errorbar(mean, value, error, lw=1, capsize=2, ms=5, label=label, **style)
        few = np.array([each.count < FEW for each in bins])
        axes.plot(mean[few], value[few], ls="", ms=5, zorder=4, **style | {"mfc": "white"})
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.04, 1.35)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(alpha=0.3)
    axes.set_xlabel("mean confidence in the bin")
    axes.set_ylabel("part that is real")
    axes.set_title("reliability of confidences", fontsize=11)
    _legend_or_nothing(axes)


def draw_dates(axes: Axes, classes: Sequence[ClassScore]) -> None:
    """Draw the error of the first read of bright events; telegraph noise has none."""
    dated = [score for score in classes if score.label.traits.has_first_read]
    ticks = np.arange(-LATEST, LATEST + 1)
    width = 0.8 / max(len(dated), 1)
    for score, shift in zip(
        dated, width * (np.arange(len(dated)) - (len(dated) - 1) / 2), strict=True
    ):
        offsets = np.clip(score.dating.offsets, -LATEST, LATEST).astype(int)
        if not len(offsets):
            continue
        counts = np.bincount(offsets + LATEST, minlength=len(ticks))
        some = counts > 0
        bins = [Bin(0, 0, len(offsets), int(count)) for count in counts[some]]
        part, error = with_errors(bins)
        at, style = ticks[some] + shift, STYLES[score.label]
        right = score.dating.within_one.fraction
        label = f"{score.label.title}: {right:.1%} to one read, n {len(offsets)}"
        axes.bar(at, part, 0.95 * width, color=style["color"], label=label)
        axes.errorbar(at, part, error, ls="", color="black", lw=1)
    axes.set_xlim(-LATEST - 0.6, LATEST + 0.6)
    axes.set_xticks(ticks, [f"<-{LATEST - 1}", *map(str, ticks[1:-1]), f">{LATEST - 1}"])
    axes.set_ylim(0, 1.3)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel("first read, detected less true [reads]")
    axes.set_ylabel("part of the events")
    axes.set_title("dates of events above S/N 8", fontsize=11)
    _legend_or_nothing(axes)


def _legend_or_nothing(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper left", fontsize=8.5, frameon=False, handlelength=1.2)
    else:
        say_nothing(axes, "nothing to show")


def with_errors(bins: Sequence[Bin | ConfidenceBin]) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractions of bins, and how far their intervals reach down and up."""
    value = np.array([each.fraction for each in bins])
    low, high = np.array([each.interval for each in bins]).T
    return value, np.maximum([value - low, high - value], 0)
