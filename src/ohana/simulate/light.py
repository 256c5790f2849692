"""Light and dark current of the pixels without events: rates and shot noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.special import pdtr

from ohana.simulate.config import SimulationConfig
from ohana.simulate.detector import log_uniform, some_pixels, stamp

#: Wings of the stellar profile (Moffat 1969, A&A 3, 455), and where they are cut [pixel].
MOFFAT_BETA = 3.0
STAR_RADIUS = 12
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
    """

    background: float
    sources: np.ndarray
    persistence: np.ndarray
    delay: float
    flash: np.ndarray
    flash_read: int | None

    def released(self, start: float, end: float) -> float:
        """Return the time at the rate of the reset that releases as much charge [s].

        Traps have all time constants, so that rates fall as one over the time since the light
        was on (HST WFC3: Long et al. 2012, SPIE 8442, 84421W).
        """
        return float(self.delay * np.log((self.delay + end) / (self.delay + start)))

    def mean_rate(self, config: SimulationConfig) -> np.ndarray:
        """Return the rate averaged over the exposure, without the flash [e-/s]."""
        start, end = config.frame_times[0], config.frame_times[-1]
        share = self.released(start, end) / (end - start) if end > start else 0.0
        return np.float32(self.background) + self.sources + np.float32(share) * self.persistence


def draw_light(config: SimulationConfig, rng: np.random.Generator) -> Light:
    """Draw stars, awkward pixels, persistence and flash, each from a stream of its own."""
    stars, hot, full, warm, glow, when, slope = rng.spawn(7)
    shape = config.active_shape
    sources = np.zeros(shape, np.float32)
    for row, col, total in zip(*_places(config.stars, config.star_flux, shape, stars), strict=True):
        _add_star(sources, row, col, total, config.psf_fwhm)
    spots = sources.reshape(-1)
    for fraction, rate, source in (
        (config.hot_fraction, config.hot_rate, hot),
        (config.warm_fraction, config.warm_rate, warm),
    ):
        pixels = some_pixels(fraction, shape, source)
        spots[pixels] += log_uniform(rate, source, len(pixels))
    pixels = some_pixels(config.saturating_fraction, shape, full)
    spots[pixels] += config.full_well / (
        full.uniform(0.05, 0.95, len(pixels)) * config.exposure_time
    )
    read = config.flash_read
    if config.flash and read is None:
        read = int(when.integers(1, config.reads))
    return Light(
        config.dark_current + config.sky,
        sources,
        _persistence(config, glow),
        config.persistence_delay,
        _flash(config, slope),
        read if config.flash else None,
    )


def _places(
    count: int, limits: tuple[float, float], shape: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw rows, columns and brightness of point sources."""
    rows, cols = (rng.uniform(-0.5, size - 0.5, count) for size in shape)
    return rows, cols, log_uniform(limits, rng, count)


def _add_star(rate: np.ndarray, row: float, col: float, total: float, fwhm: float) -> None:
    """Add a star to a map of rates, in place."""
    width = fwhm / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    window, distance = stamp(row, col, STAR_RADIUS, rate.shape)
    profile = (1 + (distance / width) ** 2) ** -MOFFAT_BETA
    rate[window] += total * (MOFFAT_BETA - 1) / (np.pi * width**2) * profile


def _persistence(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the rate at the reset where sources stood before: flat disks, as traps were full."""
    rate = np.zeros(config.active_shape, np.float32)
    places = _places(config.persistence, config.persistence_rate, rate.shape, rng)
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
        self.bright = np.flatnonzero((light.sources > 0) | (light.persistence > 0))
        self.sources = light.sources.reshape(-1)[self.bright]
        self.persistence = light.persistence.reshape(-1)[self.bright]
        self.streams = rng.spawn(len(self.times))

    def frame(self, index: int) -> np.ndarray:
        """Return the electrons that come before a frame and after the last, float32 (rows, cols).

        Frames count over all reads; each can be asked for once, in any order and by any thread.
        """
        background, sources, flash = self.streams[index].spawn(3)
        start, end = self.starts[index], self.times[index]
        charge = poisson_frame(self.light.background * (end - start), self.shape, background)
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
