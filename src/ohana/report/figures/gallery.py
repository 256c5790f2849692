"""Many small panels of events on one page: difference image and ramp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ohana.classes import CLASSES
from ohana.report.figures.canvas import new_figure, outline, say_nothing, show_image, whole_ticks
from ohana.report.figures.event_panel import telling_pixel, views_of
from ohana.report.figures.event_plots import shown_ramp
from ohana.report.stretch import FAINT, INK, MODEL
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Events in a row, and size of one [inch].
COLUMNS, WIDTH, HEIGHT = 5, 2.5, 3.0
#: Half the side of the cut-out of an event that needs no more [pixel].
RADIUS = 8
#: Caption at the foot of the page.
EXPLAINED = (
    "above: what changed, and the event's outline; below: ramp [DN] and fit, less a steep slope"
)
#: How events can be picked -> what they are sorted by, the first ones are shown.
PICKS: dict[str, Callable[[Detection], float]] = {
    "strongest": lambda event: -(event["significance"] or 0.0),
    "faintest": lambda event: event["significance"] or 0.0,
    "least certain": lambda event: abs(event["confidence"] - 0.5),
}


def pick_events(
    events: Sequence[tuple[int, Detection]], pick: str, count: int
) -> list[tuple[int, Detection]]:
    """Return the events of a gallery, each with its place in the catalogue.

    Examples
    --------
    >>> events = [(0, {"significance": 9.0}), (1, {"significance": 90.0})]
    >>> pick_events(events, "strongest", 1)
    [(1, {'significance': 90.0})]
    """
    if pick not in PICKS:
        raise ValueError(f"pick: wanted one of {', '.join(map(repr, PICKS))}, got {pick!r}")
    return sorted(events, key=lambda numbered: PICKS[pick](numbered[1]))[:count]


def gallery_figure(
    prediction: Prediction, events: Sequence[tuple[int, Detection]], title: str
) -> Figure:
    """Draw events row by row, each with its place in the catalogue.

    Parameters
    ----------
    prediction : Prediction
        The exposure.
    events : sequence of (int, dict)
        Place in the catalogue, and entry.
    title : str
        Of the page.
    """
    rows = max(-(-len(events) // COLUMNS), 1)
    columns = min(max(len(events), 2), COLUMNS)
    figure = new_figure(WIDTH * columns, HEIGHT * rows + 0.5)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=12)
    if not events:
        axes = figure.add_subplot()
        axes.set_axis_off()
        say_nothing(axes)
        return figure
    figure.supxlabel(EXPLAINED, x=0.01, ha="left", fontsize=8, color=FAINT)
    parts = np.atleast_2d(figure.subfigures(rows, columns, squeeze=False)).ravel()
    for part, (number, event) in zip(parts, events, strict=False):
        _draw_small(part, prediction, number, event)
    return figure


def _draw_small(part: Any, prediction: Prediction, number: int, event: Detection) -> None:
    """Draw the difference image above the ramp."""
    style = CLASSES[event["type"]]
    image, ramp = part.subplots(2, 1, height_ratios=(1.75, 1))
    box = event["bbox"]
    small = max(box[2] - box[0], box[3] - box[1]) < 2 * RADIUS
    views = views_of(prediction, event, RADIUS if small else None)
    show_image(image, views.after - views.before, views.corner)
    outline(image, event, color=style.dark, linewidth=1.0)
    image.set(xticks=[], yticks=[], xlabel="", ylabel="")
    read = "" if event["first_frame"] is None else f"read {event['first_frame']}"
    row, col = event["position"]
    image.set_title(
        f"{number}: {style.title}\n({row}, {col}) {read}", fontsize=8, color=style.light
    )
    y, x = telling_pixel(event)
    data, drawn, _ = shown_ramp(prediction, event, y, x)
    ramp.plot(data, ".", color=INK, markersize=2.0 if len(data) < 120 else 1.0)
    ramp.plot(drawn.fit, color=MODEL, linewidth=0.9)
    whole_ticks(ramp.xaxis, 4)
    ramp.yaxis.set_major_locator(MaxNLocator(4))
    ramp.tick_params(labelsize=6.5, length=2)
    strength = "-" if event["significance"] is None else f"{event['significance']:.1f}"
    ramp.set_xlabel(
        f"read   ({strength} sigma, confidence {event['confidence']:.2f})", fontsize=7.5
    )
