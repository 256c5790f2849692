"""Telegraph noise: pixels whose ramp jumps between two or three levels.

`screen` looks at every pixel and passes about one in 300; `fit_telegraph_noise` compares the
ramps of these with and without levels by likelihood. A cosmic ray never comes back down, so
steps that stay up are part of both explanations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from ohana.config import DetectorConfig
from ohana.detect.telegraph.level_search import compare, decode, fit_levels
from ohana.detect.telegraph.models import Explanation, WhitenedRamp, whiten_ramp
from ohana.detect.telegraph.screen import CANDIDATE, NOISE_ERROR, read_noise_terms, screen
from ohana.rampfit.covariance import DifferenceCovariance

__all__ = ["CANDIDATE", "MIN_READS", "NOISE_ERROR", "TelegraphFit", "fit_telegraph_noise", "screen"]

#: Fewest usable reads in which telegraph noise can be told from anything else.
MIN_READS = 10
#: A ramp whose signal exceeds its noise that often may be nonlinear (non-linearity, persistence).
NONLINEAR_SIGNAL = 100.0
#: What few transitions cost in score: two are a box, which much else can make.
FEW_TRANSITIONS = np.array([99.0, 12.0, 6.0, 3.0])
#: Two levels must lead any other explanation by so much less than they must bring by themselves.
LEAD = 3.0
#: Shot noise forgets levels, which leaves it fewer ways to look like them: what is added to the
#: score of a long ramp where the gain of the filter reaches the second number. Makes false
#: alarms equally frequent in all rows of ``benchmarks/telegraph_noise.py --only false``.
FORGETTING = (5.4, 0.3)
#: Confidence is a logistic function of the score with this slope and middle, fitted by
#: ``benchmarks/telegraph_noise.py --only calibrate``. The middle comes out between 10.5 and 11.1
#: from run to run; the upper end keeps false alarms below five in a million as well.
CONFIDENCE = (0.85, 11.1)


#: Measures of a ramp without a level model.
NOTHING = {
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
        It is telegraph noise within the limits of the settings.
    n_levels : ndarray of int32
        2 or 3; 1 where no level model came near.
    low, high : ndarray of float32
        Lowest and highest level above the mean of the ramp [DN].
    amplitude : ndarray of float32
        Their distance [DN].
    transitions : ndarray of int32
        Changes of level.
    dwell_low, dwell_high : ndarray of float32
        Mean dwell time in the lowest and highest level [reads]: the time spent there over the
        number of departures, which makes up for dwells that the ramp cuts off.
    frequency : ndarray of float32
        Transitions / 2 / reads [cycles per read].
    chi2_gain : ndarray of float32
        Chi-squared that the levels take off the same ramp without them.
    fit_quality : ndarray of float32
        Correlation of ramp and level model, both whitened and less what is not levels (0-1).
    significance : ndarray of float32
        Root of ``chi2_gain`` [sigma]: the amplitude in its errors, if the transitions are given.
    score : ndarray of float32
        Log-likelihood that the levels bring, less what their alternatives would.
    confidence : ndarray of float32
        Probability that this is telegraph noise (0-1).
    model : ndarray of float32, shape (T, n)
        The level at each read above the mean of the ramp [DN]; 0 where no model came near.
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
    """Turn a score into the probability that it is telegraph noise."""
    slope, middle = CONFIDENCE
    return float(expit(slope * (score - middle)))


def fit_telegraph_noise(
    data: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    model: DifferenceCovariance,
    gain: float,
    config: DetectorConfig,
    noise_error: float | np.ndarray = NOISE_ERROR,
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
    model : DifferenceCovariance
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
    >>> from ohana.rampfit.covariance import differences
    >>> rng = np.random.default_rng(0)
    >>> ramp = rng.normal(1000, 5, 60) + 50 * (np.arange(60) // 10 % 2)
    >>> fit = fit_telegraph_noise(
    ...     ramp[:, None].astype(np.float32), np.array([60]), np.array([5.0]), np.array([0.0]),
    ...     differences(np.arange(60.0)), 1.0, DetectorConfig(),
    ... )
    >>> bool(fit.accepted[0]), int(fit.transitions[0]), round(float(fit.amplitude[0]), -1)
    (True, 5, 50.0)
    """
    reads, n = data.shape
    table = {name: np.full(n, value) for name, value in NOTHING.items()}
    levels = np.zeros((reads, n), np.float32)
    times = np.append(0.0, np.cumsum(model.dt))
    _, white, shift = read_noise_terms(model)
    noise_error = np.broadcast_to(noise_error, n)
    for i in range(n):
        good = np.flatnonzero(np.isfinite(data[: stop[i], i]))
        known = noise[i] > 0 and np.isfinite(noise[i]) and np.isfinite(rate[i])
        if len(good) < MIN_READS or not known:
            continue
        shot = max(float(rate[i]), 0.0) / gain
        walk = shot * np.diff(times[good], prepend=times[good[0]])
        single = noise[i] ** 2 * white - shot * shift
        single = np.maximum(single, 0.1 * noise[i] ** 2 * white)[good]
        ramp = whiten_ramp(data[good, i] - np.float64(data[good[0], i]), times[good], walk, single)
        signal = rate[i] * (times[good[-1]] - times[good[0]])
        best, other = fit_levels(ramp, nonlinear=signal > NONLINEAR_SIGNAL * noise[i])
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
    path, alone, chi2 = decode(ramp, best)
    order = np.argsort(best.levels)
    signal = best.levels[path] - best.levels[path].mean()
    moved = path[1:] != path[:-1]
    transitions = int(moved.sum())
    dwell_low, dwell_high = (
        (path == level).sum() / max((moved & (path[:-1] == level)).sum(), 1)
        for level in (order[0], order[-1])
    )
    few = FEW_TRANSITIONS[transitions] if transitions < len(FEW_TRANSITIONS) else 0.0
    if transitions == 2 and min((path == path[0]).sum(), (path != path[0]).sum()) == 1:
        few = np.inf  # a single bad read
    own, lead = compare(ramp, best, other, noise_error)
    score = min(own, lead + LEAD) - few
    forgets = min(ramp.filter[0, -1] / FORGETTING[1], 1.0) ** 2
    score += FORGETTING[0] * forgets * max(1.0 - 25.0 / path.size, 0.0)
    gain = max(alone - chi2, 0.0)
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
        "fit_quality": np.sqrt(gain / max(alone, 1e-9)),
        "significance": np.sqrt(gain),
        "score": score,
        "confidence": confidence_of(score),
    }
    return measures, signal.astype(np.float32)


def acceptable(fit: TelegraphFit, config: DetectorConfig) -> np.ndarray:
    """Tell which fits are telegraph noise within the limits of the settings."""
    return within_limits(fit, config) & (fit.confidence >= config.rtn_min_confidence)


def within_limits(fit: TelegraphFit, config: DetectorConfig) -> np.ndarray:
    """Tell which fits meet all limits of the settings but that of the confidence."""
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
