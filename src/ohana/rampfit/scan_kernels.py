"""Compiled loops: a step at every read, many ramps at a time."""

from __future__ import annotations

import numpy as np
from numba import njit

from ohana.rampfit.gls import (
    CURVE,
    DATA,
    DIFFERENCE,
    PIVOT,
    RATE,
    RATIO,
    ROWS,
    USED,
    dot,
    eliminate,
    solve_free,
    substitute,
)
from ohana.rampfit.tuning import TUNING

#: Pixels worked on together: wide enough for vector instructions, small enough for the cache.
CHUNK = 128
# Compiled loops take constants of a module.
_MIN_PAIR_DETERMINANT = TUNING.min_pair_determinant
_MIN_CURVE_DETERMINANT = TUNING.min_curve_determinant


@njit(nogil=True, cache=True, error_model="numpy")
def take_differences(data, first_saturated, excluded, guess, dt, work):
    """Fill in the differences of (T, n) reads, and which of them are used.

    No difference is used from read ``first_saturated`` on, nor one that ``excluded`` (T, n) marks
    at its later read; ``excluded`` may be empty. ``guess`` (n,) is a rate subtracted from the
    differences, which saves digits.
    """
    n = data.shape[1]
    none, one = work.dtype.type(0), work.dtype.type(1)
    for f in range(1, data.shape[0]):
        value, used, now, before = work[DIFFERENCE, f], work[USED, f], data[f], data[f - 1]
        time = dt[f - 1]
        for i in range(n):
            # Reads are float32 and close to each other: their difference is nearly exact.
            step = now[i] - before[i] - guess[i] * time
            good = step - step == 0.0 and f < first_saturated[i]
            value[i] = step if good else none
            used[i] = one if good else none
        if excluded.size:
            for i in range(n):
                if excluded[f, i]:
                    value[i] = none
                    used[i] = none


@njit(nogil=True, cache=True, error_model="numpy")
def fit_chunk(given, curve, shapes, covariance, least, may_split, work, sums, fit):
    """Fit differences with a step at every read: elimination, solution, substitution.

    ``given`` (3, n) is read variance, Poisson variance, and the rate subtracted already; the rest
    is that of `ohana.rampfit.gls.eliminate` and `ohana.rampfit.gls.substitute`.
    """
    eliminate(given[0], given[1], curve, shapes, covariance, work)
    solve_free(work, curve.size > 0, sums, fit)
    substitute(work, curve.size > 0, fit, least, may_split)


@njit(nogil=True, cache=True, error_model="numpy")
def fit_split_jump(work, f, i, cost):
    """Fit a step to the differences f and f + 1 of one ramp: amplitude, information and power.

    Power is the chi-squared that it explains, less ``cost``, with the sign of the step. The
    information is zero where the data do not determine both parts, the power where their signs
    differ.
    """
    none = work.dtype.type(0)
    first, second = work[DATA, f, i], work[DATA, f + 1, i]
    own, after, common = work[PIVOT, f, i], work[PIVOT, f + 1, i], work[RATIO, f + 1, i]
    det = own * after - common * common
    if not det > work.dtype.type(_MIN_PAIR_DETERMINANT) * own * after:
        return none, none, none
    now, later = (after * first - common * second) / det, (own * second - common * first) / det
    power = now * first + later * second - cost
    agree = now * later > none and power > none
    sign = work.dtype.type(1) if now > none else work.dtype.type(-1)
    information = det / (own + after - (common + common))
    return now + later, information, sign * power if agree else none


@njit(nogil=True, cache=True, error_model="numpy")
def keep_best(power, at, up, up_read, down, down_read):
    """Replace the best steps, upward and downward, where the one at ``at`` has more power."""
    for i in range(power.size):
        up_read[i] = at if power[i] > up[i] else up_read[i]
        up[i] = max(power[i], up[i])
    for i in range(power.size):
        down_read[i] = at if power[i] < down[i] else down_read[i]
        down[i] = min(power[i], down[i])


@njit(nogil=True, cache=True, error_model="numpy")
def pick(work, fit, guess, may_split, cost, out):
    """Reduce scores and information over the reads; fills ``out`` (12, n), rows as in `Scan`."""
    reads, n = work.shape[1], work.shape[2]
    none, half = work.dtype.type(0), work.dtype.type(0.5)
    count, up, up_read = out[2], out[3], out[5]
    down, down_read = out[6], out[8]
    out[2:] = 0.0
    up_read[:] = -1.0
    down_read[:] = -1.0
    for f in range(1, reads):
        score, information, power = work[DATA, f], work[PIVOT, f], work[RATE, f]
        for i in range(n):
            known = information[i] > none
            power[i] = score[i] * abs(score[i]) / information[i] if known else none
        at = work.dtype.type(f)
        keep_best(power, at, up, up_read, down, down_read)
        if may_split.size and may_split[f]:
            for i in range(n):
                power[i] = fit_split_jump(work, f, i, cost[0])[2]
            # A step split with the next read is marked by half a read more, until the end.
            keep_best(power, at + half, up, up_read, down, down_read)
        used = work[USED, f]
        for i in range(n):
            count[i] += used[i]
    for i in range(n):
        out[0, i] = guess[i] + fit[0, i] if count[i] > 0 else np.nan
        out[1, i] = fit[2, i]
        out[11, i] = fit[1, i]
        up[i], down[i] = np.sqrt(up[i]), -np.sqrt(-down[i])
        for row, step, split in ((5, 4, 9), (8, 7, 10)):
            f = int(out[row, i])
            if f > 0 and out[row, i] > f:
                out[row, i], out[split, i] = f, 1.0
                out[step, i] = fit_split_jump(work, f, i, cost[0])[0]
            elif f > 0:
                out[step, i] = work[DATA, f, i] / work[PIVOT, f, i]


