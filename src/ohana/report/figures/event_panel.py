"""One event: its pixels before and after, and the ramp of one pixel with its fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ohana.classes import CLASSES, Label
from ohana.report.figures.canvas import (
    add_colour_bar,
    new_figure,
    outline,
    show_image,
    show_mask,
    whole_ticks,
)
from ohana.report.figures.event_plots import (
    draw_growth,
    draw_profile,
    draw_ramp,
    draw_residuals,
    slope_of,
)
from ohana.report.fitted_ramp import fit_to_draw
from ohana.report.snowball_profile import growth, radial_profile, radii
from ohana.report.stretch import stretch
from ohana.results.catalogue import Detection, member_pixels
from ohana.results.prediction import Prediction

#: Minimum distance of an event from the edge of its cut-out [pixel]. Chosen.
MARGIN = 6
#: Fields shown of an event: field, name, digits, unit.
NUMBERS = (
    ("significance", "significance", ".1f", "sigma"),
    ("confidence", "confidence", ".2f", ""),
    ("step_amplitude", "charge", ".0f", "DN"),
    ("max_intensity", "brightest pixel", ".0f", "DN"),
    ("spatial_extent", "extent", "d", "px"),
    ("transitions", "transitions", "d", ""),
    ("dwell_low", "dwell low", ".1f", "reads"),
    ("dwell_high", "dwell high", ".1f", "reads"),
    ("core_radius", "core radius", ".1f", "px"),
    ("halo_radius", "halo radius", ".1f", "px"),
    ("growth", "growth", ".3f", "px/read"),
)


class Views(NamedTuple):
    """Cut-outs of an event [DN] with what they are; ``corner`` is their first row and column."""

    before: np.ndarray
    after: np.ndarray
    names: tuple[str, str]
    corner: tuple[int, int]
    window: tuple[slice, slice]


def event_figure(
    prediction: Prediction, event: Detection, number: int | None, radius: int | None
) -> Figure:
    """Draw an event on a page of its own.

    Parameters
    ----------
    prediction : Prediction
        The exposure.
    event : dict
        Entry of its catalogue.
    number : int, optional
        Its place in the catalogue, for the title.
    radius : int, optional
        Half the side of the cut-outs [pixel]; follows from the event if absent.
    """
    figure = new_figure(12.5, 7.0)
    figure.suptitle(title_of(event, number), x=0.01, ha="left", weight="bold", fontsize=12)
    parts: Any = figure.subfigures(3, 1, height_ratios=(3.0, 0.22, 3.2))
    upper, numbers, lower = parts
    numbers.text(0.01, 0.5, numbers_of(event), va="center", fontsize=10)
    _draw_views(upper, prediction, event, views_of(prediction, event, radius))
    y, x = telling_pixel(event)
    if event["type"] == Label.SNOWBALL.key and event["first_frame"]:
        ramp, profile, grown = lower.subplots(1, 3, width_ratios=(1.25, 1, 1))
        draw_ramp(ramp, prediction, event, y, x)
        draw_profile(profile, radial_profile(prediction, event), event)
        draw_growth(grown, growth(prediction, event), event)
    else:
        ramp, rest = lower.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        draw_ramp(ramp, prediction, event, y, x)
        ramp.set_xlabel("")
        draw_residuals(rest, prediction, event, y, x)
    return figure


def title_of(event: Detection, number: int | None) -> str:
    """Return the title of an event: class and position."""
    row, col = event["position"]
    parts = [CLASSES[event["type"]].title, f"row {row}, column {col}"]
    if number is not None:
        parts[0] += f" {number}"
    if event["first_frame"] is not None:
        parts.append(f"first read {event['first_frame']}")
    if event["integration"]:
        parts.append(f"integration {event['integration']}")
    return "  ·  ".join(parts)


def numbers_of(event: Detection) -> str:
    """Return the numbers of an event in one line."""
    fields: Mapping[str, Any] = event
    parts = [
        f"{name} {fields[key]:{digits}} {unit}".rstrip()
        for key, name, digits, unit in NUMBERS
        if fields.get(key) is not None
    ]
    return "   ".join([*parts, f"found by {event['source']}"])


def telling_pixel(event: Detection) -> tuple[int, int]:
    """Choose the pixel whose ramp is shown: the strongest, for snowballs one in the halo.

    Examples
    --------
    >>> telling_pixel({"type": "cosmic_ray", "position": [3, 8]})
    (3, 8)
    """
    row, col = event["position"]
    if event["type"] != Label.SNOWBALL.key:
        return row, col
    rows, cols = member_pixels(event)
    away = np.hypot(rows - event["centroid"][0], cols - event["centroid"][1])
    core, halo = radii(event)
    pick = int(np.argmin(np.abs(away - (core + 0.35 * (halo - core)))))
    return int(rows[pick]), int(cols[pick])


def views_of(prediction: Prediction, event: Detection, radius: int | None) -> Views:
    """Cut out an event before and after its first read; telegraph noise low and high."""
    top, left, bottom, right = event["bbox"]
    middle = (top + bottom - 1) // 2, (left + right - 1) // 2
    reach = radius or MARGIN + max(bottom - top, right - left) // 2
    rows, cols = (
        slice(max(at - reach, 0), min(at + reach + 1, size))
        for at, size in zip(middle, prediction.shape[1:], strict=True)
    )
    frame, integration = event["first_frame"], event["integration"]
    if frame:
        pair = prediction.cube(slice(frame - 1, frame + 1), rows, cols, integration)
        names = f"before: read {frame - 1}", f"after: read {frame}"
    else:
        everything = prediction.cube(slice(None), rows, cols, integration)
        high = _high_reads(prediction, event)
        pair = np.stack([everything[~high].mean(0), everything[high].mean(0)])
        names = f"low: mean of {(~high).sum()} reads", f"high: mean of {high.sum()} reads"
    return Views(pair[0], pair[1], names, (rows.start, cols.start), (rows, cols))


def _high_reads(prediction: Prediction, event: Detection) -> np.ndarray:
    """Return the reads in which a pixel is above the middle of its levels (at least the last)."""
    fit = fit_to_draw(prediction, event, *event["position"]).fit
    levels = np.nan_to_num(fit - slope_of(fit) * np.arange(len(fit)), nan=-np.inf)
    known = levels[np.isfinite(levels)]
    high = levels > (known.min() + known.max()) / 2 if len(known) else np.zeros(len(fit), bool)
    if high.all() or not high.any():
        high = np.arange(len(fit)) == len(fit) - 1
    return high


def _draw_views(figure: Any, prediction: Prediction, event: Detection, views: Views) -> None:
    """Draw the cut-outs: before, after, difference, and the events in the window."""
    panels = figure.subplots(1, 4, sharex=True, sharey=True)
    both = stretch(np.stack([views.before, views.after]))
    change = views.after - views.before
    own = stretch(change)
    for axes, image, bent, title in (
        (panels[0], views.before, both, views.names[0]),
        (panels[1], views.after, both, views.names[1]),
        (panels[2], change, own, "difference"),
        (panels[3], change, own, "mask of all events"),
    ):
        shown = show_image(axes, image, views.corner, bent)
        if axes in panels[1:3]:
            add_colour_bar(shown, bent, "[DN]", shrink=0.92, aspect=25, pad=0.02)
        axes.set_title(title, fontsize=10)
        whole_ticks(axes.xaxis, 4)
        whole_ticks(axes.yaxis, 5)
    show_mask(panels[3], prediction.mask[views.window], views.corner, alpha=0.75)
    for axes in panels[2:]:
        outline(axes, event, color=CLASSES[event["type"]].dark, linewidth=1.2)
    y, x = telling_pixel(event)
    for axes in panels:
        axes.plot(x, y, marker="+", color="#F0E442", markersize=7, markeredgewidth=1.2)
        axes.label_outer()
