"""Labels of pixels and reads: stored as runs of reads, expanded in windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.classes import MASK_PRIORITY, Label
from ohana.simulate.truth import TrueEvent, Truth
from ohana.training_sets.tuning import TUNING

#: Label of pixels and reads without weight.
IGNORE = 255

#: Type of each column of `Runs`.
COLUMNS = {
    "row": np.uint16,
    "col": np.uint16,
    "start": np.uint16,
    "stop": np.uint16,
    "label": np.uint8,
    "event": np.uint32,
    "charge": np.float32,
    "snr": np.float32,
}


class Runs(NamedTuple):
    """Reads of pixels that show an event, one entry per pixel and event, sorted by row.

    Attributes
    ----------
    row, col : ndarray of uint16
        Pixel, in the whole array.
    start, stop : ndarray of uint16
        First read, and the one after the last. A cosmic ray has the read at the end of its step
        (two if it arrives within averaged frames), a snowball those from its first charge to its
        last growth, telegraph noise all up to saturation.
    label : ndarray of uint8
        Class. If there are runs of background, pixels without runs have no label; runs of
        `IGNORE` have no weight.
    event : ndarray of uint32
        Number of the event in the list of the exposure.
    charge, snr : ndarray of float32
        Charge that it adds to the pixel [e-], and its S/N (`ohana.simulate.truth.TrueEvent`).
    """

    row: np.ndarray
    col: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    label: np.ndarray
    event: np.ndarray
    charge: np.ndarray
    snr: np.ndarray

    def select(self, which: np.ndarray | slice) -> Runs:
        """Return some of the runs."""
        return Runs(*(column[which] for column in self))


def runs_of(truth: Truth, stop: np.ndarray) -> Runs:
    """Return the runs of all measurable events.

    Parameters
    ----------
    truth : Truth
        Events of the exposure.
    stop : ndarray of int, shape (H, W)
        First saturated read, T where there is none.
    """
    parts = [_runs(event, number, stop) for number, event in enumerate(truth.events)]
    empty = Runs(*(np.empty(0, kind) for kind in COLUMNS.values()))
    runs = Runs(*map(np.concatenate, zip(empty, *parts, strict=True)))
    return runs.select(np.argsort(runs.row, kind="stable"))


def _runs(event: TrueEvent, number: int, stop: np.ndarray) -> Runs:
    if event.label == Label.TELEGRAPH_NOISE:
        start, end = np.zeros(len(event.rows), int), stop[event.rows, event.cols]
    else:
        start, end = event.reads, _end(event, stop.shape[1])
    same = np.ones(len(event.rows))
    columns = (event.rows, event.cols, start, end, same * event.label, same * number)
    runs = Runs(
        *(
            column.astype(kind)
            for column, kind in zip(
                (*columns, event.charge, event.snr), COLUMNS.values(), strict=True
            )
        )
    )
    return runs.select(event.snr >= TUNING.min_snr)


def _end(event: TrueEvent, width: int) -> np.ndarray:
    """Return the read after the last measurable change of each pixel of a hit."""
    end = event.reads + 1
    pixel = event.rows.astype(np.int64) * width + event.cols
    order = np.argsort(pixel)
    later = event.repeated
    seen = later.snr >= TUNING.min_snr
    changed = later.row[seen].astype(np.int64) * width + later.col[seen]
    place = order[np.searchsorted(pixel, changed, sorter=order)]
    np.maximum.at(end, place, later.read[seen] + 1)
    return end


def is_partial(runs: Runs) -> bool:
    """Return whether pixels without runs have no label, as in reviewed exposures."""
    return bool((runs.label == Label.BACKGROUND).any())


def paint(
    runs: Runs, corner: tuple[int, int], first: int, shape: tuple[int, int, int]
) -> np.ndarray:
    """Return the labels of a window in space and time.

    Where classes overlap, snowballs override telegraph noise, which overrides cosmic rays.

    Parameters
    ----------
    runs : Runs
        Of the exposure, sorted by row.
    corner : tuple of int
        First row and column of the window.
    first : int
        Its first read.
    shape : tuple of int
        Reads, height and width of the window.

    Returns
    -------
    ndarray of uint8, shape ``shape``
        0 without events, `IGNORE` where unknown.

    Examples
    --------
    >>> columns = ([5], [6], [2], [4], [Label.SNOWBALL], [0], [900.0], [40.0])
    >>> runs = Runs(*(np.array(x, kind) for x, kind in zip(columns, COLUMNS.values())))
    >>> paint(runs, (5, 5), 1, (4, 1, 2))[:, 0, 1].tolist()
    [0, 3, 3, 0]
    """
    reads, height, width = shape
    dense = np.full(shape, IGNORE if is_partial(runs) else Label.BACKGROUND, np.uint8)
    near = runs.select(slice(*np.searchsorted(runs.row, [corner[0], corner[0] + height])))
    col = near.col.astype(np.int32) - corner[1]
    start = np.maximum(near.start.astype(np.int32) - first, 0)
    stop = np.minimum(near.stop.astype(np.int32) - first, reads)
    inside = (col >= 0) & (col < width) & (start < stop)
    row = near.row[inside].astype(np.int32) - corner[0]
    col, start, length = col[inside], start[inside], (stop - start)[inside]
    label = near.label[inside]
    for one in (Label.BACKGROUND, IGNORE, *MASK_PRIORITY):
        mine = np.flatnonzero(label == one)
        which = np.repeat(mine, length[mine])
        begin = np.cumsum(length[mine]) - length[mine]
        read = np.arange(len(which)) - np.repeat(begin - start[mine], length[mine])
        dense[read, row[which], col[which]] = one
    return dense
