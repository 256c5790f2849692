"""Confidence of cosmic rays: the densities of false and of real events in the exposure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from ohana.config import DetectorConfig
from ohana.detect.tuning import TUNING


class EventDensities(NamedTuple):
    """Densities of events of noise and of charge in an exposure: of one pixel, of more pixels.

    Attributes
    ----------
    noise : tuple of float
        Number of trials of noise: times the normal density at a significance, this is the number
        of false events per sigma there.
    real : tuple of float
        Real events per sigma near the threshold.
    real_fractions : tuple of float
        With a network, the real fraction of the candidates for cosmic rays of the rules, and of
        the candidates of the network alone; else NaN.
    """

    noise: tuple[float, float]
    real: tuple[float, float]
    real_fractions: tuple[float, float] = (np.nan, np.nan)


def measure_population(
    significance: np.ndarray, size: np.ndarray, best: np.ndarray, config: DetectorConfig
) -> EventDensities:
    """Measure the densities of false and of real events in an exposure.

    The density of false events is Gaussian, with a height measured below the threshold. False
    events of several pixels are rarer by the probability of a neighbour above its threshold by
    chance. The density of real events is assumed constant near the threshold, and measured a
    little above it.

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
    """Return the probability that events are real: one minus the local false discovery rate.

    Efron (2008, Stat. Sci. 23, 1); separately for events of one pixel and of more.

    Parameters
    ----------
    significance : ndarray, shape (n,)
        Of the most significant pixel of each event [sigma].
    size : ndarray of int, shape (n,)
        Pixels of each event.
    population : EventDensities
        Densities of false and of real events.

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
