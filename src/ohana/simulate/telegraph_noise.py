"""Random telegraph noise: pixels whose level jumps between two, sometimes three, values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohana.simulate.config import SimulationConfig
from ohana.simulate.deposits import draw_count
from ohana.simulate.detector import log_uniform


@dataclass(frozen=True)
class TelegraphSignal:
    """Telegraph noise of one pixel.

    Attributes
    ----------
    row, col : int
        Pixel, in the whole array.
    levels : ndarray, shape (2,) or (3,)
        Offset of each state [e-], ascending from 0.
    dwell : ndarray, same shape
        Mean dwell time in each state [reads].
    states : ndarray of int8, shape (T, most)
        State at each frame of each read; -1 fills up reads with fewer frames.
    """

    row: int
    col: int
    levels: np.ndarray
    dwell: np.ndarray
    states: np.ndarray

    @property
    def path(self) -> np.ndarray:
        """Offset at each read, the mean over its frames [e-], float32 (T,)."""
        there = self.states >= 0
        offset = np.where(there, self.levels[self.states], 0.0).sum(axis=1)
        return (offset / there.sum(axis=1)).astype(np.float32)


def draw_telegraph_noise(
    config: SimulationConfig, rng: np.random.Generator
) -> list[TelegraphSignal]:
    """Draw the pixels that have telegraph noise, and their paths.

    It is added to the voltage, so reference pixels can have it too.
    """
    edge = 0 if config.telegraph_border else config.border
    height, width = config.rows - 2 * edge, config.cols - 2 * edge
    expected = config.telegraph_fraction * height * width
    count = min(draw_count(config.telegraph_pixels, expected, rng), height * width)
    places = rng.choice(height * width, count, replace=False)
    return [
        draw_flicker(int(place // width) + edge, int(place % width) + edge, config, rng)
        for place in places
    ]


def draw_flicker(
    row: int, col: int, config: SimulationConfig, rng: np.random.Generator
) -> TelegraphSignal:
    """Draw the telegraph noise of one pixel."""
    amplitude = log_uniform(config.telegraph_amplitude, rng)
    period = log_uniform(config.telegraph_period, rng)
    duty = rng.uniform(*config.telegraph_duty)
    levels, dwell = np.array([0.0, amplitude]), period * np.array([1 - duty, duty])
    if rng.random() < config.three_level_fraction:
        middle = rng.uniform(0.3, 0.7)
        levels, dwell = np.insert(levels, 1, middle * amplitude), np.insert(dwell, 1, period / 2)
    times = (config.frame_times - config.frame_times[0]) / config.read_intervals[-1]
    most = config.averaged.max()
    states = np.full((config.reads, most), -1, np.int8)
    states[np.arange(most) >= most - config.averaged[:, None]] = markov_states(dwell, times, rng)
    return TelegraphSignal(row, col, levels, dwell, states)


def markov_states(dwell: np.ndarray, times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the state of a process with exponential dwell times at given times.

    Time is continuous, so short dwells between two reads are missed, as on a detector. A state
    changes to any of the others with equal probability; the first is drawn in proportion to the
    mean dwell times, the equilibrium of such a process.

    Parameters
    ----------
    dwell : ndarray, shape (n,)
        Mean dwell time in each state.
    times : ndarray, shape (m,)
        From 0 on, ascending, in the same unit.
    rng : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray of int8, shape (m,)
    """
    state = int(rng.choice(len(dwell), p=dwell / dwell.sum()))
    states, time, begin = np.empty(len(times), np.int8), 0.0, 0
    while begin < len(times):
        time += rng.exponential(dwell[state])
        end = int(np.searchsorted(times, time))
        states[begin:end] = state
        begin, state = end, (state + int(rng.integers(1, len(dwell)))) % len(dwell)
    return states
