"""Read noise and rate of each pixel from the data themselves, robust to events.

The noise of a pixel is measured from its own first differences, then shrunk toward that of
its neighbourhood as far as the data require: the spread of the measured variances determines
how much pixels really differ (empirical Bayes; Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3, 3).
The noise of a pixel in a short ramp is then nearly that of its neighbours, in a long one nearly
its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.difference_stats import DifferenceStats, difference_stats
from ohana.rampfit.tuning import TUNING

#: Columns of a tile over which noise is pooled (its rows are `ohana.ramp.TILE_ROWS`).
TILE_COLS = 64


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
        Typical read-noise variance of the pixels around, independent of its own scatter [DN^2].
    prior_dof : ndarray
        Weight of ``neighbourhood_variance`` for a single pixel, as degrees of freedom, see
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
    """Expected squared residuals of n differences about their slope, per difference.

    ``read`` and ``shot`` are the expectation per unit of read variance and of Poisson variance,
    ``dof`` the degrees of freedom when read noise dominates. ``slope_read`` is the variance of
    the slope per mean square of a difference, times n**2; ``slope_shot`` the variance per unit of
    Poisson variance, times n.
    """

    read: float
    shot: float
    dof: float
    slope_read: float
    slope_shot: float


def weighted(covariance: DifferenceCovariance) -> tuple[DifferenceCovariance, np.ndarray]:
    """Divide differences by weights (T - 1,), so that read noise is the same in all of them.

    The weights are 1 if all reads average as many frames. Without them the differences of reads
    of few frames would dominate all others.
    """
    weight = np.sqrt(covariance.read / np.mean(covariance.read))
    both = weight * np.append(weight[1:], 1.0)
    scaled = DifferenceCovariance(
        covariance.dt / weight,
        covariance.read / weight**2,
        covariance.shot / weight**2,
        covariance.read_next / both,
        covariance.shot_next / both,
    )
    return scaled, weight


def expected_yields(covariance: DifferenceCovariance) -> ExpectedScatter:
    """Compute `ExpectedScatter` for the residuals about a line through zero, exactly.

    With C the tridiagonal covariance and M the projection that removes a multiple of ``dt``, they
    are the traces of M C and of (M C)^2.
    """
    n = len(covariance.dt)
    length = np.sqrt(np.sum(covariance.dt**2))
    along = covariance.dt / length

    def trace(diagonal: np.ndarray, beside: np.ndarray) -> tuple[float, float, float]:
        inner = beside[:-1]
        image = diagonal * along
        image[:-1] += inner * along[1:]
        image[1:] += inner * along[:-1]
        square = np.sum(diagonal**2) + 2 * np.sum(inner**2)
        removed = float(along @ image)
        return diagonal.sum() - removed, square - 2 * np.sum(image**2) + removed**2, removed

    read, squared, read_slope = trace(covariance.read, covariance.read_next)
    shot, _, shot_slope = trace(covariance.shot, covariance.shot_next)
    slope_read = read_slope / length**2 * n**2 / np.mean(covariance.read)
    slope_shot = shot_slope / length**2 * n
    return ExpectedScatter(read / n, shot / n, read**2 / squared / n, slope_read, slope_shot)


def prior_dof(ratio: np.ndarray, dof: float) -> float:
    """Return the weight of the common noise for a single pixel, as degrees of freedom.

    Parameters
    ----------
    ratio : ndarray, shape (n,)
        Measured over expected variance of each pixel.
    dof : float
        Degrees of freedom of each measurement.

    Returns
    -------
    float
        Infinite where the ratios scatter no more than by chance.

    Notes
    -----
    Compares quantiles of the logarithm, which one outlier in ten pixels does not change much.
    """
    low, high = np.quantile(np.log(np.maximum(ratio, 1e-12)), TUNING.prior_quantiles)
    by_chance = np.log(stats.chi2.ppf(TUNING.prior_quantiles, dof))
    chance = (by_chance[1] - by_chance[0]) ** 2 / 4
    excess = (high - low) ** 2 / 4 - chance
    # The squared quantile range of n normal deviates has the relative error 2.7 / sqrt(n).
    if excess < TUNING.min_prior_excess * chance * 2.7 / np.sqrt(len(ratio)):
        return np.inf
    least = TUNING.min_prior_dof / 2
    if excess > special.polygamma(1, least):
        return TUNING.min_prior_dof
    root = optimize.brentq(lambda x: special.polygamma(1, x) - excess, least, 1 / excess + 2)
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

    Where a rate differs from that of the tile by no more than chance, that of the tile counts.
    Otherwise faint pixels that by chance have a low rate would be assigned no shot noise, and
    their charge would look like steps.
    """
    typical = tile_medians(sums.rate, known)
    with np.errstate(divide="ignore", invalid="ignore"):
        # With evenly spaced reads, the noise of all but the first and last cancels in the slope.
        variance = sums.square / sums.count**2 * yields.slope_read
        variance += np.fmax(typical, 0) / gain / sums.count * yields.slope_shot
        own = np.abs(sums.rate - typical) > TUNING.other_rate * np.sqrt(variance)
    return np.fmax(np.where(own & known, sums.rate, typical), 0) / gain


