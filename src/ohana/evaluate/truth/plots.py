"""One page of plots that shows an `Evaluation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ohana.classes import Label
from ohana.evaluate.bins import FEW, Bin
from ohana.evaluate.truth.pairs import AXES
from ohana.evaluate.truth.panels import (
    GREY,
    STYLES,
    draw_confusion,
    draw_dates,
    draw_overlaps,
    draw_reliability,
    with_errors,
)
from ohana.evaluate.truth.scores import ClassScore, Evaluation
from ohana.report.figures.canvas import say_nothing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Titles and axis labels of the quantities on the x axis.
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
    """Return the caption: what is shown, and the meaning of marks and bars."""
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
            say_nothing(upper, "nothing to show")
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
