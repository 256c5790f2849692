"""Tracks of charged particles: straight, with a power law of lengths and Landau-like losses.

Most are short: a particle at normal incidence affects one pixel and its neighbours, a grazing
one up to tens. A few eject an electron with a short side track (delta ray), and a few come with
secondary particles nearby (shower).
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from ohana.classes import Label
from ohana.simulate.config import SimulationConfig
from ohana.simulate.deposits import ChargeEvent, Deposits, draw_count, draw_frames
from ohana.simulate.detector import log_uniform

#: Thickness of the sensitive layer [pixel]: path of a particle at normal incidence.
THICKNESS = 0.4
#: Width of the Moyal distribution of losses, relative to the most probable loss.
LOSS_WIDTH = 0.15
#: Distance of the points of a track [pixel], and cut-off of their charge [sigma].
POINT_DISTANCE = 0.25
REACH_SIGMA = 4.0
#: Length of a delta ray [pixel], and its fraction of the charge of the hit.
DELTA_LENGTH = (0.5, 3.0)
DELTA_SHARE = (0.05, 0.3)
#: Shower: mean number of secondaries after the first, their mean distance from the primary's
#: track and their longest track [pixel].
MORE_SECONDARIES = 1.5
SHOWER_SIZE = 8.0
SECONDARY_LENGTH = 3.0


def draw_cosmic_rays(config: SimulationConfig, rng: np.random.Generator) -> list[ChargeEvent]:
    """Draw the cosmic rays of an exposure, in order of their frames.

    Secondaries of a shower are events of their own, in addition to the number in the settings.
    """
    area = np.prod(config.active_shape) * (config.pixel_pitch * 1e-4) ** 2
    expected = config.cosmic_ray_rate * area * config.collecting_time
    count = draw_count(config.cosmic_rays, expected, rng)
    hits = []
    for frame in np.sort(draw_frames(count, config, rng)).tolist():
        start = rng.uniform(-0.5, np.array(config.active_shape) - 0.5)
        hits.append(draw_hit(frame, start, config, rng))
        if rng.random() < config.shower_fraction:
            hits += _secondaries(frame, start, config, rng)
    return hits


def _secondaries(
    frame: int, start: np.ndarray, config: SimulationConfig, rng: np.random.Generator
) -> list[ChargeEvent]:
    """Draw the secondary particles of a primary, near its entry."""
    low, high = config.cosmic_ray_length
    lengths = low, min(high, max(low, SECONDARY_LENGTH))
    short = config.model_copy(update={"cosmic_ray_length": lengths})
    hits = []
    for _ in range(1 + rng.poisson(MORE_SECONDARIES)):
        place = start + rng.exponential(SHOWER_SIZE) * _direction(rng)
        hits.append(draw_hit(frame, place, short, rng))
        hits[-1].facts["secondary"] = True
    return hits


def draw_hit(
    frame: int, start: np.ndarray, config: SimulationConfig, rng: np.random.Generator
) -> ChargeEvent:
    """Draw one hit that arrives just before ``frame`` and enters at ``start`` (row, column)."""
    length = _power_law(config.cosmic_ray_length, config.cosmic_ray_index, rng)
    path = np.hypot(length, THICKNESS)
    # A Moyal variate is -ln of a chi-squared one with one degree of freedom (Moyal 1955,
    # Phil. Mag. 46, 263); losses of neighbouring pixels are independent.
    pieces = int(np.ceil(length))
    loss = 1 - LOSS_WIDTH * np.log(rng.chisquare(1, pieces))
    charge = config.cosmic_ray_charge * path / pieces * np.maximum(loss, 0.1)
    if config.cosmic_ray_total is not None:
        charge *= float(log_uniform(config.cosmic_ray_total, rng)) / charge.sum()
    places, share = points_along(start, start + length * _direction(rng), charge)
    has_delta = bool(rng.random() < config.delta_fraction)
    if has_delta:
        places, share = _with_delta_ray(places, share, rng)
    row, col, deposit = spread(places, share, config.diffusion, config.active_shape)
    facts: dict[str, object] = {
        "length": float(length),
        "charge": float(charge.sum()),
        "delta_ray": has_delta,
        "secondary": False,
    }
    frames = np.full(len(row), frame, np.int32)
    return ChargeEvent(Label.COSMIC_RAY, frame, Deposits(row, col, frames, deposit), facts)


def _with_delta_ray(
    places: np.ndarray, share: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Move a fraction of a track's charge to a short side track at a random point."""
    part = rng.uniform(*DELTA_SHARE)
    root = places[rng.integers(len(places))]
    end = root + rng.uniform(*DELTA_LENGTH) * _direction(rng)
    side, charge = points_along(root, end, np.array([part * share.sum()]))
    return np.concatenate([places, side]), np.concatenate([share * (1 - part), charge])


