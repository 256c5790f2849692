"""S/N of the best linear estimators of steps and of known paths in a ramp."""

from __future__ import annotations

import numpy as np

from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.gls import MIN_INFORMATION, fit_steps

#: Ramps fitted together, so that the work arrays of long ramps stay in the cache.
FITS_AT_ONCE = 1024


def step_errors(
    reads: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    model: DifferenceCovariance,
) -> np.ndarray:
    """Return the standard error of a step at given reads, with the slope free.

    Parameters
    ----------
    reads, stop : ndarray of int, shape (n,)
        First read with the step; first unusable read.
    noise, rate : ndarray, shape (n,)
        Noise of one frame [e-] and charge per frame time [e-].
    model : DifferenceCovariance
        Covariance of the T - 1 differences.

    Returns
    -------
    ndarray of float64, shape (n,)
        Errors [e-]; ``inf`` where the ramp is too short. Where the step itself saturates the
        pixel, the error of the difference of two reads.

    Examples
    --------
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> reads, covariance = np.array([[2], [4]]), difference_covariance(np.arange(4.0))
    >>> step_errors(*reads, np.array([1.0]), np.array([0.0]), covariance).round(3)
    array([2.236])
    """
    # In units of the noise the error depends on rate / noise**2 alone; ratios within 1 % (0.5 %
    # of the error) and with the same end share one fit.
    ratio = np.round(np.log(np.maximum(rate, 1e-6) / noise**2), 2)
    kinds, which = np.unique(np.stack([ratio, stop]), axis=1, return_inverse=True)
    which, out = which.ravel(), np.empty(len(reads))
    step = np.arange(1, len(model.dt) + 1)[:, None]
    for begin in range(0, kinds.shape[1], FITS_AT_ONCE):
        logarithm, end = kinds[:, begin : begin + FITS_AT_ONCE]
        blank = np.where(step < end, 0.0, np.nan)
        known = fit_steps(blank, np.ones(len(end)), np.exp(logarithm), model).information
        here = np.flatnonzero((which >= begin) & (which < begin + FITS_AT_ONCE))
        with np.errstate(divide="ignore"):
            out[here] = noise[here] / np.sqrt(known[reads[here] - 1, which[here] - begin])
    filled = reads == stop
    out[filled] = _difference_error(reads[filled], noise[filled], rate[filled], model)
    return out


def _difference_error(
    reads: np.ndarray, noise: np.ndarray, rate: np.ndarray, model: DifferenceCovariance
) -> np.ndarray:
    """Return the error of the difference between a read and the previous one [e-]."""
    return np.sqrt(model.read[reads - 1] * noise**2 + model.shot[reads - 1] * rate)


def path_chi2(
    steps: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    model: DifferenceCovariance,
) -> np.ndarray:
    """Return the reduction of chi-squared by known paths, relative to a straight ramp.

    Its root is the S/N of the best linear estimator of the path's scale.

    Parameters
    ----------
    steps : ndarray, shape (T - 1, n)
        Changes of the signal from each read to the next [e-].
    stop : ndarray of int, shape (n,)
        First unusable read.
    noise, rate : ndarray, shape (n,)
        Noise of one frame [e-] and charge per frame time [e-].
    model : DifferenceCovariance
        Covariance of the differences.

    Returns
    -------
    ndarray of float64, shape (n,)
        Where the first change itself saturates the pixel, its square over the variance of one
        difference.

    Examples
    --------
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> covariance = difference_covariance(np.arange(4.0))
    >>> ramp = np.array([4]), np.array([1.0]), np.array([0.0]), covariance
    >>> path_chi2(np.array([[0.0], [6.0], [0.0]]), *ramp).round(3)
    array([7.2])
    """
    out = np.empty(steps.shape[1])
    read = np.arange(1, len(steps) + 1)[:, None]
    for begin in range(0, len(out), FITS_AT_ONCE):
        part = slice(begin, begin + FITS_AT_ONCE)
        usable = np.where(read < stop[part], steps[:, part], np.nan)
        out[part] = fit_steps(usable, noise[part] ** 2, rate[part], model).chi2
        # A path that is degenerate with the slope leaves rounding errors only.
        most = np.nansum(usable**2, axis=0) / noise[part] ** 2
        out[part][out[part] < MIN_INFORMATION[0] * most] = 0.0
    begins = 1 + np.argmax(steps != 0, axis=0)
    filled = np.flatnonzero((begins == stop) & steps.any(axis=0))
    error = _difference_error(begins[filled], noise[filled], rate[filled], model)
    out[filled] = (steps[begins[filled] - 1, filled] / error) ** 2
    return out
