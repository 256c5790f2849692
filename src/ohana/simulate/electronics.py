"""The read-out: noise that all pixels share, that outputs have, that each read has, and the ADC."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from scipy.fft import irfft, next_fast_len

from ohana.simulate.config import SimulationConfig
from ohana.simulate.detector import log_uniform


class Electronics:
    """Offsets and noise of the read-out, one read at a time, in the border as everywhere.

    1/f noise has equal power in every octave from the whole exposure down to two samples.
    Octaves slower than a frame are an offset per read, drawn at once; the others are drawn
    frame by frame in the order in which the pixels are read: row after row, every output
    beginning at the left, every second one at the right. What changes from frame to frame is
    smaller by the root of the number of frames averaged into a read.

    Parameters
    ----------
    config : SimulationConfig
        Settings.
    noise : ndarray, shape (H, W)
        White noise of each pixel in one frame [e-].
    rng : numpy.random.Generator
        Source of all its noise, split into a stream for each part and each read.
    """

    def __init__(self, config: SimulationConfig, noise: np.ndarray, rng: np.random.Generator):
        drift, own_drift, steps, reset, *self.streams = rng.spawn(4 + config.reads)
        self.config, outputs = config, config.outputs
        #: White noise of each pixel [e-], by the frames averaged into a read.
        self.noise = {n: noise * np.float32(n**-0.5) for n in set(config.averaged.tolist())}
        samples = config.rows * config.cols // outputs
        octaves = np.log2([config.reads, max(samples / 2, 1)])
        slow, fast = np.sqrt(octaves / octaves.sum())
        self.rms = fast * np.array([config.pink_common, config.pink_output])
        slow_rms = slow * np.array([config.pink_common, config.pink_output])
        #: Offset of each output at each read [e-], (outputs, T).
        self.offset = self._pink(slow_rms, config.reads, drift, own_drift)
        self.offset = self.offset + channel_steps(config, steps)
        self.reset = reset_level(config, reset)
        self.settling = settling(config)

    def read(self, read: int) -> np.ndarray:
        """Return offsets and noise of one read, float32 (H, W) [e-].

        Each can be asked for once, in any order and by any thread.
        """
        config = self.config
        white, common, own, columns = self.streams[read].spawn(4)
        width = config.cols // config.outputs
        averaged = int(config.averaged[read])
        noise, averaging = self.noise[averaged], averaged**-0.5
        odd_even = np.float32(config.odd_even * averaging)
        contrast = odd_even * columns.standard_normal((config.outputs, 1), np.float32)
        column = np.array([0.5, -0.5], np.float32)[np.arange(width) % 2]
        offset = self.offset[:, read, None] + contrast * column
        streams = self._pink(averaging * self.rms, config.rows * width, common, own)
        level = white_noise(config, white)
        _assemble(level, noise, offset, streams.reshape(-1, config.rows, width))
        if config.transient:
            level += self.settling[read] * self.reset
        return level

    def _pink(
        self, rms: np.ndarray, samples: int, common: np.random.Generator, own: np.random.Generator
    ) -> np.ndarray:
        """Draw 1/f noise: float32 (outputs, samples), or (1, samples) if it is common to all.

        ``rms`` is that of the common part and of each output's own. Both are added before they
        are transformed, which saves transforms.
        """
        spectrum = np.float32(rms[0]) * white_spectrum(1, samples, common) if rms[0] else None
        if rms[1]:
            each = white_spectrum(self.config.outputs, samples, own)
            each *= np.float32(rms[1])
            spectrum = each if spectrum is None else np.add(each, spectrum, out=each)
        return np.zeros((1, samples), np.float32) if spectrum is None else pink(spectrum, samples)


@njit(nogil=True, cache=True)
def _assemble(level: np.ndarray, noise: np.ndarray, offset: np.ndarray, pink: np.ndarray) -> None:
    """Scale white noise to that of each pixel and add what comes with the outputs, in place.

    Parameters
    ----------
    level, noise : ndarray, shape (H, W)
        White noise of RMS 1, and the RMS wanted [e-].
    offset : ndarray, shape (outputs, width)
        Of the columns of each output [e-].
    pink : ndarray, shape (outputs, H, width) or (1, H, width)
        1/f noise in the order of reading [e-].
    """
    outputs, width = offset.shape
    for row in range(level.shape[0]):
        for output in range(outputs):
            stream, first = pink[output % len(pink), row], output * width
            for col in range(width):
                time = width - 1 - col if output % 2 else col
                scaled = level[row, first + col] * noise[row, first + col]
                level[row, first + col] = scaled + offset[output, col] + stream[time]


def white_noise(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw white noise of RMS 1, Gaussian or with the heavier tails of Laplace, float32 (H, W)."""
    shape = (config.rows, config.cols)
    if config.heavy_tails:
        return rng.laplace(0.0, np.sqrt(0.5), shape).astype(np.float32)
    return rng.standard_normal(shape, np.float32)


