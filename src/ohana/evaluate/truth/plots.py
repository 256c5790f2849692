"""One page of plots that shows an `Evaluation`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ohana.classes import CLASSES, Label
from ohana.evaluate.bins import FEW, Bin, ConfidenceBin
from ohana.evaluate.truth.pairs import AXES
from ohana.evaluate.truth.scores import ClassScore, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Titles and axis labels of what fractions are drawn against.
AGAINST = {
    "completeness": {
        "snr": ("S/N", "matched-filter S/N of the event"),
        "amplitude": ("amplitude", "step of the brightest pixel [DN]"),
        "read": ("position in the ramp", "first read"),
        "rate": ("count rate", "count rate of the brightest pixel [DN/s]"),
    },
    "purity": {
        "snr": ("significance", "significance of the detection [sigma]"),
        "amplitude": ("amplitude", "step of the brightest pixel [DN]"),
        "read": ("position in the ramp", "first read"),
        "rate": ("count rate", "count rate of the brightest pixel [DN/s]"),
    },
}
#: Colour and marker of each class.
STYLES: dict[Label, dict[str, Any]] = {
    row.label: {"color": row.light, "marker": row.marker} for row in CLASSES.values()
}
GREY = "0.45"
#: First reads further off are counted together.
LATEST = 4


def evaluation_figure(evaluation: Evaluation) -> Figure:
    """Draw an evaluation; the figure belongs to no window, so ``savefig`` is all it is for.

    Returns
    -------
    matplotlib.figure.Figure
        First row completeness, second row purity, each against `ohana.evaluate.truth.pairs.AXES`
        with the number in each bin below; third row what is taken for what, overlaps of footprints,
        reliability, dates.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(17, 12.5), dpi=100, layout="constrained")
    parts: Any = figure.subfigures(4, 1, height_ratios=(0.28, 4, 4, 3.6))
    _draw_head(parts[0], evaluation)
    _draw_row(parts[1], evaluation, "completeness", lambda score: score.complete)
    _draw_row(parts[2], evaluation, "purity", lambda score: score.pure)
    confusion, overlap, trust, dates = parts[3].subplots(1, 4)
    draw_confusion(confusion, evaluation.event_confusion)
    draw_overlaps(overlap, evaluation.classes)
    draw_reliability(trust, evaluation.classes)
    draw_dates(dates, evaluation.classes)
    return figure


def _draw_head(part: Any, evaluation: Evaluation) -> None:
    """Say what is shown, and what marks and bars mean."""
    reads, height, width = evaluation.shape
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=label.title, **style) for label, style in STYLES.items()]
    handles += [
        Line2D(
            [], [], label=f"fewer than {FEW} in the bin", color=GREY, ls="", marker="o", mfc="white"
        ),
        Line2D([], [], label="Gaussian noise, ideal estimator", color="black", ls="--"),
    ]
    part.legend(handles=handles, loc="center right", ncol=5, frameon=False, fontsize=11)
    part.text(
        0.008,
        0.5,
        f"{reads} reads of {height} x {width}, integration {evaluation.integration}, "
        f"threshold {evaluation.threshold:g} sigma; error bars 68 %",
        va="center",
        fontsize=12,
    )


def _draw_row(
    part: Any,
    evaluation: Evaluation,
    what: str,
    bins_of: Callable[[ClassScore], dict[str, list[Bin]]],
) -> None:
    """Draw a fraction against each axis, above the numbers in the bins."""
    grid = part.subplots(2, len(AXES), sharex="col", height_ratios=(3, 1))
    for column, name in enumerate(AXES):
        upper, lower = grid[:, column]
        curves = {score.label: bins_of(score)[name] for score in evaluation.classes}
        _draw_fractions(upper, curves)
        _draw_counts(lower, curves)
        if name != "read":
            upper.set_xscale("log")
        title, unit = AGAINST[what][name]
        upper.set_title(f"{what} against {title}", fontsize=11)
        lower.set_xlabel(unit)
        if not column:
            upper.set_ylabel(what)
            lower.set_ylabel("n in bin")
        if not any(curves.values()):
            say_nothing(upper)
            lower.set_xticks([])


