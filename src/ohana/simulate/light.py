"""Light and dark current of the pixels without events: rates and shot noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.special import pdtr

from ohana.simulate.config import SimulationConfig
from ohana.simulate.detector import log_uniform, some_pixels, stamp
from ohana.simulate.stars import draw_places, star_map
from ohana.simulate.unsteady_light import UnsteadyLight, draw_unsteady_light

#: Change of a flash from the centre of the array to the ends of its diagonal.
FLASH_SLOPE = 0.2
#: Entries of the table of Poisson numbers.
GUIDE = 1024


@dataclass(frozen=True)
class Light:
    """Mean rates of the active part, float32 (rows, cols) [e-/s].

    Attributes
    ----------
    background : float
        Dark current and sky, the same in all pixels [e-/s].
    sources : ndarray
        Stars, warm, hot and saturating pixels, above the background.
    persistence : ndarray
        Charge of an earlier exposure that traps release, at the time of the reset.
    delay : float
        From that exposure to the reset [s].
    flash : ndarray
        Mean charge that arrives just before ``flash_read`` [e-].
    flash_read : int or None
        First read that contains the flash.
    decay : float or None
        E-folding time of persistence [s]; None: it falls as one over the time.
    unsteady : UnsteadyLight or None
        Background and sources where they are not steady, instead of those above.
    """

    background: float
    sources: np.ndarray
    persistence: np.ndarray
    delay: float
    flash: np.ndarray
    flash_read: int | None
    decay: float | None = None
    unsteady: UnsteadyLight | None = None

    def released(self, start: float, end: float) -> float:
        """Return the time at the rate of the reset that releases as much charge [s].

        Traps have all time constants, so that rates fall as one over the time since the light
        was on (HST WFC3: Long et al. 2012, SPIE 8442, 84421W). Where one kind of trap rules, they
        fall exponentially from the reset on.
        """
        if self.decay is not None:
            return float(self.decay * (np.exp(-start / self.decay) - np.exp(-end / self.decay)))
        return float(self.delay * np.log((self.delay + end) / (self.delay + start)))

    def mean_rate(self, config: SimulationConfig) -> np.ndarray:
        """Return the rate averaged over the exposure, without the flash [e-/s]."""
        start, end = config.frame_times[0], config.frame_times[-1]
        share = self.released(start, end) / (end - start) if end > start else 0.0
        if self.unsteady is None:
            rate = np.float32(self.background) + self.sources
        else:
            rate = self.unsteady.mean_rate()
        return rate + np.float32(share) * self.persistence


def draw_light(config: SimulationConfig, rng: np.random.Generator) -> Light:
    """Draw stars, awkward pixels, persistence and flash, each from a stream of its own."""
    stars, hot, full, warm, glow, when, slope, changes = rng.spawn(8)
    shape = config.active_shape
    places = draw_places(config.stars, config.star_flux, shape, stars)
    star_light = star_map(places, config.psf_fwhm, shape)
    sources = star_light.copy()
    spots = sources.reshape(-1)
    hot_pixels = some_pixels(config.hot_fraction, shape, hot)
    hot_rates = log_uniform(config.hot_rate, hot, len(hot_pixels))
    spots[hot_pixels] += hot_rates
    pixels = some_pixels(config.warm_fraction, shape, warm)
    spots[pixels] += log_uniform(config.warm_rate, warm, len(pixels))
    pixels = some_pixels(config.saturating_fraction, shape, full)
    spots[pixels] += config.full_well / (
        full.uniform(0.05, 0.95, len(pixels)) * config.exposure_time
    )
    read = config.flash_read
    if config.flash and read is None:
        read = int(when.integers(1, config.reads))
    glowing, flash, unsteady = _persistence(config, glow), _flash(config, slope), None
    if config.unsteady:
        hot_light = np.zeros_like(sources)
        hot_light.reshape(-1)[hot_pixels] = hot_rates
        others = np.maximum(sources - star_light - hot_light, 0)
        unsteady = draw_unsteady_light(config, places, star_light, hot_light, others, changes)
        flash *= unsteady.response
    return Light(
        config.dark_current + config.sky,
        sources,
        glowing,
        config.persistence_delay,
        flash,
        read if config.flash else None,
        config.persistence_time,
        unsteady,
    )


def _persistence(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the rate at the reset where sources stood before: flat disks, as traps were full."""
    rate = np.zeros(config.active_shape, np.float32)
    places = draw_places(config.persistence, config.persistence_rate, rate.shape, rng)
    for row, col, level in zip(*places, strict=True):
        radius = rng.uniform(*config.persistence_radius)
        window, distance = stamp(row, col, 2 * radius + 2, rate.shape)
        rate[window] += level / (1 + (distance / radius) ** 8)
    return rate