def channel_steps(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw jumps of single outputs, up or down, that stay; their sum [e-], float32 (outputs, T)."""
    count = config.channel_steps
    size = log_uniform(config.channel_step, rng, count) * rng.choice([-1, 1], count)
    jumps = np.zeros((config.outputs, config.reads), np.float32)
    where = rng.integers(config.outputs, size=count), rng.integers(1, config.reads, count)
    np.add.at(jumps, where, size)
    return np.cumsum(jumps, axis=1)


def reset_level(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the offset that the reset leaves in each pixel [e-], float32 (H, W).

    Outputs differ, and so do the pixels of each.
    """
    if not config.transient:
        return np.zeros((1, 1), np.float32)
    spread = np.float32(config.transient_spread)
    output = 1 + spread * rng.standard_normal(config.outputs, np.float32)
    pixel = 1 + spread * rng.standard_normal((config.rows, config.cols), np.float32)
    return config.transient * np.repeat(output, config.cols // config.outputs) * pixel


def settling(config: SimulationConfig) -> np.ndarray:
    """Return the part of the reset's offset that is left at each read, float32 (T,)."""
    left = np.exp(-(config.frame_times - config.frame_times[0]) / config.transient_time)
    return (np.add.reduceat(left, config.first_frames) / config.averaged).astype(np.float32)


def white_spectrum(streams: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the spectra of white noise for `pink`, complex64 (streams, frequencies)."""
    frequencies = next_fast_len(samples, real=True) // 2 + 1
    parts = rng.standard_normal((streams, frequencies, 2), np.float32)
    return parts.view(np.complex64)[..., 0]


def pink(spectrum: np.ndarray, samples: int) -> np.ndarray:
    """Turn spectra of white noise (`white_spectrum`) into 1/f noise of RMS 1.

    Parameters
    ----------
    spectrum : ndarray of complex64, shape (streams, frequencies)
        Overwritten.
    samples : int
        Length of the noise, as for `white_spectrum`.

    Returns
    -------
    ndarray of float32, shape (streams, samples)
    """
    length = next_fast_len(samples, real=True)
    spectrum *= _pink_amplitude(length)
    return irfft(spectrum, length, overwrite_x=True)[:, :samples]


@lru_cache(maxsize=4)
def _pink_amplitude(length: int) -> np.ndarray:
    """Return the amplitudes of the spectrum of 1/f noise of RMS 1."""
    amplitude = np.zeros(length // 2 + 1)
    amplitude[1:] = np.arange(1, len(amplitude)) ** -0.5
    amplitude *= length / (2 * np.sqrt(max(np.sum(amplitude**2), 1e-30)))
    return amplitude.astype(np.float32)


def digitise(electrons: np.ndarray, gain: float) -> np.ndarray:
    """Return what a 16-bit converter makes of a signal [e-]: uint16 [DN], clipped at its rails."""
    dn = electrons / np.float32(gain)
    np.rint(dn, out=dn)
    return np.clip(dn, 0, 65535, out=dn).astype(np.uint16)
