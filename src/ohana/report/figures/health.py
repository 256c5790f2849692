"""Health of an exposure: what was measured of its reads, and which of them step too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ohana.classes import CLASSES, Label
from ohana.report.figures.canvas import new_figure, say_nothing, whole_ticks
from ohana.report.stretch import INK, MODEL
from ohana.results.prediction import Prediction

#: Series that are drawn together, in the first panel.
STEPS = ("rises", "falls")
#: Width of the figure, and height of a panel [inch].
WIDTH, PANEL = 8.0, 1.7


def health_figure(prediction: Prediction, integration: int = 0) -> Figure:
    """Draw the numbers of steps, and all that was measured, against the read.

    Parameters
    ----------
    prediction : Prediction
        With its record: without one, or with one of an earlier version, the figure says so.
    integration : int
        Place in the record.
    """
    entries: Sequence[Mapping[str, Any]] = prediction.run.get("health") or ()
    if integration >= len(entries):
        figure = new_figure(WIDTH, 2 * PANEL)
        say_nothing(figure.add_subplot(), "no health in the record of this run")
        return figure
    entry = entries[integration]
    series = {name: _known(values) for name, values in entry["reads"].items()}
    others = [name for name in series if name not in STEPS]
    figure = new_figure(WIDTH, PANEL * (1.4 + len(others)))
    panels: Any = figure.subplots(
        1 + len(others), 1, sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [1.4] + [1] * len(others)},
    )  # fmt: skip
    several = f", integration {entry['integration']}" if len(entries) > 1 else ""
    title = f"{prediction.name}{several}: health of the reads"
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=12)
    _draw_steps(panels[0, 0], series)
    for axes, name in zip(panels[1:, 0], others, strict=True):
        axes.plot(np.arange(len(series[name])), series[name], color=MODEL, linewidth=1.2)
        axes.set_ylabel(name.replace(" [", "\n["), fontsize=9)
        axes.grid(alpha=0.25)
    left = [item["read"] for item in entry["not_searched"]]
    for axes in panels[:, 0]:
        for read in left:
            axes.axvspan(read - 0.5, read + 0.5, color="0.6", alpha=0.35, linewidth=0)
    if left:
        panels[0, 0].plot([], [], color="0.6", linewidth=6, alpha=0.5, label="not searched")
    # Above the panel: the read that matters most may fill any corner of it.
    place: Any = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.1}
    panels[0, 0].legend(**place, fontsize=9, frameon=False, ncol=3)
    panels[-1, 0].set_xlabel("read")
    panels[-1, 0].set_xlim(-0.5, prediction.shape[0] - 0.5)
    whole_ticks(panels[-1, 0].xaxis)
    figure.align_ylabels()
    return figure


def _known(values: Sequence[float | None]) -> np.ndarray:
    """Return a series of the record as numbers, NaN where it has none."""
    return np.array([np.nan if value is None else value for value in values], float)


def _draw_steps(axes: Axes, series: Mapping[str, np.ndarray]) -> None:
    """Draw how many pixels rise and fall at each read, falls downward."""
    edges = np.arange(len(series["rises"]) + 1) - 0.5
    style: dict[str, Any] = {"fill": True, "alpha": 0.75, "linewidth": 0}
    colour = CLASSES[Label.COSMIC_RAY.key].light
    axes.stairs(series["rises"], edges, color=colour, label="rises", **style)
    axes.stairs(-series["falls"], edges, color=INK, label="falls", **style)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("pixels that step")
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.grid(alpha=0.25)
