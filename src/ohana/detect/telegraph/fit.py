"""Telegraph noise: pixels whose ramp jumps between two or three levels.

`ohana.detect.telegraph.screen.screen` selects about one pixel in 300; `fit_telegraph_noise`
compares their ramps with and without levels by likelihood. A cosmic ray never comes back down,
so steps that stay up are part of both explanations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from ohana.config import DetectorConfig
from ohana.detect.telegraph.level_search import compare, decode, fit_levels
from ohana.detect.telegraph.models import Explanation, WhitenedRamp, whiten_ramp
from ohana.detect.telegraph.screen import read_noise_terms
from ohana.detect.telegraph.tuning import TUNING
from ohana.rampfit.covariance import DifferenceCovariance

#: Fewest usable reads of a ramp that is searched for telegraph noise.
MIN_READS = TUNING.min_reads

#: Measures of a ramp without a level model.
NO_LEVELS = {
    "n_levels": np.int32(1),
    "low": np.float32(0.0),
    "high": np.float32(0.0),
    "amplitude": np.float32(0.0),
    "transitions": np.int32(0),
    "dwell_low": np.float32(0.0),
    "dwell_high": np.float32(0.0),
    "frequency": np.float32(0.0),
    "chi2_gain": np.float32(0.0),
    "fit_quality": np.float32(0.0),
    "significance": np.float32(0.0),
    "score": np.float32(-np.inf),
    "confidence": np.float32(0.0),
}


class TelegraphFit(NamedTuple):
    """Level models of n ramps; arrays of shape (n,) but the last.

    Attributes
    ----------
    accepted : ndarray of bool
        Telegraph noise within the limits of the settings.
    n_levels : ndarray of int32
        2 or 3; 1 without a level model.
    low, high : ndarray of float32
        Lowest and highest level above the mean of the ramp [DN].
    amplitude : ndarray of float32
        Their distance [DN].
    transitions : ndarray of int32
        Changes of level.
    dwell_low, dwell_high : ndarray of float32
        Mean dwell time in the lowest and highest level [reads]: the time spent there over the
        number of departures, unbiased by dwells that the ends of the ramp cut off.
    frequency : ndarray of float32
        Transitions / 2 / reads [cycles per read].
    chi2_gain : ndarray of float32
        Reduction of chi-squared by the levels.
    fit_quality : ndarray of float32
        Correlation of ramp and level model, both whitened and without pedestal, rate and steps
        (0-1).
    significance : ndarray of float32
        Root of ``chi2_gain``: amplitude over its error for known transitions [sigma].
    score : ndarray of float32
        Gain in log-likelihood by the levels, less that of the alternatives.
    confidence : ndarray of float32
        Probability that this is telegraph noise (0-1).
    model : ndarray of float32, shape (T, n)
        The level at each read above the mean of the ramp [DN]; 0 without a level model.
    """

    accepted: np.ndarray
    n_levels: np.ndarray
    low: np.ndarray
    high: np.ndarray
    amplitude: np.ndarray
    transitions: np.ndarray
    dwell_low: np.ndarray
    dwell_high: np.ndarray
    frequency: np.ndarray
    chi2_gain: np.ndarray
    fit_quality: np.ndarray
    significance: np.ndarray
    score: np.ndarray
    confidence: np.ndarray
    model: np.ndarray


def confidence_of(score: float) -> float:
    """Return the probability of telegraph noise for a score."""
    slope, middle = TUNING.confidence
    return float(expit(slope * (score - middle)))


def fit_telegraph_noise(
    data: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    covariance: DifferenceCovariance,
    gain: float,
    config: DetectorConfig,
    noise_error: float | np.ndarray = TUNING.noise_error,
) -> TelegraphFit:
    """Fit level models to the ramps of candidates.

    Parameters
    ----------
    data : ndarray of float32, shape (T, n)
        Raw ramps [DN], NaN where masked.
    stop : ndarray of int, shape (n,)
        First read that cannot be used; T where there is none.
    noise, rate : ndarray, shape (n,)
        Noise of one frame [DN] and rate [DN per frame time].
    covariance : DifferenceCovariance
        Timing of the reads.
    gain : float
        [e-/DN]
    config : DetectorConfig
        Fields ``rtn_*`` and ``sigma_threshold``.
    noise_error : float or ndarray, shape (n,)
        Relative uncertainty of ``noise``.

    Returns
    -------
    TelegraphFit
        Ramps with fewer than `MIN_READS` usable reads have no model.

    Examples
    --------
    >>> import numpy as np
    >>> from ohana.config import DetectorConfig
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> rng = np.random.default_rng(0)
    >>> ramp = rng.normal(1000, 5, 60) + 50 * (np.arange(60) // 10 % 2)
    >>> fit = fit_telegraph_noise(
    ...     ramp[:, None].astype(np.float32), np.array([60]), np.array([5.0]), np.array([0.0]),
    ...     difference_covariance(np.arange(60.0)), 1.0, DetectorConfig(),
    ... )
    >>> bool(fit.accepted[0]), int(fit.transitions[0]), round(float(fit.amplitude[0]), -1)
    (True, 5, 50.0)
    """
    reads, n = data.shape
    table = {name: np.full(n, value) for name, value in NO_LEVELS.items()}
    levels = np.zeros((reads, n), np.float32)
    times = np.append(0.0, np.cumsum(covariance.dt))
    _, white, shift, extra = read_noise_terms(covariance)
    extra = np.cumsum(extra)
    noise_error = np.broadcast_to(noise_error, n)
    for i in range(n):
        good = np.flatnonzero(np.isfinite(data[: stop[i], i]))
        known = noise[i] > 0 and np.isfinite(noise[i]) and np.isfinite(rate[i])
        if len(good) < MIN_READS or not known:
            continue
        shot = max(float(rate[i]), 0.0) / gain
        walk = shot * np.diff(times[good], prepend=times[good[0]])
        walk += noise[i] ** 2 * np.diff(extra[good], prepend=extra[good[0]])
        single = noise[i] ** 2 * white - shot * shift
        single = np.maximum(single, TUNING.min_white * noise[i] ** 2 * white)[good]
        ramp = whiten_ramp(data[good, i] - np.float64(data[good[0], i]), times[good], walk, single)
        signal = rate[i] * (times[good[-1]] - times[good[0]])
        best, other = fit_levels(ramp, nonlinear=signal > TUNING.nonlinear_signal * noise[i])
        if best is None:
            continue
        measures, path = describe(ramp, best, other, float(noise_error[i]))
        for name, value in measures.items():
            table[name][i] = value
        # A masked read keeps the level before it.
        last = np.searchsorted(good, np.arange(reads), side="right") - 1
        levels[:, i] = path[last.clip(0)]
    fit = TelegraphFit(np.zeros(n, bool), **table, model=levels)
    return fit._replace(accepted=acceptable(fit, config))


def describe(
    ramp: WhitenedRamp, best: Explanation, other: Explanation, noise_error: float
) -> tuple[dict[str, float], np.ndarray]:
    """Measure a level model; also returns the level (T,) at each read above the mean [DN]."""
    path, chi2_without, chi2 = decode(ramp, best)
    order = np.argsort(best.levels)
    signal = best.levels[path] - best.levels[path].mean()
    moved = path[1:] != path[:-1]
    transitions = int(moved.sum())
    dwell_low, dwell_high = (
        (path == level).sum() / max((moved & (path[:-1] == level)).sum(), 1)
        for level in (order[0], order[-1])
    )
    own, lead = compare(ramp, best, other, noise_error)
    score = min(own, lead + TUNING.lead_allowance) - _few_transitions(path, transitions)
    # The Kalman gain of a ramp of shot noise is high: it loses the memory of levels.
    memory_loss = min(ramp.filter[0, -1] / TUNING.shot_noise_gain, 1.0) ** 2
    long = max(1.0 - TUNING.bonus_reads / path.size, 0.0)
    score += TUNING.shot_noise_bonus * memory_loss * long
    gain = max(chi2_without - chi2, 0.0)
    measures = {
        "n_levels": best.levels.size,
        "low": signal.min(),
        "high": signal.max(),
        "amplitude": np.ptp(signal),
        "transitions": transitions,
        "dwell_low": dwell_low,
        "dwell_high": dwell_high,
        "frequency": transitions / 2.0 / path.size,
        "chi2_gain": gain,
        "fit_quality": np.sqrt(gain / max(chi2_without, 1e-9)),
        "significance": np.sqrt(gain),
        "score": score,
        "confidence": confidence_of(score),
    }
    return measures, signal.astype(np.float32)


def _few_transitions(path: np.ndarray, transitions: int) -> float:
    """Return the penalty in score for few transitions; infinite for a single bad read."""
    first = int((path == path[0]).sum())
    if transitions == 2 and min(first, path.size - first) == 1:
        return np.inf
    penalties = TUNING.few_transitions
    return penalties[transitions] if transitions < len(penalties) else 0.0


def acceptable(fit: TelegraphFit, config: DetectorConfig) -> np.ndarray:
    """Return which fits are telegraph noise within the limits of the settings."""
    return within_limits(fit, config) & (fit.confidence >= config.rtn_min_confidence)


def within_limits(fit: TelegraphFit, config: DetectorConfig) -> np.ndarray:
    """Return which fits meet all limits of the settings except that of the confidence."""
    amplitude, frequency = config.rtn_amplitude_range, config.rtn_frequency_range
    return (
        (fit.n_levels > 1)
        & (fit.transitions >= config.rtn_min_transitions)
        & (fit.transitions <= config.rtn_max_transitions)
        & (fit.amplitude >= amplitude[0])
        & (fit.amplitude <= amplitude[1])
        & (fit.frequency >= frequency[0])
        & (fit.frequency <= frequency[1])
        & (fit.fit_quality >= config.rtn_fit_quality_threshold)
        & (fit.significance >= config.sigma_threshold)
    )