@njit(nogil=True, cache=True, error_model="numpy")
def take(work, at, split, cost, out):
    """Store score, information and power of one step of each ramp; fills ``out`` (3, n)."""
    none = work.dtype.type(0)
    for i in range(at.size):
        score, information = work[DATA, at[i], i], work[PIVOT, at[i], i]
        power = score * abs(score) / information if information > none else none
        if split.size and split[i]:
            amplitude, both, together = fit_split_jump(work, at[i], i, cost[0])
            if both > none:
                score, information, power = amplitude * both, both, together
        out[0, i], out[1, i], out[2, i] = score, information, power


@njit(nogil=True, cache=True, error_model="numpy")
def scan_kernel(
    data, first_saturated, excluded, given, curve, shapes, covariance, settings, at, split, out
):
    """Scan ramps (T, n), ``CHUNK`` at a time.

    ``settings`` are the least fraction of the information (see `ohana.rampfit.gls.substitute`), the
    cost of a split jump, and the reads that may split one, or none. ``out`` (12, n) receives the
    rows of `ohana.rampfit.scan.Scan`; if ``at`` (n,) is not empty, ``out`` (3, n) receives score,
    information and power of the step at read ``at`` instead, split with the next read where
    ``split`` (n,) is set.
    """
    reads, n = data.shape
    least, cost, may_split = settings
    chunk = min(CHUNK, n)
    work = np.empty((ROWS, reads, chunk), least.dtype)
    sums, fit = np.empty((6, chunk), least.dtype), np.empty((6, chunk), least.dtype)
    for first in range(0, n, chunk):
        # The last chunk overlaps the one before instead of being narrower.
        start = min(first, n - chunk)
        part = slice(start, start + chunk)
        bend = curve[part] if curve.size else curve
        without = excluded[:, part] if excluded.size else excluded
        here = data[:, part], first_saturated[part], without, given[2, part]
        take_differences(*here, covariance.dt, work)
        fit_chunk(given[:, part], bend, shapes, covariance, least, may_split, work, sums, fit)
        if at.size:
            both = split[part] if split.size else split
            take(work, at[part], both, cost, out[:, part])
        else:
            pick(work, fit, given[2, part], may_split, cost, out[:, part])


@njit(nogil=True, cache=True, error_model="numpy")
def curve_kernel(data, first_saturated, excluded, given, shapes, covariance, out):
    """Fit each of K curves, one at a time, to ramps (T, n); arguments as in `scan_kernel`.

    ``out`` (2, K, n) receives the size of each curve and its standard error, 0 and infinity where
    the data do not tell it from a rate.
    """
    reads, n = data.shape
    chunk, none = min(CHUNK, n), np.empty(0, np.int64)
    work = np.empty((ROWS, reads, chunk), out.dtype)
    sums = np.empty((5, chunk), work.dtype)
    for first in range(0, n, chunk):
        start = min(first, n - chunk)
        part = slice(start, start + chunk)
        without = excluded[:, part] if excluded.size else excluded
        here = data[:, part], first_saturated[part], without, given[2, part]
        take_differences(*here, covariance.dt, work)
        eliminate(given[0, part], given[1, part], none, shapes, covariance, work)
        dot(work, RATE, RATE, sums[0])
        dot(work, RATE, DATA, sums[1])
        for k in range(out.shape[1]):
            fit_curve(work, shapes[k], sums, out[0, k, part], out[1, k, part])


@njit(nogil=True, cache=True, error_model="numpy")
def fit_curve(work, shape, sums, size, error):
    """Fit a rate and one curve ``shape`` (T - 1,) to eliminated differences, see `curve_kernel`.

    The first two rows of ``sums`` (5, n) are the products of the rate with itself and the data.
    """
    sums[2:] = 0
    last = work[CURVE, 0]
    last[:] = 0
    for f in range(1, work.shape[1]):
        ratio, pivot, rate, value = work[RATIO, f], work[PIVOT, f], work[RATE, f], work[DATA, f]
        height = shape[f - 1]
        for i in range(size.size):
            last[i] = height - ratio[i] * last[i]
            weighted = last[i] * pivot[i]
            sums[2, i] += last[i] * weighted
            sums[3, i] += rate[i] * weighted
            sums[4, i] += value[i] * weighted
    for i in range(size.size):
        own, with_data, curve, cross, curve_data = sums[:, i]
        det = own * curve - cross * cross
        known = det > work.dtype.type(_MIN_CURVE_DETERMINANT) * own * curve
        size[i] = (own * curve_data - cross * with_data) / det if known else 0.0
        error[i] = np.sqrt(own / det) if known else np.inf
