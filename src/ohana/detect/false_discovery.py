"""Confidence of cosmic rays: the densities of false and of real events in the exposure.

False events are those of Gaussian noise, whose number follows from steps below the threshold, and
those that nothing but the decoys can count (`ohana.detect.decoys`): heavy tails, bad pixels, reads
that went wrong. Real events fall on all pixels and reads alike.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special, stats

from ohana.config import DetectorConfig
from ohana.detect.strata import Members, Place, Strata
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
    strata : Strata, optional
        How the exposure is divided; None without decoys.
    odds : ndarray, shape (strata, 2, len(GRID))
        False events that Gaussian noise does not explain over real ones, in each stratum, of one
        pixel and of more, at each of `GRID`.
    decoys : int
        Falls that would be events if they were rises.
    """

    noise: tuple[float, float]
    real: tuple[float, float]
    real_fractions: tuple[float, float] = (np.nan, np.nan)
    strata: Strata | None = None
    odds: np.ndarray = np.empty((0, 2, 0))
    decoys: int = 0


#: Significances over the threshold at which odds are measured.
GRID = np.geomspace(1.0, 100.0, 47)


def measure_population(
    rays: Members,
    decoys: Members,
    strata: Strata,
    best: np.ndarray,
    config: DetectorConfig,
) -> EventDensities:
    """Measure the densities of false and of real events in an exposure.

    The density of false events of noise is Gaussian, with a height measured below the threshold.
    False events of several pixels are rarer by the probability of a neighbour above its threshold
    by chance. The density of real events is assumed constant near the threshold, and measured a
    little above it, falls subtracted. `stratum_odds` adds what else is false.

    Parameters
    ----------
    rays, decoys : Members
        Candidates for cosmic rays, and for their decoys.
    strata : Strata
        How the exposure is divided.
    best : ndarray, shape (H, W)
        Significance of the best step of every pixel [sigma].
    config : DetectorConfig
        ``sigma_threshold`` and ``neighbour_threshold`` act here.
    """
    low, high = TUNING.noise_band
    tries = np.sum((best >= low) & (best < high)) / (stats.norm.sf(low) - stats.norm.sf(high))
    beside = 8 * stats.norm.sf(config.neighbour_threshold)
    bottom, top = (config.sigma_threshold + above for above in TUNING.real_band)
    ours, theirs = strata.of(rays), strata.of(decoys)
    noise, real = [], []
    odds = np.empty((len(strata.share), 2, len(GRID)))
    for several, rarity in enumerate((1.0, beside)):
        noise.append(float(tries * rarity))
        by_chance = noise[-1] * (stats.norm.sf(bottom) - stats.norm.sf(top))
        seen, falls = (_between(x, several, bottom, top) for x in (rays, decoys))
        counted = max(seen - by_chance - float(excess(falls, by_chance)), 0.0)
        real.append(float((counted + TUNING.hidden_events) / (top - bottom)))
        sides = [
            [x.significance[((x.size > 1) == several) & (of == k)] for k in range(len(odds))]
            for x, of in ((rays, ours), (decoys, theirs))
        ]
        odds[:, several] = stratum_odds(
            sides[0],
            sides[1],
            strata,
            noise[-1],
            config.sigma_threshold,
            TUNING.suspect_steps[several],
        )
    return EventDensities(
        (noise[0], noise[1]),
        (real[0], real[1]),
        strata=strata,
        odds=odds,
        decoys=len(decoys.size),
    )


def _between(events: Members, several: int, bottom: float, top: float) -> int:
    """Count events of one pixel, or of several, between two significances."""
    inside = (events.significance >= bottom) & (events.significance < top)
    return int(np.sum(inside & ((events.size > 1) == several)))


def stratum_odds(
    rays: list[np.ndarray],
    decoys: list[np.ndarray],
    strata: Strata,
    noise: float,
    threshold: float,
    suspect_steps: float,
) -> np.ndarray:
    """Return the odds of events that are false, but not of Gaussian noise: (strata, len(GRID)).

    Decoys and candidates are counted in a range of significance around each of `GRID` that holds
    enough of them. Real events of all strata follow from those of the ordinary one: charge falls
    on bad pixels as often as on others. What a stratum has beyond that is false, even if it only
    rises.

    Parameters
    ----------
    rays, decoys : list of ndarray
        Significance of the candidates of each stratum [sigma].
    strata : Strata
        How the exposure is divided.
    noise : float
        Trials of noise, see `EventDensities`.
    threshold : float
        ``sigma_threshold``.
    suspect_steps : float
        Steps expected in a suspect pixel before any is seen.
    """
    part = strata.share / strata.share.sum()
    pixels = np.sum(strata.place == Place.SUSPECT)
    # The densities of real events, where the ordinary stratum has candidates enough.
    sides = [np.sort(rays[0]), np.sort(decoys[0])]
    out = np.empty((len(part), len(GRID)))
    for k in range(len(part)):
        own = [np.sort(rays[k]), np.sort(decoys[k])]
        low, high = _ranges(np.concatenate(own), threshold * GRID, threshold)
        seen, falls, usual, usual_falls = (
            np.searchsorted(x, high, "right") - np.searchsorted(x, low) for x in (*own, *sides)
        )
        gauss = noise * (stats.norm.sf(low) - stats.norm.sf(high))
        prior = suspect_steps * pixels if k == Place.SUSPECT else 0.0
        ordinary = excess(usual_falls, gauss * part[0])
        # The decoys are counted to within their root: what they leave may be chance.
        doubt = TUNING.decoy_doubt * np.sqrt(np.maximum(ordinary - TUNING.false_shape, 0))
        real = np.maximum(usual - gauss * part[0] - ordinary - doubt, 0) + TUNING.hidden_events
        share = min(strata.share[k], 1.0)
        false = excess(falls, gauss * part[k], prior, share)
        if k:
            real *= share
            if k >= len(Place) or _too_many(len(own[0]), strata.share[k], *map(len, sides)):
                false = np.maximum(false, seen - gauss * part[k] - real)
        out[k] = false / np.maximum(real, 1e-9)
    return out


