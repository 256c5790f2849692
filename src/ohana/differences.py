"""Mean and covariance of the first differences of a ramp, for any spacing of its reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Differences(NamedTuple):
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


def differences(
    times: np.ndarray, frame_time: float = 1.0, nframes: int = 1, frame_gap: float = 1.0
) -> Differences:
    """Describe the differences of reads taken at ``times``.

    Parameters
    ----------
    times : ndarray, shape (T,)
        Mean time of each read [s], ascending.
    frame_time : float
        Unit of time of the rates [s].
    nframes : int
        Frames averaged into each read.
    frame_gap : float
        Time between averaged frames, in units of ``frame_time``.

    Returns
    -------
    Differences
        float64 arrays of shape (T - 1,).

    Examples
    --------
    >>> import numpy as np
    >>> d = differences(np.arange(3.0))
    >>> d.dt, d.read, d.shot, d.read_next
    (array([1., 1.]), array([2., 2.]), array([1., 1.]), array([-1.,  0.]))
    """
    times = np.asarray(times, np.float64) / frame_time
    if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) > 0):
        raise ValueError("times: wanted at least two ascending values in one dimension")
    # Brandt (2024) eq. 9: variance of the mean of n equally spaced samples of a Poisson process.
    half = (nframes - 1) / 2 * frame_gap
    tau = times - half + frame_gap * (nframes - 1) * (2 * nframes - 1) / (6 * nframes)
    read = np.full(len(times) - 1, 2.0 / nframes)
    shot = tau[:-1] + tau[1:] - 2 * times[:-1]
    read_next = np.full(len(times) - 1, -1.0 / nframes)
    shot_next = np.append((times - tau)[1:-1], 0.0)
    read_next[-1] = 0.0
    return Differences(np.diff(times), read, shot, read_next, shot_next)
