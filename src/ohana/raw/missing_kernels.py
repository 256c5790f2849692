"""Compiled loops that find values which are no data: constant and repeated runs of pixels."""

from __future__ import annotations

from math import log

import numpy as np
from numba import njit

from ohana.raw.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD

OPTIONS = {"nogil": True, "cache": True}
# Compiled loops take constants of a module.
_SAMPLE, _MAJORITY = TUNING.run_sample, TUNING.majority
_OFF_AND_BACK, _OFF_AT_AN_END = TUNING.off_and_back, TUNING.off_at_an_end
_RAMP_MARGIN, _COME_BACK = TUNING.ramp_margin, TUNING.come_back
_WIDE_RUN = TUNING.wide_run
_LOG_CHANCE = log(TUNING.repeat_chance)


@njit(**OPTIONS)
def find_runs(data, least, limit, runs):
    """Find runs along the rows of all reads (T, R, W) that are constant or equal the read before.

    Only every ``least / 2``-th pixel is looked at until two of these agree: no longer run hides
    between them. Values from ``limit`` on are no repeats. Fills ``runs`` (n, 5) with read, row,
    first column, the one behind the last and whether it is a repeat, as far as it reaches;
    returns their number.
    """
    reads, rows, cols = data.shape
    stride, count = max(least // 2, 1), 0
    for t in range(reads):
        for r in range(rows):
            line, before = data[t, r], data[max(t - 1, 0), r]
            skip_constant, skip_repeat = 0, 0 if t else cols
            for at in range(0, cols - stride, stride):
                if line[at] == line[at + stride] and at >= skip_constant:
                    first, last = _constant(line, at)
                    if last - first >= least:
                        count = _store(runs, count, t, r, first, last, 0)
                        skip_constant = last
                if line[at] == before[at] and line[at] < limit and at >= skip_repeat:
                    first, last = _repeated(line, before, at, limit)
                    if last - first >= least:
                        count = _store(runs, count, t, r, first, last, 1)
                        skip_repeat = last
    return count


@njit(**OPTIONS)
def _constant(line, at):
    """Return first and one behind the last pixel of a run of equal values."""
    first, last, value = at, at + 1, line[at]
    while last < len(line) and line[last] == value:
        last += 1
    while first > 0 and line[first - 1] == value:
        first -= 1
    return first, last


@njit(**OPTIONS)
def _repeated(line, before, at, limit):
    """Return first and one behind the last pixel of a run that equals the read before."""
    first, last = at, at
    while last < len(line) and line[last] == before[last] and line[last] < limit:
        last += 1
    while first > 0 and line[first - 1] == before[first - 1] and line[first - 1] < limit:
        first -= 1
    return first, last


@njit(**OPTIONS)
def _store(runs, count, t, r, first, last, repeat):
    """Store a run if there is room; returns their number."""
    if count < len(runs):
        run = runs[count]
        run[0], run[1], run[2], run[3], run[4] = t, r, first, last, repeat
    return count + 1


@njit(**OPTIONS)
def _usual_change(data, r, cols, value):
    """Return spread, median and least of the differences of some pixels of a row.

    Reads that repeat the read before are left out, and except for the least difference, which is
    the step of coarse numbers, those at ``value``.
    """
    reads = data.shape[0]
    step = max((reads - 1) // _SAMPLE, 1)
    one, slopes = np.empty((reads - 1) // step + 1), np.empty(len(cols))
    pooled = np.empty(len(cols) * len(one))
    number, known, smallest = 0, 0, np.inf
    for c in cols:
        n = 0
        for t in range(1, reads, step):
            now, before = data[t, r, c], data[t - 1, r, c]
            if not abs(now - before) > 0:
                continue
            smallest = min(smallest, abs(now - before))
            if now != value and before != value:
                one[n] = now - before
                n += 1
        if n:
            middle = np.median(one[:n])
            slopes[known] = abs(middle)
            known += 1
            for i in range(n):
                pooled[number] = abs(one[i] - middle)
                number += 1
    if not known:
        return 0.0, 0.0, smallest
    return SIGMA_OF_MAD * np.median(pooled[:number]), np.median(slopes[:known]), smallest


@njit(**OPTIONS)
def _departs(data, t, r, c, sigma, slope, may_rise):
    """Return whether the constant value of a pixel at read ``t`` cannot be part of its ramp.

    The read is compared with the last one before and the first one behind that differ. Charge
    never falls, so a fall may last to the end; a rise that lasts may be saturation.
    """
    reads, value = data.shape[0], data[t, r, c]
    a, b = t - 1, t + 1
    while a >= 0 and not (data[a, r, c] != value and data[a, r, c] == data[a, r, c]):
        a -= 1
    while b < reads and not (data[b, r, c] != value and data[b, r, c] == data[b, r, c]):
        b += 1
    if a < 0 and b == reads:
        return False
    if a < 0:
        away = abs(data[b, r, c] - value)
        return away > _OFF_AT_AN_END * sigma + _RAMP_MARGIN * slope * b
    before = data[a, r, c]
    if b == reads:
        if value < before:
            return before - value > _OFF_AND_BACK * sigma + _RAMP_MARGIN * slope
        return may_rise and value - before > _OFF_AT_AN_END * sigma + _RAMP_MARGIN * slope
    low, high = min(before, data[b, r, c]), max(before, data[b, r, c])
    if value < low:
        return low - value > _OFF_AND_BACK * sigma
    return value - high > max(_OFF_AND_BACK * sigma, _COME_BACK * (value - low))


@njit(**OPTIONS)
def _sampled(first, last):
    """Return some columns spread evenly over a run."""
    n = min(last - first, _SAMPLE)
    cols = np.empty(n, np.int64)
    for i in range(n):
        cols[i] = first + (2 * i + 1) * (last - first) // (2 * n)
    return cols


@njit(**OPTIONS)
def judge_runs(data, runs, lost):
    """Fill ``lost`` (n,) with which runs hold no data."""
    for i in range(len(runs)):
        t, r, first, last, repeat = runs[i]
        if repeat:
            lost[i] = _is_repeat(data, t, r, first, last)
        else:
            lost[i] = _is_off(data, t, r, first, last)


@njit(**OPTIONS)
def _is_off(data, t, r, first, last):
    """Return whether most pixels of a constant run leave their ramps in its read.

    A rise that lasts to the last read counts in runs that are wider than the core of any
    snowball: so many pixels do not saturate at once.
    """
    cols = _sampled(first, last)
    sigma, slope, least = _usual_change(data, r, cols, data[t, r, first])
    sigma = max(sigma, SIGMA_OF_MAD * least)
    width = data.shape[2]
    may_rise, away = last - first >= min(width, max(_WIDE_RUN, width // 2)), 0
    for c in cols:
        away += _departs(data, t, r, c, sigma, slope, may_rise)
    return away >= _MAJORITY * len(cols)


@njit(**OPTIONS)
def _jumped(data, t, r, cols):
    """Return whether a run that no longer changes from read ``t`` on has jumped there."""
    while t > 0:
        same = True
        for c in cols:
            same = same and data[t, r, c] == data[t - 1, r, c]
        if not same:
            break
        t -= 1
    sigma, slope, _ = _usual_change(data, r, cols, np.nan)
    jumps = 0
    for c in cols:
        rise = data[t, r, c] - data[max(t - 1, 0), r, c]
        jumps += rise > _OFF_AND_BACK * sigma + _RAMP_MARGIN * slope
    return sigma == 0.0 or jumps >= (1.0 - _MAJORITY) * len(cols)


@njit(**OPTIONS)
def _is_repeat(data, t, r, first, last):
    """Return whether a run equals the read before by more than chance.

    The chance is that of the same pixels in other reads. A run of equal neighbours is left to
    `_is_off`, and one that has jumped and then never changes again is saturated.
    """
    cols = _sampled(first, last)
    equal, total, alike, lasts = 0, 0, 0, True
    for c in cols:
        alike += data[t, r, c] == data[t, r, max(c - 1, first)]
    for u in range(1, data.shape[0]):
        same = 0
        for c in cols:
            same += data[u, r, c] == data[u - 1, r, c]
        lasts = lasts and (u < t or same == len(cols))
        if same < len(cols):
            equal += same
            total += len(cols)
    likely = (last - first) * log((equal + 1) / (total + 2)) >= _LOG_CHANCE
    if total == 0 or likely or 2 * alike >= len(cols):
        return False
    return not (lasts and _jumped(data, t, r, cols))


@njit(**OPTIONS)
def blank(data, runs):
    """Set the pixels of runs to NaN, in place."""
    for i in range(len(runs)):
        data[runs[i, 0], runs[i, 1], runs[i, 2] : runs[i, 3]] = np.nan
