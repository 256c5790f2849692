"""Resets in the middle of a ramp: found in some rows, and the parts of a ramp joined again.

All pixels fall back to where they began and rise again. The read of the reset has no value, since
the charge before and after it cannot be compared; both parts of the ramp are searched.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit

from ohana.ramp import Ramp
from ohana.raw.missing import find_missing
from ohana.raw.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD

#: Differences further than this from the median are steps [scaled median deviations]. Chosen.
CLIP = 5.0


def with_resets(ramp: Ramp) -> Ramp:
    """Return the ramp with the reads in which its detector was reset, and a notice of each."""
    resets = find_resets(_sample(ramp), ramp.times)
    if not resets:
        return ramp
    notes = tuple(
        f"read {read}: all pixels fall to their level of the first read, taken for a reset; the "
        "reads before and after it are searched"
        for read in resets
    )
    return replace(ramp, resets=resets, notes=(*ramp.notes, *notes))


def _sample(ramp: Ramp) -> np.ndarray:
    """Return all reads of some rows spread over the array, (T, n) [DN], NaN where unusable."""
    _, height, _ = ramp.shape
    border, count = ramp.facts.border, TUNING.reset_rows
    inside = np.arange(border, height - border) if height > 2 * border else np.arange(height)
    rows = np.unique(inside[(2 * np.arange(count) + 1) * len(inside) // (2 * count)])
    parts = [ramp.planes.read(slice(int(row), int(row) + 1)) for row in rows]
    data = np.concatenate(parts, axis=1)
    find_missing(data, ramp.facts.saturation)
    data[data >= ramp.facts.saturation] = np.nan
    data = data.reshape(len(data), -1)
    return data[:, :: max(data.shape[1] // TUNING.reset_sample, 1)]


def find_resets(reads: np.ndarray, times: np.ndarray) -> tuple[int, ...]:
    """Find the reads in which all pixels have lost the signal gathered up to then.

    Parameters
    ----------
    reads : ndarray, shape (T, n)
        Raw reads of n pixels [DN], NaN where unusable.
    times : ndarray, shape (T,)
        Of the reads, in any unit.

    Returns
    -------
    tuple of int
        First read after each reset.

    Notes
    -----
    A signal that is lost again but came in a single read is an offset that jumps to and fro.
    """
    known = np.isfinite(reads).sum(axis=1) >= TUNING.reset_pixels
    if known.sum() < 5:
        return ()
    index = np.flatnonzero(known)
    reads, times = reads[index].astype(np.float64), times[index]
    with np.errstate(invalid="ignore"):
        change = np.diff(reads, axis=0)
        shared = np.array([_median(row) for row in change])
        away = np.abs(change - shared[:, None])
        sigma = SIGMA_OF_MAD * _median(away)
    begin, found = 0, []
    for t in range(3, len(index)):
        if (
            t - begin >= 3
            and shared[t - 1] < 0
            and _is_reset(reads, times, shared, sigma, begin, t)
        ):
            found.append(int(index[t]))
            begin = t
    return tuple(found)


def _is_reset(
    reads: np.ndarray, times: np.ndarray, shared: np.ndarray, sigma: float, begin: int, t: int
) -> bool:
    """Return whether read ``t`` has lost the signal since read ``begin``."""
    # Not from the read before the fall: its noise is part of the fall.
    signal = reads[t - 2] - reads[begin]
    signal *= (times[t - 1] - times[begin]) / (times[t - 2] - times[begin])
    rises = shared[begin : t - 1]
    if rises.max() > TUNING.max_shared_jump * rises.sum():
        return False
    bright = np.flatnonzero(signal > TUNING.reset_signal * sigma)
    bright = bright[np.isfinite(reads[t - 1 : t + 1, bright]).all(axis=0)]
    if len(bright) < TUNING.reset_pixels:
        return False
    low, high = TUNING.reset_range
    fall = np.median((reads[t - 1] - reads[t])[bright] / signal[bright])
    if not low < fall < high:
        return False
    if t + 1 == len(reads):
        return True
    back = _median((reads[t + 1] - reads[t])[bright] / signal[bright])
    return bool(back < TUNING.reset_return)


def _median(values: np.ndarray) -> float:
    """Return the median of the finite values, 0 without any."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0


@njit(nogil=True, cache=True)
def join_at_resets(data, stop, times, resets):
    """Shift what follows a reset so that each ramp (T, R, W) goes on with its rate, in place.

    Rate and shift are fitted to the reads before and after together, steps left out, up to the
    first saturated read ``stop`` (R, W).
    """
    reads, rows, cols = data.shape
    ramp, without = np.empty(reads), np.empty(reads)
    for r in range(rows):
        for c in range(cols):
            end = min(stop[r, c], reads)
            for t in range(reads):
                ramp[t] = data[t, r, c]
            _without_steps(ramp[:end], resets, without[:end])
            for i in range(len(resets)):
                first = resets[i - 1] if i else 0
                last = min(resets[i + 1], end) if i + 1 < len(resets) else end
                shift = _shift(without, times, first, resets[i], last)
                for t in range(resets[i], reads):
                    data[t, r, c] -= shift
                    without[t] -= shift


@njit(nogil=True, cache=True)
def _without_steps(ramp, resets, out):
    """Copy a ramp without differences far from the median one; resets stay."""
    reads, n = len(ramp), 0
    rise = np.full(max(reads, 1), np.nan)
    known = np.empty(max(reads, 1))
    for t in range(1, reads):
        rise[t] = ramp[t] - ramp[t - 1]
    for read in resets:
        if read < reads:
            rise[read] = np.nan
    for t in range(1, reads):
        if np.isfinite(rise[t]):
            known[n] = rise[t]
            n += 1
    middle = np.median(known[:n]) if n else 0.0
    spread = np.median(np.abs(known[:n] - middle)) if n else 0.0
    shift = 0.0
    for t in range(reads):
        if abs(rise[t] - middle) > CLIP * SIGMA_OF_MAD * spread:
            shift += rise[t] - middle
        out[t] = ramp[t] - shift


@njit(nogil=True, cache=True)
def _shift(ramp, times, first, reset, last):
    """Return the offset of reads ``reset`` to ``last`` from those from ``first`` on."""
    sums = np.zeros((2, 3))
    for t in range(first, last):
        if np.isfinite(ramp[t]):
            side = sums[1 if t >= reset else 0]
            side[0] += 1
            side[1] += times[t]
            side[2] += ramp[t]
    if sums[0, 0] == 0 or sums[1, 0] == 0:
        return 0.0
    line, product = 0.0, 0.0
    for t in range(first, last):
        if np.isfinite(ramp[t]):
            side = sums[1 if t >= reset else 0]
            away = times[t] - side[1] / side[0]
            line += away * away
            product += away * (ramp[t] - side[2] / side[0])
    rate = product / line if line > 0 else 0.0
    apart = sums[1, 1] / sums[1, 0] - sums[0, 1] / sums[0, 0]
    return sums[1, 2] / sums[1, 0] - sums[0, 2] / sums[0, 0] - rate * apart
