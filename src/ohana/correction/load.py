"""Row blocks of a ramp, corrected and masked: the input of all later stages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import ndimage

from ohana.correction.model import Shared, subtract_shared
from ohana.correction.shapes import subtract_shapes
from ohana.ramp import DO_NOT_USE, SATURATED, Planes, Ramp, RampBlock
from ohana.rampfit.tuning import TUNING
from ohana.raw.missing import find_missing, has_runs
from ohana.raw.resets import join_at_resets
from ohana.raw.tuning import TUNING as READ
from ohana.refpix.correction import Reference, subtract

# Compiled loops take constants of a module.
_MAX_SLOW_RISE, _MAX_LONE_SATURATED = TUNING.max_slow_rise, TUNING.max_lone_saturated
_MAX_LONE_RAIL, _LEAST_RAIL_JUMP = READ.max_lone_rail, READ.least_rail_jump
_COME_BACK = READ.come_back


class Corrected(NamedTuple):
    """Reads 1 to T - 1 of an earlier correction, with first usable and first saturated read."""

    planes: Planes
    first_usable: np.ndarray
    first_saturated: np.ndarray


class CorrectedRamp(NamedTuple):
    """A ramp with the corrections to apply to its blocks, or with its reads already corrected."""

    ramp: Ramp
    reference: Reference | None = None
    corrected: Corrected | None = None
    shared: Shared | None = None


@njit(nogil=True, cache=True)
def _mark_saturated(data, limit, first_saturated):
    """Lower ``first_saturated`` (R, W) to the first read at or above ``limit``, in place."""
    for t in range(data.shape[0] - 1, -1, -1):
        for r in range(data.shape[1]):
            plane, row = data[t, r], first_saturated[r]
            for c in range(plane.size):
                row[c] = t if plane[c] >= limit else row[c]


@njit(nogil=True, cache=True)
def _blank_lone_rails(data, limit, first_saturated):
    """Set reads at the limit to NaN where the pixel comes back at once, in place.

    Saturated pixels stay where they are; those of a wrong bit, or of a lost packet, do not.
    """
    reads = data.shape[0]
    for r in range(data.shape[1]):
        for c in range(data.shape[2]):
            s = first_saturated[r, c]
            while s < reads:
                b = s + 1
                while b < reads and data[b, r, c] >= limit:
                    b += 1
                before = data[s - 1, r, c] if s else data[min(b, reads - 1), r, c]
                jump = data[s, r, c] - before
                comes_back = b < reads and data[b, r, c] - before < (1 - _COME_BACK) * jump
                if not comes_back or b - s > _MAX_LONE_RAIL or jump < _LEAST_RAIL_JUMP * limit:
                    break
                data[s:b, r, c] = np.nan
                s = b
                while s < reads and not data[s, r, c] >= limit:
                    s += 1
            first_saturated[r, c] = s


@njit(nogil=True, cache=True)
def _slowly_saturated(data, first_saturated, crowd, averaged, dt):
    """Return the first saturated read of pixels that saturate slowly, T for all others (R, W).

    Rises are compared per unit of time, ``dt`` (T - 1,) from read to read. Charge that arrives
    within the frames of an averaged read raises two reads: the rise before these is compared too.

    A pixel saturated in read 1 has no earlier rise. It counts as hot if it is alone, or nearly,
    and else as part of the core of an event: ``crowd`` (R, W) is the number of pixels saturated
    by read 1 in the 3 x 3 pixels around each.
    """
    reads, rows, cols = data.shape
    filled = np.full(first_saturated.shape, reads, np.int32)
    for r in range(rows):
        for c in range(cols):
            s = first_saturated[r, c]
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
def _subtract_first(data, first_saturated, first_usable):
    """Subtract the first usable read of each pixel, and fill in which read that is."""
    reads, rows, cols = data.shape
    base = np.empty(cols, data.dtype)
    for r in range(rows):
        for c in range(cols):
            first_usable[r, c] = reads
            base[c] = 0.0
            for t in range(first_saturated[r, c]):
                if data[t, r, c] == data[t, r, c]:
                    first_usable[r, c] = t
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

    A ramp ends where it saturates, and also where one of its eight neighbours has slowly
    saturated: from then on the charge of that neighbour spills over. What a reset divides is
    joined again.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and correction.
    rows, cols : slice
        Window in the orientation of the file. Neighbours beyond its columns are ignored.

    Returns
    -------
    block : RampBlock
        Reads [DN], NaN where flagged, missing or not finite; none is usable from ``stop`` on.
    first_usable : ndarray of int32, shape (rows, cols)
        First usable read; T where there is none.
    """
    return load_with_missing(source, rows, cols)[:2]


