"""Row blocks of a ramp, corrected and masked: what stages 3 to 5 work on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import ndimage

from ohana.ramp import DO_NOT_USE, SATURATED, Planes, Ramp, RampBlock
from ohana.rampfit.tuning import TUNING
from ohana.refpix.correction import Reference, subtract

# Compiled loops take constants of a module.
_MAX_SLOW_RISE, _MAX_LONE_SATURATED = TUNING.max_slow_rise, TUNING.max_lone_saturated


class Corrected(NamedTuple):
    """Reads 1 to T - 1 that were corrected before, with first usable and first saturated read."""

    planes: Planes
    first: np.ndarray
    stop: np.ndarray


class CorrectedRamp(NamedTuple):
    """A ramp and the correction its blocks need, or its reads as corrected before."""

    ramp: Ramp
    reference: Reference | None = None
    corrected: Corrected | None = None


@njit(nogil=True, cache=True)
def _first_saturated(data, limit, stop):
    """Set ``stop`` (R, W) to the first read at or above ``limit`` where that comes earlier."""
    for t in range(data.shape[0] - 1, -1, -1):
        for r in range(data.shape[1]):
            plane, row = data[t, r], stop[r]
            for c in range(plane.size):
                row[c] = t if plane[c] >= limit else row[c]


@njit(nogil=True, cache=True)
def _filling(data, stop, crowd, averaged, dt):
    """Return the first saturated read of pixels that fill up slowly, T for all others (R, W).

    Rises count per time, ``dt`` (T - 1,) from read to read. Charge that arrives within the
    frames of an averaged read raises two reads: there the rise before that counts as well.

    A pixel saturated in read 1 has no earlier rise to compare with: alone, or nearly, it is
    taken for a hot one, among others for the core of an event. ``crowd`` (R, W) counts the
    pixels of the 3 x 3 around each that are saturated by read 1.
    """
    reads, rows, cols = data.shape
    filled = np.full(stop.shape, reads, np.int32)
    for r in range(rows):
        for c in range(cols):
            s = stop[r, c]
            if 2 <= s < reads:
                rise = (data[s, r, c] - data[s - 1, r, c]) / dt[s - 1]
                before = (data[s - 1, r, c] - data[s - 2, r, c]) / dt[s - 2]
                if averaged and s > 2:
                    before = min(before, (data[s - 2, r, c] - data[s - 3, r, c]) / dt[s - 3])
                if rise <= _MAX_SLOW_RISE * before:
                    filled[r, c] = s
            elif s == 1 and crowd[r, c] <= _MAX_LONE_SATURATED:
                filled[r, c] = s
    return filled


@njit(nogil=True, cache=True)
def _zero_first(data, stop, first):
    """Subtract the first usable read of each pixel, and note which it was."""
    reads, rows, cols = data.shape
    base = np.empty(cols, data.dtype)
    for r in range(rows):
        for c in range(cols):
            first[r, c] = reads
            base[c] = 0.0
            for t in range(stop[r, c]):
                if data[t, r, c] == data[t, r, c]:
                    first[r, c] = t
                    base[c] = data[t, r, c]
                    break
        for t in range(reads):
            plane = data[t, r]
            for c in range(cols):
                plane[c] -= base[c]


def load_block(
    source: CorrectedRamp, rows: slice, cols: slice = slice(None)
) -> tuple[RampBlock, np.ndarray]:
    """Read a window of all reads, corrected by reference pixels, first usable read at zero.

    A ramp stops where it saturates, and also where one of its eight neighbours has slowly
    filled up: from then on that one's charge spills over.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and correction.
    rows, cols : slice
        Window in the orientation of the file. Neighbours beyond its columns do not count.

    Returns
    -------
    block : RampBlock
        Reads [DN]; flagged and non-finite ones are NaN, those not to be used are marked by
        ``stop``.
    first : ndarray of int32, shape (rows, cols)
        First usable read; T where there is none.
    """
    ramp, reference, corrected = source
    if corrected is not None:
        return _load_corrected(corrected, rows, cols)
    block = _load_raw(ramp, rows, cols)
    stop = np.minimum(block.stop, _spilling(ramp, block, rows, cols))
    if reference is not None:
        subtract(block.data, reference, rows, cols)
    first = np.empty_like(stop)
    _zero_first(block.data, stop, first)
    return RampBlock(block.data, stop), first


def _spilling(ramp: Ramp, block: RampBlock, rows: slice, cols: slice) -> np.ndarray:
    """Return the first read in which a pixel or a neighbour has slowly filled up, else T."""
    top, bottom, _ = rows.indices(ramp.shape[1])
    # Two rows more on either side: neighbours, and what is around these.
    above = _load_raw(ramp, slice(max(top - 2, 0), top), cols)
    below = _load_raw(ramp, slice(bottom, bottom + 2), cols)
    parts = (above, block, below)
    full = np.concatenate([part.stop for part in parts]) <= 1
    crowd = ndimage.correlate(full.astype(np.int8), np.ones((3, 3), np.int8), mode="constant")
    cuts = np.cumsum([len(part.stop) for part in parts])[:-1]
    averaged, dt = ramp.facts.nframes > 1, np.diff(ramp.times)
    filled = [
        _filling(*part, near, averaged, dt)
        for part, near in zip(parts, np.split(crowd, cuts), strict=True)
    ]
    return np.split(ndimage.minimum_filter(np.concatenate(filled), 3), cuts)[1]


def _load_raw(ramp: Ramp, rows: slice, cols: slice) -> RampBlock:
    """Read a window of all reads, saturation and flags taken into account."""
    data = ramp.planes.read(rows, cols)
    stop = np.full(data.shape[1:], len(data), np.int32)
    if np.isfinite(ramp.facts.saturation):
        _first_saturated(data, np.float32(ramp.facts.saturation), stop)
    if ramp.flags is not None:
        flags = ramp.flags.read_stored(rows, cols)
        data[flags & DO_NOT_USE > 0] = np.nan
        saturated = flags & SATURATED > 0
        stop = np.where(saturated.any(0), np.minimum(saturated.argmax(0), stop), stop)
    if ramp.bad_pixels is not None:
        data[:, ramp.bad_pixels[rows, cols]] = np.nan
    return RampBlock(data, stop.astype(np.int32))


def _load_corrected(corrected: Corrected, rows: slice, cols: slice) -> tuple[RampBlock, np.ndarray]:
    """Give what `load_block` gave when the corrected reads were written."""
    first, stop = corrected.first[rows, cols].copy(), corrected.stop[rows, cols].copy()
    later = corrected.planes.read(rows, cols)
    # Read 0 is the zero of all others, unless it could not be used.
    zero = np.where((first > 0) & (stop > 0), np.float32(np.nan), np.float32(0))
    return RampBlock(np.concatenate([zero[None], later]), stop), first
