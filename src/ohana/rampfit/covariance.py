"""Mean and covariance of the first differences of a ramp, for any spacing of its reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.ramp import Ramp, ReadQuality
from ohana.rampfit.tuning import TUNING


class DifferenceCovariance(NamedTuple):
    """Coefficients of the first differences, one entry per step (step f at index f - 1).

    For a pixel of read noise ``s`` [DN, one frame], rate ``m`` [DN per frame time] and gain ``g``::

        mean of difference i         m * dt[i]
        variance of difference i     s**2 * read[i] + m / g * shot[i]
        covariance of i and i + 1    s**2 * read_next[i] + m / g * shot_next[i]

    The last entries of ``read_next`` and ``shot_next`` have no meaning and are zero.
    Differences further apart are independent, so the matrix is tridiagonal (Brandt 2024,
    PASP 136, 045004).
    """

    dt: np.ndarray
    read: np.ndarray
    shot: np.ndarray
    read_next: np.ndarray
    shot_next: np.ndarray

    def astype(self, precision: type) -> DifferenceCovariance:
        """Return the coefficients in single or double precision."""
        return DifferenceCovariance(*(values.astype(precision) for values in self))


def difference_covariance(
    times: np.ndarray,
    frame_time: float = 1.0,
    nframes: int | np.ndarray = 1,
    frame_gap: float = 1.0,
) -> DifferenceCovariance:
    """Compute the covariance coefficients of reads taken at ``times``.

    Parameters
    ----------
    times : ndarray, shape (T,)
        Mean time of each read [s], ascending.
    frame_time : float
        Unit of time of the rates [s].
    nframes : int or ndarray of int, shape (T,)
        Frames averaged into each read.
    frame_gap : float
        Time between averaged frames, in units of ``frame_time``.

    Returns
    -------
    DifferenceCovariance
        float64 arrays of shape (T - 1,).

    Examples
    --------
    >>> import numpy as np
    >>> d = difference_covariance(np.arange(3.0))
    >>> d.dt, d.read, d.shot, d.read_next
    (array([1., 1.]), array([2., 2.]), array([1., 1.]), array([-1.,  0.]))

    Three resultants, of which the second is the mean of two frames:

    >>> d = difference_covariance(np.array([1.0, 2.5, 4.0]), nframes=np.array([1, 2, 1]))
    >>> d.read, d.read_next, d.shot, d.shot_next
    (array([1.5, 1.5]), array([-0.5,  0. ]), array([1.25, 1.25]), array([0.25, 0.  ]))
    """
    times = np.asarray(times, np.float64) / frame_time
    if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) > 0):
        raise ValueError("times: wanted at least two ascending values in one dimension")
    n = np.asarray(nframes, np.float64)
    if n.shape not in ((), times.shape) or n.min() < 1:
        raise ValueError(
            f"nframes: wanted a number from 1 on, or one for each of {len(times)} reads, "
            f"got {nframes}"
        )
    n = np.broadcast_to(n, times.shape)
    # Brandt (2024) eq. 9: variance of the mean of n equally spaced samples of a Poisson process.
    half = (n - 1) / 2 * frame_gap
    tau = times - half + frame_gap * (n - 1) * (2 * n - 1) / (6 * n)
    read = 1.0 / n[:-1] + 1.0 / n[1:]
    shot = tau[:-1] + tau[1:] - 2 * times[:-1]
    read_next = np.append(-1.0 / n[1:-1], 0.0)
    shot_next = np.append((times - tau)[1:-1], 0.0)
    return DifferenceCovariance(np.diff(times), read, shot, read_next, shot_next)


def without_weight(covariance: DifferenceCovariance, lost: np.ndarray) -> DifferenceCovariance:
    """Return the covariance coefficients in which some reads (T,) are so noisy that none counts.

    Examples
    --------
    >>> odd = without_weight(difference_covariance(np.arange(4.0)), np.arange(4) == 1)
    >>> odd.read, odd.read_next
    (array([401., 401.,   2.]), array([-400.,   -1.,    0.]))
    """
    more = np.where(lost, TUNING.lost_variance - read_variance(covariance), 0.0)
    return covariance._replace(
        read=covariance.read + more[:-1] + more[1:],
        read_next=covariance.read_next - np.append(more[1:-1], 0.0),
    )


def read_variance(covariance: DifferenceCovariance) -> np.ndarray:
    """Return the variance of the white noise of each read, in units of that of one frame: (T,).

    Examples
    --------
    >>> read_variance(difference_covariance(np.arange(4.0), nframes=np.array([1, 1, 1, 2])))
    array([1. , 1. , 1. , 0.5])
    """
    if len(covariance.dt) == 1:
        return np.repeat(covariance.read / 2.0, 2)
    first = covariance.read[0] + covariance.read_next[0]
    inner = -covariance.read_next[:-1]
    return np.concatenate([[first], inner, [covariance.read[-1] - inner[-1]]])


def may_split_jump(covariance: DifferenceCovariance) -> np.ndarray:
    """Return which reads may split a jump with the next one: bool (T,).

    A read that averages frames holds a part of the charge that arrives between them, the next
    read all of it: both differences contain a part of the jump. The last read has no next one.

    Examples
    --------
    >>> covariance = difference_covariance(np.arange(4.0), nframes=np.array([2, 1, 3, 3]))
    >>> may_split_jump(covariance).tolist()
    [False, False, True, False]
    """
    return np.concatenate([[False], covariance.shot_next[:-1] > 1e-9, [False]])


def covariance_of(ramp: Ramp) -> DifferenceCovariance:
    """Compute the covariance coefficients of a ramp, in units of its frame time."""
    alike = difference_covariance(ramp.times, ramp.facts.frame_time, ramp.averaged)
    return alike if ramp.quality is None else with_quality(alike, ramp.quality)


def with_quality(covariance: DifferenceCovariance, quality: ReadQuality) -> DifferenceCovariance:
    """Return the covariance coefficients of reads that differ in noise.

    Examples
    --------
    The second of three reads has twice the usual variance:

    >>> alike = difference_covariance(np.arange(3.0))
    >>> quality = ReadQuality(np.array([1, 2, 1]), np.zeros(2), np.ones(2), *np.zeros((2, 3), bool))
    >>> odd = with_quality(alike, quality)
    >>> odd.read, odd.read_next
    (array([3., 3.]), array([-2.,  0.]))
    """
    frames = read_variance(covariance) * quality.white
    return covariance._replace(
        read=frames[:-1] + frames[1:] + quality.extra,
        read_next=np.append(-frames[1:-1], 0.0),
        shot=covariance.shot * quality.shot,
    )