def load_with_missing(
    source: CorrectedRamp, rows: slice, cols: slice = slice(None)
) -> tuple[RampBlock, np.ndarray, np.ndarray]:
    """Return what `load_block` does, and what is missing there.

    The latter is that of `ohana.raw.missing.find_missing`, its rows those of the array; nothing
    is known of it where the reads were corrected before.
    """
    ramp, reference, corrected, shared = source
    if corrected is not None:
        return *_load_corrected(corrected, rows, cols), np.empty((0, 5), np.int32)
    block, missing = _load_raw(ramp, rows, cols)
    first_saturated = np.minimum(block.stop, _spilling(ramp, block, rows, cols))
    if reference is not None:
        subtract(block.data, reference, rows, cols)
    if ramp.resets:
        join_at_resets(block.data, first_saturated, ramp.times, np.array(ramp.resets))
    if shared is not None:
        subtract_shared(block.data, shared, rows, cols)
        subtract_shapes(block.data, first_saturated, shared)
    first_usable = np.empty_like(first_saturated)
    _subtract_first(block.data, first_saturated, first_usable)
    missing[:, 1] += rows.indices(ramp.shape[1])[0]
    return RampBlock(block.data, first_saturated), first_usable, missing


def without_gaps(data: np.ndarray, lost: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return reads (T, R, W) in which those that are lost lie between their neighbours.

    With `ohana.rampfit.covariance.without_weight` they carry no weight, and what happened
    while they are missing is found as a step between the reads around them.
    """
    data, there = data.copy(), np.flatnonzero(~lost)
    for t in np.flatnonzero(lost):
        after = there[np.searchsorted(there, t)]
        before = there[np.searchsorted(there, t) - 1]
        share = np.float32((times[t] - times[before]) / (times[after] - times[before]))
        data[t] = data[before] * (1 - share) + data[after] * share
    return data


def _spilling(ramp: Ramp, block: RampBlock, rows: slice, cols: slice) -> np.ndarray:
    """Return the first read in which a pixel or a neighbour has slowly saturated, else T."""
    top, bottom, _ = rows.indices(ramp.shape[1])
    # Two more rows on either side: neighbours, and the neighbours of these.
    above, _ = _load_raw(ramp, slice(max(top - 2, 0), top), cols)
    below, _ = _load_raw(ramp, slice(bottom, bottom + 2), cols)
    parts = (above, block, below)
    full = np.concatenate([part.stop for part in parts]) <= 1
    crowd = ndimage.correlate(full.astype(np.int8), np.ones((3, 3), np.int8), mode="constant")
    cuts = np.cumsum([len(part.stop) for part in parts])[:-1]
    averaged, dt = ramp.facts.nframes > 1, np.diff(ramp.times)
    filled = [
        _slowly_saturated(*part, near, averaged, dt)
        for part, near in zip(parts, np.split(crowd, cuts), strict=True)
    ]
    return np.split(ndimage.minimum_filter(np.concatenate(filled), 3), cuts)[1]


def _load_raw(ramp: Ramp, rows: slice, cols: slice) -> tuple[RampBlock, np.ndarray]:
    """Read a window of all reads, saturation, flags and missing data taken into account.

    Also returns what is missing, rows relative to the window.
    """
    data, missing = _without_missing(ramp, rows, cols)
    first_saturated = np.full(data.shape[1:], len(data), np.int32)
    if np.isfinite(ramp.facts.saturation):
        limit = np.float32(ramp.facts.saturation)
        _mark_saturated(data, limit, first_saturated)
        _blank_lone_rails(data, limit, first_saturated)
    if ramp.flags is not None:
        flags = ramp.flags.read_stored(rows, cols)
        data[flags & DO_NOT_USE > 0] = np.nan
        saturated = flags & SATURATED > 0
        flagged = np.where(saturated.any(0), saturated.argmax(0), len(data))
        first_saturated = np.minimum(first_saturated, flagged)
    if ramp.bad_pixels is not None:
        data[:, ramp.bad_pixels[rows, cols]] = np.nan
    data[list(ramp.resets)] = np.nan
    return RampBlock(data, first_saturated.astype(np.int32)), missing


def _without_missing(ramp: Ramp, rows: slice, cols: slice) -> tuple[np.ndarray, np.ndarray]:
    """Read a window of all reads, NaN where data is missing, and return what is.

    Whole rows are looked at, so that the result does not depend on the window.
    """
    left, right, step = cols.indices(ramp.shape[2])
    # Runs reach into a window from either side; beside it this much decides if there are any.
    wide = slice(max(left - READ.run, 0), right + READ.run)
    inside = slice(left - wide.start, right - wide.start, step)
    data = ramp.planes.read(rows, wide)
    if data.shape[2] < ramp.shape[2]:
        if not has_runs(data, ramp.facts.saturation):
            return np.ascontiguousarray(data[:, :, inside]), np.empty((0, 5), np.int32)
        data, inside = ramp.planes.read(rows), cols
    missing = find_missing(data, ramp.facts.saturation)
    return np.ascontiguousarray(data[:, :, inside]), missing


def _load_corrected(corrected: Corrected, rows: slice, cols: slice) -> tuple[RampBlock, np.ndarray]:
    """Return what `load_block` returned when the corrected reads were written."""
    first_usable = corrected.first_usable[rows, cols].copy()
    first_saturated = corrected.first_saturated[rows, cols].copy()
    later = corrected.planes.read(rows, cols)
    # All reads are relative to read 0, unless that was not usable.
    zero = np.where((first_usable > 0) & (first_saturated > 0), np.float32(np.nan), np.float32(0))
    return RampBlock(np.concatenate([zero[None], later]), first_saturated), first_usable