def _flash(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Return the mean charge of the flash in each pixel: brighter towards one corner or side."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in config.active_shape)
    plane = (np.sin(angle) * y[:, None] + np.cos(angle) * x) / np.sqrt(2)
    return np.float32(config.flash) * (1 + np.float32(FLASH_SLOPE) * plane)


class ShotNoise:
    """Electrons that arrive between one frame and the next.

    The sum of two Poisson processes is one: background, sources and flash are drawn apart, each
    from a stream of its own per frame, and only pixels that have some are touched.
    """

    def __init__(
        self, light: Light, dead: np.ndarray, config: SimulationConfig, rng: np.random.Generator
    ):
        self.light, self.dead, self.shape = light, dead, config.active_shape
        self.times = config.frame_times
        # Charge counts from the first frame on: what came before it is part of the pedestal.
        self.starts = np.append(self.times[:1], self.times[:-1])
        read = light.flash_read
        self.flash_frame = -1 if read is None else int(config.first_frames[read])
        # Sources that are not steady come with the background.
        sources = light.sources if light.unsteady is None else np.zeros_like(light.sources)
        self.bright = np.flatnonzero((sources > 0) | (light.persistence > 0))
        self.sources = sources.reshape(-1)[self.bright]
        self.persistence = light.persistence.reshape(-1)[self.bright]
        self.streams = rng.spawn(len(self.times))

    def frame(self, index: int) -> np.ndarray:
        """Return the electrons that come before a frame and after the last, float32 (rows, cols).

        Frames count over all reads; each can be asked for once, in any order and by any thread.
        """
        background, sources, flash = self.streams[index].spawn(3)
        start, end = self.starts[index], self.times[index]
        if self.light.unsteady is None:
            charge = poisson_frame(self.light.background * (end - start), self.shape, background)
        else:
            charge = background.poisson(self.light.unsteady.expected(index)).astype(np.float32)
        spots = charge.reshape(-1)
        mean = self.sources * (end - start) + self.persistence * self.light.released(start, end)
        spots[self.bright] += sources.poisson(mean)
        if index == self.flash_frame:
            charge += flash.poisson(self.light.flash)
        spots[self.dead] = 0
        return charge


def poisson_frame(mean: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return Poisson numbers of one mean, float32 (rows, cols).

    The distribution is inverted by a table: exact but for the rounding of uniform numbers to
    2**-53, and at a mean of some electrons several times faster than
    `numpy.random.Generator.poisson`, which cannot know that the next mean is the same.

    Examples
    --------
    >>> poisson_frame(0.0, (1, 4), np.random.default_rng(1))
    array([[0., 0., 0., 0.]], dtype=float32)
    """
    spread = 12 * np.sqrt(mean)
    first = max(int(mean - spread) - 40, 0)
    below = pdtr(np.arange(first, int(mean + spread) + 40), mean)
    below[-1] = 1.0  # what is left is less than a rounding, and any number finds its place
    guide = np.searchsorted(below, np.arange(GUIDE) / GUIDE, side="right")
    charge = np.empty(shape, np.float32)
    _invert(rng.random(charge.size), below, guide, first, charge.reshape(-1))
    return charge


@njit(nogil=True, cache=True)
def _invert(
    uniform: np.ndarray, below: np.ndarray, guide: np.ndarray, first: int, charge: np.ndarray
) -> None:
    """Write for each uniform number ``first`` and the first k with ``below[k]`` above it."""
    for i in range(len(uniform)):
        k = guide[int(uniform[i] * len(guide))]
        while uniform[i] >= below[k]:
            k += 1
        charge[i] = first + k
