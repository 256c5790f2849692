"""The whole detector: image, mask, and a mark for every event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from ohana.classes import CLASSES, Label
from ohana.report.figures.canvas import add_colour_bar, counts_of, show_image, show_mask
from ohana.report.snowball_profile import radii
from ohana.report.stretch import stretch
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Diameter of marks among few and among many events [points], and how many these are.
LARGE, SMALL = 9.0, 3.5
FEW, MANY = 200, 5000
#: Opacity of the mask. Chosen.
COVER = 0.45


def draw_full_frame(
    axes: Axes, prediction: Prediction, events: Sequence[Detection], integration: int, image: str
) -> None:
    """Draw the detector with mask and marks.

    Parameters
    ----------
    axes : Axes
        Where.
    prediction : Prediction
        The exposure.
    events : sequence of dict
        Those to be marked.
    integration : int
        Integration the image is of.
    image : str
        ``"last"``: last read less first, which shows the events; ``"rate"``: count rates,
        from which their steps have been left out.
    """
    picture, label = picture_of(prediction, integration, image)
    bent = stretch(picture)
    shown = show_image(axes, picture, bent=bent)
    add_colour_bar(shown, bent, f"{prediction.name}: {label}", shrink=0.85, pad=0.02, aspect=35)
    show_mask(axes, prediction.mask, alpha=COVER)
    handles = mark_events(axes, events)
    if handles:
        # The legend is beside the image, where it hides nothing.
        axes.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=3,
            frameon=False, columnspacing=1.5, handletextpad=0.3,
        )  # fmt: skip
    else:
        axes.set_title(f"{prediction.name}: {counts_of(events)}")


def picture_of(prediction: Prediction, integration: int, image: str) -> tuple[np.ndarray, str]:
    """Return an image and the label of its colour bar."""
    if image == "rate":
        return prediction.image(integration), "count rate [DN per frame time]"
    if image != "last":
        raise ValueError(f"image: wanted 'last' or 'rate', got {image!r}")
    reads = prediction.shape[0]
    everything = slice(None)
    last = prediction.cube(slice(reads - 1, reads), everything, everything, integration)[0]
    return last, f"read {reads - 1} less read 0 [DN]"


def mark_events(axes: Axes, events: Sequence[Detection]) -> list[Line2D]:
    """Mark every event in the style of its class; return the entries of the legend.

    A snowball is circled at the radius of its halo; the marks of others have one size, which
    depends on how many there are.
    """
    crowd = np.interp(np.log(len(events) + 1), np.log([FEW, MANY]), [LARGE, SMALL])
    kept, handles = axes.axis(), []
    for key, style in CLASSES.items():
        some = [event for event in events if event["type"] == key]
        if not some:
            continue
        marks: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": style.dark}
        marks |= {"linestyle": "none", "markeredgewidth": 1.0 if crowd > 6 else 0.7}
        rows, cols = np.array([event["centroid"] for event in some]).T
        if key == Label.SNOWBALL.key:
            circles = [
                Circle((x, y), radii(event)[1])
                for x, y, event in zip(cols, rows, some, strict=True)
            ]
            axes.add_collection(
                PatchCollection(circles, facecolor="none", edgecolor=style.dark, linewidth=1.6)
            )
            marks |= {"marker": "o", "markersize": 13, "markeredgewidth": 1.6}
        else:
            marks |= {"marker": style.marker, "markersize": float(crowd)}
            axes.plot(cols, rows, **marks)
            marks |= {"markersize": 8}
        marks["markeredgecolor"] = style.light
        handles.append(Line2D([], [], label=f"{style.title} ({len(some)})", **marks))
    axes.axis(kept)
    return handles
