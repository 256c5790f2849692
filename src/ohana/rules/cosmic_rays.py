"""Cosmic rays: upward steps that stay, linked over neighbouring pixels in the same read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage, stats

from ohana.config import DetectorConfig
from ohana.events import Event, PixelMaps, Steps
from ohana.labels import Label
from ohana.linking import MOST_READS

#: A fall of at least this fraction of a rise means that the rise was not charge.
FALL = 0.5
#: Pixels around the footprint of a snowball, and reads after it, in which steps up to so many times
#: the threshold are its halo and what it releases later.
WING = 4
WING_READS = 16
WING_FACTOR = 2.0
#: Significances between which the best step of a pixel is noise, nearly always: they tell how
#: often noise passes the threshold.
NOISE_BAND = (3.5, 4.0)
#: Events so far above the threshold, in sigma, are real, nearly always: they tell how many real
#: ones there are for each sigma.
REAL_BAND = (0.5, 4.0)
#: Confidence never exceeds this: not all that is false is noise.
MOST_CONFIDENT = 0.98


class Population(NamedTuple):
    """How frequent events of noise and of charge are in an exposure: events of one pixel, of more.

    Attributes
    ----------
    noise : tuple of float
        Events that noise makes, times this is their density per sigma at a significance where
        the normal distribution has density one.
    real : tuple of float
        Real events per sigma near the threshold.
    """

    noise: tuple[float, float]
    real: tuple[float, float]


def charge_steps(steps: Steps, border: np.ndarray) -> np.ndarray:
    """Tell steps that charge can have made.

    Parameters
    ----------
    steps : Steps
        n steps of the whole array.
    border : ndarray of bool, shape (H, W)
        Reference pixels.

    Returns
    -------
    ndarray of bool, shape (n,)
        Upward, in a pixel that sees light and does not fall back.
    """
    up = steps.amplitude > 0
    fall = np.zeros(border.shape, np.float32)
    np.maximum.at(fall, (steps.row[~up], steps.col[~up]), -steps.amplitude[~up])
    stays = fall[steps.row, steps.col] < FALL * steps.amplitude
    return up & stays & ~border[steps.row, steps.col]


def wing_steps(
    steps: Steps, snowballs: list[Event], shape: tuple[int, int], config: DetectorConfig
) -> np.ndarray:
    """Tell faint steps just outside the footprint of a snowball that belong to its halo.

    Parameters
    ----------
    steps : Steps
        n upward steps.
    snowballs : list of Event
        Snowballs found.
    shape : tuple of int
        (H, W).
    config : DetectorConfig
        ``sigma_threshold`` acts here.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    wing = np.zeros(len(steps.row), bool)
    faint = steps.significance < WING_FACTOR * config.sigma_threshold
    for ball in snowballs:
        inside = np.zeros(shape, bool)
        inside[ball.rows, ball.cols] = True
        top, bottom = max(ball.rows.min() - WING, 0), ball.rows.max() + WING + 1
        left, right = max(ball.cols.min() - WING, 0), ball.cols.max() + WING + 1
        near = np.flatnonzero(
            (steps.row >= top) & (steps.row < bottom) & (steps.col >= left) & (steps.col < right)
        )
        away = ndimage.distance_transform_edt(~inside[top:bottom, left:right])
        close = away[steps.row[near] - top, steps.col[near] - left] <= WING
        since = steps.read[near] - ball.first_frame
        wing[near] |= close & faint[near] & (since >= -MOST_READS) & (since <= WING_READS)
    return wing


def find_cosmic_rays(
    steps: Steps,
    group: np.ndarray,
    maps: PixelMaps,
    config: DetectorConfig,
    population: Population | None = None,
) -> tuple[list[Event], Population]:
    """Make cosmic rays of linked steps.

    Parameters
    ----------
    steps : Steps
        n upward steps of the whole array.
    group : ndarray of int, shape (n,)
        The event each belongs to, see `ohana.linking`.
    maps : PixelMaps
        Per-pixel results.
    config : DetectorConfig
        The fields of the stages "steps", "events" and "cosmic rays" act here.
    population : Population, optional
        What confidences rest on; measured from these very steps if absent.

    Returns
    -------
    events : list of Event
        Those of more than ``cosmic_ray_max_spatial_extent`` pixels are flagged ``extended``.
    population : Population
        As given or measured.
    """
    bright = steps.amplitude >= config.cosmic_ray_min_step
    # A jump into saturation without a rate before it is no evidence on its own.
    bright &= steps.significance >= config.sigma_threshold
    steps, group = steps.select(bright), group[bright]
    steps, group = _join_neighbours(steps, group, maps, config)
    order = np.lexsort((steps.read, -steps.amplitude, group))
    steps, group = _once_per_pixel(steps.select(order), group[order], maps.stop.shape)
    start = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(start, append=len(group))
    significance = steps.significance[:0]
    if len(group):
        significance = np.maximum.reduceat(steps.significance, start)
    if population is None:
        population = measure_population(significance, size, maps.best_significance, config)
    confidence = event_confidence(significance, size, population)
    keep = steps.amplitude[start] >= config.cosmic_ray_min_intensity
    keep &= (size >= config.min_anomaly_pixels) & (confidence >= config.min_confidence)
    first_frame = _dominant_read(steps, group, start)
    events = [
        _event(Steps(*(column[first:last] for column in steps)), int(read), float(sure), config)
        for first, last, read, sure in zip(
            start[keep], (start + size)[keep], first_frame[keep], confidence[keep], strict=True
        )
    ]
    return events, population


