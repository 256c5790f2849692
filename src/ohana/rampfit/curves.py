"""Shapes that ramps bend in, and which ramps bend rather than step."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.scan import Ramps, Scan, fit_curves, scan
from ohana.rampfit.tuning import TUNING


class Bend(NamedTuple):
    """The curve that explains most of each ramp, arrays of shape (n,).

    Attributes
    ----------
    curve : ndarray of int
        Its index among the shapes; -1 where there is none.
    gain : ndarray
        Chi-squared that it explains.
    """

    curve: np.ndarray
    gain: np.ndarray


def curve_shapes(covariance: DifferenceCovariance) -> np.ndarray:
    """Return what curves look like in the differences: (K + 1, T - 1), each at most 1.

    The rate of a ramp may change evenly (non-linearity), decay exponentially or as the inverse of
    time (persistence, settling after a reset, charge that spills over), or rise once and stay
    (a neighbour fills and spills). Decays are those of the mean rate between two reads. The last
    shape is zero: index -1 stands for a straight ramp.

    Parameters
    ----------
    covariance : DifferenceCovariance
        Timing of the reads.

    Examples
    --------
    Six evenly spaced reads have a parabola, decays over 1 and 1.41 reads, and an inverse of time:

    >>> from ohana.rampfit.covariance import difference_covariance
    >>> curve_shapes(difference_covariance(np.arange(6.0))).round(2)
    array([[-1.  , -0.5 ,  0.  ,  0.5 ,  1.  ],
           [ 1.  ,  0.37,  0.14,  0.05,  0.02],
           [ 1.  ,  0.49,  0.24,  0.12,  0.06],
           [ 1.  ,  0.58,  0.42,  0.32,  0.26],
           [ 0.  ,  0.  ,  0.  ,  0.  ,  0.  ]])
    """
    return _shapes(covariance.dt.astype(np.float64).tobytes())


@lru_cache(maxsize=8)
def _shapes(times: bytes) -> np.ndarray:
    dt = np.frombuffer(times)
    count, unit = len(dt), np.median(dt)
    time = np.concatenate([[0.0], np.cumsum(dt)]) / unit
    decays = int(np.log(max(count / TUNING.decay_lengths, 1)) / np.log(TUNING.decay_step))
    taus = TUNING.decay_step ** np.arange(decays + 1)
    kinks = np.arange(TUNING.kink_margin, count - TUNING.kink_margin + 1)
    shapes = [
        dt * (np.arange(count) - 0.5 * (count - 1)),
        *(-np.diff(np.exp(-time / tau)) for tau in taus),
        np.diff(np.log1p(time)),
        *(dt * (np.arange(count) >= kink) for kink in kinks),
        np.zeros(count),
    ]
    table = np.stack(shapes)
    table /= np.maximum(np.abs(table).max(1, keepdims=True), 1e-30)
    table.flags.writeable = False
    return table


def best_curve(ramps: Ramps, covariance: DifferenceCovariance, least: np.ndarray) -> Bend:
    """Return the curve that explains most of each ramp, known steps excluded.

    Parameters
    ----------
    ramps : Ramps
        n ramps, with ``shapes``.
    covariance : DifferenceCovariance
        Covariance coefficients.
    least : ndarray, shape (n,)
        Chi-squared that a curve must explain to be of use. Where a rise of the rate is near it,
        its read is looked for.
    """
    begin = (ramps.shapes != 0).argmax(1)
    kinks = np.flatnonzero(begin > 0)
    tried = np.append(np.flatnonzero(begin[:-1] == 0), kinks[:: len(kinks) // TUNING.kinks + 1])
    few = ramps._replace(shapes=ramps.shapes[np.append(tried, -1)])
    size, error = fit_curves(few, covariance, quick=ramps.guess.size > 0)
    gain = (size / error) ** 2
    # A rise that soon ends, in saturation or not, is the growing core of a snowball.
    late = begin[tried][:, None]
    ends = (ramps.stop - 1 - late < TUNING.kink_differences) | (size < 0)
    gain[(late > 0) & ends] = 0
    best = gain.argmax(0)
    found = Bend(tried[best], gain[best, np.arange(len(best))])
    near = np.isin(found.curve, kinks) & (found.gain > TUNING.near_kink * least)
    _move_kinks(found, ramps, np.flatnonzero(near), kinks, covariance)
    return found


def _move_kinks(
    found: Bend,
    ramps: Ramps,
    index: np.ndarray,
    kinks: np.ndarray,
    covariance: DifferenceCovariance,
) -> None:
    """Find the read at which the rate of some ramps rises, from about where it does, in place."""
    if not len(index):
        return
    some, curve = ramps.select(index), found.curve[index]

    def chi2(curve: np.ndarray) -> np.ndarray:
        free = some._replace(curve=curve)
        return scan(free, covariance, quick=ramps.guess.size > 0).chi2

    least = chi2(curve)
    straight = least + found.gain[index]
    for shift in 2 ** np.arange(int(np.log2(len(kinks) // TUNING.kinks + 1)), -1, -1):
        for sign in (-1, 1):
            other = np.clip(curve + sign * shift, kinks[0], kinks[-1])
            its = chi2(other)
            curve, least = np.where(its < least, other, curve), np.minimum(its, least)
    found.curve[index], found.gain[index] = curve, straight - least


def bends(ramps: Ramps, plain: Scan, covariance: DifferenceCovariance) -> np.ndarray:
    """Return the curve of ramps that it describes better than one more step does: int (n,).

    Parameters
    ----------
    ramps : Ramps
        n ramps, with ``shapes``, and the steps known so far excluded.
    plain : Scan
        Their scan without any curve.
    covariance : DifferenceCovariance
        Covariance coefficients.

    Returns
    -------
    ndarray
        Index among the shapes; -1 where a step describes the ramp as well.
    """
    least = step_gain(plain) + curve_cost(plain)
    found = best_curve(ramps, covariance, least)
    return np.where(found.gain > least, found.curve, -1)


def step_gain(plain: Scan) -> np.ndarray:
    """Return the chi-squared that the strongest step of each ramp explains."""
    return np.maximum(plain.up_sigma, -plain.down_sigma) ** 2


def curve_cost(plain: Scan) -> np.ndarray:
    """Return the chi-squared that a curve must explain beyond a step: inf with too few reads.

    Bright ramps are known to bend.
    """
    split = np.where(plain.up_sigma >= -plain.down_sigma, plain.up_split, plain.down_split)
    bright = np.abs(plain.rate * plain.used) > TUNING.nonlinear_signal
    enough = plain.used >= TUNING.curve_differences + split
    return np.where(enough, np.where(bright, 0.0, TUNING.curve_cost), np.inf)


def straightened(
    ramps: Ramps, curve: np.ndarray, bend: np.ndarray, covariance: DifferenceCovariance
) -> Ramps:
    """Return the ramps with their curves subtracted.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    curve : ndarray of int, shape (n,)
        Index of the shape of each, -1 for none.
    bend : ndarray, shape (n,)
        Its size [DN].
    covariance : DifferenceCovariance
        Timing of the reads.
    """
    bent = np.flatnonzero(curve >= 0)
    if not len(bent):
        return ramps
    shapes = np.cumsum(curve_shapes(covariance), axis=1).T
    data = ramps.data.copy()
    data[1:, bent] -= (shapes[:, curve[bent]] * bend[bent]).astype(np.float32)
    return ramps._replace(data=data)


def curve_misfits(covariance: DifferenceCovariance) -> np.ndarray:
    """Return the `misfits` of the shapes of `curve_shapes`."""
    return _misfits(covariance.dt.astype(np.float64).tobytes())


@lru_cache(maxsize=8)
def _misfits(times: bytes) -> np.ndarray:
    return misfits(_shapes(times), np.frombuffer(times))


def misfits(shapes: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """Return the step at each read that may be the difference of a curve from its shape.

    Parameters
    ----------
    shapes : ndarray, shape (K + 1, T - 1)
        From `curve_shapes`.
    dt : ndarray, shape (T - 1,)
        Frame times between reads.

    Returns
    -------
    ndarray, shape (K + 1, T - 1)
        For curves of size 1: a part of what the curve adds in that read or beside it, and a
        smaller part of its largest distance from a straight ramp.
    """
    path, time = np.cumsum(shapes, axis=1), np.cumsum(dt)
    sag = np.abs(path - path[:, -1:] * time / time[-1]).max(1, keepdims=True)
    near = np.pad(np.abs(shapes), ((0, 0), (1, 1)))
    near = np.maximum(np.maximum(near[:, :-2], near[:, 1:-1]), near[:, 2:])
    limit = np.maximum(TUNING.max_misfit * near, TUNING.max_sag_misfit * sag)
    # A rate that rises between two reads adds any part of the rise to this difference.
    begin = (shapes != 0).argmax(1)
    kinks = np.flatnonzero(begin)
    for before in (0, 1):
        at = kinks, begin[kinks] - before
        limit[at] = np.maximum(limit[at], TUNING.max_kink_misfit)
    return limit
