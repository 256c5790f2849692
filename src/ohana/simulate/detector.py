"""The detector between events: its pixels, the charge they couple, the noise of its electronics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len

from ohana.simulate.config import SimulationConfig

#: Wings of the stellar profile (Moffat 1969, A&A 3, 455), and where they are cut [pixel].
MOFFAT_BETA = 3.0
STAR_RADIUS = 12


@dataclass(frozen=True)
class Pixels:
    """Fixed properties of the pixels, all float32.

    Attributes
    ----------
    rate : ndarray, shape (rows, cols) of the active part
        Dark current, sky and stars [e-/s].
    noise : ndarray, shape (H, W)
        White noise of one read [e-].
    offset : ndarray, shape (H, W)
        Level of the empty pixel, reset noise included [e-].
    """

    rate: np.ndarray
    noise: np.ndarray
    offset: np.ndarray


def draw_pixels(config: SimulationConfig, rng: np.random.Generator) -> Pixels:
    """Draw the pixels of one detector and the scene that it looks at."""
    shape = (config.rows, config.cols)
    spread = np.hypot(config.pedestal_spread, config.ktc_noise)
    offset = config.pedestal + spread * rng.standard_normal(shape, np.float32)
    noise = config.read_noise * np.exp(
        config.read_noise_spread * rng.standard_normal(shape, np.float32)
    )
    rate = np.full(config.active_shape, config.dark_current + config.sky)
    _add_stars(rate, config, rng)
    hot = rng.random(rate.shape) < config.hot_fraction
    rate[hot] += log_uniform(config.hot_rate, rng, int(hot.sum()))
    full = rng.random(rate.shape) < config.saturating_fraction
    when = rng.uniform(0.05, 0.95, int(full.sum())) * config.exposure_time
    rate[full] += config.full_well / when
    return Pixels(*(values.astype(np.float32) for values in (rate, noise, offset)))


def log_uniform(
    limits: tuple[float, float], rng: np.random.Generator, size: int | None = None
) -> np.ndarray:
    """Draw numbers whose logarithm is uniform between two limits."""
    low, high = np.log(limits)
    return np.exp(rng.uniform(low, high, size))


def _add_stars(rate: np.ndarray, config: SimulationConfig, rng: np.random.Generator) -> None:
    """Add stars at random places to a map of rates [e-/s]."""
    width = config.psf_fwhm / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    rows = rng.uniform(0, rate.shape[0], config.stars)
    cols = rng.uniform(0, rate.shape[1], config.stars)
    flux = log_uniform(config.star_flux, rng, config.stars)
    for row, col, total in zip(rows, cols, flux, strict=True):
        window, distance = stamp(row, col, STAR_RADIUS, rate.shape)
        profile = (1 + (distance / width) ** 2) ** -MOFFAT_BETA
        rate[window] += total * (MOFFAT_BETA - 1) / (np.pi * width**2) * profile


def stamp(
    row: float, col: float, radius: float, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the window of an array around a point, and each pixel's distance from the point.

    Pixel (i, j) has its centre at (i, j); the window ends at the edges of the array.
    """
    reach = int(np.ceil(radius))
    rows, cols = (
        slice(max(round(at) - reach, 0), max(min(round(at) + reach + 1, size), 0))
        for at, size in zip((row, col), shape, strict=True)
    )
    y, x = np.ogrid[rows, cols]
    return (rows, cols), np.hypot(y - row, x - col)


def couple(charge: np.ndarray, ipc: float) -> np.ndarray:
    """Return the signal of pixels that are coupled to their 4 neighbours by capacitance.

    Each pair exchanges ``ipc`` times the difference of its charges, so that the total is kept.
    """
    signal = charge.copy()
    if ipc:
        for low, high in (
            (np.s_[:-1], np.s_[1:]),
            (np.s_[:, :-1], np.s_[:, 1:]),
        ):
            flow = np.multiply(charge[high] - charge[low], ipc, dtype=charge.dtype)
            signal[low] += flow
            signal[high] -= flow
    return signal


class Electronics:
    """Noise of the read-out, one frame at a time.

    1/f noise has equal power in every octave from the whole exposure down to two samples.
    Octaves slower than a frame are an offset per read, drawn at once; the others are drawn
    frame by frame in the order in which the pixels are read: row after row, every output
    beginning at the left, every second one at the right.

    Parameters
    ----------
    config : SimulationConfig
        Settings.
    noise : ndarray, shape (H, W)
        White noise of each pixel [e-].
    rng : numpy.random.Generator
        Source of all its noise.
    """

    def __init__(self, config: SimulationConfig, noise: np.ndarray, rng: np.random.Generator):
        self.config, self.noise, self.rng = config, noise, rng
        samples = config.rows * config.cols // config.outputs
        octaves = np.log2([config.reads, max(samples / 2, 1)])
        slow, fast = np.sqrt(octaves / octaves.sum())
        self.rms = np.append(config.pink_common, np.full(config.outputs, config.pink_output))
        self.slow = pink_noise(len(self.rms), config.reads, rng, slow * self.rms)
        self.fast = fast * self.rms

    def frame(self, read: int) -> np.ndarray:
        """Return the noise of one read, float32 (H, W) [e-]."""
        config = self.config
        noise = self.rng.standard_normal(self.noise.shape, np.float32)
        noise *= self.noise
        by_output = noise.reshape(config.rows, config.outputs, -1)
        width = by_output.shape[2]
        if self.rms.any():
            pink = pink_noise(len(self.rms), config.rows * width, self.rng, self.fast)
            for output, stream in enumerate(pink[1:]):
                stream += pink[0]
                in_time = stream.reshape(config.rows, width)
                by_output[:, output] += in_time[:, ::-1] if output % 2 else in_time
        offset = self.slow[0, read] + self.slow[1:, read, None]
        column = np.array([0.5, -0.5], np.float32)[np.arange(width) % 2]
        odd_even = config.odd_even * self.rng.standard_normal((config.outputs, 1), np.float32)
        noise += (offset + odd_even * column).reshape(-1)
        return noise


def pink_noise(
    streams: int, samples: int, rng: np.random.Generator, rms: np.ndarray | float = 1.0
) -> np.ndarray:
    """Return 1/f noise of given RMS (one, or one per stream), float32 (streams, samples)."""
    length = next_fast_len(samples, real=True)
    amplitude = np.zeros(length // 2 + 1, np.float32)
    amplitude[1:] = np.arange(1, len(amplitude)) ** -0.5
    amplitude *= length / (2 * np.sqrt(max(np.sum(amplitude**2), 1e-30)))
    parts = rng.standard_normal((streams, len(amplitude), 2), np.float32)
    spectrum = parts.view(np.complex64)[..., 0]
    for stream, level in zip(spectrum, np.broadcast_to(rms, streams), strict=True):
        stream *= amplitude * np.float32(level)
    return irfft(spectrum, length, overwrite_x=True)[:, :samples]


def digitise(electrons: np.ndarray, gain: float) -> np.ndarray:
    """Return what a 16-bit converter makes of a signal [e-]: uint16 [DN], clipped at its rails."""
    dn = electrons / np.float32(gain)
    np.rint(dn, out=dn)
    return np.clip(dn, 0, 65535, out=dn).astype(np.uint16)
