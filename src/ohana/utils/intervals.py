"""Confidence intervals of counts."""

from __future__ import annotations

import numpy as np
from scipy import special


def poisson_interval(count: np.ndarray | int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the central interval of the mean that a count was drawn from.

    Exact limits of Garwood (1936, Biometrika 28, 437).

    Parameters
    ----------
    count : array_like of int
        Counts.
    level : float
        Probability content, such as 0.683 or 0.95.

    Returns
    -------
    low, high : ndarray
        Limits; 0 and ``-log((1 - level) / 2)`` for a count of 0.

    Examples
    --------
    >>> [round(float(limit), 2) for limit in poisson_interval(4, 0.683)]
    [2.08, 7.16]
    >>> [round(float(limit), 3) for limit in poisson_interval(0, 0.95)]
    [0.0, 3.689]
    """
    count, tail = np.asarray(count, float), (1 - level) / 2
    low = special.gammaincinv(np.maximum(count, 1), tail)
    return np.where(count > 0, low, 0.0), special.gammaincinv(count + 1, 1 - tail)
