"""Noise of each read, from many pixels at once: some reads are worse than others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from ohana.correction.tiles import PixelSample
from ohana.correction.tuning import TUNING
from ohana.ramp import ReadQuality
from ohana.rampfit.covariance import DifferenceCovariance, read_variance, with_quality
from ohana.utils.tuning import SIGMA_OF_MAD


class TypicalNoise(NamedTuple):
    """Noise of a typical pixel: that of most reads, and how single ones depart from it.

    Attributes
    ----------
    white, light : float
        Read variance of one frame, and variance per frame time of what adds to it from
        difference to difference: shot noise, random walks [DN^2].
    quality : ReadQuality
        How reads depart from most.
    """

    white: float
    light: float
    quality: ReadQuality


def measure_read_noise(
    sample: PixelSample, covariance: DifferenceCovariance, peaks: np.ndarray
) -> TypicalNoise:
    """Measure the noise of each read from the differences of some pixels.

    Parameters
    ----------
    sample : PixelSample
        Differences without what is shared.
    covariance : DifferenceCovariance
        Timing of the reads.
    peaks : ndarray of bool, shape (T - 1,)
        Differences that an event dominates: nothing is measured there.
    """
    variance, beside, error, its_error = _moments(sample)
    variance[peaks], beside[peaks[1:] | peaks[:-1]] = np.nan, np.nan
    white, light = _usual(variance, beside, covariance)
    reads = len(variance) + 1
    factor, extra, shot = np.ones(reads), np.zeros(reads - 1), np.ones(reads - 1)
    quality = ReadQuality(factor, extra, shot, *np.zeros((2, reads), bool))
    if not white > 0:
        return TypicalNoise(white, light, quality)
    # Two differences share the noise of the read between them: that tells reads apart.
    frames = read_variance(covariance)
    own = (light * covariance.shot_next[:-1] - beside) / (white * frames[1:-1])
    odd = np.abs(own - 1) > np.maximum(
        TUNING.noise_threshold * its_error / (white * frames[1:-1]), TUNING.noise_excess
    )
    factor[1:-1] = np.where(odd, np.maximum(own, TUNING.least_noise), 1.0)
    frames = frames * factor
    more = variance - white * (frames[:-1] + frames[1:]) - light * covariance.shot
    usual = np.nanmedian(variance)
    least = np.maximum(TUNING.noise_threshold * error, TUNING.noise_excess * usual)
    extra[:] = np.where(more > least, more, 0.0) / white
    if light > 0:
        less = np.where(more < -least, more, 0.0) / (light * covariance.shot)
        shot[:] = np.maximum(1 + less, TUNING.least_noise)
    return TypicalNoise(white, light, quality)


def usual_covariance(noise: TypicalNoise, covariance: DifferenceCovariance) -> np.ndarray:
    """Return `typical_covariance` as if all reads were alike."""
    return np.stack(
        [
            noise.white * covariance.read + noise.light * covariance.shot,
            noise.white * covariance.read_next + noise.light * covariance.shot_next,
        ]
    )


def typical_covariance(noise: TypicalNoise, covariance: DifferenceCovariance) -> np.ndarray:
    """Return variances of differences of a typical pixel, and covariances with the next."""
    return usual_covariance(noise, with_quality(covariance, noise.quality))


def _quiet(sample: PixelSample) -> np.ndarray:
    """Return which pixels scatter about as most do, bool (n,)."""
    return np.abs(sample.spread / np.median(sample.spread) - 1) < TUNING.quiet_pixels


def _moments(sample: PixelSample) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return variance (T - 1,) and covariance with the next (T - 2,) of differences, and errors.

    Medians over parts of the array: what is in a part of it, such as the halo of a snowball, does
    not count. Noisy pixels and differences of hits are left out.
    """
    quiet = np.flatnonzero(_quiet(sample))
    parts = []
    for some in np.array_split(quiet, max(1, min(TUNING.noise_parts, len(quiet) // 64))):
        excess = sample.excess[:, some].astype(np.float64)
        with np.errstate(invalid="ignore"):
            usable = np.isfinite(excess).any(axis=1)
            scale = np.full((len(excess), 1), np.nan)
            scale[usable, 0] = SIGMA_OF_MAD * np.nanmedian(np.abs(excess[usable]), axis=1)
            kept = np.abs(excess) < TUNING.noise_reject * scale
            excess = np.where(kept, excess, 0.0)
            # The mean is a better rate than the median from which the sample was taken.
            usual = np.abs(excess) < TUNING.noise_reject * np.nanmedian(scale)
            mean = np.where(usual, excess, 0.0).sum(axis=0) / np.maximum(usual.sum(axis=0), 1)
            excess -= kept * mean
        count, both = kept.sum(axis=1), (kept[1:] & kept[:-1]).sum(axis=1)
        count, both = (np.where(n < len(some) // 2, np.nan, n) for n in (count, both))
        variance = np.sum(excess**2, axis=1) / count
        beside = np.append(np.sum(excess[1:] * excess[:-1], axis=1) / both, 0.0)
        parts.append([variance, beside])
    variance, beside = np.median(parts, axis=0)
    beside, count = beside[:-1], max(len(quiet), 1) / (1.57 if len(parts) > 1 else 1.0)
    error = variance * np.sqrt(2 / count)
    return variance, beside, error, np.sqrt((variance[1:] * variance[:-1] + beside**2) / count)


def _usual(
    variance: np.ndarray, beside: np.ndarray, covariance: DifferenceCovariance
) -> tuple[float, float]:
    """Solve for read variance and shot variance of most differences."""
    columns = np.concatenate(
        [
            np.stack([covariance.read, covariance.shot], axis=1),
            np.stack([covariance.read_next, covariance.shot_next], axis=1)[:-1],
        ]
    )
    values = np.concatenate([variance, beside])
    kept = np.isfinite(values)
    solution = np.zeros(2)
    for _ in range(5):
        if kept.sum() < 3:
            break
        solution = np.linalg.lstsq(columns[kept], values[kept], rcond=None)[0]
        rest = np.abs(values - columns @ solution)
        kept = rest <= max(4 * SIGMA_OF_MAD * float(np.nanmedian(rest)), 1e-9)
    return float(solution[0]), max(float(solution[1]), 0.0)


def measure_walk(
    sample: PixelSample,
    noise: TypicalNoise,
    covariance: DifferenceCovariance,
    gain: float,
    left_out: np.ndarray,
) -> float:
    """Return what accumulates in a typical pixel beyond shot noise [DN^2 per frame time].

    Reads far apart tell a walk from white noise: the variance of ``x[2k] - 2 x[k] + x[0]``, in
    which the rate cancels, grows with k. Zero where chance may explain it.

    Parameters
    ----------
    sample : PixelSample
        Differences without what is shared.
    noise : TypicalNoise
        Its noise, single reads and differences included.
    covariance : DifferenceCovariance
        Timing of the reads.
    gain : float
        [e-/DN]
    left_out : ndarray of bool, shape (T - 1,)
        Differences that an event dominates; the longest run without them is used.
    """
    first, last = _longest_run(~left_out)
    reads = last - first + 1
    times, lag = np.append(0.0, np.cumsum(covariance.dt[first:last])), (reads - 1) // 2
    quiet = _quiet(sample)
    if lag < TUNING.min_walk_lag or quiet.sum() < TUNING.min_pixels:
        return 0.0
    path = np.cumsum(sample.excess[first:last, quiet], axis=0, dtype=np.float64)
    path = np.concatenate([np.zeros_like(path[:1]), path])
    single = (read_variance(covariance) * noise.quality.white)[first : last + 1]
    extra = np.append(0.0, np.cumsum(noise.quality.extra[first:last]))
    excess, error = [], []
    for start in range(min(reads - 2 * lag, 2)):
        at = start + lag * np.arange(3)
        # Reads may be unevenly spaced: weights for which a rate cancels.
        ahead, behind = times[at[2]] - times[at[1]], times[at[1]] - times[at[0]]
        weight = np.array([ahead, -(ahead + behind), behind]) / ((ahead + behind) / 2)
        bend = weight @ path[at]
        bend = bend[np.isfinite(bend)]
        if len(bend) < TUNING.min_pixels:
            continue
        variance = (SIGMA_OF_MAD * np.median(np.abs(bend - np.median(bend)))) ** 2
        length = weight[0] ** 2 * behind + weight[2] ** 2 * ahead
        known = weight**2 @ single[at]
        known += weight[0] ** 2 * (extra[at[1]] - extra[at[0]])
        known += weight[2] ** 2 * (extra[at[2]] - extra[at[1]])
        excess.append((variance - noise.white * known) / length)
        error.append(variance * np.sqrt(2 / TUNING.median_efficiency / len(bend)) / length)
    if not excess:
        return 0.0
    poisson = max(float(np.median(sample.rate[quiet])), 0.0) / gain
    walk = float(np.mean(excess)) - poisson
    least = max(TUNING.walk_chance * float(np.mean(error)), TUNING.walk_excess * poisson)
    return walk if walk > least else 0.0


def _longest_run(good: np.ndarray) -> tuple[int, int]:
    """Return where the longest run of good entries begins, and where it ends."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    if not len(edges):
        return 0, 0
    begin, end = edges[::2], edges[1::2]
    longest = int(np.argmax(end - begin))
    return int(begin[longest]), int(end[longest])


def has_heavy_tails(sample: PixelSample, peaks: np.ndarray) -> bool:
    """Return whether differences fall far more often than Gaussian noise lets them.

    Falls only: charge raises. ``peaks`` are as in `measure_read_noise`.
    """
    quiet = _quiet(sample)
    excess = sample.excess[~peaks][:, quiet]
    excess = excess[np.isfinite(excess)]
    if len(excess) < TUNING.min_pixels:
        return False
    middle = np.median(excess)
    scale = SIGMA_OF_MAD * np.median(np.abs(excess - middle))
    seen = int(np.sum(excess - middle < -TUNING.tail * scale))
    usual = len(excess) * stats.norm.sf(TUNING.tail)
    return seen > TUNING.heavy_tail * usual + TUNING.min_chance * np.sqrt(usual)


def lost_reads(mean: np.ndarray) -> np.ndarray:
    """Return the reads (T,) between others that no pixel has, from averages (T - 1, K, M)."""
    there = np.isfinite(mean).any(axis=(1, 2))
    return np.concatenate([[False], ~there[1:] & ~there[:-1], [False]])


def crowded_reads(stepping: np.ndarray) -> np.ndarray:
    """Return the reads (T,) in which more pixels step than a rain of particles could make.

    ``stepping`` (T - 1, K, M) is the fraction of stepping pixels of each tile.
    """
    known = np.isfinite(stepping)
    crowded = known & (np.nan_to_num(stepping) > TUNING.crowded_pixels)
    share = crowded.sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)
    return np.append(False, share > TUNING.crowded_tiles)
