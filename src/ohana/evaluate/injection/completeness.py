"""Completeness against charge: a smooth rise fitted to found and missed events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit, logit

#: Grid of the likelihood: midpoints of the rise, with a margin below the faintest and above the
#: brightest event (natural logarithm); widths of the rise; completeness of the brightest. Chosen.
BEYOND, MIDDLES = 1.0, 41
WIDTHS = (0.01, 1.0, 16)
TOPS = np.linspace(0.05, 1.0, 20)
#: A second, finer grid covers likelihoods above this fraction of the maximum. Chosen.
NEGLIGIBLE = 1e-4
#: Points of a curve. Chosen.
POINTS = 41
#: Quantiles of the 68 % interval.
LOW, HIGH = 0.159, 0.841
#: Minimum number of events for a fit. Chosen.
MIN_EVENTS = 8


class Limit(NamedTuple):
    """Charge at which a fraction of the events is found, with its 68 % interval.

    NaN stands for what is not known: without ``value``, a known ``low`` says that the part is not
    reached (with any certainty only above ``low``), and a known ``high`` that it is reached
    already below the faintest events.
    """

    value: float
    low: float
    high: float


UNKNOWN = Limit(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Completeness:
    """Completeness against charge or S/N.

    Attributes
    ----------
    count, found : int
        Events, and those found.
    half, most : Limit
        Where 50 % and 90 % are found.
    at : ndarray, shape (n,)
        Charges or S/N, equally spaced in the logarithm; empty if nothing was fitted.
    curve, low, high : ndarray, shape (n,)
        Fitted part there, and its interval at 68 %.
    """

    count: int
    found: int
    half: Limit
    most: Limit
    at: np.ndarray
    curve: np.ndarray
    low: np.ndarray
    high: np.ndarray


class _Grid(NamedTuple):
    """Points of the likelihood with a significant weight, arrays of shape (m,)."""

    middle: np.ndarray
    width: np.ndarray
    top: np.ndarray
    weight: np.ndarray


def fit_completeness(value: np.ndarray, found: np.ndarray) -> Completeness:
    """Fit the completeness of events against their charge.

    ``top / (1 + exp(-(ln value - middle) / width))``: a rise from nothing, since an event of no
    charge is found by chance alone, and matching leaves no chance, to ``top``, since some events
    are lost however bright. The binomial likelihood is taken on a grid, flat in ``middle``, the
    logarithm of ``width`` and ``top``; all limits and intervals are quantiles of it. That needs no
    starting values and stays true where all or none are found.

    Parameters
    ----------
    value : ndarray, shape (n,)
        Charge or S/N, positive.
    found : ndarray of bool, shape (n,)
        Whether each was found.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> charge = np.exp(rng.uniform(0, 5, 400))
    >>> fit = fit_completeness(charge, charge > 20)
    >>> bool(fit.half.low < 20 < fit.half.high), bool(fit.half.high / fit.half.low < 1.1)
    (True, True)
    """
    count, hits = len(value), int(np.count_nonzero(found))
    if count < MIN_EVENTS:
        return Completeness(count, hits, UNKNOWN, UNKNOWN, *[np.empty(0)] * 4)
    x = np.log(value)
    grid = _weigh(x, found, (x.min() - BEYOND, x.max() + BEYOND), WIDTHS[:2])
    ends = [(axis.min(), axis.max()) for axis in (grid.middle, grid.width)]
    step = (np.ptp(x) + 2 * BEYOND) / (MIDDLES - 1)
    around = ends[0][0] - step, ends[0][1] + step
    grid = _weigh(x, found, around, ends[1])
    at = np.linspace(x.min(), x.max(), POINTS)
    parts = [grid.top * expit((place - grid.middle) / grid.width) for place in at]
    low, _, high = np.transpose([_quantiles(part, grid.weight) for part in parts])
    return Completeness(
        count,
        hits,
        _limit(0.5, grid, x),
        _limit(0.9, grid, x),
        np.exp(at),
        np.array([part @ grid.weight for part in parts]),
        low,
        high,
    )


def _weigh(
    x: np.ndarray, found: np.ndarray, middles: tuple[float, float], widths: tuple[float, float]
) -> _Grid:
    """Return the weights of all grid points with a significant likelihood."""
    middle, width = np.linspace(*middles, MIDDLES), np.geomspace(*widths, WIDTHS[2])
    chance = np.empty((MIDDLES, len(width), len(TOPS)))
    hits, tops = np.count_nonzero(found), np.log(TOPS)
    for k, m in enumerate(middle):
        seen = log_expit((x[found] - m) / width[:, None]).sum(axis=1)
        rise = expit((x[~found] - m) / width[:, None])
        # Keeps probabilities below 1 after rounding.
        missed = np.log1p(-np.minimum(TOPS[:, None] * rise[:, None], 1 - 1e-15)).sum(axis=-1)
        chance[k] = seen[:, None] + hits * tops + missed
    weight = np.exp(chance - chance.max())
    kept = np.nonzero(weight > NEGLIGIBLE)
    some = weight[kept]
    return _Grid(middle[kept[0]], width[kept[1]], TOPS[kept[2]], some / some.sum())


def _quantiles(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return low end, middle and high end of a weighted distribution."""
    order = np.argsort(values)
    at = np.searchsorted(np.cumsum(weight[order]), [LOW, 0.5, HIGH])
    return values[order][at.clip(0, len(order) - 1)]


def _limit(part: float, grid: _Grid, x: np.ndarray) -> Limit:
    """Return the charge at which a fraction is found, if it is in the range of the events."""
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.where(grid.top > part, logit(np.minimum(part / grid.top, 1)), np.inf)
    low, value, high = _quantiles(grid.middle + grid.width * away, grid.weight)
    if value > x.max():
        return Limit(np.nan, float(np.exp(min(low, x.max()))), np.nan)
    if value < x.min():
        return Limit(np.nan, np.nan, float(np.exp(max(high, x.min()))))
    above = float(np.exp(high)) if np.isfinite(high) else np.nan
    return Limit(float(np.exp(value)), float(np.exp(low)), above)
