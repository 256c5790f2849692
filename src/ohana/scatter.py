"""Differences of each pixel, summed up robustly: what noise and rate are measured from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

#: Differences further than this from the median, in sigma, are left out as events.
CLIP = 5.0
#: Differences used for the median: enough to tell the bulk from the events.
SAMPLE = 31
#: With fewer differences than this a pixel's own spread cannot tell noise from an event.
FEW = 5
#: A most deviant difference beyond this, in sigma, is no part of the rate either.
DEVIANT = 4.0
#: Pixels summed up together, so that their sums stay in the cache.
WIDTH = 1024


class Scatter(NamedTuple):
    """Sums over the differences of each pixel, arrays of one shape.

    Attributes
    ----------
    count : ndarray
        Differences that are not events.
    rate : ndarray
        Their mean [DN per frame time], the most deviant one left out if it stands out.
    square : ndarray
        Their mean square about the mean [DN^2].
    trimmed : ndarray
        The same without the most deviant difference of all, so that a hit too small to be left
        out as an event does not count as noise.
    largest, scatter : ndarray
        Largest difference above the median one [DN], and mean square of all about it [DN^2].
    """

    count: np.ndarray  # type: ignore[assignment]
    rate: np.ndarray
    square: np.ndarray
    trimmed: np.ndarray
    largest: np.ndarray
    scatter: np.ndarray


@njit(nogil=True, cache=True, error_model="numpy")
def _sort_columns(values, count):
    """Sort the first ``count`` values of each column in place: all columns go the same way.

    Odd-even merge sort (Batcher 1968, AFIPS 32, 307), whose comparisons do not depend on the data.
    """
    p = 1
    while p < count:
        k = p
        while k >= 1:
            for j in range(k % p, count - k, 2 * k):
                for i in range(j, min(j + k, count - k)):
                    if i // (2 * p) == (i + k) // (2 * p):
                        low, high = values[i], values[i + k]
                        for c in range(low.size):
                            a, b = low[c], high[c]
                            low[c] = a if a < b else b
                            high[c] = b if a < b else a
            k //= 2
        p *= 2


@njit(nogil=True, cache=True, error_model="numpy")
def _median_and_spread(values, count):
    """Median and median deviation of the first ``count`` of some sorted values."""
    # Events only add charge: of an even number the lower middle is the safer one.
    middle, half = values[(count - 1) // 2], count // 2
    deviation = np.float32(np.inf)
    # Half of the values lie within the narrowest such interval around the median.
    for i in range(count - half):
        deviation = min(deviation, max(middle - values[i], values[i + half] - middle))
    return middle, deviation


@njit(nogil=True, cache=True, error_model="numpy")
def rough_kernel(data, stop, dt, centre, spread):
    """Median and scaled median deviation of the differences per frame time of (T, n) reads."""
    reads, n = data.shape
    stride, none, one = max(1, (reads - 1) // SAMPLE), np.float32(0), np.float32(1)
    chosen = np.empty((2 * SAMPLE + 1, WIDTH // 8), np.float32)
    used = np.empty(WIDTH // 8, np.float32)
    for start in range(0, n, WIDTH // 8):
        part = slice(start, min(start + WIDTH // 8, n))
        last, count = stop[part], 0
        values = chosen[:, : last.size]
        used[:] = none
        for f in range(stride, reads, stride):
            now, before, row, length = data[f, part], data[f - 1, part], values[count], dt[f - 1]
            for i in range(last.size):
                row[i] = (now[i] - before[i]) / length
            for i in range(last.size):
                good = row[i] - row[i] == none and f < last[i]
                row[i] = row[i] if good else np.float32(np.inf)
                used[i] += one if good else none
            count += 1
        _sort_columns(values, count)
        for i in range(last.size):
            centre[start + i], spread[start + i] = np.nan, np.nan
            if used[i] > none:
                middle, deviation = _median_and_spread(values[:, i], int(used[i]))
                centre[start + i], spread[start + i] = middle, np.float32(1.4826) * deviation


@njit(nogil=True, cache=True, error_model="numpy")
def clipped_kernel(data, stop, dt, centre, limit, sums):
    """Sum over differences ``d``, counted from the median so that no digits are lost; (8, n).

    Count, dt, d and d^2 of those within ``limit``, and the most deviant of them; count and d^2
    of all, and the largest. All float32; short loops, for the sake of vector instructions.
    """
    sums[:] = 0
    none, one = np.float32(0), np.float32(1)
    for start in range(0, data.shape[1], WIDTH):
        part = slice(start, min(start + WIDTH, data.shape[1]))
        middle, last, top = centre[part], stop[part], limit[part]
        count, time, total, square = sums[0, part], sums[1, part], sums[2, part], sums[3, part]
        deviant, used, everything = sums[4, part], sums[5, part], sums[6, part]
        largest = sums[7, part]
        excess, usable, good = np.empty_like(top), np.empty_like(top), np.empty_like(top)
        for f in range(1, data.shape[0]):
            length, now, before = dt[f - 1], data[f, part], data[f - 1, part]
            for i in range(middle.size):
                excess[i] = now[i] - before[i] - middle[i] * length
            for i in range(middle.size):
                there = excess[i] - excess[i] == none and f < last[i]
                usable[i] = one if there else none
                excess[i] = excess[i] if there else none
            for i in range(middle.size):
                good[i] = usable[i] if abs(excess[i]) <= top[i] * length else none
            for i in range(middle.size):
                count[i] += good[i]
                time[i] += good[i] * length
            for i in range(middle.size):
                total[i] += good[i] * excess[i]
                square[i] += good[i] * excess[i] * excess[i]
            for i in range(middle.size):
                value = good[i] * excess[i]
                deviant[i] = value if abs(value) > abs(deviant[i]) else deviant[i]
            for i in range(middle.size):
                used[i] += usable[i]
                everything[i] += excess[i] * excess[i]
            for i in range(middle.size):
                largest[i] = max(largest[i], excess[i])


def sum_differences(data: np.ndarray, stop: np.ndarray, dt: np.ndarray) -> Scatter:
    """Sum up the differences of a block (T, R, W) with ``stop`` (R, W); results are (R, W)."""
    ramps, last = data.reshape(len(data), -1), np.ascontiguousarray(stop).ravel()
    centre, spread = np.empty((2, last.size), np.float32)
    dt = dt.astype(np.float32)
    rough_kernel(ramps, last, dt, centre, spread)
    known = np.isfinite(spread)
    typical = np.median(spread[known]) if known.any() else np.nan
    # The median deviation of a few values comes out low: be generous, and equal for all.
    scale = (
        np.fmax(spread, typical) if len(dt) >= FEW else np.full(last.size, 2 * typical, np.float32)
    )
    sums = np.empty((8, last.size), np.float32)
    clipped_kernel(ramps, last, dt, centre, np.float32(CLIP) * scale, sums)
    sums = sums.astype(np.float64)
    count, time, total, square, deviant, used, everything, largest = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where an event was left out already, the most deviant of all differences is gone.
        less = np.where(used > count, 0.0, 1.0)
        rest, left = total - less * deviant, count - less
        trimmed = (square - less * deviant**2 - rest**2 / left) / left
        stands_out = (left >= FEW) & (np.abs(deviant) > DEVIANT * np.sqrt(trimmed))
        mean = np.where(stands_out, rest / (time - less * time / count), total / time)
        rate = np.where(count > 1, centre + np.where(np.isfinite(mean), mean, 0.0), centre)
        plain = (square - total**2 / count) / count
    found = Scatter(count, rate, plain, trimmed, largest, everything / np.maximum(used, 1))
    return Scatter(*(values.reshape(stop.shape) for values in found))