def _draw_fractions(axes: Axes, curves: dict[Label, list[Bin]]) -> None:
    for label, bins in curves.items():
        if not bins:
            continue
        style = STYLES[label]
        middle = np.array([_middle(each) for each in bins])
        value, error = with_errors(bins)
        axes.errorbar(middle, value, error, color=style["color"], lw=1, capsize=2, zorder=3)
        for few, face in ((True, "white"), (False, style["color"])):
            some = [each.few == few for each in bins]
            axes.plot(
                middle[some], value[some], ls="", ms=6, mfc=face, mec=style["color"],
                marker=style["marker"], zorder=4,
            )  # fmt: skip
        expected = np.array([each.expected_fraction for each in bins])
        if np.isfinite(expected).any():
            axes.plot(middle, expected, color="black", ls="--", lw=1.2, zorder=5)
    axes.set_ylim(-0.04, 1.06)
    axes.grid(alpha=0.3)


def _draw_counts(axes: Axes, curves: dict[Label, list[Bin]]) -> None:
    for label, bins in curves.items():
        if bins:
            # Bins that hold nothing are not listed.
            edges = sorted({each.low for each in bins} | {_upper(each) for each in bins})
            counts = {each.low: each.count for each in bins}
            heights = [counts.get(edge, 0) for edge in edges[:-1]]
            axes.stairs(heights, edges, color=STYLES[label]["color"], lw=1.3)
    axes.set_yscale("log")
    most = max([each.count for bins in curves.values() for each in bins], default=10)
    axes.set_ylim(0.7, 2 * max(most, 10))
    axes.grid(alpha=0.3)


def _upper(each: Bin) -> float:
    """Return the upper edge, or one to draw where there is none."""
    return min(each.high, 5 * each.low) if each.high > 1e8 else each.high


def _middle(each: Bin) -> float:
    """Return where to draw a bin: halfway, or halfway in the logarithm where it is wide."""
    low, high = each.low, _upper(each)
    return float(np.sqrt(low * high)) if high > 1.15 * low > 0 else (low + high) / 2


def draw_confusion(axes: Axes, counts: np.ndarray) -> None:
    """Write counts, on the part of each true class that they are; false ones below."""
    names = [label.title.replace(" ", "\n") for label in list(Label)[1:]]
    order = [1, 2, 3, 0]
    table = counts[np.ix_(order, order)]
    parts = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    parts[3] = 0  # false detections are no part of any class
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, col in list(np.ndindex(4, 4))[:-1]:
        share = f"\n{parts[row, col]:.1%}" if table[row].any() and row < 3 else ""
        colour = "white" if parts[row, col] > 0.6 else "black"
        text = f"{table[row, col]}{share}"
        axes.text(col, row, text, ha="center", va="center", color=colour, fontsize=10)
    axes.axhline(2.5, color=GREY, lw=1)
    axes.set_xticks(range(4), [*names, "missed"])
    axes.set_yticks(range(4), [*names, "nothing\n(false)"])
    axes.set_xlabel("detected as")
    axes.set_ylabel("true event")
    axes.set_title("events: what is taken for what [number, % of row]", fontsize=11)


def draw_overlaps(axes: Axes, classes: Sequence[ClassScore]) -> None:
    """Draw histograms of how well footprints agree."""
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
    """Draw the real part of the detections against their confidence."""
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
    """Draw how late bright events are dated; telegraph noise has no first read."""
    dated = [score for score in classes if score.label.traits.has_first_read]
    ticks = np.arange(-LATEST, LATEST + 1)
    for score, shift in zip(dated, (-0.2, 0.2), strict=True):
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
        axes.bar(at, part, 0.38, color=style["color"], label=label)
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
        say_nothing(axes)


def say_nothing(axes: Axes) -> None:
    """Say that a plot has no data."""
    box = {"facecolor": "white", "edgecolor": "none"}
    text = axes.text(0.5, 0.4, "nothing to show", ha="center", color=GREY, bbox=box)
    text.set_transform(axes.transAxes)


def with_errors(bins: Sequence[Bin | ConfidenceBin]) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractions of bins, and how far their intervals reach down and up."""
    value = np.array([each.fraction for each in bins])
    low, high = np.array([each.interval for each in bins]).T
    return value, np.maximum([value - low, high - value], 0)
