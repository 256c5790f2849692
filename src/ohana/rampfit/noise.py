"""Stage 3: read noise and rate of each pixel from the data themselves, robust to events.

The noise of a pixel is measured from its own first differences, then shrunk toward that of
its neighbourhood by as much as the data ask for: the spread of the measured variances tells
how much pixels really differ (empirical Bayes; Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3, 3).
A short ramp so borrows nearly everything from its neighbours, a long one nearly nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.difference_stats import DifferenceStats, difference_stats

#: Columns of a tile over which noise is pooled (its rows are `ohana.ramp.TILE_ROWS`).
TILE_COLS = 64
#: A pixel whose scatter exceeds expectation by more than this, in sigma, keeps its own.
OUTLIER = 4.0
#: With fewer degrees of freedom a pixel's own scatter says nothing.
MIN_DOF = 2.0
#: A pixel whose rate differs from its tile's by more than this, in sigma, keeps its own.
OTHER_RATE = 3.0


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
    neighbourhood_variance : ndarray
        Read-noise variance of the pixels around, whatever this one's scatter [DN^2].
    prior_dof : ndarray
        Degrees of freedom that ``neighbourhood_variance`` is worth for a single pixel, see
        `prior_dof`.
    largest, scatter : ndarray
        Largest difference above the median one [DN], and mean square of all differences about
        it [DN^2], events included.
    """

    variance: np.ndarray
    shot: np.ndarray
    rate: np.ndarray
    dof: np.ndarray
    neighbourhood_variance: np.ndarray
    prior_dof: np.ndarray
    largest: np.ndarray
    scatter: np.ndarray


class ExpectedScatter(NamedTuple):
    """What the squared residuals of n differences amount to, per difference.

    ``read`` and ``shot`` are their expectation per unit of read variance and of Poisson
    variance; ``dof`` their degrees of freedom when read noise dominates. ``slope_read`` is the
    variance of their slope per mean square of a difference, times n**2; ``slope_shot`` that per
    unit of Poisson variance, times n.
    """

    read: float
    shot: float
    dof: float
    slope_read: float
    slope_shot: float


def weighted(model: DifferenceCovariance) -> tuple[DifferenceCovariance, np.ndarray]:
    """Divide differences by weights (T - 1,), so that read noise is the same in all of them.

    The weights are 1 where all reads are alike. Without them the differences of reads that
    average few frames would outweigh all others.
    """
    weight = np.sqrt(model.read / np.mean(model.read))
    both = weight * np.append(weight[1:], 1.0)
    scaled = DifferenceCovariance(
        model.dt / weight,
        model.read / weight**2,
        model.shot / weight**2,
        model.read_next / both,
        model.shot_next / both,
    )
    return scaled, weight


def expected_yields(model: DifferenceCovariance) -> ExpectedScatter:
    """Compute `ExpectedScatter` for the residuals about a line through zero, exactly.

    With C the tridiagonal covariance and M the projection that removes a multiple of ``dt``, they
    are the traces of M C and of (M C)^2.
    """
    n = len(model.dt)
    length = np.sqrt(np.sum(model.dt**2))
    along = model.dt / length

    def trace(diagonal: np.ndarray, beside: np.ndarray) -> tuple[float, float, float]:
        inner = beside[:-1]
        image = diagonal * along
        image[:-1] += inner * along[1:]
        image[1:] += inner * along[:-1]
        square = np.sum(diagonal**2) + 2 * np.sum(inner**2)
        removed = float(along @ image)
        return diagonal.sum() - removed, square - 2 * np.sum(image**2) + removed**2, removed

    read, squared, slope = trace(model.read, model.read_next)
    shot, _, walk = trace(model.shot, model.shot_next)
    slope_read = slope / length**2 * n**2 / np.mean(model.read)
    return ExpectedScatter(
        read / n, shot / n, read**2 / squared / n, slope_read, walk / length**2 * n
    )


def prior_dof(ratio: np.ndarray, dof: float) -> float:
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


def own_dof(model: DifferenceCovariance, count: np.ndarray) -> np.ndarray:
    """Degrees of freedom of the scatter of ``count`` differences, the largest left out."""
    trimmed = 1 + may_split_jump(model).any()
    return np.maximum(expected_yields(weighted(model)[0]).dof * count - trimmed, 0)


def prior_dof_of_map(dof: np.ndarray, reads: np.ndarray, model: DifferenceCovariance) -> float:
    """Return the degrees of freedom of the common noise from a map of those of each pixel.

    Parameters
    ----------
    dof : ndarray
        `Noise.dof` of a row block.
    reads : ndarray
        Usable reads of each pixel.
    model : DifferenceCovariance
        Covariance coefficients.

    Returns
    -------
    float
        About the lowest `Noise.prior_dof` of the block.
    """
    prior = dof - own_dof(model, np.maximum(reads - 1, 0))
    # `prior_dof` is 0.5 at least; outliers have their own degrees of freedom alone.
    shared = prior[prior > 0.25]
    return float(np.median(shared)) if len(shared) else np.inf