def _direction(rng: np.random.Generator) -> np.ndarray:
    """Draw a unit vector (row, column)."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def _power_law(limits: tuple[float, float], index: float, rng: np.random.Generator) -> float:
    """Draw from a density that falls as x**-index between two limits."""
    low, high = np.asarray(limits) ** (1 - index)
    return float(rng.uniform(high, low) ** (1 / (1 - index)))


def points_along(
    start: np.ndarray, end: np.ndarray, charge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return points that represent a line.

    Parameters
    ----------
    start, end : ndarray, shape (2,)
        Ends (row, column); a pixel's centre has whole numbers.
    charge : ndarray, shape (k,)
        Charge of k equal pieces of the line [e-].

    Returns
    -------
    places : ndarray, shape (n, 2)
        Points at equal distances of at most `POINT_DISTANCE`.
    share : ndarray, shape (n,)
        Charge of each [e-].

    Examples
    --------
    >>> points_along(np.zeros(2), np.array([0.0, 0.5]), np.array([10.0]))
    (array([[0.   , 0.125],
           [0.   , 0.375]]), array([5., 5.]))
    """
    length = np.hypot(*(end - start))
    each = max(int(np.ceil(length / len(charge) / POINT_DISTANCE)), 1)
    along = (np.arange(each * len(charge)) + 0.5) / (each * len(charge))
    return start + along[:, None] * (end - start), np.repeat(charge / each, each)


def spread(
    places: np.ndarray, share: np.ndarray, diffusion: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spread charge at points over the pixels of an array.

    Parameters
    ----------
    places : ndarray, shape (n, 2)
        Row and column of each point; a pixel's centre has whole numbers.
    share : ndarray, shape (n,)
        Charge of each point [e-].
    diffusion : float
        Sigma of the Gaussian around each point [pixel].
    shape : tuple of int
        Height and width of the array; charge outside is lost.

    Returns
    -------
    row, col, charge : ndarray, shape (m,)
        Pixels with more than a tenth of an electron.

    Examples
    --------
    >>> spread(np.array([[1.0, 1.0]]), np.array([900.0]), 0.05, (3, 3))
    (array([1], dtype=int32), array([1], dtype=int32), array([900.], dtype=float32))
    """
    reach = REACH_SIGMA * diffusion
    first = np.maximum(np.floor(places.min(axis=0) - reach).astype(int), 0)
    last = np.minimum(np.ceil(places.max(axis=0) + reach).astype(int) + 1, shape)
    parts = []
    for axis in range(2):
        edges = np.arange(first[axis], max(last[axis], first[axis]) + 1) - 0.5
        distance = (edges - places[:, axis, None]) / (np.sqrt(2) * diffusion)
        parts.append(np.diff(0.5 * (1 + erf(distance)), axis=1))
    total = (parts[0] * share[:, None]).T @ parts[1]
    row, col = np.nonzero(total > 0.1)
    deposit = total[row, col].astype(np.float32)
    return (row + first[0]).astype(np.int32), (col + first[1]).astype(np.int32), deposit
