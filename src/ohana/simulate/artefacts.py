"""Artefacts of the read-out and of the data: what is added to each read, and what is lost of it.

All are off by default. Those of the light are in `ohana.simulate.unsteady_light`.
"""

from __future__ import annotations

import numpy as np

from ohana.simulate.config import SimulationConfig
from ohana.simulate.telegraph_noise import draw_flicker

#: Ratio of the correlation times of the walks whose sum is 1/f noise. Chosen: the spectrum is
#: straight to 6 %.
WALK_SPACING = 4.0


class ReadoutArtefacts:
    """The artefacts of one exposure, read by read, each from a random stream of its own.

    Parameters
    ----------
    config : SimulationConfig
        Settings.
    rng : numpy.random.Generator
        Source of all draws.
    """

    def __init__(self, config: SimulationConfig, rng: np.random.Generator):
        settling, drift, self.steps, self.pink, columns, wave, lost = rng.spawn(7)
        self.config, shape = config, (config.rows, config.cols)
        self.lacking = lacking_charge(config, settling)
        self.drift = output_walks(config, drift)
        self.walk = np.zeros(shape if config.pixel_walk else (1, 1), np.float32)
        self.times = walk_times(config) if config.pixel_pink else np.empty(0)
        self.walks = self.pink.standard_normal((len(self.times), *shape), np.float32)
        self.columns, self.paths = column_paths(config, columns)
        self.phase = wave.uniform(0, 2 * np.pi)
        self.lost = lost_pixels(config, lost)

    def add(self, level: np.ndarray, read: int) -> None:
        """Add what the electronics add to a read (H, W) [e-], in place, reads in order of time."""
        config, border = self.config, self.config.border
        if config.pixel_settling:
            inside = np.s_[border : config.rows - border, border : config.cols - border]
            level[inside] -= np.float32(np.exp(-read / config.settling_time)) * self.lacking
        if config.output_drift:
            level += np.repeat(self.drift[read], config.cols // config.outputs)
        if config.pixel_walk:
            steps = self.steps.standard_normal(level.shape, np.float32)
            self.walk += np.float32(config.pixel_walk if read else 0) * steps
            level += self.walk
        if config.pixel_pink:
            level += self._pink(read)
        if config.flickering_columns:
            level[:, self.columns] += self.paths[:, read]
        if config.interference:
            level += interference(config, read, self.phase)

    def _pink(self, read: int) -> np.ndarray:
        """Return 1/f noise of each pixel: walks of all correlation times, of equal power."""
        for walk, time in zip(self.walks, self.times, strict=True):
            kept = np.exp(-1 / time) if read else 1.0
            walk *= np.float32(kept)
            if read:
                fresh = self.pink.standard_normal(walk.shape, np.float32)
                walk += np.float32(np.sqrt(1 - kept**2)) * fresh
        scale = self.config.pixel_pink / np.sqrt(len(self.times))
        return np.float32(scale) * self.walks.sum(axis=0)

    def spoil(self, dn: np.ndarray, read: int) -> np.ndarray:
        """Return what arrives of a read, uint16 (H, W) [DN]: counts turned over, values lost."""
        arriving = np.uint16(65535) - dn if self.config.counts_fall else dn
        arriving[self.lost.get(read, slice(0))] = 0
        return arriving


def lacking_charge(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw what each pixel lacks just after the reset, float32 (rows, cols) [e-]."""
    if not config.pixel_settling:
        return np.zeros((1, 1), np.float32)
    scatter = rng.standard_normal(config.active_shape, np.float32)
    return np.float32(config.pixel_settling) * (1 + np.float32(config.settling_spread) * scatter)


def output_walks(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the random walk of each output, from 0 at read 0, float32 (T, outputs) [e-]."""
    steps = rng.standard_normal((config.reads, config.outputs), np.float32)
    steps[0] = 0
    return np.float32(config.output_drift) * np.cumsum(steps, axis=0)


def walk_times(config: SimulationConfig) -> np.ndarray:
    """Return correlation times from half a read to four exposures [reads]."""
    count = int(np.ceil(np.log(8 * config.reads) / np.log(WALK_SPACING)))
    return 0.5 * WALK_SPACING ** np.arange(count + 1)


def column_paths(
    config: SimulationConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw columns with telegraph noise: which, (n,), and their offsets (n, T) [e-].

    Dwell times are those of pixels with telegraph noise.
    """
    columns = rng.choice(config.cols, config.flickering_columns, replace=False)
    like_pixels = config.model_copy(update={"telegraph_amplitude": config.column_amplitude})
    paths = [draw_flicker(0, int(col), like_pixels, rng).path for col in columns]
    return columns, np.array(paths, np.float32).reshape(len(columns), config.reads)


def interference(config: SimulationConfig, read: int, phase: float) -> np.ndarray:
    """Return a sine in the order of reading, the same in all outputs, float32 (H, W) [e-]."""
    width = config.cols // config.outputs
    sample = np.arange(config.rows * width) + read * config.rows * width
    turns = np.mod(sample / config.interference_period, 1)
    wave = config.interference * np.sin(2 * np.pi * turns + phase)
    stream = wave.astype(np.float32).reshape(config.rows, width)
    return np.hstack([stream[:, ::-1] if k % 2 else stream for k in range(config.outputs)])


def lost_pixels(config: SimulationConfig, rng: np.random.Generator) -> dict[int, slice]:
    """Draw what is lost: rows by read; never of the first or the last read."""
    middle = np.arange(1, config.reads - 1)
    first = int(rng.integers(config.rows - config.lost_rows + 1))
    part = rng.choice(middle, config.lost_rows_reads if config.lost_rows else 0, replace=False)
    whole = rng.choice(middle, config.lost_reads, replace=False)
    lost = {int(read): slice(first, first + config.lost_rows) for read in part}
    return lost | {int(read): slice(None) for read in whole}
