"""The pixels: how each of them differs from the others, holds its charge, and shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ohana.simulate.config import SimulationConfig


@dataclass(frozen=True)
class Pixels:
    """Fixed properties of the pixels.

    Attributes
    ----------
    noise : ndarray of float32, shape (H, W)
        White noise of one frame [e-].
    pedestal : ndarray of float32, shape (H, W)
        Level of the empty pixel [e-].
    dead : ndarray of int
        Pixels of the flat active part that collect no charge.
    stuck : tuple of two ndarrays of int
        Rows and columns (of the whole array) of the pixels whose raw value never changes.
    stuck_at : ndarray of uint16
        These values [DN].
    """

    noise: np.ndarray
    pedestal: np.ndarray
    dead: np.ndarray
    stuck: tuple[np.ndarray, np.ndarray]
    stuck_at: np.ndarray


def draw_pixels(config: SimulationConfig, rng: np.random.Generator) -> Pixels:
    """Draw the pixels of one detector; every property has a random stream of its own."""
    shape, active = (config.rows, config.cols), config.active_shape
    pedestals, noises, dead, stuck = rng.spawn(4)
    pedestal = pedestals.standard_normal(shape, np.float32)
    pedestal *= np.float32(config.pedestal_spread)
    pedestal += np.float32(config.pedestal)
    noise = np.full(shape, config.read_noise, np.float32)
    if config.read_noise_spread:
        spread = np.float32(config.read_noise_spread)
        noise *= np.exp(spread * noises.standard_normal(shape, np.float32))
    frozen = some_pixels(config.stuck_fraction, active, stuck)
    rows, cols = np.divmod(frozen, active[1])
    return Pixels(
        noise,
        pedestal,
        np.union1d(some_pixels(config.dead_fraction, active, dead), frozen),
        (rows + config.border, cols + config.border),
        stuck.integers(0, 2**16, len(frozen), np.uint16),
    )


def some_pixels(fraction: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw a part of all pixels, each on its own; return their places in the flat array."""
    if not fraction:
        return np.empty(0, np.intp)
    return np.flatnonzero(rng.random(shape[0] * shape[1]) < fraction)


def log_uniform(
    limits: tuple[float, float], rng: np.random.Generator, size: int | None = None
) -> np.ndarray:
    """Draw numbers whose logarithm is uniform between two limits."""
    low, high = np.log(limits)
    return np.exp(rng.uniform(low, high, size))


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


@njit(nogil=True, cache=True)
def hold(
    charge: np.ndarray, arriving: np.ndarray, signal: np.ndarray, full_well: float, bend: float
) -> None:
    """Collect what arrives up to the full well, and add what the pixel then shows, in place.

    The capacitance of a pixel grows with its charge, so that its signal falls short by
    ``bend * charge**2``.

    Parameters
    ----------
    charge, arriving, signal : ndarray of float32, shape (rows, cols)
        Charge held, charge new, and sum of the signals of a read's frames [e-].
    full_well : float
        [e-]
    bend : float
        [1/e-]
    """
    well, curvature = np.float32(full_well), np.float32(bend)
    for row in range(charge.shape[0]):
        for col in range(charge.shape[1]):
            held = min(charge[row, col] + arriving[row, col], well)
            charge[row, col] = held
            signal[row, col] += held - curvature * held * held


@njit(nogil=True, cache=True)
def couple(charge: np.ndarray, ipc: float) -> np.ndarray:
    """Return the signal of pixels that are coupled to their 4 neighbours by capacitance.

    Each pair exchanges ``ipc`` times the difference of its charges, so that the total is kept.
    """
    height, width = charge.shape
    part = np.float32(ipc)
    signal = np.empty_like(charge)
    for row in range(height):
        above, below = max(row - 1, 0), min(row + 1, height - 1)
        for col in range(width):
            own = charge[row, col]
            around = charge[above, col] + charge[below, col] - own
            around += charge[row, max(col - 1, 0)] + charge[row, min(col + 1, width - 1)] - own
            signal[row, col] = own + part * (around - own - own)
    return signal