def tile_medians(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Median of the ``known`` values (R, W) around each pixel: over its tile, or the block."""
    typical = np.full(values.shape, np.median(values[known]))
    for start in range(0, values.shape[1], TILE_COLS):
        tile = np.s_[:, start : start + TILE_COLS]
        if known[tile].sum() >= TILE_COLS:
            typical[tile] = np.median(values[tile][known[tile]])
    return typical


def poisson_variance(
    sums: DifferenceStats, known: np.ndarray, yields: ExpectedScatter, gain: float
) -> np.ndarray:
    """Poisson variance per frame time [DN^2] of each pixel (R, W), from its rate.

    A rate that chance can explain is that of the tile: otherwise faint pixels that happen to
    come out low would be taken to have no shot noise, and their charge would look like steps.
    """
    typical = tile_medians(sums.rate, known)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Of evenly spaced reads, the noise of all but the first and last cancels in a slope.
        variance = sums.square / sums.count**2 * yields.slope_read
        variance += np.fmax(typical, 0) / gain / sums.count * yields.slope_shot
        own = np.abs(sums.rate - typical) > OTHER_RATE * np.sqrt(variance)
    return np.fmax(np.where(own & known, sums.rate, typical), 0) / gain


def measure(
    data: np.ndarray, stop: np.ndarray, border: np.ndarray, model: DifferenceCovariance, gain: float
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
    model : DifferenceCovariance
        Covariance coefficients.
    gain : float
        [e-/DN]

    Returns
    -------
    Noise
        Arrays of shape (R, W); variance NaN where a whole group has no data.
    """
    scaled, weight = weighted(model)
    sums = difference_stats(data, stop, model.dt, weight, may_split_jump(model))
    yields = expected_yields(scaled)
    variance, dof = np.full(stop.shape, np.nan), np.zeros(stop.shape)
    around, shot = variance.copy(), np.zeros(stop.shape)
    worth = np.full(stop.shape, np.inf)
    for group in (~border, border):
        known = group & (sums.count > 1)
        if not known.any():
            continue
        poisson = poisson_variance(sums, known, yields, gain)
        chance = yields.dof * float(np.median(sums.count[known]))
        unbiased = sums.square * (chance / stats.chi2.median(chance))
        typical = tile_medians((unbiased - yields.shot * poisson) / yields.read, known)
        # Poisson noise that explains everything leaves a floor, so that weights stay finite.
        typical = np.maximum(typical, 1e-3 * np.median(unbiased[known]) + 1e-12)
        ratio = sums.trimmed / (yields.read * typical + yields.shot * poisson)
        own = np.where(known, own_dof(model, sums.count), 0)
        scale, degrees, worth[group] = _shrink(ratio, own, known)
        around[group] = typical[group]
        variance[group] = (typical * scale)[group]
        shot[group] = (poisson * scale)[group]
        dof[group] = degrees[group]
    return Noise(variance, shot, sums.rate, dof, around, worth, sums.largest, sums.scatter)


def with_read_noise(noise: Noise, sigma: np.ndarray) -> Noise:
    """Put known read noise (R, W) [DN, one frame] in the place of measured, where it is finite.

    Examples
    --------
    >>> measured = Noise(*(np.full((1, 2), value) for value in (9.0, 3.0, 5.0, 8.0, 4.0, 1, 0, 0)))
    >>> given = with_read_noise(measured, np.array([[2.0, np.nan]]))
    >>> given.variance, given.dof
    (array([[4., 9.]]), array([[inf,  8.]]))
    """
    known = (sigma > 0) & np.isfinite(sigma) & np.isfinite(noise.variance)
    variance = np.where(known, sigma, 1.0).astype(np.float64) ** 2
    with np.errstate(invalid="ignore"):
        # What was measured scales shot noise with it; that of the rate alone is wanted back.
        shot = noise.shot * np.where(known, noise.neighbourhood_variance / noise.variance, 1.0)
    return noise._replace(
        variance=np.where(known, variance, noise.variance),
        shot=shot,
        dof=np.where(known, np.inf, noise.dof),
        neighbourhood_variance=np.where(known, variance, noise.neighbourhood_variance),
        prior_dof=np.where(known, np.inf, noise.prior_dof),
    )


def _shrink(
    ratio: np.ndarray, own: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Shrink measured over expected variance (R, W) toward 1.

    Returns the scale, its degrees of freedom, and those that the value 1 is worth.

    ``own`` are the degrees of freedom of each measurement.
    """
    typical = float(np.median(own[known]))
    if typical < MIN_DOF:
        return np.ones(ratio.shape), np.full(ratio.shape, np.inf), np.inf
    middle = np.median(ratio[known]) or 1.0  # 0 where nothing but a constant was read
    # Trimming makes all ratios smaller by the same factor.
    ratio = ratio * (stats.chi2.median(typical) / typical / middle)
    # Ramps that end early scatter for want of differences.
    worth = prior_dof(ratio[known & (own >= typical / 2)], typical)
    share = own / (own + worth)
    outlier = known & (ratio > 1 + OUTLIER * np.sqrt(2 / np.maximum(own, 1)))
    limit = special.chdtri(own[outlier], stats.norm.sf(OUTLIER)) / own[outlier]
    outlier[outlier] = ratio[outlier] > limit
    share[outlier] = 1.0
    scale = np.where(share > 0, share * np.nan_to_num(ratio), 0.0) + 1 - share
    return scale, np.where(outlier, own, own + worth), worth


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
