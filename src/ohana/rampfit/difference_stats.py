"""Robust sums over the differences of each pixel, from which noise and rate are measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.rampfit.tuning import TUNING

#: Pixels summed up together, so that their sums stay in the cache.
WIDTH = 1024
# Compiled loops take constants of a module.
_SAMPLE = TUNING.median_sample


class DifferenceStats(NamedTuple):
    """Sums over the differences of each pixel, arrays of one shape.

    Attributes
    ----------
    count : ndarray
        Differences that are not events.
    rate : ndarray
        Their slope [DN per frame time], without the most deviant one if that is an outlier.
    square : ndarray
        Their mean square about the slope [DN^2], each over the square of its weight.
    trimmed : ndarray
        The same without the most deviant difference of all, so that a hit too small to be
        excluded as an event does not count as noise.
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
    """Sort the first ``count`` values of each column in place.

    Odd-even merge sort (Batcher 1968, AFIPS 32, 307): the same comparisons in all columns.
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
    # Events only add charge: of an even number the lower of the two middle values is safer.
    middle, half = values[(count - 1) // 2], count // 2
    deviation = np.float32(np.inf)
    # Half of the values lie within the narrowest such interval around the median.
    for i in range(count - half):
        deviation = min(deviation, max(middle - values[i], values[i + half] - middle))
    return middle, deviation


@njit(nogil=True, cache=True, error_model="numpy")
def rough_kernel(data, first_saturated, dt, width, base, centre, spread):
    """Median and scaled median deviation of the differences of (T, n) reads, over ``width``.

    ``base`` (n,) per frame time is subtracted first, unless it is empty.
    """
    reads, n = data.shape
    stride, none, one = max(1, (reads - 1) // _SAMPLE), np.float32(0), np.float32(1)
    chosen = np.empty((2 * _SAMPLE + 1, WIDTH // 8), np.float32)
    used = np.empty(WIDTH // 8, np.float32)
    for start in range(0, n, WIDTH // 8):
        part = slice(start, min(start + WIDTH // 8, n))
        last, count = first_saturated[part], 0
        values = chosen[:, : last.size]
        used[:] = none
        for f in range(stride, reads, stride):
            now, before, row, length = data[f, part], data[f - 1, part], values[count], dt[f - 1]
            if base.size:
                rate = base[part]
                for i in range(last.size):
                    row[i] = (now[i] - before[i] - rate[i] * length) / width[f - 1]
            else:
                for i in range(last.size):
                    row[i] = (now[i] - before[i]) / width[f - 1]
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
def clipped_kernel(data, first_saturated, dt, weight, may_split, centre, limit, sums):
    """Sum over differences ``d``, the median subtracted so that no digits are lost; (12, n).

    With ``z = d / weight`` and ``l = dt / weight``: count, l^2, z l and z^2 of those with z within
    ``limit``, and the most deviant z of them; count and d^2 of all, and the largest d. Unless
    ``may_split`` (T,) is empty, also l of the most deviant; and z^2, z l and l^2 of the two
    differences that deviate most together, of a read that it marks and the next. All float32, in
    short loops for the sake of vector instructions.
    """
    sums[:] = 0
    none, one = np.float32(0), np.float32(1)
    for start in range(0, data.shape[1], WIDTH):
        part = slice(start, min(start + WIDTH, data.shape[1]))
        middle, last, top = centre[part], first_saturated[part], limit[part]
        count, line, total, square = sums[0, part], sums[1, part], sums[2, part], sums[3, part]
        deviant, used, everything = sums[4, part], sums[5, part], sums[6, part]
        largest, its_arm = sums[7, part], sums[8, part]
        pair_square, pair_total, pair_line = sums[9, part], sums[10, part], sums[11, part]
        excess, usable, good = np.empty_like(top), np.empty_like(top), np.empty_like(top)
        last_one = np.zeros_like(top)
        for f in range(1, data.shape[0]):
            length, now, before = dt[f - 1], data[f, part], data[f - 1, part]
            scale = one / weight[f - 1]
            lever, arm = scale * scale * length, scale * length
            for i in range(middle.size):
                excess[i] = now[i] - before[i] - middle[i] * length
            for i in range(middle.size):
                there = excess[i] - excess[i] == none and f < last[i]
                usable[i] = one if there else none
                excess[i] = excess[i] if there else none
            for i in range(middle.size):
                good[i] = usable[i] if abs(excess[i]) * scale <= top[i] else none
            for i in range(middle.size):
                count[i] += good[i]
                line[i] += good[i] * (arm * arm)
            for i in range(middle.size):
                total[i] += good[i] * excess[i] * lever
                square[i] += good[i] * (excess[i] * scale) * (excess[i] * scale)
            for i in range(middle.size):
                value = good[i] * excess[i] * scale
                deviant[i] = value if abs(value) > abs(deviant[i]) else deviant[i]
            if may_split.size:
                split, arm_before = may_split[f - 1], dt[max(f - 2, 0)] / weight[max(f - 2, 0)]
                for i in range(middle.size):
                    value, before = good[i] * excess[i] * scale, last_one[i]
                    its_arm[i] = arm if value == deviant[i] and value != none else its_arm[i]
                    both = value * value + before * before
                    if split and value * before > none and both > pair_square[i]:
                        pair_square[i] = both
                        pair_total[i] = value * arm + before * arm_before
                        pair_line[i] = arm * arm + arm_before * arm_before
                    last_one[i] = value
            for i in range(middle.size):
                used[i] += usable[i]
                everything[i] += excess[i] * excess[i]
            for i in range(middle.size):
                largest[i] = max(largest[i], excess[i])


def difference_stats(
    data: np.ndarray,
    first_saturated: np.ndarray,
    dt: np.ndarray,
    weight: np.ndarray,
    may_split: np.ndarray,
) -> DifferenceStats:
    """Sum up the differences of a block (T, R, W) up to ``first_saturated`` (R, W), as (R, W).

    ``dt`` (T - 1,) are the frame times between reads, ``weight`` (T - 1,) the expected noise of
    each difference relative to the others. ``may_split`` (T,) are the reads that may split a jump
    with the next, see `ohana.rampfit.covariance.may_split_jump`: there two are excluded.
    """
    ramps, last = data.reshape(len(data), -1), np.ascontiguousarray(first_saturated).ravel()
    dt, weight = dt.astype(np.float32), weight.astype(np.float32)
    centre, spread = _rough(ramps, last, dt, weight)
    known = np.isfinite(spread)
    typical = np.median(spread[known]) if known.any() else np.nan
    # The median deviation of a few values is too low: one generous spread for all pixels.
    scale = (
        np.fmax(spread, typical)
        if len(dt) >= TUNING.min_differences
        else np.full(last.size, TUNING.few_spread * typical, np.float32)
    )
    sums = np.empty((12, last.size), np.float32)
    even = not may_split.any() and _all_alike(dt)
    may_split = may_split[:0] if even else may_split
    clipped_kernel(
        ramps, last, dt, weight, may_split, centre, np.float32(TUNING.clip) * scale, sums
    )
    sums = sums.astype(np.float64)
    count, line, total, square, deviant, used, everything, largest = sums[:8]
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where an event was excluded already, the most deviant of all differences is gone.
        less = np.where(used > count, 0.0, 1.0)
        if even:
            arm = np.sqrt(line / count)
            gone_square, gone, gone_line = less * deviant**2, less * deviant * arm, less * arm**2
        else:
            less, gone_square, gone, gone_line = _most_deviant(sums, bool(may_split.any()))
        rest, left, rest_line = total - gone, count - less, line - gone_line
        trimmed = (square - gone_square - rest**2 / rest_line) / left
        stands_out = np.abs(deviant) > TUNING.max_deviant * np.sqrt(trimmed)
        stands_out &= left >= TUNING.min_differences
        mean = np.where(stands_out, rest / rest_line, total / line)
        rate = np.where(count > 1, centre + np.where(np.isfinite(mean), mean, 0.0), centre)
        plain = (square - total**2 / line) / count
    found = DifferenceStats(count, rate, plain, trimmed, largest, everything / np.maximum(used, 1))
    return DifferenceStats(*(values.reshape(first_saturated.shape) for values in found))


def _rough(
    ramps: np.ndarray, last: np.ndarray, dt: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Median difference per frame time, and the spread of differences over their weights."""
    centre, spread = np.empty((2, last.size), np.float32)
    rough_kernel(ramps, last, dt, dt, np.empty(0, np.float32), centre, spread)
    if _all_alike(dt) and _all_alike(weight):
        return centre, spread * (dt[0] / weight[0])
    # Differences of unequal noise or length: the spread is that about the rate.
    rough_kernel(ramps, last, dt, weight, centre, np.empty_like(centre), spread)
    return centre, spread


def _all_alike(values: np.ndarray) -> bool:
    """Return whether single-precision values are equal but for rounding."""
    return bool(np.ptp(values) <= 1e-5 * values.max())


def _most_deviant(
    sums: np.ndarray, may_split: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the number of differences to exclude besides those clipped; their z^2, z l and l^2.

    ``sums`` are those of `clipped_kernel`. A hit split between two differences excludes both.
    """
    count, deviant, used, arm, pair = sums[0], sums[4], sums[5], sums[8], sums[9:]
    most = np.where((count > TUNING.min_differences) & (pair[0] > 0) & may_split, 2, 1)
    less = np.clip(most - (used - count), 0, 2)
    one = np.stack([deviant**2, deviant * arm, arm**2])
    return less, *np.where(less == 2, pair, np.where(less == 1, one, 0.0))