def measure(
    data: np.ndarray,
    first_saturated: np.ndarray,
    border: np.ndarray,
    covariance: DifferenceCovariance,
    gain: float,
) -> Noise:
    """Measure noise and rate of the pixels of a row block.

    Parameters
    ----------
    data : ndarray of float32, shape (T, R, W)
        Ramps [DN], NaN where a read must not be used. The block must begin at a multiple of
        `ohana.ramp.TILE_ROWS` and be that high (or end with the array), so that the result
        does not depend on how an exposure is cut.
    first_saturated : ndarray of int, shape (R, W)
        First saturated read of each pixel; T where none is.
    border : ndarray of bool, shape (R, W)
        Reference pixels, not pooled with the others.
    covariance : DifferenceCovariance
        Covariance coefficients.
    gain : float
        [e-/DN]

    Returns
    -------
    Noise
        Arrays of shape (R, W); variance NaN where a whole group has no data.
    """
    scaled, weight = weighted(covariance)
    sums = difference_stats(
        data, first_saturated, covariance.dt, weight, may_split_jump(covariance)
    )
    yields = expected_yields(scaled)
    variance, dof = np.full(first_saturated.shape, np.nan), np.zeros(first_saturated.shape)
    around, shot = variance.copy(), np.zeros(first_saturated.shape)
    prior = np.full(first_saturated.shape, np.inf)
    for group in (~border, border):
        known = group & (sums.count > 1)
        if not known.any():
            continue
        poisson = poisson_variance(sums, known, yields, gain)
        chance = yields.dof * float(np.median(sums.count[known]))
        unbiased = sums.square * (chance / stats.chi2.median(chance))
        typical = tile_medians((unbiased - yields.shot * poisson) / yields.read, known)
        # Where Poisson noise explains all scatter, a floor keeps the weights finite.
        floor = TUNING.min_read_noise_fraction * np.median(unbiased[known]) + 1e-12
        typical = np.maximum(typical, floor)
        ratio = sums.trimmed / (yields.read * typical + yields.shot * poisson)
        own = np.where(known, own_dof(covariance, sums.count), 0)
        scale, degrees, prior[group] = _shrink(ratio, own, known)
        around[group] = typical[group]
        variance[group] = (typical * scale)[group]
        shot[group] = (poisson * scale)[group]
        dof[group] = degrees[group]
    return Noise(variance, shot, sums.rate, dof, around, prior, sums.largest, sums.scatter)


def with_read_noise(noise: Noise, sigma: np.ndarray) -> Noise:
    """Replace measured by known read noise (R, W) [DN, one frame] where that is finite.

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
        # The measured scale was applied to shot noise too; undo that.
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

    ``own`` are the degrees of freedom of each measurement. Returns the scale, its degrees of
    freedom, and the weight of the value 1 in these.
    """
    typical = float(np.median(own[known]))
    if typical < TUNING.min_dof:
        return np.ones(ratio.shape), np.full(ratio.shape, np.inf), np.inf
    middle = np.median(ratio[known]) or 1.0  # 0 where nothing but a constant was read
    # Trimming makes all ratios smaller by the same factor.
    ratio = ratio * (stats.chi2.median(typical) / typical / middle)
    # Ramps that end early scatter because they have few differences.
    prior = prior_dof(ratio[known & (own >= TUNING.full_ramp_fraction * typical)], typical)
    share = own / (own + prior)
    outlier = known & (ratio > 1 + TUNING.outlier * np.sqrt(2 / np.maximum(own, 1)))
    limit = special.chdtri(own[outlier], stats.norm.sf(TUNING.outlier)) / own[outlier]
    outlier[outlier] = ratio[outlier] > limit
    share[outlier] = 1.0
    scale = np.where(share > 0, share * np.nan_to_num(ratio), 0.0) + 1 - share
    return scale, np.where(outlier, own, own + prior), prior


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
