"""Events added to the ramps of an exposure when they are read; the file is not changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.ramp import Planes, Ramp
from ohana.simulate.truth import TrueEvent


class Signal(NamedTuple):
    """Added signal, one entry for each pixel and read with a change.

    Attributes
    ----------
    row, col : ndarray of int32, shape (n,)
        Pixel, ascending in rows.
    read : ndarray of int32, shape (n,)
        First read with the change; it stays in all later ones.
    amount : ndarray of float32, shape (n,)
        Change [DN].
    """

    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    amount: np.ndarray

    def window(self, rows: slice, cols: slice, shape: tuple[int, int]) -> Signal:
        """Return the part of a window, its rows and columns counted from there."""
        first = rows.indices(shape[0])
        low, high = np.searchsorted(self.row, first[:2])
        row, inside = _position(self.row[low:high], *first)
        col, within = _position(self.col[low:high], *cols.indices(shape[1]))
        inside &= within
        return Signal(
            row[inside], col[inside], self.read[low:high][inside], self.amount[low:high][inside]
        )


def _position(axis: np.ndarray, start: int, stop: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of pixels along a window, and whether they are in it."""
    place, between = np.divmod(axis - start, step)
    return place, (axis >= start) & (axis < stop) & (between == 0)


def signal_of(events: Sequence[TrueEvent]) -> Signal:
    """Return the signal that events add to the reads of an exposure."""
    empty = Signal(*(np.empty(0, kind) for kind in (np.int32, np.int32, np.int32, np.float32)))
    parts = [empty]
    for event in events:
        row, col, read, charge, _ = event.pixel_steps()
        parts.append(Signal(row, col, read, charge / np.float32(event.gain)))
    every = Signal(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.argsort(every.row, kind="stable")
    return Signal(*(column[order] for column in every))


@dataclass(frozen=True, kw_only=True)
class InjectedPlanes(Planes):
    """The reads of a file with events added.

    Attributes
    ----------
    signal : Signal
        What is added.
    full : float
        Where a pixel is full and stays so [DN]; ``inf`` for nowhere.
    whole : bool
        The file holds whole numbers, and so do sums.
    reads : ndarray of int
        Read of the exposure that each plane is.
    """

    signal: Signal
    full: float
    whole: bool
    reads: np.ndarray

    def select(self, reads: slice | np.ndarray) -> InjectedPlanes:
        """Return the planes of some reads only; a pixel then saturates by these alone."""
        some = super().select(reads)
        return InjectedPlanes(**vars(some) | {"reads": self.reads[reads]})

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as float32 (T, rows, cols) [DN]."""
        data = super().read(rows, cols)
        here = self.signal.window(rows, cols, self.shape)
        _add(data, self.reads, *here)
        _settle(data, self.reads, here.row, here.col, here.read, np.float32(self.full), self.whole)
        return data


@njit(nogil=True, cache=True)
def _add(data, reads, row, col, read, amount):
    """Add each entry to its pixel, from its read on."""
    for k in range(len(row)):
        for t in range(len(reads)):
            if reads[t] >= read[k]:
                data[t, row[k], col[k]] += amount[k]


@njit(nogil=True, cache=True)
def _settle(data, reads, row, col, read, limit, whole):
    """Round changed values and keep saturated reads saturated; idempotent."""
    for k in range(len(row)):
        filled = False
        for t in range(len(reads)):
            if reads[t] >= read[k]:
                value = data[t, row[k], col[k]]
                if whole:
                    value = np.rint(value)
                filled |= value >= limit
                data[t, row[k], col[k]] = limit if filled else value


def with_events(ramp: Ramp, events: Sequence[TrueEvent]) -> Ramp:
    """Return a ramp with events added to its reads.

    Parameters
    ----------
    ramp : Ramp
        The exposure; nothing of it is changed or written.
    events : sequence of TrueEvent
        In the orientation of the file, with charges in electrons and their gain.
    """
    planes = ramp.planes
    whole = planes.dtype.kind in "iu" and planes.scale is None
    full = ramp.facts.saturation
    # Sums of whole numbers are never just below the limit.
    full = float(np.ceil(full)) if whole and np.isfinite(full) else full
    reads = np.arange(len(planes))
    injected = InjectedPlanes(
        **vars(planes), signal=signal_of(events), full=full, whole=whole, reads=reads
    )
    return replace(ramp, planes=injected)
