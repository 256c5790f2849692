"""How sure a cosmic ray is: how many of its kind noise makes in this exposure, and charge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from ohana.config import DetectorConfig
from ohana.detect.tuning import TUNING


class EventDensities(NamedTuple):
    """How frequent events of noise and of charge are in an exposure: events of one pixel, of more.

    Attributes
    ----------
    noise : tuple of float
        Events that noise makes, times this is their density per sigma at a significance where
        the normal distribution has density one.
    real : tuple of float
        Real events per sigma near the threshold.
    parts : tuple of float
        If a network has looked, the part that is real of the candidates for cosmic rays of the
        rules, and of those of the network alone; else NaN.
    """

    noise: tuple[float, float]
    real: tuple[float, float]
    parts: tuple[float, float] = (np.nan, np.nan)


def measure_population(
    significance: np.ndarray, size: np.ndarray, best: np.ndarray, config: DetectorConfig
) -> EventDensities:
    """Measure how many events noise makes, and how many are real, from what is seen.

    The density of false ones follows the Gaussian, its height measured below the threshold.
    Chance neighbours make false events of several pixels as much rarer as they are rare. The
    density of real events is taken to be the same at all significances near the threshold, and
    measured a little above it.

    Parameters
    ----------
    significance : ndarray, shape (n,)
        Of the most significant pixel of each event [sigma].
    size : ndarray of int, shape (n,)
        Pixels of each event.
    best : ndarray, shape (H, W)
        Significance of the best step of every pixel [sigma].
    config : DetectorConfig
        ``sigma_threshold`` and ``neighbour_threshold`` act here.
    """
    low, high = TUNING.noise_band
    tries = np.sum((best >= low) & (best < high)) / (stats.norm.sf(low) - stats.norm.sf(high))
    beside = 8 * stats.norm.sf(config.neighbour_threshold)
    bottom, top = (config.sigma_threshold + above for above in TUNING.real_band)
    noise, real = [], []
    for kind, rarity in ((size == 1, 1.0), (size > 1, beside)):
        noise.append(float(tries * rarity))
        seen = np.sum(kind & (significance >= bottom) & (significance < top))
        by_chance = noise[-1] * (stats.norm.sf(bottom) - stats.norm.sf(top))
        counted = max(seen - by_chance, 0.0) + TUNING.hidden_events
        real.append(float(counted / (top - bottom)))
    return EventDensities((noise[0], noise[1]), (real[0], real[1]))


def event_confidence(
    significance: np.ndarray, size: np.ndarray, population: EventDensities
) -> np.ndarray:
    """Probability that events are real, from how many of their kind noise would make.

    The local false discovery rate (Efron 2008, Stat. Sci. 23, 1) of events of one pixel, and of
    more.

    Parameters
    ----------
    significance : ndarray, shape (n,)
        Of the most significant pixel of each event [sigma].
    size : ndarray of int, shape (n,)
        Pixels of each event.
    population : EventDensities
        How frequent noise and charge are.

    Returns
    -------
    ndarray, shape (n,)
        0 to 0.98: not all that is false is noise.

    Examples
    --------
    >>> usual = EventDensities(noise=(1e6, 1.0), real=(3.0, 3.0))
    >>> event_confidence(np.array([5.0, 7.0]), np.ones(2), usual).round(3)
    array([0.655, 0.98 ])
    """
    several = np.asarray(size > 1, int)
    noise, real = np.array(population.noise)[several], np.array(population.real)[several]
    return TUNING.max_confidence * real / (real + noise * stats.norm.pdf(significance))
