"""All events on one page: how many, how strong, how large, when, where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ohana.classes import CLASSES, Label
from ohana.report.figures.canvas import counts_of, extent, new_figure, say_nothing, whole_ticks
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Bins of histograms.
BINS = 30
#: Cells of the map along the longer side, at most and at least, and events in a typical cell.
CELLS, IN_CELL = (32, 4), 4


def summary_figure(prediction: Prediction, events: Sequence[Detection]) -> Figure:
    """Draw counts, distributions, events per read, their map, and the telegraph-noise plane."""
    figure = new_figure(14, 8)
    reads, height, width = prediction.shape
    several = f", {len(prediction.reads)} integrations" if len(prediction.reads) > 1 else ""
    figure.suptitle(
        f"{prediction.name}: {reads} reads of {height} x {width}{several}   "
        f"{counts_of(events)}", x=0.01, ha="left", weight="bold", fontsize=12,
    )  # fmt: skip
    grid: Any = figure.add_gridspec(2, 4)
    _draw_counts(figure.add_subplot(grid[0, 0]), prediction, events)
    draw_histogram(
        figure.add_subplot(grid[0, 1]), events, "max_intensity", "step of the brightest pixel [DN]"
    )
    draw_histogram(figure.add_subplot(grid[0, 2]), events, "spatial_extent", "extent [pixel]")
    draw_histogram(figure.add_subplot(grid[0, 3]), events, "significance", "significance [sigma]")
    _draw_reads(figure.add_subplot(grid[1, 0:2]), prediction, events)
    _draw_map(figure.add_subplot(grid[1, 2]), prediction, events)
    _draw_levels(figure.add_subplot(grid[1, 3]), events)
    return figure


def _values(events: Sequence[Detection], field: str, key: str) -> np.ndarray:
    """Return the known values of a field for the events of a class."""
    some = (dict(event).get(field) for event in events if event["type"] == key)
    known: list[Any] = [value for value in some if value is not None]
    return np.array(known, np.float64)


def _draw_counts(axes: Axes, prediction: Prediction, events: Sequence[Detection]) -> None:
    """Draw the number of events of each class, and write their densities."""
    megapixels = len(prediction.reads) * np.prod(prediction.shape[1:]) / 1e6
    for place, (key, style) in enumerate(CLASSES.items()):
        some = [event for event in events if event["type"] == key]
        axes.bar(place, len(some), color=style.light, width=0.7)
        density = len(some) / megapixels
        text = f"{len(some)}\n{density:{'.0f' if density >= 100 else '.3g'}} per Mpix"
        axes.annotate(
            text, (place, len(some)), (0, 3), textcoords="offset points", ha="center", fontsize=8
        )
    axes.set_xticks(range(len(CLASSES)), [s.title.replace(" ", "\n") for s in CLASSES.values()])
    axes.set_ylabel("events")
    axes.set_xlim(-0.65, len(CLASSES) - 0.35)
    whole_ticks(axes.yaxis)
    axes.set_ylim(0, 1.25 * max(axes.dataLim.y1, 1))
    axes.set_title("counts", fontsize=11)


def draw_histogram(axes: Axes, events: Sequence[Detection], field: str, label: str) -> None:
    """Draw the distribution of a positive number, class by class, in logarithmic bins."""
    values = {key: _values(events, field, key) for key in CLASSES}
    values = {key: some[some > 0] for key, some in values.items()}
    everything = np.concatenate(list(values.values()))
    axes.set(xlabel=label, ylabel="events")
    axes.set_title(label.rsplit(" [", 1)[0], fontsize=11)
    if not len(everything):
        say_nothing(axes)
        axes.set(xticks=[], yticks=[])
        return
    low, high = everything.min(), everything.max()
    # At least a decade, so that few events do not make wide bars.
    low, high = min(low, high / 5) / 1.2, max(high, low * 2) * 1.2
    edges = np.geomspace(low, high, BINS + 1)
    if field == "spatial_extent":
        # Whole numbers: no bin may be empty by construction.
        edges = np.unique(np.round(np.geomspace(1, max(high, 9) + 1, BINS + 1))) - 0.5
    for key, some in values.items():
        if len(some):
            style = CLASSES[key]
            axes.stairs(
                np.histogram(some, edges)[0], edges, color=style.light, linewidth=1.5,
                label=style.title, fill=True, alpha=0.25,
            )  # fmt: skip
            axes.stairs(np.histogram(some, edges)[0], edges, color=style.light, linewidth=1.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.7, max(1.5 * axes.dataLim.y1, 10))
    for axis in (axes.xaxis, axes.yaxis):
        round_ticks(axis)
    axes.grid(alpha=0.25)


def round_ticks(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, few enough to be read."""
    low, high = sorted(axis.get_view_interval())
    subs = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _draw_reads(axes: Axes, prediction: Prediction, events: Sequence[Detection]) -> None:
    """Draw how many events begin in each read; the step to read f counts at f."""
    reads = prediction.shape[0]
    axes.set(xlabel="first read", ylabel="events per read", xlim=(0, reads))
    axes.set_title("events per read", fontsize=11)
    whole_ticks(axes.yaxis)
    width = max(1, reads // 120)
    edges = np.append(np.arange(0.5, reads - 0.5, width), reads - 0.5)
    bottom = np.zeros(len(edges) - 1)
    whole_ticks(axes.xaxis)
    for key, style in CLASSES.items():
        counts = np.histogram(_values(events, "first_frame", key), edges)[0] / np.diff(edges)
        if counts.any():
            axes.stairs(
                bottom + counts, edges, baseline=bottom, fill=True, color=style.light,
                label=style.title,
            )  # fmt: skip
            bottom = bottom + counts
    if not bottom.any():
        say_nothing(axes)
        return
    if len(events) > 1:
        axes.axhline(
            float(bottom @ np.diff(edges)) / (reads - 1), color="black", linewidth=0.8, ls=":"
        )
    axes.set_ylim(0, 1.15 * bottom.max())
    axes.legend(loc="upper right", fontsize=9, frameon=False, ncol=3)


def _draw_map(axes: Axes, prediction: Prediction, events: Sequence[Detection]) -> None:
    """Draw the density of events over the detector."""
    _, height, width = prediction.shape
    left, right, bottom, top = extent(prediction.mask, (0, 0))
    axes.set(xlabel="column [pixel]", ylabel="row [pixel]", xlim=(left, right), ylim=(bottom, top))
    axes.set_aspect("equal")
    axes.set_title("density of events", fontsize=11)
    if not len(events):
        say_nothing(axes)
        return
    cells = np.clip(np.sqrt(len(events) / IN_CELL), CELLS[1], CELLS[0])
    rows, cols = (max(round(cells * n / max(height, width)), 1) for n in (height, width))
    place = np.array([event["centroid"] for event in events])
    bounds = (bottom, top), (left, right)
    counts, _ = np.histogramdd(place, bins=(rows, cols), range=bounds)
    density = counts * (rows * cols * 1e6 / (height * width))
    style: dict[str, Any] = {"origin": "lower", "cmap": "viridis", "vmin": 0}
    shown = axes.imshow(density, extent=(left, right, bottom, top), **style)
    axes.figure.colorbar(shown, ax=axes, shrink=0.75, pad=0.02, label="events per Mpix")


def _draw_levels(axes: Axes, events: Sequence[Detection]) -> None:
    """Draw amplitudes of telegraph noise against its dwell times, low and high joined by a line."""
    key = Label.TELEGRAPH_NOISE.key
    low, high, amplitude = (
        _values(events, field, key) for field in ("dwell_low", "dwell_high", "amplitude")
    )
    axes.set(xlabel="mean dwell time [reads]", ylabel="amplitude [DN]")
    axes.set_title("telegraph noise", fontsize=11)
    if not len(low):
        say_nothing(axes)
        axes.set(xticks=[], yticks=[])
        return
    colour = CLASSES[key].light
    few = len(low) < 200
    axes.hlines(amplitude, low, high, color=colour, alpha=0.3 if few else 0.1, linewidth=0.8)
    style: dict[str, Any] = {"linestyle": "none", "color": colour, "markersize": 5 if few else 2.5}
    axes.plot(low, amplitude, marker="o", markerfacecolor="white", label="low level", **style)
    axes.plot(high, amplitude, marker="o", label="high level", **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        round_ticks(axis)
    axes.legend(fontsize=9)
    axes.grid(alpha=0.25)
