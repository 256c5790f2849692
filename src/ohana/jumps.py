"""Stage 4: significance of a step at every read of every pixel; several steps per ramp."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.differences import Differences
from ohana.gls import (
    DATA,
    DIFFERENCE,
    PIVOT,
    RATE,
    ROWS,
    USED,
    eliminate,
    solve_free,
    substitute,
)

#: Pixels worked on together: wide enough for vector instructions, small enough for the cache.
CHUNK = 32


class Scan(NamedTuple):
    """Fit and most significant steps of each ramp, arrays of shape (n,).

    Attributes
    ----------
    rate : ndarray
        [DN per frame time]
    chi2, count : ndarray
        Chi-squared without any step, and differences used.
    up_sigma, up_step, up_read : ndarray
        Most significant upward step: in its standard errors, amplitude [DN], and read (-1 where
        no step can be told).
    down_sigma, down_step, down_read : ndarray
        The same for the downward step; sigma and amplitude are negative.
    largest, scatter : ndarray
        Largest difference above the rate [DN], and mean square of the differences about it
        [DN^2].
    """

    rate: np.ndarray
    chi2: np.ndarray
    count: np.ndarray
    up_sigma: np.ndarray
    up_step: np.ndarray
    up_read: np.ndarray
    down_sigma: np.ndarray
    down_step: np.ndarray
    down_read: np.ndarray
    largest: np.ndarray
    scatter: np.ndarray


@njit(nogil=True, cache=True, error_model="numpy")
def take_differences(data, stop, work):
    """Write the first differences of (T, n) reads into ``work``; none from read ``stop`` on."""
    n = data.shape[1]
    for f in range(1, data.shape[0]):
        value, used, now, before = work[DIFFERENCE, f], work[USED, f], data[f], data[f - 1]
        for i in range(n):
            step = np.float64(now[i]) - np.float64(before[i])
            good = step - step == 0.0 and f < stop[i]
            value[i] = step if good else 0.0
            used[i] = 1.0 if good else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def pick(work, fit, dt, out):
    """Reduce scores and information over the reads; fills ``out`` (11, n), rows as in `Scan`."""
    reads, n = work.shape[1], work.shape[2]
    count, up, up_read = out[2], out[3], out[5]
    down, down_read, largest, scatter = out[6], out[8], out[9], out[10]
    out[2:] = 0.0
    up_read[:] = -1.0
    down_read[:] = -1.0
    for f in range(1, reads):
        score, information, power = work[DATA, f], work[PIVOT, f], work[RATE, f]
        for i in range(n):
            known = information[i] > 0.0
            power[i] = score[i] * abs(score[i]) / information[i] if known else 0.0
        for i in range(n):
            up_read[i] = f if power[i] > up[i] else up_read[i]
            up[i] = max(power[i], up[i])
        for i in range(n):
            down_read[i] = f if power[i] < down[i] else down_read[i]
            down[i] = min(power[i], down[i])
        value, used, slope = work[DIFFERENCE, f], work[USED, f], fit[0]
        for i in range(n):
            excess = (value[i] - slope[i] * dt[f - 1]) * used[i]
            largest[i] = max(largest[i], excess)
            scatter[i] += excess * excess
        for i in range(n):
            count[i] += used[i]
    for i in range(n):
        out[0, i] = fit[0, i] if count[i] > 0 else np.nan
        out[1, i] = fit[2, i]
        up[i], down[i] = np.sqrt(up[i]), -np.sqrt(-down[i])
        scatter[i] /= max(count[i], 1.0)
        for read, step in ((up_read[i], 4), (down_read[i], 7)):
            f = int(read)
            if f > 0:
                out[step, i] = work[DATA, f, i] / work[PIVOT, f, i]


@njit(nogil=True, cache=True, error_model="numpy")
def scan_kernel(data, stop, variance, shot, model, out):
    """Scan ramps (T, n), ``CHUNK`` at a time, into ``out`` (11, n)."""
    reads, n = data.shape
    chunk = min(CHUNK, n)
    work = np.empty((ROWS, reads, chunk))
    sums, fit = np.empty((6, chunk)), np.empty((6, chunk))
    straight = np.empty(0)
    for first in range(0, n, chunk):
        # The last chunk overlaps the one before instead of being narrower.
        part = slice(min(first, n - chunk), min(first, n - chunk) + chunk)
        take_differences(data[:, part], stop[part], work)
        eliminate(variance[part], shot[part], straight, model, work)
        solve_free(work, straight, sums, fit)
        substitute(work, straight, fit)
        pick(work, fit, model.dt, out[:, part])


def scan(
    data: np.ndarray, stop: np.ndarray, variance: np.ndarray, shot: np.ndarray, model: Differences
) -> Scan:
    """Find the most significant upward and downward step of each ramp.

    Parameters
    ----------
    data : ndarray, shape (T, n)
        Ramps [DN], NaN where a read must not be used.
    stop : ndarray of int, shape (n,)
        First saturated read; T where none is.
    variance, shot : ndarray, shape (n,)
        Read variance of one frame and Poisson variance per frame time [DN^2].
    model : Differences
        Covariance coefficients.

    Returns
    -------
    Scan
        In units of standard errors as given; see `ohana.noise` for significances.
    """
    out = np.empty((len(Scan._fields), data.shape[1]))
    if data.shape[1]:
        variance = np.ascontiguousarray(variance, np.float64)
        shot = np.ascontiguousarray(shot, np.float64)
        scan_kernel(data, np.ascontiguousarray(stop), variance, shot, model, out)
    return Scan(*out)
