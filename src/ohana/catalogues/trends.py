"""How a rate changes from exposure to exposure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special


class Trend(NamedTuple):
    """How a rate changes from exposure to exposure.

    ``chi2`` of a constant rate with ``dof`` degrees of freedom comes by chance with
    probability ``p``; ``slope`` and its ``error`` are those of a straight line, per day, or per
    exposure where times are not known.
    """

    chi2: float
    dof: int
    p: float
    slope: float
    error: float


def trend(counts: np.ndarray, exposure: np.ndarray, time: np.ndarray) -> Trend | None:
    """Compare counts with a constant rate, and fit a straight line.

    Weights are the variances that a constant rate gives, so that both are unbiased for small
    counts too. None for fewer than three exposures or no event.

    Parameters
    ----------
    counts, exposure, time : ndarray, shape (n,)
        Events, what they are proportional to, and when.

    Examples
    --------
    >>> trend(np.array([100, 200, 300]), np.ones(3), np.arange(3.0)).slope
    100.0
    """
    if len(counts) < 3 or not counts.sum() or not (exposure > 0).all():
        return None
    rate = counts.sum() / exposure.sum()
    expected = rate * exposure
    chi2, dof = float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1
    weight = exposure / rate  # of counts / exposure, whose variance is rate / exposure
    away = time - (weight * time).sum() / weight.sum()
    spread = (weight * away**2).sum()
    if not spread > 0:
        return Trend(chi2, dof, float(special.chdtrc(dof, chi2)), np.nan, np.nan)
    slope = (weight * away * counts / exposure).sum() / spread
    chance = float(special.chdtrc(dof, chi2))
    return Trend(chi2, dof, chance, float(slope), float(1 / np.sqrt(spread)))
