"""Limits set by noise: detectable events, accuracy of first reads, expected false detections."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, owens_t

from ohana.classes import Label
from ohana.rampfit.covariance import difference_covariance
from ohana.simulate.truth import TrueEvent, Truth

#: Maximum error of a correct first read [reads]. Chosen.
READ_TOLERANCE = 1
#: The time of a step of a in noise s is uncertain by 20 (s / a)**2 reads at 99 % (Yao 1987, Ann.
#: Stat. 15, 1321): a detection off by this much more still counts as the same event.
DATE_SPREAD = 20.0
#: Chance that the best estimate of the time of a step is right to one read, by step over noise;
#: 200 000 simulated walks of the likelihood for each.
_STEP_OVER_NOISE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
_DATED_CHANCE = (0, 0.07, 0.209, 0.364, 0.509, 0.629, 0.732, 0.867, 0.939, 0.976, 0.991, 0.997, 1)
#: Minimum number of transitions: with fewer, telegraph noise resembles cosmic rays and drifts.
#: Chosen.
MIN_TRANSITIONS = 4
#: Minimum reduction of chi-squared by its path for telegraph noise to be detectable. Chosen.
MIN_CHI2 = 80.0


def is_possible(event: TrueEvent) -> bool:
    """Return whether an event could be recognised if it were bright.

    Telegraph noise needs `MIN_TRANSITIONS`, and a pixel that sees light: the reference border
    is never searched.
    """
    if event.label != Label.TELEGRAPH_NOISE:
        return True
    visible = not event.facts.get("reference_pixel", False)
    return visible and len(event.facts["transitions"]) >= MIN_TRANSITIONS


def is_detectable(event: TrueEvent, threshold: float = 5.0) -> bool:
    """Return whether an event is above the noise.

    One pixel above the threshold [sigma]; for telegraph noise what `is_possible` asks for, and
    a chi-squared of at least `MIN_CHI2`.
    """
    if event.label == Label.TELEGRAPH_NOISE:
        return is_possible(event) and event.facts["chi2"] >= MIN_CHI2
    return bool(event.snr.max(initial=0) >= threshold)


def chance_to_find(event: TrueEvent, threshold: float) -> float:
    """Return the chance that Gaussian noise leaves any pixel of an event above the threshold.

    NaN for telegraph noise, which is not found by single steps.
    """
    if event.label == Label.TELEGRAPH_NOISE:
        return np.nan
    return float(1 - np.prod(ndtr(threshold - event.snr.astype(np.float64))))


def typical_noise(truth: Truth) -> float:
    """Return the RMS of one read of an ordinary pixel [e-]."""
    return float(truth.config.total_noise(truth.config.read_noise))


def date_tolerance(truth: Truth, charge: np.ndarray) -> np.ndarray:
    """Return the tolerance of the first read of a step with some charge [reads]."""
    return READ_TOLERANCE + DATE_SPREAD * (typical_noise(truth) / np.maximum(charge, 1e-9)) ** 2


def chance_to_date(truth: Truth, event: TrueEvent) -> float:
    """Return the chance that the best estimate of an event's first read is right to one read."""
    step = np.sqrt(np.sum(event.charge.astype(np.float64) ** 2)) / typical_noise(truth)
    return float(np.interp(step, _STEP_OVER_NOISE, _DATED_CHANCE))


def expected_false(truth: Truth, threshold: float) -> float:
    """Return the chance that noise alone lifts some step of a pixel above a threshold.

    Neighbouring steps of a ramp are estimated from nearly the same reads, so their errors are
    correlated. The chance is that of the first step plus that of every later one to rise
    above the threshold from below: a close upper limit for high thresholds. It is for the
    pixel without stars, and Owen's T function gives the two-dimensional normal integral
    (Owen 1956, Ann. Math. Stat. 27, 1075).

    Examples
    --------
    >>> from ohana.simulate import SimulationConfig
    >>> truth = Truth((3, 64, 64), [], SimulationConfig(reads=3, rows=64, cols=64))
    >>> round(1e6 * expected_false(truth, 5.0), 2)  # two steps, each the other's negative
    0.57
    """
    config = truth.config
    noise = typical_noise(truth)
    rate = (config.dark_current + config.sky) * config.frame_time
    model = difference_covariance(config.read_times, config.frame_time, config.averaged)
    beside = (noise**2 * model.read_next + rate * model.shot_next)[:-1]
    diagonal = noise**2 * model.read + rate * model.shot
    inverse = np.linalg.inv(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    slope = inverse @ model.dt
    precision = inverse - np.outer(slope, slope) / (model.dt @ slope)
    scale = np.sqrt(np.diag(precision))
    correlation = np.clip(np.diag(precision, 1) / (scale[1:] * scale[:-1]), -1, 1)
    rising = 2 * owens_t(threshold, np.sqrt((1 - correlation) / np.maximum(1 + correlation, 1e-12)))
    return float(ndtr(-threshold) + rising.sum())
