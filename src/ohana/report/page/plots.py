"""The two bokeh plots of the page, without data: the frame and a ramp."""

from __future__ import annotations

from typing import Any

import numpy as np

from ohana.classes import CLASSES

#: Number of reads from which on ramps have small points. Chosen.
CROWDED = 150


def plots(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return the plots as bokeh's JSON items, by the id of the element that takes them.

    Parameters
    ----------
    shape : tuple of int
        (T, H, W).
    """
    from bokeh.embed import json_item

    reads, height, width = shape
    return {
        "frame-plot": json_item(_frame(height, width)),
        "ramp-plot": json_item(_ramp(reads)),
    }


def _frame(height: int, width: int) -> Any:
    """Draw an empty picture, one set of marks for each class, and what shows the selection."""
    from bokeh.models import ColumnDataSource, Range1d
    from bokeh.plotting import figure

    plot = figure(
        name="frame",
        x_range=Range1d(start=-0.5, end=width - 0.5),
        y_range=Range1d(start=-0.5, end=height - 0.5),
        tools="pan,wheel_zoom",
        active_scroll="wheel_zoom",
        toolbar_location=None,
        x_axis_label="column",
        y_axis_label="row",
        min_border=4,
        lod_threshold=None,
    )
    plot.grid.visible = False
    # The page replaces it by an image of the right size.
    picture = {"image": [np.zeros((1, 1), np.uint32)]}
    plot.image_rgba(
        "image",
        source=ColumnDataSource(picture, name="picture"),
        x=-0.5,
        y=-0.5,
        dw=width,
        dh=height,
        level="image",
    )
    plot.segment(
        "x0",
        "y0",
        "x1",
        "y1",
        source=ColumnDataSource({"x0": [], "y0": [], "x1": [], "y1": []}, name="footprint"),
        line_color="white",
        line_alpha=0.7,
    )
    for key, style in CLASSES.items():
        source = ColumnDataSource({"x": [], "y": []}, name=f"marks-{key}")
        # A dark rim keeps marks visible on bright pixels.
        for what, colour, line in (("rims", "#000000", 3.5), ("marks", style.dark, 1.5)):
            plot.scatter(
                "x",
                "y",
                source=source,
                name=f"{what} of {key}",
                marker=style.page_marker,
                size=9,
                line_color=colour,
                line_width=line,
                line_alpha=0.6 if what == "rims" else 1,
                fill_alpha=0,
            )
    plot.scatter(
        "x",
        "y",
        source=ColumnDataSource({"x": [], "y": []}, name="chosen"),
        marker="circle",
        size=24,
        line_color="#ffffff",
        line_width=2,
        fill_alpha=0,
    )
    plot.scatter(
        "x",
        "y",
        source=ColumnDataSource({"x": [], "y": []}, name="pinned"),
        marker="cross",
        size=16,
        line_color="#ffffff",
        line_width=1.5,
    )
    return plot


def _ramp(reads: int) -> Any:
    """Draw an empty ramp with its model, and lines at the event's read and the shown one."""
    from bokeh.models import ColumnDataSource, DataRange1d
    from bokeh.models.annotations import Span
    from bokeh.plotting import figure

    plot: Any = figure(
        name="ramp",
        sizing_mode="stretch_both",
        x_range=DataRange1d(range_padding=0.03),
        y_range=DataRange1d(range_padding=0.08),
        tools="pan,wheel_zoom",
        active_scroll=None,
        toolbar_location=None,
        x_axis_label="read",
        y_axis_label="signal [DN]",
        min_border=4,
        lod_threshold=None,
    )
    plot.xaxis.ticker.min_interval = 1
    plot.add_layout(Span(location=0, dimension="height", name="at-event", line_dash="dashed"))
    plot.add_layout(Span(location=0, dimension="height", name="at-read", line_alpha=0.6))
    # Not empty, or bokeh warns about the range.
    data = ColumnDataSource({"x": [0, 1], "y": [0, 1]}, name="reads")
    plot.line("x", "y", source=data, name="line", line_width=1, line_alpha=0.45)
    size = 4 if reads <= CROWDED else 2.5
    model = ColumnDataSource({"x": [], "y": []}, name="model")
    plot.line("x", "y", source=model, name="fit", line_width=2)
    plot.scatter("x", "y", source=data, name="points", size=size, line_color=None)
    return plot
