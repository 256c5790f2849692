"""The read-out: noise that all pixels share, that outputs have, that each read has, and the ADC."""

from __future__ import annotations

import numpy as np
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
        drift, steps, reset, *self.streams = rng.spawn(3 + config.reads)
        self.config, outputs = config, config.outputs
        averaging = 1 / np.sqrt(config.nframes)
        self.noise = noise * np.float32(averaging)
        samples = config.rows * config.cols // outputs
        octaves = np.log2([config.reads, max(samples / 2, 1)])
        slow, fast = np.sqrt(octaves / octaves.sum())
        rms = np.append(config.pink_common, np.full(outputs, config.pink_output))
        streams = pink_noise(1 + outputs, config.reads, drift, slow * rms)
        #: Offset of each output at each read [e-], (outputs, T).
        self.offset = streams[0] + streams[1:] + channel_steps(config, steps)
        self.fast = fast * averaging * np.array([config.pink_common, config.pink_output])
        self.odd_even = config.odd_even * averaging
        self.reset = reset_level(config, reset)
        self.settling = settling(config)

    def read(self, read: int) -> np.ndarray:
        """Return offsets and noise of one read, float32 (H, W) [e-].

        Each can be asked for once, in any order and by any thread.
        """
        config = self.config
        white, common, own, columns = self.streams[read].spawn(4)
        level = white.standard_normal(self.noise.shape, np.float32)
        level *= self.noise
        by_output = level.reshape(config.rows, config.outputs, -1)
        width = by_output.shape[2]
        contrast = self.odd_even * columns.standard_normal((config.outputs, 1), np.float32)
        column = np.array([0.5, -0.5], np.float32)[np.arange(width) % 2]
        level += (self.offset[:, read, None] + contrast * column).ravel()
        samples = config.rows * width
        for count, rms, source in ((1, self.fast[0], common), (config.outputs, self.fast[1], own)):
            if rms:
                pink = pink_noise(count, samples, source, rms).reshape(count, config.rows, width)
                for output in range(config.outputs):
                    in_time = pink[output % count]
                    by_output[:, output] += in_time[:, ::-1] if output % 2 else in_time
        if config.transient:
            level += self.settling[read] * self.reset
        return level


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
    since = config.frame_times - config.frame_times[0, 0]
    return np.exp(-since / config.transient_time).mean(axis=1).astype(np.float32)


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
