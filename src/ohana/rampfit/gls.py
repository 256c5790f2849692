"""Generalised least squares for one step at every read of a ramp, many ramps at once.

The model of the first differences of a ramp is ``rate * dt (+ curve) + step at one read``,
with the tridiagonal covariance of `ohana.rampfit.covariance`. Forward elimination and back
substitution give the best linear estimate of the step at each read, everything else free, in
a time linear in the number of reads (Brandt 2024, PASP 136, 045005).

Charge that arrives between the frames averaged into a read shows in two differences. The fit of
steps in two neighbouring differences at once needs, besides both scores and informations, the
off-diagonal information, which substitution gives as well (`substitute`, ``may_split``).

A difference that is NaN is excluded, exactly: deleting a row of a tridiagonal covariance
decouples its neighbours. That serves masked reads, and also steps already found: a difference
with a free amplitude carries no information about the rest.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.tuning import TUNING


class Fit(NamedTuple):
    """Fit of straight (or bent) ramps and of one further step at every read.

    Attributes
    ----------
    rate, rate_error : ndarray, shape (n,)
        Rate without any further step, in units of data per frame time; NaN without data.
    chi2 : ndarray, shape (n,)
        Chi-squared without any further step.
    used : ndarray, shape (n,)
        Differences used.
    score, information : ndarray, shape (T - 1, n)
        The step from read f to f + 1 is ``score / information``, its standard error
        ``information ** -0.5`` and its significance ``score * information ** -0.5``;
        ``information`` is zero where the data determine no step.
    between : ndarray, shape (T - 1, n)
        Element (f, f + 1) of the matrix whose diagonal is ``information``: with both steps free
        they are the solution of these 2 x 2 equations. The last row is zero.
    """

    rate: np.ndarray
    rate_error: np.ndarray
    chi2: np.ndarray
    used: np.ndarray
    score: np.ndarray
    information: np.ndarray
    between: np.ndarray


#: Rows of the working array (ROWS, T, n); index 0 along T stands before the first difference.
DIFFERENCE, USED, PIVOT, RATIO, DATA, RATE, CURVE = range(7)
ROWS = 7

#: See `substitute`, in either precision.
MIN_INFORMATION = np.array([TUNING.min_information])
MIN_INFORMATION_SINGLE = np.array([TUNING.min_information_single], np.float32)

# The loops over ramps are kept short on purpose: each touches few arrays, which is what lets
# the compiler use vector instructions. All arrays of a call have one type, float64 or float32.


@njit(nogil=True, cache=True, error_model="numpy")
def eliminate(variance, shot, curve, shapes, covariance, work):
    """Forward elimination of the covariance in the differences and in the free columns.

    Parameters
    ----------
    variance, shot : ndarray, shape (n,)
        Read variance of one frame and Poisson variance per frame time.
    curve : ndarray of int, shape (n,)
        Row of ``shapes`` that is free in each ramp, -1 for none; empty if it is none anywhere.
    shapes : ndarray, shape (K + 1, T - 1)
        From `ohana.rampfit.curves.curve_shapes`: the last one, of index -1, is zero.
    covariance : DifferenceCovariance
        Covariance coefficients.
    work : ndarray of float64, shape (ROWS, T, n)
        Rows ``DIFFERENCE`` (0 where unusable) and ``USED`` (0 or 1) are given, the rest is
        filled: inverse pivots, ratios of elimination, and the reduced data, dt and curve.
    """
    work[PIVOT:, 0] = 0.0
    count, n = work.shape[1] - 1, work.shape[2]
    for f in range(count):
        read, poisson, dt = covariance.read[f], covariance.shot[f], covariance.dt[f]
        # The pivot before the first difference is zero, so its coefficients do not matter.
        read_off, shot_off = (
            covariance.read_next[max(f - 1, 0)],
            covariance.shot_next[max(f - 1, 0)],
        )
        used, ratio, before = work[USED, f + 1], work[RATIO, f + 1], work[PIVOT, f]
        pivot = work[PIVOT, f + 1]
        for i in range(n):
            off = variance[i] * read_off + shot[i] * shot_off
            share = off * before[i]
            ratio[i] = share * used[i]
            pivot[i] = used[i] / (variance[i] * read + shot[i] * poisson - off * share)
        value, now, last = work[DIFFERENCE, f + 1], work[DATA, f + 1], work[DATA, f]
        for i in range(n):
            now[i] = value[i] - ratio[i] * last[i]
        now, last = work[RATE, f + 1], work[RATE, f]
        for i in range(n):
            now[i] = dt - ratio[i] * last[i]
        if curve.size:
            now, last = work[CURVE, f + 1], work[CURVE, f]
            for i in range(n):
                now[i] = shapes[curve[i], f] - ratio[i] * last[i]


@njit(nogil=True, cache=True, error_model="numpy")
def dot(work, first, second, out):
    """Inner product of two reduced rows under the inverse covariance, for each ramp."""
    out[:] = 0.0
    for f in range(1, work.shape[1]):
        pivot, a, b = work[PIVOT, f], work[first, f], work[second, f]
        for i in range(out.size):
            out[i] += a[i] * b[i] * pivot[i]


@njit(nogil=True, cache=True, error_model="numpy")
def solve_free(work, curved, sums, fit):
    """Solve for rate and, if ``curved``, the curve of each ramp.

    ``fit`` (6, n) receives rate, size of the curve, chi-squared and the inverse of the 2 x 2
    normal matrix (rate-rate, rate-curve, curve-curve); ``sums`` is scratch (6, n).
    A column that the data do not determine gets a zero coefficient.
    """
    sums[3:] = 0.0
    dot(work, RATE, RATE, sums[0])
    dot(work, RATE, DATA, sums[1])
    dot(work, DATA, DATA, sums[2])
    if curved:
        dot(work, RATE, CURVE, sums[3])
        dot(work, CURVE, CURVE, sums[4])
        dot(work, CURVE, DATA, sums[5])
    for i in range(sums.shape[1]):
        bb, bd, dd, bc, cc, cd = sums[:, i]
        det = bb * cc - bc * bc
        if det > 1e-12 * bb * cc:
            inv_bb, inv_bc, inv_cc = cc / det, -bc / det, bb / det
        else:
            inv_bb, inv_bc, inv_cc = (1.0 / bb if bb > 0 else 0.0), 0.0, 0.0
        fit[0, i] = inv_bb * bd + inv_bc * cd
        fit[1, i] = inv_bc * bd + inv_cc * cd
        fit[2, i] = dd - fit[0, i] * bd - fit[1, i] * cd
        fit[3, i], fit[4, i], fit[5, i] = inv_bb, inv_bc, inv_cc


@njit(nogil=True, cache=True, error_model="numpy")
def relate(work, curved, fit, f):
    """Turn the ratio of elimination of step f + 1 into its off-diagonal information with step f."""
    common, after, share = work[RATIO, f + 1], work[PIVOT, f + 1], fit[3]
    rate, next_rate = work[RATE, f], work[RATE, f + 1]
    for i in range(common.size):
        common[i] = -common[i] * after[i] - rate[i] * next_rate[i] * share[i]
    if curved:
        curve, next_curve, cross, own = work[CURVE, f], work[CURVE, f + 1], fit[4], fit[5]
        for i in range(common.size):
            common[i] -= (rate[i] * next_curve[i] + curve[i] * next_rate[i]) * cross[i]
            common[i] -= curve[i] * next_curve[i] * own[i]


@njit(nogil=True, cache=True, error_model="numpy")
def substitute(work, curved, fit, least, may_split):
    """Back substitution: leaves the score in row ``DATA``, the information in row ``PIVOT``.

    ``curved`` tells whether ramps have free curves.
    ``least`` (1,) is the least fraction of the information about a step, all else known, that is
    left with all else free. ``may_split`` (T,) marks the reads f for which row ``RATIO`` of f + 1
    receives the off-diagonal information of steps f and f + 1; it may be empty.
    """
    last, n = work.shape[1] - 1, work.shape[2]
    none = work.dtype.type(0)
    for f in range(last, 0, -1):
        pivot = work[PIVOT, f]
        for row in range(DATA, CURVE + 1 if curved else CURVE):
            now = work[row, f]
            for i in range(n):
                now[i] *= pivot[i]
            if f < last:
                ratio, after = work[RATIO, f + 1], work[row, f + 1]
                for i in range(n):
                    now[i] -= ratio[i] * after[i]
        if f < last:
            ratio, after = work[RATIO, f + 1], work[PIVOT, f + 1]
            for i in range(n):
                pivot[i] += ratio[i] * ratio[i] * after[i]
    for f in range(1, last + 1):
        score, rate, information = work[DATA, f], work[RATE, f], work[PIVOT, f]
        slope, share = fit[0], fit[3]
        if may_split.size and may_split[f] and f < last:
            relate(work, curved, fit, f)
        for i in range(n):
            score[i] -= rate[i] * slope[i]
        if curved:
            curve, curvature, cross, own = work[CURVE, f], fit[1], fit[4], fit[5]
            for i in range(n):
                score[i] -= curve[i] * curvature[i]
                rate[i] = rate[i] * (rate[i] * share[i] + 2.0 * curve[i] * cross[i])
                rate[i] += curve[i] * curve[i] * own[i]
        else:
            for i in range(n):
                rate[i] *= rate[i] * share[i]
        for i in range(n):
            left = information[i] - rate[i]
            information[i] = left if left > least[0] * information[i] else none


def fit_steps(
    d: np.ndarray,
    variance: np.ndarray,
    shot: np.ndarray,
    covariance: DifferenceCovariance,
    curve: np.ndarray | None = None,
    shapes: np.ndarray | None = None,
) -> Fit:
    """Fit ramps, and a step at every read of each, by generalised least squares.

    Parameters
    ----------
    d : ndarray, shape (T - 1, n)
        First differences of n ramps, NaN where unusable.
    variance : ndarray, shape (n,)
        Read-noise variance of one frame, in units of ``d**2``.
    shot : ndarray, shape (n,)
        Poisson variance per frame time (rate / gain), in the same units.
    covariance : DifferenceCovariance
        Coefficients of the covariance.
    curve, shapes : ndarray, optional
        Curve that is free in each ramp too (n,), and the shapes of all, see `eliminate`.

    Returns
    -------
    Fit

    Examples
    --------
    A noiseless ramp of one unit per read with a step of 10 from read 2 to read 3:

    >>> import numpy as np
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> d = np.array([[1.0], [1.0], [11.0], [1.0], [1.0]])
    >>> fit = fit_steps(d, np.ones(1), np.zeros(1), difference_covariance(np.arange(6.0)))
    >>> float((fit.score / fit.information)[2, 0].round(6))
    10.0
    """
    work, fit = _solved(d, variance, shot, covariance, curve, shapes)
    count, n = d.shape
    substitute(work, curve is not None, fit, MIN_INFORMATION, np.arange(count + 1) > 0)
    used = work[USED, 1:].sum(axis=0)
    rate, error = _known(fit, used)
    between = np.zeros((count, n))
    between[:-1] = work[RATIO, 2:]
    return Fit(rate, error, fit[2], used.astype(int), work[DATA, 1:], work[PIVOT, 1:], between)


def fit_line(
    d: np.ndarray,
    variance: np.ndarray,
    shot: np.ndarray,
    covariance: DifferenceCovariance,
    curve: np.ndarray | None = None,
    shapes: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit ramps alone, by generalised least squares.

    Parameters
    ----------
    d, variance, shot, covariance, curve, shapes
        As for `fit_steps`. A difference that holds a step is excluded by NaN.

    Returns
    -------
    rate, error : ndarray, shape (n,)
        In units of data per frame time; NaN where no difference is left.

    Examples
    --------
    The second ramp has a step, which is excluded:

    >>> import numpy as np
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> d = np.array([[1.0, 1.0], [1.0, np.nan], [1.0, 1.0]])
    >>> rate, error = fit_line(d, np.ones(2), np.zeros(2), difference_covariance(np.arange(4.0)))
    >>> rate.round(6), error.round(3)
    (array([1., 1.]), array([0.447, 1.   ]))
    """
    work, fit = _solved(d, variance, shot, covariance, curve, shapes)
    return _known(fit, work[USED, 1:].sum(axis=0))


def _solved(
    d: np.ndarray,
    variance: np.ndarray,
    shot: np.ndarray,
    covariance: DifferenceCovariance,
    curve: np.ndarray | None,
    shapes: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Eliminate, and solve for rate and curve: working array, and solution."""
    count, n = d.shape
    if len(covariance.dt) != count:
        raise ValueError(f"covariance: wanted {count} differences, got {len(covariance.dt)}")
    which = np.empty(0, np.int64) if curve is None else np.asarray(curve, np.int64)
    forms = np.empty((0, 0)) if shapes is None else np.asarray(shapes, np.float64)
    work = np.empty((ROWS, count + 1, n))
    used = np.isfinite(d)
    work[DIFFERENCE, 1:] = np.where(used, d, 0.0)
    work[USED, 1:] = used
    fit = np.empty((6, n))
    known = np.asarray(variance, np.float64), np.asarray(shot, np.float64)
    eliminate(*known, which, forms, covariance, work)
    solve_free(work, curve is not None, np.empty((6, n)), fit)
    return work, fit


def _known(fit: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rate and error of a solution, NaN without data."""
    known = used > 0
    return np.where(known, fit[0], np.nan), np.where(known, np.sqrt(fit[3]), np.nan)
