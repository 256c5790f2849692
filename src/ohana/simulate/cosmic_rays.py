"""Tracks of charged particles: straight, with a power law of lengths and Landau-like losses."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from ohana.labels import Label
from ohana.simulate.config import SimulationConfig
from ohana.simulate.detector import log_uniform
from ohana.simulate.events import Deposits, Source, draw_count, draw_frames

#: Thickness of the sensitive layer [pixel]: path through it of a particle that goes straight down.
THICKNESS = 0.4
#: Width of the Moyal distribution of losses, relative to the most probable loss.
LOSS_WIDTH = 0.15
#: Distance of the points that stand for a track [pixel], and how far their charge is followed.
POINT_DISTANCE = 0.25
REACH_SIGMA = 4.0


def draw_cosmic_rays(config: SimulationConfig, rng: np.random.Generator) -> list[Source]:
    """Draw the cosmic rays of an exposure, in order of their frames."""
    area = np.prod(config.active_shape) * (config.pixel_pitch * 1e-4) ** 2
    expected = config.cosmic_ray_rate * area * config.exposure_time
    count = draw_count(config.cosmic_rays, expected, rng)
    frames = np.sort(draw_frames(count, config, rng))
    hits = (draw_hit(int(frame), config, rng) for frame in frames)
    return [hit for hit in hits if len(hit.deposits.row)]


def draw_hit(frame: int, config: SimulationConfig, rng: np.random.Generator) -> Source:
    """Draw one hit that arrives just before ``frame``."""
    start = rng.uniform(-0.5, np.array(config.active_shape) - 0.5)
    length = _power_law(config.cosmic_ray_length, config.cosmic_ray_index, rng)
    angle = rng.uniform(0, 2 * np.pi)
    end = start + length * np.array([np.sin(angle), np.cos(angle)])
    path = np.hypot(length, THICKNESS)
    # A Moyal variate is -ln of a chi-squared one with one degree of freedom (Moyal 1955,
    # Phil. Mag. 46, 263); losses of neighbouring pixels are independent.
    pieces = int(np.ceil(length))
    loss = 1 - LOSS_WIDTH * np.log(rng.chisquare(1, pieces))
    charge = config.cosmic_ray_charge * path / pieces * np.maximum(loss, 0.1)
    if config.cosmic_ray_total is not None:
        charge *= float(log_uniform(config.cosmic_ray_total, rng)) / charge.sum()
    row, col, deposit = track(start, end, charge, config.diffusion, config.active_shape)
    facts: dict[str, object] = {"length": float(length), "charge": float(charge.sum())}
    frames = np.full(len(row), frame, np.int32)
    return Source(Label.COSMIC_RAY, frame, Deposits(row, col, frames, deposit), facts)


def _power_law(limits: tuple[float, float], index: float, rng: np.random.Generator) -> float:
    """Draw from a density that falls as x**-index between two limits."""
    low, high = np.asarray(limits) ** (1 - index)
    return float(rng.uniform(high, low) ** (1 / (1 - index)))


def track(
    start: np.ndarray, end: np.ndarray, charge: np.ndarray, diffusion: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spread charge along a line over the pixels of an array.

    Parameters
    ----------
    start, end : ndarray, shape (2,)
        Ends (row, column); a pixel's centre has whole numbers.
    charge : ndarray, shape (n,)
        Charge of n equal pieces of the line [e-].
    diffusion : float
        Sigma of the charge around the line [pixel].
    shape : tuple of int
        Height and width of the array; charge outside is lost.

    Returns
    -------
    row, col, charge : ndarray, shape (m,)
        Pixels with more than a tenth of an electron.
    """
    points = len(charge) * max(int(np.ceil(np.hypot(*(end - start)) / POINT_DISTANCE)), 1)
    along = (np.arange(points) + 0.5) / points
    share = np.repeat(charge, points // len(charge)) * len(charge) / points
    first = np.floor(np.minimum(start, end) - REACH_SIGMA * diffusion).astype(int)
    last = np.ceil(np.maximum(start, end) + REACH_SIGMA * diffusion).astype(int)
    first, last = np.maximum(first, 0), np.minimum(last + 1, shape)
    parts = []
    for axis in range(2):
        edges = np.arange(first[axis], max(last[axis], first[axis]) + 1) - 0.5
        centre = start[axis] + along * (end[axis] - start[axis])
        below = 0.5 * (1 + erf((edges - centre[:, None]) / (np.sqrt(2) * diffusion)))
        parts.append(np.diff(below, axis=1))
    total = (parts[0] * share[:, None]).T @ parts[1]
    row, col = np.nonzero(total > 0.1)
    deposit = total[row, col].astype(np.float32)
    return (row + first[0]).astype(np.int32), (col + first[1]).astype(np.int32), deposit
