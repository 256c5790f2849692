"""Generalised least squares for one step at every read of a ramp, many ramps at once.

The model of the first differences of a ramp is ``rate * dt (+ curvature) + step at one read``,
with the tridiagonal covariance of `ohana.differences`. Forward elimination and back
substitution give the best linear estimate of the step at each read, everything else free, in
a time linear in the number of reads (Brandt 2024, PASP 136, 045005).

A difference that is NaN is left out, exactly: deleting a row of a tridiagonal covariance
decouples its neighbours. That serves masked reads, and it also serves steps already found,
since a free amplitude in one difference carries the same information as no difference.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.differences import Differences


class Fit(NamedTuple):
    """Fit of straight (or curved) ramps and of one further step at every read.

    Attributes
    ----------
    rate, rate_error : ndarray, shape (n,)
        Rate without any further step, in units of data per frame time; NaN without data.
    chi2 : ndarray, shape (n,)
        Chi-squared without any further step.
    count : ndarray, shape (n,)
        Differences used.
    score, information : ndarray, shape (T - 1, n)
        The step from read f to f + 1 is ``score / information``, its standard error
        ``information ** -0.5`` and its significance ``score * information ** -0.5``;
        ``information`` is zero where no step can be told from the rest.
    """

    rate: np.ndarray
    rate_error: np.ndarray
    chi2: np.ndarray
    count: np.ndarray
    score: np.ndarray
    information: np.ndarray


@njit(nogil=True, cache=True, error_model="numpy")
def eliminate(d, variance, shot, curved, model, work, sums):
    """Forward elimination of the covariance in the differences and in the free columns.

    Parameters
    ----------
    d : ndarray, shape (T - 1, n)
        First differences, NaN where unusable.
    variance, shot : ndarray, shape (n,)
        Read variance of one frame and Poisson variance per frame time, in units of ``d**2``.
    curved : ndarray, shape (n,)
        1 where a curvature of the ramp is a free parameter, else 0.
    model : Differences
        Covariance coefficients.
    work : ndarray of float64, shape (4, T, n)
        Receives the inverse pivots and the reduced d, dt and curvature, from row 1 on.
    sums : ndarray of float64, shape (7, n)
        Receives the products with the inverse covariance b'b, b'd, d'd, b'c, c'c, c'd
        (b: dt, c: curvature) and the number of differences used.
    """
    count, n = d.shape
    pivot, red_d, red_b, red_c = work[0], work[1], work[2], work[3]
    work[:, 0] = 0.0
    sums[:] = 0.0
    for f in range(count):
        read, poisson, dt = model.read[f], model.shot[f], model.dt[f]
        read_off = model.read_next[f - 1] if f > 0 else 0.0
        shot_off = model.shot_next[f - 1] if f > 0 else 0.0
        bend = dt * (f - 0.5 * (count - 1)) / count
        for i in range(n):
            value = d[f, i]
            used = value == value
            off = variance[i] * read_off + shot[i] * shot_off
            ratio = off * pivot[f, i]
            inverse = 1.0 / (variance[i] * read + shot[i] * poisson - off * ratio)
            inverse = inverse if used else 0.0
            a = value - ratio * red_d[f, i] if used else 0.0
            b = dt - ratio * red_b[f, i] if used else 0.0
            c = curved[i] * bend - ratio * red_c[f, i] if used else 0.0
            pivot[f + 1, i] = inverse
            red_d[f + 1, i] = a
            red_b[f + 1, i] = b
            red_c[f + 1, i] = c
            sums[0, i] += b * b * inverse
            sums[1, i] += a * b * inverse
            sums[2, i] += a * a * inverse
            sums[3, i] += b * c * inverse
            sums[4, i] += c * c * inverse
            sums[5, i] += a * c * inverse
            sums[6, i] += 1.0 if used else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def profile(sums, fit):
    """Solve for the free columns: fills ``fit`` (8, n) from ``sums`` (7, n).

    Rows of ``fit``: rate, curvature, chi-squared, inverse of the 2 x 2 normal matrix (bb, bc,
    cc), rate error, and a spare row. A column without information gets a zero coefficient.
    """
    for i in range(sums.shape[1]):
        bb, bd, dd, bc, cc, cd = (
            sums[0, i],
            sums[1, i],
            sums[2, i],
            sums[3, i],
            sums[4, i],
            sums[5, i],
        )
        det = bb * cc - bc * bc
        if det > 1e-12 * bb * cc:
            inv_bb, inv_bc, inv_cc = cc / det, -bc / det, bb / det
        else:
            inv_bb, inv_bc, inv_cc = (1.0 / bb if bb > 0 else 0.0), 0.0, 0.0
        fit[0, i] = inv_bb * bd + inv_bc * cd
        fit[1, i] = inv_bc * bd + inv_cc * cd
        fit[2, i] = dd - fit[0, i] * bd - fit[1, i] * cd
        fit[3, i] = inv_bb
        fit[4, i] = inv_bc
        fit[5, i] = inv_cc


@njit(nogil=True, cache=True, error_model="numpy")
def substitute(variance, shot, model, work, fit, back):
    """Back substitution; leaves score in ``work[1]`` and information in ``work[2]``, rows 1 on."""
    pivot, red_d, red_b, red_c = work[0], work[1], work[2], work[3]
    count = pivot.shape[0] - 1
    back[:] = 0.0
    for f in range(count - 1, -1, -1):
        read_off = model.read_next[f] if f < count - 1 else 0.0
        shot_off = model.shot_next[f] if f < count - 1 else 0.0
        for i in range(pivot.shape[1]):
            inverse = pivot[f + 1, i]
            ratio = (variance[i] * read_off + shot[i] * shot_off) * inverse
            x = red_d[f + 1, i] * inverse - ratio * back[0, i]
            b = red_b[f + 1, i] * inverse - ratio * back[1, i]
            c = red_c[f + 1, i] * inverse - ratio * back[2, i]
            diagonal = inverse + ratio * ratio * back[3, i]
            back[0, i] = x
            back[1, i] = b
            back[2, i] = c
            back[3, i] = diagonal
            taken = b * b * fit[3, i] + 2.0 * b * c * fit[4, i] + c * c * fit[5, i]
            information = diagonal - taken
            known = information > 1e-9 * diagonal
            red_d[f + 1, i] = x - b * fit[0, i] - c * fit[1, i] if known else 0.0
            red_b[f + 1, i] = information if known else 0.0


def fit_steps(
    d: np.ndarray,
    variance: np.ndarray,
    shot: np.ndarray,
    model: Differences,
    curved: np.ndarray | None = None,
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
    model : Differences
        Coefficients of the covariance.
    curved : ndarray of bool, shape (n,), optional
        Where a quadratic term of the ramp is free too.

    Returns
    -------
    Fit

    Examples
    --------
    A noiseless ramp of one unit per read with a step of 10 from read 2 to read 3:

    >>> import numpy as np
    >>> from ohana.differences import differences
    >>> d = np.array([[1.0], [1.0], [11.0], [1.0], [1.0]])
    >>> fit = fit_steps(d, np.ones(1), np.zeros(1), differences(np.arange(6.0)))
    >>> float((fit.score / fit.information)[2, 0].round(6))
    10.0
    """
    count, n = d.shape
    if len(model.dt) != count:
        raise ValueError(f"model: wanted {count} differences, got {len(model.dt)}")
    curve = np.zeros(n) if curved is None else np.asarray(curved, np.float64)
    work, sums, fit = np.empty((4, count + 1, n)), np.empty((7, n)), np.empty((6, n))
    variance, shot = np.asarray(variance, np.float64), np.asarray(shot, np.float64)
    eliminate(np.asarray(d, np.float64), variance, shot, curve, model, work, sums)
    profile(sums, fit)
    substitute(variance, shot, model, work, fit, np.empty((4, n)))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(sums[6] > 0, fit[0], np.nan)
        error = np.sqrt(np.where(sums[6] > 0, fit[3], np.nan))
    return Fit(rate, error, fit[2], sums[6].astype(int), work[1, 1:], work[2, 1:])
