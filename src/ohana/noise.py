"""Stage 3: read noise and rate of each pixel from the data themselves, robust to events.

The noise of a pixel is measured from its own first differences, then shrunk toward that of
its neighbourhood by as much as the data ask for: the spread of the measured variances tells
how much pixels really differ (empirical Bayes; Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3, 3).
A short ramp so borrows nearly everything from its neighbours, a long one nearly nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import optimize, special, stats

from ohana.differences import Differences

#: Columns of a tile over which noise is pooled (its rows are `ohana.ramp.TILE_ROWS`).
TILE_COLS = 64
#: Differences further than this from the median, in sigma, are left out as events.
CLIP = 5.0
#: Differences used for the median: enough to tell the bulk from the events.
SAMPLE = 31
#: A pixel whose scatter exceeds expectation by more than this, in sigma, keeps its own.
OUTLIER = 4.0
#: With fewer differences than this a pixel's own scatter cannot tell noise from an event.
FEW = 5


class Noise(NamedTuple):
    """Noise of each pixel, arrays of one shape.

    Attributes
    ----------
    variance : ndarray
        Read-noise variance of one frame [DN^2].
    shot : ndarray
        Poisson variance per frame time [DN^2].
    rate : ndarray
        Robust rate [DN per frame time]; NaN without data.
    dof : ndarray
        Degrees of freedom behind ``variance``; may be infinite.
    largest, scatter : ndarray
        Largest difference above the median one [DN], and mean square of all differences about
        it [DN^2], events included.
    """

    variance: np.ndarray
    shot: np.ndarray
    rate: np.ndarray
    dof: np.ndarray
    largest: np.ndarray
    scatter: np.ndarray


@njit(nogil=True, cache=True)
def _sorted(values, n):
    """Sort the first n values in place: few enough for insertion."""
    for i in range(1, n):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@njit(nogil=True, cache=True, error_model="numpy")
def rough_kernel(data, stop, dt, centre, spread):
    """Median and scaled median deviation of the differences per frame time of (T, n) reads."""
    reads, n = data.shape
    stride = max(1, (reads - 1) // SAMPLE)
    values = np.empty((SAMPLE * 2 + 1, n))
    used = np.zeros(n, np.int64)
    for f in range(stride, reads, stride):
        for i in range(n):
            step = (np.float64(data[f, i]) - np.float64(data[f - 1, i])) / dt[f - 1]
            if step - step == 0.0 and f < stop[i]:
                values[used[i], i] = step
                used[i] += 1
    column = np.empty(SAMPLE * 2 + 1)
    for i in range(n):
        centre[i] = np.nan
        spread[i] = np.nan
        if used[i] > 0:
            for k in range(used[i]):
                column[k] = values[k, i]
            _sorted(column, used[i])
            # Events only add charge: of an even number the lower middle is the safer one.
            centre[i] = column[(used[i] - 1) // 2]
            for k in range(used[i]):
                column[k] = abs(column[k] - centre[i])
            _sorted(column, used[i])
            spread[i] = 1.4826 * column[used[i] // 2]


@njit(nogil=True, cache=True, error_model="numpy")
def clipped_kernel(data, stop, dt, centre, limit, sums):
    """Sum over differences: ``sums`` (7, n).

    Count, dt, d and d^2 of those within ``limit`` of the median (``d`` counted from it); count,
    d^2 and the largest d of all.
    """
    sums[:] = 0.0
    for f in range(1, data.shape[0]):
        length = dt[f - 1]
        count, time, total, square = sums[0], sums[1], sums[2], sums[3]
        now, before = data[f], data[f - 1]
        for i in range(now.size):
            # About the median, so that nothing is lost to rounding in a steep ramp.
            excess = np.float64(now[i]) - np.float64(before[i]) - centre[i] * length
            good = abs(excess) <= limit[i] * length and f < stop[i]
            count[i] += 1.0 if good else 0.0
            time[i] += length if good else 0.0
            total[i] += excess if good else 0.0
            square[i] += excess * excess if good else 0.0
        used, scatter, largest = sums[4], sums[5], sums[6]
        for i in range(now.size):
            excess = np.float64(now[i]) - np.float64(before[i]) - centre[i] * length
            good = excess - excess == 0.0 and f < stop[i]
            used[i] += 1.0 if good else 0.0
            scatter[i] += excess * excess if good else 0.0
            largest[i] = max(largest[i], excess) if good else largest[i]


class Yields(NamedTuple):
    """What the squared residuals of n differences amount to, per difference.

    ``read`` and ``shot`` are their expectation per unit of read variance and of Poisson
    variance; ``dof`` their degrees of freedom when read noise dominates.
    """

    read: float
    shot: float
    dof: float


def expected_yields(model: Differences) -> Yields:
    """Compute `Yields` for the residuals about the mean difference, exactly.

    With C the tridiagonal covariance and M the projection that removes the mean, these are the
    traces of M C and of (M C)^2.
    """
    n = len(model.dt)

    def trace(diagonal: np.ndarray, beside: np.ndarray) -> tuple[float, float]:
        inner = beside[:-1]
        sums = diagonal.copy()
        sums[:-1] += inner
        sums[1:] += inner
        square = np.sum(diagonal**2) + 2 * np.sum(inner**2)
        single = diagonal.sum() - sums.sum() / n
        return single, square - 2 * np.sum(sums**2) / n + (sums.sum() / n) ** 2

    read, squared = trace(model.read, model.read_next)
    shot, _ = trace(model.shot, model.shot_next)
    return Yields(read / n, shot / n, read**2 / squared / n)


def worth_of_prior(ratio: np.ndarray, dof: float) -> float:
    """Degrees of freedom that the common noise is worth for a single pixel.

    Parameters
    ----------
    ratio : ndarray, shape (n,)
        Measured over expected variance of each pixel.
    dof : float
        Degrees of freedom of each measurement.

    Returns
    -------
    float
        Infinite where the ratios scatter no more than chance.

    Notes
    -----
    Compares quantiles of the logarithm, so that one pixel in ten may be anything.
    """
    low, high = np.quantile(np.log(np.maximum(ratio, 1e-12)), [0.16, 0.84])
    by_chance = np.log(stats.chi2.ppf([0.16, 0.84], dof))
    chance = (by_chance[1] - by_chance[0]) ** 2 / 4
    excess = (high - low) ** 2 / 4 - chance
    # Two standard errors of the squared quantile range of n normal deviates.
    if excess < 2 * chance * 2.7 / np.sqrt(len(ratio)):
        return np.inf
    if excess > special.polygamma(1, 0.25):
        return 0.5
    root = optimize.brentq(lambda x: special.polygamma(1, x) - excess, 0.25, 1 / excess + 2)
    return 2 * root


def read_variance(
    squares: np.ndarray, shot: np.ndarray, yields: Yields, dof: float, known: np.ndarray
) -> np.ndarray:
    """Typical read variance around each pixel: the median over its tile, Poisson noise removed.

    All arrays are (R, W); tiles with few ``known`` pixels take the median of the block.
    """
    unbiased = squares * (dof / stats.chi2.median(dof))
    own = (unbiased - yields.shot * shot) / yields.read
    # Poisson noise that explains everything leaves a floor, so that weights stay finite.
    floor = 1e-3 * np.median(unbiased[known]) + 1e-12
    typical = np.full(squares.shape, max(np.median(own[known]), floor))
    for start in range(0, squares.shape[1], TILE_COLS):
        tile = np.s_[:, start : start + TILE_COLS]
        if known[tile].sum() >= TILE_COLS:
            typical[tile] = max(np.median(own[tile][known[tile]]), floor)
    return typical


def measure(
    data: np.ndarray, stop: np.ndarray, border: np.ndarray, model: Differences, gain: float
) -> Noise:
    """Measure noise and rate of the pixels of a row block.

    Parameters
    ----------
    data : ndarray of float32, shape (T, R, W)
        Ramps [DN], NaN where a read must not be used. The block must begin at a multiple of
        `ohana.ramp.TILE_ROWS` and be that high (or end with the array), so that the result
        does not depend on how an exposure is cut.
    stop : ndarray of int, shape (R, W)
        First saturated read of each pixel; T where none is.
    border : ndarray of bool, shape (R, W)
        Reference pixels; they are not pooled with the others.
    model : Differences
        Covariance coefficients.
    gain : float
        [e-/DN]

    Returns
    -------
    Noise
        Arrays of shape (R, W); variance NaN where a whole group has no data.
    """
    centre, count, time, total, square, used, scatter, largest = _sums(data, stop, model.dt)
    yields = expected_yields(model)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(count > 0, centre + total / time, centre)
        squares = (square - total**2 / count) / count
    shot = np.nan_to_num(np.fmax(rate, 0)) / gain
    variance, out_dof = np.full(stop.shape, np.nan), np.zeros(stop.shape)
    scale = np.ones(stop.shape)
    for group in (~border, border):
        known = group & (count > 1)
        if not known.any():
            continue
        dof = yields.dof * float(np.median(count[known]))
        typical = read_variance(squares, shot, yields, dof, known)
        ratio = squares / (yields.read * typical + yields.shot * shot)
        worth = worth_of_prior(ratio[known], dof)
        own = np.where(known, yields.dof * count, 0.0)
        share = own / (own + worth)
        outlier = known & (count >= FEW) & (ratio > 1 + OUTLIER * np.sqrt(2 / np.maximum(own, 1)))
        limit = special.chdtri(own[outlier], stats.norm.sf(OUTLIER)) / own[outlier]
        outlier[outlier] = ratio[outlier] > limit
        share[outlier] = 1.0
        mixed = np.where(share > 0, share * ratio, 0.0) + 1 - share
        variance[group] = typical[group]
        scale[group] = mixed[group]
        out_dof[group] = np.where(outlier, own, own + worth)[group]
    scatter /= np.maximum(used, 1)
    return Noise(variance * scale, shot * scale, rate, out_dof, largest, scatter)


def _sums(data: np.ndarray, stop: np.ndarray, dt: np.ndarray) -> tuple[np.ndarray, ...]:
    """Median difference, and the sums of `clipped_kernel`, of each pixel of a block."""
    ramps, last = data.reshape(len(data), -1), np.ascontiguousarray(stop).ravel()
    centre, spread = np.empty(last.size), np.empty(last.size)
    rough_kernel(ramps, last, dt, centre, spread)
    known = np.isfinite(spread)
    typical = np.median(spread[known]) if known.any() else np.nan
    # The median deviation of a few values comes out low: be generous, and equal for all.
    scale = np.fmax(spread, typical) if len(dt) >= FEW else np.full(last.size, 2 * typical)
    sums = np.empty((7, last.size))
    clipped_kernel(ramps, last, dt, centre, CLIP * scale, sums)
    return tuple(values.reshape(stop.shape) for values in (centre, *sums))


def gaussian(ratio: np.ndarray, dof: np.ndarray) -> np.ndarray:
    """Turn a step over its standard error into a Gaussian significance [sigma].

    Accounts for the error of the noise itself: Student's t with ``dof`` degrees of freedom
    (Wallace 1959, Ann. Math. Stat. 30, 1121).

    Examples
    --------
    >>> float(gaussian(np.array(5.0), np.array(np.inf)))
    5.0
    >>> float(gaussian(np.array(-5.0), np.array(30.0)).round(2))
    -4.23
    """
    dof = np.clip(dof, 0.5, 1e9)
    shrunk = (8 * dof + 1) / (8 * dof + 3) * np.sqrt(dof * np.log1p(ratio**2 / dof))
    return np.where(dof < 1e6, np.copysign(shrunk, ratio), ratio)
