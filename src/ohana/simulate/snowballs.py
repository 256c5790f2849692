"""Snowballs: a round, saturated core in a wide halo, growing over the next reads.

The core is flat and full, the halo falls exponentially from its rim, and charge leaks outwards
for some reads: the core grows a little and a ring forms around it. Longer still, the core gives
back a little of its charge (after-glow), which shows where the well is not full: at its rim.
Some have a straight trail, some lie across the edge of the array.
"""

from __future__ import annotations

import numpy as np

from ohana.classes import Label
from ohana.simulate.config import SimulationConfig
from ohana.simulate.cosmic_rays import points_along, spread
from ohana.simulate.deposits import ChargeEvent, Deposits, draw_count, draw_frames, first_read
from ohana.simulate.detector import log_uniform, stamp

#: Charge at which the halo is cut off [e-].
FAINTEST = 0.3
#: Reads over which growth and after-glow are followed, in e-folding times.
GROWTH_TIMES = 4.0
#: Place and width of the later ring around the core [pixel].
RING_DISTANCE, RING_WIDTH = 1.5, 1.0
#: Charge of a trail per pixel [full wells].
TRAIL_LEVEL = 0.05


def draw_snowballs(config: SimulationConfig, rng: np.random.Generator) -> list[ChargeEvent]:
    """Draw the snowballs of an exposure."""
    share = np.prod(config.active_shape) / 2048**2
    expected = config.snowball_rate * share * config.collecting_time
    count = draw_count(config.snowballs, expected, rng)
    frames = draw_frames(count, config, rng).tolist()
    return [draw_snowball(frame, _draw_centre(config, rng), config, rng) for frame in frames]


def _draw_centre(config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the centre of a snowball: anywhere, or within half a minimum radius of an edge."""
    last = np.array(config.active_shape) - 1
    centre = rng.uniform(0, last)
    if rng.random() < config.edge_fraction:
        axis = rng.integers(2)
        off = rng.uniform(-0.5, 0.5) * config.snowball_radius[0]
        centre[axis] = rng.choice([0, last[axis]]) + off
    return centre


def draw_snowball(
    frame: int, centre: np.ndarray, config: SimulationConfig, rng: np.random.Generator
) -> ChargeEvent:
    """Draw one snowball that begins just before ``frame`` at ``centre``, in the active part.

    It grows from read to read.
    """
    radius = rng.uniform(*config.snowball_radius)
    core = config.full_well * rng.uniform(*config.snowball_core)
    halo = config.full_well * float(log_uniform(config.snowball_halo, rng))
    length = _halo_length(radius, config, rng)
    reach = radius + max(length * np.log(halo / FAINTEST), 4.0)
    window, distance = stamp(centre[0], centre[1], reach, config.active_shape)
    stack = rng.poisson(_charge(distance, radius, core, halo, length, config)).astype(np.float32)
    trailed = bool(rng.random() < config.trail_fraction)
    if trailed:
        stack[0] += _trail(centre, radius, config, rng)[window]
    landed = np.nonzero(stack)
    glow, released = _afterglow(stack[0] * (distance < radius + 0.5), config, rng)
    later, row, col = np.concatenate([landed, glow], axis=1)
    read = first_read(np.array(frame), config.averaged)[0] + later
    begins = config.first_frames[np.minimum(read, config.reads - 1)]
    deposits = Deposits(
        (row + window[0].start).astype(np.int32),
        (col + window[1].start).astype(np.int32),
        np.where(later > 0, begins, frame).astype(np.int32),
        np.append(stack[landed], released),
    )
    facts: dict[str, object] = {
        "center": [float(x) + config.border for x in centre],
        "core_radius": float(radius),
        "halo_level": float(halo),
        "halo_length": float(length),
        "trail": trailed,
    }
    during = read < config.reads
    return ChargeEvent(
        Label.SNOWBALL, frame, Deposits(*(column[during] for column in deposits)), facts
    )


def _halo_length(radius: float, config: SimulationConfig, rng: np.random.Generator) -> float:
    """Draw the e-folding length of the halo of a core [pixel]."""
    if config.snowball_halo_decay is not None:
        return rng.uniform(*config.snowball_halo_decay)
    return radius * rng.uniform(*config.snowball_halo_length)


def _charge(
    distance: np.ndarray,
    radius: float,
    core: float,
    halo: float,
    length: float,
    config: SimulationConfig,
) -> np.ndarray:
    """Return the mean charge added at the first read and at each later one [e-]."""
    time = np.arange(1 + int(np.ceil(GROWTH_TIMES * config.snowball_release)))[:, None, None]
    fading = np.exp(-time / config.snowball_release)
    grown = radius + config.snowball_growth * config.snowball_release * (1 - fading)
    inside = np.clip(grown + 0.5 - distance, 0, 1)
    stack = np.diff(core * inside, axis=0, prepend=0)
    stack[0] += (1 - inside[0]) * halo * np.exp(-np.maximum(distance - radius, 0) / length)
    rim = (distance - radius - RING_DISTANCE) / RING_WIDTH
    stack[1:] += config.snowball_ring * halo * fading[:-1] * np.exp(-0.5 * rim**2)
    return stack


def _afterglow(
    core: np.ndarray, config: SimulationConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the charge that pixels with a given charge (h, w) release.

    Returns
    -------
    place : ndarray of int, shape (3, n)
        Reads since the first one, row and column.
    charge : ndarray of float32, shape (n,)
        [e-]
    """
    row, col = np.nonzero(core)
    held = np.minimum(core[row, col], config.full_well)
    time = config.snowball_afterglow_time
    left = np.exp(-np.arange(1 + int(np.ceil(GROWTH_TIMES * time))) / time)
    part = -config.snowball_afterglow * np.diff(left)
    released = rng.poisson(part[:, None] * held).astype(np.float32)
    k, pixel = np.nonzero(released)
    return np.stack([1 + k, row[pixel], col[pixel]]), released[k, pixel]


def _trail(
    centre: np.ndarray, radius: float, config: SimulationConfig, rng: np.random.Generator
) -> np.ndarray:
    """Return the charge of a straight trail that leaves the core [e-], active part."""
    charge = np.zeros(config.active_shape, np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    end = centre + rng.uniform(1.5, 2.5) * radius * np.array([np.sin(angle), np.cos(angle)])
    level = np.array([TRAIL_LEVEL * config.full_well * np.hypot(*(end - centre))])
    places, share = points_along(centre, end, level)
    row, col, part = spread(places, share, 2 * config.diffusion, config.active_shape)
    charge[row, col] = part
    return charge
