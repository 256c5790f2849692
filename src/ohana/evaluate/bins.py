"""Fractions in bins of some quantity, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Minimum count of a bin: bins are joined up to it, and marked below it. Chosen.
FEW = 10


def interval(found: float, count: float) -> tuple[float, float]:
    """Return the 68.3 % interval of a fraction measured as ``found`` of ``count``.

    Wilson's score interval for one standard deviation (Wilson 1927, J. Am. Stat. Assoc. 22,
    209): never empty, never outside 0 to 1.

    Returns
    -------
    low, high : float
        NaN where nothing was counted.

    Examples
    --------
    >>> interval(0, 3)
    (0.0, 0.25)
    >>> interval(1, 1)
    (0.5, 1.0)
    """
    if not count:
        return np.nan, np.nan
    middle = found + 0.5
    half = np.sqrt(found * (count - found) / count + 0.25)
    return float((middle - half) / (count + 1)), float((middle + half) / (count + 1))


@dataclass(frozen=True)
class Bin:
    """Number found, and number in all, between two values of some quantity.

    Attributes
    ----------
    low, high : float
        From and up to, in the unit of the quantity.
    count, found : int
        Tried, and found of these.
    expected : float
        How many an ideal estimator would find in Gaussian noise; NaN where that is not defined.
    """

    low: float
    high: float
    count: int
    found: int
    expected: float = np.nan

    @property
    def fraction(self) -> float:
        """Fraction found; NaN for an empty bin."""
        return self.found / self.count if self.count else np.nan

    @property
    def expected_fraction(self) -> float:
        """Fraction that an ideal estimator would find; NaN where undefined."""
        return self.expected / self.count if self.count else np.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the fraction found; see `interval`."""
        return interval(self.found, self.count)

    @property
    def few(self) -> bool:
        """Whether the count is too small to rely on."""
        return self.count < FEW


def count_bins(
    values: np.ndarray,
    found: np.ndarray,
    edges: Sequence[float] | np.ndarray,
    expected: np.ndarray | None = None,
) -> list[Bin]:
    """Count in bins from each edge up to the next; the last one includes its upper edge.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The quantity; NaN is in no bin.
    found : ndarray of bool, shape (n,)
        What was found.
    edges : sequence of float
        Ascending; n + 1 of them make n bins.
    expected : ndarray, shape (n,), optional
        Chance of each to be found.

    Examples
    --------
    >>> count_bins(np.array([1.0, 2, 3]), np.array([True, False, True]), [0, 2, 3])
    [Bin(low=0.0, high=2.0, count=1, found=1, expected=nan), \
Bin(low=2.0, high=3.0, count=2, found=1, expected=nan)]
    """
    which = np.searchsorted(edges, values, "right") - 1
    which[values == edges[-1]] = len(edges) - 2
    kinds = len(edges) - 1
    inside = (which >= 0) & (which < kinds)
    count = np.bincount(which[inside], minlength=kinds)
    hits = np.bincount(which[inside & found], minlength=kinds)
    chance = np.full(kinds, np.nan)
    if expected is not None:
        chance = np.bincount(which[inside], expected[inside], minlength=kinds)
    return [
        Bin(float(edges[k]), float(edges[k + 1]), int(count[k]), int(hits[k]), float(chance[k]))
        for k in range(kinds)
    ]


def adaptive_bins(
    values: np.ndarray,
    found: np.ndarray,
    grid: np.ndarray,
    expected: np.ndarray | None = None,
) -> list[Bin]:
    """Count in bins of a grid, sparse neighbours joined until they hold `FEW` or more.

    A bin of the grid that holds enough by itself is left as it is, so that a sparse tail does
    not blur it. Empty bins are left out.

    Examples
    --------
    >>> values = np.repeat([0.5, 1.5, 2.5, 5.5], [1, 2, 20, 3])
    >>> bins = adaptive_bins(values, values > 2, np.arange(7.0))
    >>> [(each.low, each.high, each.count) for each in bins]
    [(0.0, 2.0, 3), (2.0, 3.0, 20), (5.0, 6.0, 3)]
    """
    bins: list[Bin] = []
    for each in count_bins(values, found, grid, expected):
        if bins and each.few and bins[-1].few and each.count:
            before = bins.pop()
            each = Bin(
                before.low,
                each.high,
                before.count + each.count,
                before.found + each.found,
                before.expected + each.expected,
            )
        if each.count:
            bins.append(each)
    return bins


def one_two_five(values: np.ndarray) -> np.ndarray:
    """Return edges 1, 2, 5, 10, 20 ... that enclose all positive values.

    Examples
    --------
    >>> one_two_five(np.array([3.0, 40.0]))
    array([ 2.,  5., 10., 20., 50.])
    """
    positive = values[values > 0]
    if not positive.size:
        return np.array([1.0, 2.0])
    low, high = np.floor(np.log10([positive.min(), positive.max()])).astype(int)
    series = np.array([m * 10.0**e for e in range(low, high + 1) for m in (1, 2, 5)])
    series = np.append(series, 10.0 ** (high + 1))
    first = np.searchsorted(series, positive.min(), "right") - 1
    last = np.searchsorted(series, positive.max(), "right")
    return series[max(first, 0) : last + 1]


def read_grid(reads: int, most: int = 12) -> np.ndarray:
    """Return edges between reads 1 to ``reads - 1``, for at most ``most`` bins of whole reads.

    Examples
    --------
    >>> read_grid(4)
    array([0.5, 1.5, 2.5, 3.5])
    """
    edges = np.linspace(1, reads, min(reads - 1, most) + 1)
    return np.round(edges) - 0.5