def _ranges(
    significance: np.ndarray, around: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return ranges around some significances that hold enough of the given ones.

    Where none does, all that is more significant counts: false events do not become more frequent
    with significance, but far fainter ones tell nothing.
    """
    ordered = np.sort(significance)
    low = np.maximum(around / TUNING.decoy_reach, least)
    high = np.full(len(around), np.inf)
    for width in sorted(TUNING.decoy_widths, reverse=True):
        below, above = np.maximum(around / width, least), around * width
        inside = np.searchsorted(ordered, above, "right") - np.searchsorted(ordered, below)
        enough = inside >= TUNING.decoys_wanted
        low[enough], high[enough] = below[enough], above[enough]
    return low, high


def _too_many(seen: int, share: float, usual: int, usual_falls: int) -> bool:
    """Return whether a stratum has more candidates than its share of the real ones explains."""
    expected = (max(usual - usual_falls, 0) + TUNING.hidden_events) * share
    many = seen >= TUNING.crowded_decoys
    return bool(many and stats.poisson.sf(seen - 1, expected) < TUNING.crowded_chance)


def excess(
    count: np.ndarray | int,
    expected: np.ndarray | float,
    prior: float = 0.0,
    share: float = 1.0,
) -> np.ndarray:
    """Return the expected number of false events that noise does not explain.

    The posterior mean of e for a count of decoys that is Poisson with mean ``expected + e``, where
    e has a gamma prior. Where noise explains the decoys, little is left.

    Parameters
    ----------
    count : array_like of int
        Decoys.
    expected : array_like
        Decoys of Gaussian noise.
    prior : float
        Mean of the prior where steps are known to be often false, else 0: any number of false
        events is as likely a priori, but most often there are none.
    share : float
        Part of the exposure that is counted, without ``prior``.

    Examples
    --------
    >>> excess(np.array([0, 1, 1, 20]), np.array([0.0, 0.0, 1.0, 1.0])).round(2)
    array([ 0.02,  1.02,  0.04, 18.97])
    """
    count, expected = np.broadcast_arrays(np.asarray(count, float), np.asarray(expected, float))
    shape, rate = TUNING.false_shape * max(share, 1e-6), 1.0
    if prior > 0:
        shape = min(TUNING.suspect_shape, prior / 2)
        rate += shape / prior
    few = np.minimum(count, TUNING.most_terms)
    # (expected + e)^count, term by term: each is a gamma distribution of e.
    k = np.arange(TUNING.most_terms + 1).reshape((-1,) + (1,) * count.ndim)
    with np.errstate(divide="ignore", invalid="ignore"):
        term = special.gammaln(few + 1) - special.gammaln(k + 1) - special.gammaln(few - k + 1)
        term = term + special.xlogy(few - k, expected) + special.gammaln(shape + k)
    term = np.where(k <= few, term - k * np.log(rate), -np.inf)
    weight = np.exp(term - term.max(axis=0))
    exact = np.sum(weight * (shape + k), axis=0) / np.sum(weight, axis=0) / rate
    many = np.maximum((count - expected + shape) / rate, exact * 0)
    return np.where(count > TUNING.most_terms, many, exact)


def event_confidence(
    significance: np.ndarray,
    size: np.ndarray,
    population: EventDensities,
    odds: np.ndarray | float = 0.0,
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
    odds : ndarray, shape (n,)
        From `decoy_odds`.

    Returns
    -------
    ndarray, shape (n,)
        0 to 0.98: not all that is false falls as well as it rises.

    Examples
    --------
    >>> usual = EventDensities(noise=(1e6, 1.0), real=(3.0, 3.0))
    >>> event_confidence(np.array([5.0, 7.0]), np.ones(2), usual).round(3)
    array([0.655, 0.98 ])
    """
    several = np.asarray(size > 1, int)
    noise, real = np.array(population.noise)[several], np.array(population.real)[several]
    return TUNING.max_confidence / (1 + noise * stats.norm.pdf(significance) / real + odds)


def decoy_odds(events: Members, population: EventDensities, threshold: float) -> np.ndarray:
    """Return the odds of each event to be false for other reasons than Gaussian noise.

    Parameters
    ----------
    events : Members
        m events; below the threshold the odds are those at it.
    population : EventDensities
        With strata, or the odds are 0.
    threshold : float
        ``sigma_threshold``.
    """
    odds = np.zeros(len(events.size))
    if population.strata is None:
        return odds
    kind = population.strata.of(events) * 2 + (events.size > 1)
    at = np.log(np.maximum(events.significance, threshold) / threshold)
    for each in np.unique(kind):
        mine = kind == each
        odds[mine] = np.interp(at[mine], np.log(GRID), population.odds[each // 2, each % 2])
    return odds
