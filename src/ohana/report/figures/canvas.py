"""Figures without windows, and their common parts: images, outlines, classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import LineCollection
from matplotlib.colors import FuncNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from ohana.classes import CLASSES, Label
from ohana.report.stretch import FAINT, Stretch, stretch
from ohana.results.catalogue import Detection, member_pixels
from ohana.utils.files import make_folder, replacing

#: Resolution of saved figures [dots per inch].
DPI = 110
#: Colour of pixels without a value.
UNKNOWN = "#3d2b20"


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of some size [inch] without a window, independent of ``pyplot``."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save_figure(figure: Any, save: str | Path | None) -> None:
    """Write a figure in the format given by the file extension; nothing for None."""
    if save is None:
        return
    make_folder(Path(save).parent)
    with replacing(Path(save)) as temporary:
        figure.savefig(temporary, dpi=DPI)


def show_image(
    axes: Axes,
    image: np.ndarray,
    corner: tuple[int, int] = (0, 0),
    bent: Stretch | None = None,
) -> AxesImage:
    """Show an image in pixels of the detector, row 0 at the bottom; brown where there is no value.

    Parameters
    ----------
    axes : Axes
        Where.
    image : ndarray, shape (h, w)
        In any unit.
    corner : tuple of int
        Row and column of its first pixel.
    bent : Stretch, optional
        Brightness; its own if absent.
    """
    bent = bent or stretch(image)
    norm = FuncNorm((bent.apply, bent.invert), vmin=bent.low, vmax=bent.high)
    grey = colormaps["gray"].with_extremes(bad=UNKNOWN)
    masked = np.ma.masked_invalid(image)
    shown = axes.imshow(masked, cmap=grey, norm=norm, origin="lower", extent=extent(image, corner))
    axes.set(xlabel="column [pixel]", ylabel="row [pixel]")
    for axis in (axes.xaxis, axes.yaxis):
        whole_ticks(axis)
    return shown


def extent(image: np.ndarray, corner: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the edges of an image on the detector: left, right, bottom, top."""
    (row, col), (height, width) = corner, image.shape
    return col - 0.5, col + width - 0.5, row - 0.5, row + height - 0.5


def add_colour_bar(shown: AxesImage, bent: Stretch, label: str, **options: Any) -> None:
    """Add the colour bar of an image, with round values."""
    assert shown.axes is not None  # it was drawn there
    bar = shown.axes.figure.colorbar(shown, ax=shown.axes, label=label, **options)
    ticks = bent.ticks()
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.minorticks_off()


def show_mask(
    axes: Axes, mask: np.ndarray, corner: tuple[int, int] = (0, 0), alpha: float = 1.0
) -> None:
    """Overlay an image with the colours of the classes; background stays transparent."""
    colours = ListedColormap([style.dark for style in CLASSES.values()])
    axes.imshow(
        np.ma.masked_equal(mask, Label.BACKGROUND), cmap=colours, vmin=1, vmax=len(CLASSES),
        origin="lower", interpolation="nearest", alpha=alpha, extent=extent(mask, corner),
    )  # fmt: skip


def outline(axes: Axes, event: Detection, **style: Any) -> None:
    """Draw the border of the pixels of an event, along the edges of the pixels."""
    rows, cols = member_pixels(event)
    top, left = rows.min() - 1, cols.min() - 1
    member = np.zeros((np.ptp(rows) + 3, np.ptp(cols) + 3), bool)
    member[rows - top, cols - left] = True
    lines = []
    for across, upright in ((np.diff(member, axis=0), False), (np.diff(member, axis=1), True)):
        y, x = np.nonzero(across)
        if upright:
            start, end = (x + left + 0.5, y + top - 0.5), (x + left + 0.5, y + top + 0.5)
        else:
            start, end = (x + left - 0.5, y + top + 0.5), (x + left + 0.5, y + top + 0.5)
        lines.append(np.stack([np.column_stack(start), np.column_stack(end)], axis=1))
    kept = axes.axis()
    axes.add_collection(LineCollection(np.concatenate(lines), **style), autolim=False)  # type: ignore[arg-type]
    axes.axis(kept)


def whole_ticks(axis: Axis, most: int | Literal["auto"] = "auto") -> None:
    """Label an axis with round whole numbers: there is no half pixel, read or event."""
    axis.set_major_locator(MaxNLocator(most, integer=True, steps=[1, 2, 5, 10]))


def say_nothing(axes: Axes, text: str = "nothing found") -> None:
    """Write that there is nothing to draw."""
    axes.text(
        0.5, 0.5, text, ha="center", va="center", color=FAINT, transform=axes.transAxes,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip


def counts_of(events: Sequence[Detection]) -> str:
    """Describe the number of events of each class.

    Examples
    --------
    >>> counts_of([{"type": "snowball"}, {"type": "cosmic_ray"}, {"type": "snowball"}])
    '1 cosmic ray, 2 snowballs'
    """
    parts = []
    for key, style in CLASSES.items():
        count = sum(event["type"] == key for event in events)
        parts += [f"{count} {style.several if count > 1 else style.one}"] if count else []
    return ", ".join(parts) or "nothing found"
