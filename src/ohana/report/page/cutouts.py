"""Cutouts of events for the page: the ramp of one pixel, its fit, and the surroundings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ohana.report.fitted_ramp import Drawn, fit_to_draw
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Margin around an event, wide and narrow [pixel]. Chosen.
MARGIN = (6, 3)
#: Longest side of the surroundings [pixel]. Chosen.
LONGEST = 65
#: Pixel-reads below which the margin is narrow. Chosen.
AMPLE = 4096
#: Rows read at a time. Chosen.
ROWS_AT_ONCE = 32


class Fits:
    """Fits to the strongest pixels of events, by place in the catalogue, each made once."""

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        self._made: dict[int, Drawn] = {}

    def __getitem__(self, place: int) -> np.ndarray:
        """Return a fit (T,) [DN]; NaN if there is none."""
        if place not in self._made:
            event = self._prediction.events[place]
            self._made[place] = fit_to_draw(self._prediction, event, *event["position"])
        return self._made[place].fit

    def missing(self) -> dict[int, str]:
        """Return places of the events without a fit, and why there is none."""
        return {place: made.reason for place, made in sorted(self._made.items()) if made.reason}


class Shown(NamedTuple):
    """One event, at its ``place`` in the catalogue, its ramp and its surroundings.

    ``ramp`` and ``model`` (T,) are of its strongest pixel; ``cube`` (R, h, w) holds some
    ``reads`` of its surroundings, of which ``corner`` is the first row and column [DN].
    ``moment`` is the read that is compared with the one before.
    """

    place: int
    moment: int
    ramp: np.ndarray
    model: np.ndarray
    corner: tuple[int, int]
    reads: np.ndarray
    cube: np.ndarray


def gather(prediction: Prediction, which: np.ndarray, samples: int, fits: Fits) -> Iterator[Shown]:
    """Yield cutouts of some events, in the order of rows, so that the reads are read once."""
    reads = prediction.shape[0]
    windows = {
        int(i): _window(prediction.events[i], prediction.shape[1:], MARGIN[0]) for i in which
    }
    for integration, some in _bands(prediction, windows):
        rows = slice(min(windows[i][0].start for i in some), max(windows[i][0].stop for i in some))
        cols = slice(min(windows[i][1].start for i in some), max(windows[i][1].stop for i in some))
        cube = prediction.cube(slice(0, reads), rows, cols, integration)
        for i in some:
            r, c = windows[i]
            part = cube[:, r.start - rows.start : r.stop - rows.start]
            part = part[:, :, c.start - cols.start : c.stop - cols.start]
            shown = _shown(prediction, i, (r.start, c.start), part, fits[i])
            yield thin(shown, prediction.events[i], samples)


def _window(
    event: Detection, shape: tuple[int, ...], margin: int, corner: tuple[int, int] = (0, 0)
) -> tuple[slice, slice]:
    """Return rows and columns around an event, inside an array that begins at ``corner``."""
    box, parts = event["bbox"], []
    for axis, (begin, size) in enumerate(zip(corner, shape, strict=True)):
        first, stop = box[axis] - margin, box[axis + 2] + margin
        if stop - first > LONGEST:
            first = event["position"][axis] - LONGEST // 2
            stop = first + LONGEST
        parts.append(slice(max(first, begin), min(stop, begin + size)))
    return parts[0], parts[1]


def _bands(
    prediction: Prediction, windows: dict[int, tuple[slice, slice]]
) -> Iterator[tuple[int, list[int]]]:
    """Group events by the rows that are read at a time."""
    order = sorted(
        windows, key=lambda i: (prediction.events[i]["integration"], windows[i][0].start, i)
    )
    band: list[int] = []
    for i in order:
        if band:
            first, same = band[0], prediction.events[band[0]]["integration"]
            far = windows[i][0].stop - windows[first][0].start > ROWS_AT_ONCE
            if far or prediction.events[i]["integration"] != same:
                yield same, band
                band = []
        band.append(i)
    if band:
        yield prediction.events[band[0]]["integration"], band


def _shown(
    prediction: Prediction,
    index: int,
    corner: tuple[int, int],
    cube: np.ndarray,
    model: np.ndarray,
) -> Shown:
    event = prediction.events[index]
    y, x = event["position"]
    ramp = cube[:, y - corner[0], x - corner[1]].astype(float)
    moment = event["first_frame"] or _largest_change(ramp, model)
    return Shown(index, moment, ramp, model, corner, np.arange(len(ramp)), cube)


def _largest_change(ramp: np.ndarray, model: np.ndarray) -> int:
    """Return the read of the largest change, of the model where there is one."""
    curve = model if np.isfinite(model).sum() > 1 else ramp
    steps = np.diff(curve)
    if not np.isfinite(steps).any():
        return 1
    return int(np.nanargmax(np.abs(steps - np.nanmedian(steps)))) + 1


def thin(shown: Shown, event: Detection, samples: int) -> Shown:
    """Reduce surroundings to about ``samples`` pixel-reads: fewer reads and a narrower margin.

    The first and last read and those on either side of the event are always kept. Half of the
    others are close to the event, half are spread over the ramp.
    """
    cube, corner = shown.cube, shown.corner
    if samples < AMPLE:
        window = _window(event, cube.shape[1:], MARGIN[1], corner)
        corner = (window[0].start, window[1].start)
        rows, cols = (
            slice(part.start - first, part.stop - first)
            for part, first in zip(window, shown.corner, strict=True)
        )
        cube = cube[:, rows, cols]
    number = max(samples // max(cube[0].size, 1), 4)
    reads = chosen_reads(len(cube), shown.moment, number)
    return shown._replace(corner=corner, reads=reads, cube=cube[reads])


def chosen_reads(reads: int, moment: int, number: int) -> np.ndarray:
    """Return at most about ``number`` of the reads, dense around ``moment``.

    Examples
    --------
    >>> chosen_reads(100, 40, 8)
    array([ 0, 33, 38, 39, 40, 41, 66, 99])
    """
    if number >= reads:
        return np.arange(reads)
    spread = np.linspace(0, reads - 1, max(number // 2, 2)).round().astype(int)
    near = np.argsort(np.abs(np.arange(reads) - moment + 0.5), kind="stable")
    left = max(number - len(spread), 2)
    return np.union1d(spread, near[:left])