def _once_per_pixel(
    steps: Steps, group: np.ndarray, shape: tuple[int, int]
) -> tuple[Steps, np.ndarray]:
    """Keep the first step of each pixel in each group; groups must be sorted and stay so."""
    pixel = np.ravel_multi_index((steps.row, steps.col), shape)
    order = np.lexsort((pixel, group))
    repeated = (np.diff(group[order], prepend=-1) == 0) & (np.diff(pixel[order], prepend=-1) == 0)
    keep = np.ones(len(group), bool)
    # The sort is stable: of equal entries the first comes first.
    keep[order[repeated]] = False
    return steps.select(keep), group[keep]


def measure_population(
    significance: np.ndarray, size: np.ndarray, best: np.ndarray, config: DetectorConfig
) -> Population:
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
    low, high = NOISE_BAND
    tries = np.sum((best >= low) & (best < high)) / (stats.norm.sf(low) - stats.norm.sf(high))
    beside = 8 * stats.norm.sf(config.neighbour_threshold)
    bottom, top = (config.sigma_threshold + above for above in REAL_BAND)
    noise, real = [], []
    for kind, rarity in ((size == 1, 1.0), (size > 1, beside)):
        noise.append(float(tries * rarity))
        seen = np.sum(kind & (significance >= bottom) & (significance < top))
        by_chance = noise[-1] * (stats.norm.sf(bottom) - stats.norm.sf(top))
        # Half an event stands for those that an empty band may hide.
        real.append(float((max(seen - by_chance, 0.0) + 0.5) / (top - bottom)))
    return Population((noise[0], noise[1]), (real[0], real[1]))


def event_confidence(
    significance: np.ndarray, size: np.ndarray, population: Population
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
    population : Population
        How frequent noise and charge are.

    Returns
    -------
    ndarray, shape (n,)
        0 to `MOST_CONFIDENT`.

    Examples
    --------
    >>> usual = Population(noise=(1e6, 1.0), real=(3.0, 3.0))
    >>> event_confidence(np.array([5.0, 7.0]), np.ones(2), usual).round(3)
    array([0.655, 0.98 ])
    """
    several = np.asarray(size > 1, int)
    noise, real = np.array(population.noise)[several], np.array(population.real)[several]
    return MOST_CONFIDENT * real / (real + noise * stats.norm.pdf(significance))


def _dominant_read(steps: Steps, group: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the read that most of the significance of each group speaks for."""
    weight = np.minimum(steps.significance.astype(np.float64), 1e3) ** 2
    order = np.lexsort((steps.read, group))
    vote = np.flatnonzero(
        (np.diff(group[order], prepend=-1) != 0) | (np.diff(steps.read[order], prepend=-1) != 0)
    )
    total, of_group = np.add.reduceat(weight[order], vote), group[order][vote]
    best = np.lexsort((-total, of_group))
    first = np.flatnonzero(np.diff(of_group[best], prepend=-1))
    assert len(first) == len(start)
    return steps.read[order][vote][best][first]


def _join_neighbours(
    steps: Steps, group: np.ndarray, maps: PixelMaps, config: DetectorConfig
) -> tuple[Steps, np.ndarray]:
    """Add fainter pixels beside a member whose own best step is in the same read."""
    height, width = maps.stop.shape
    taken = np.zeros((height, width), bool)
    taken[steps.row, steps.col] = True
    candidate = maps.best_significance >= config.neighbour_threshold
    candidate &= (maps.best_significance < config.sigma_threshold) & ~taken
    candidate &= maps.best_step >= config.cosmic_ray_min_step
    added, groups = [], []
    for dr, dc in [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]:
        row, col = steps.row + dr, steps.col + dc
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        at = np.flatnonzero(inside)
        same = candidate[row[at], col[at]]
        same &= np.abs(maps.best_read[row[at], col[at]] - steps.read[at]) <= 1
        # Each pixel joins one event only, the first that asks.
        _, once = np.unique(row[at[same]] * width + col[at[same]], return_index=True)
        at = at[same][once]
        row, col = row[at], col[at]
        candidate[row, col] = False
        amplitude, sigma = maps.best_step[row, col], maps.best_significance[row, col]
        flags = np.zeros(len(at), bool), np.ones(len(at), np.float32)
        read = maps.best_read[row, col]
        added.append(Steps(row, col, read, amplitude, amplitude / sigma, sigma, *flags))
        groups.append(group[at])
    joined = Steps(*(np.concatenate(parts) for parts in zip(steps, *added, strict=True)))
    return joined, np.concatenate([group, *groups])


def _event(steps: Steps, first_frame: int, confidence: float, config: DetectorConfig) -> Event:
    """Make one event of its steps, the strongest first."""
    extra: dict[str, object] = {
        "step_amplitude": float(steps.amplitude.sum()),
        "step_error": float(np.sqrt(np.square(steps.error, dtype=np.float64).sum())),
        "fit_quality": min(1.0, 1 / max(float(steps.fit[0]), 1e-6)),
        "saturated": bool(steps.saturating.any()),
        "extended": len(steps.row) > config.cosmic_ray_max_spatial_extent,
    }
    return Event(
        Label.COSMIC_RAY,
        steps.row,
        steps.col,
        steps.read,
        steps.amplitude,
        steps.significance,
        first_frame,
        confidence,
        extra=extra,
    )
