"""Snowballs: a round, saturated core in a wide halo, growing over the next reads.

The core is flat and full, the halo falls exponentially from its rim, and charge leaks outwards
for some reads: the core grows a little and a ring forms around it. Some have a straight trail.
"""

from __future__ import annotations

import numpy as np

from ohana.labels import Label
from ohana.simulate.config import SimulationConfig
from ohana.simulate.cosmic_rays import track
from ohana.simulate.detector import log_uniform, stamp
from ohana.simulate.events import Deposits, Source, draw_count, draw_frames

#: Charge below which the halo is not followed [e-].
FAINTEST = 0.3
#: Reads over which growth is followed, in e-folding times.
GROWTH_TIMES = 4.0
#: Place and width of the later ring around the core [pixel].
RING_DISTANCE, RING_WIDTH = 1.5, 1.0
#: Charge of a trail per pixel [full wells].
TRAIL_LEVEL = 0.05


def draw_snowballs(config: SimulationConfig, rng: np.random.Generator) -> list[Source]:
    """Draw the snowballs of an exposure."""
    share = np.prod(config.active_shape) / 2048**2
    expected = config.snowball_rate * share * config.exposure_time
    count = draw_count(config.snowballs, expected, rng)
    return [draw_snowball(int(frame), config, rng) for frame in draw_frames(count, config, rng)]


def draw_snowball(frame: int, config: SimulationConfig, rng: np.random.Generator) -> Source:
    """Draw one snowball that arrives just before ``frame``; it grows from read to read."""
    shape, read = np.array(config.active_shape), frame // config.nframes
    centre = rng.uniform(0, shape - 1)
    radius = rng.uniform(*config.snowball_radius)
    if rng.random() < config.edge_fraction:
        axis = rng.integers(2)
        centre[axis] = rng.choice([0, shape[axis] - 1]) + rng.uniform(-0.5, 0.5) * radius
    core = config.full_well * rng.uniform(*config.snowball_core)
    halo = config.full_well * float(log_uniform(config.snowball_halo, rng))
    length = radius * rng.uniform(*config.snowball_halo_length)
    reach = radius + max(length * np.log(halo / FAINTEST), 4.0)
    window, distance = stamp(centre[0], centre[1], reach, config.active_shape)
    stack = _charge(distance, radius, core, halo, length, config)[: config.reads - read]
    stack = rng.poisson(stack).astype(np.float32)
    if rng.random() < config.trail_fraction:
        stack[0] += _trail(centre, radius, config, rng)[window]
    k, row, col = np.nonzero(stack)
    deposits = Deposits(
        (row + window[0].start).astype(np.int32),
        (col + window[1].start).astype(np.int32),
        np.where(k > 0, (read + k) * config.nframes, frame).astype(np.int32),
        stack[k, row, col],
    )
    facts: dict[str, object] = {
        "center": [float(x) + config.border for x in centre],
        "core_radius": float(radius),
        "halo_level": float(halo),
        "halo_length": float(length),
    }
    return Source(Label.SNOWBALL, frame, deposits, facts)


def _charge(
    distance: np.ndarray,
    radius: float,
    core: float,
    halo: float,
    length: float,
    config: SimulationConfig,
) -> np.ndarray:
    """Return the mean charge added at the first read and at each of those that follow [e-]."""
    time = np.arange(1 + int(np.ceil(GROWTH_TIMES * config.snowball_release)))[:, None, None]
    fading = np.exp(-time / config.snowball_release)
    grown = radius + config.snowball_growth * config.snowball_release * (1 - fading)
    inside = np.clip(grown + 0.5 - distance, 0, 1)
    stack = np.diff(core * inside, axis=0, prepend=0)
    stack[0] += (1 - inside[0]) * halo * np.exp(-np.maximum(distance - radius, 0) / length)
    rim = (distance - radius - RING_DISTANCE) / RING_WIDTH
    stack[1:] += config.snowball_ring * halo * fading[:-1] * np.exp(-0.5 * rim**2)
    return stack


def _trail(
    centre: np.ndarray, radius: float, config: SimulationConfig, rng: np.random.Generator
) -> np.ndarray:
    """Return the charge of a straight trail that leaves the core [e-], active part."""
    charge = np.zeros(config.active_shape, np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    end = centre + rng.uniform(1.5, 2.5) * radius * np.array([np.sin(angle), np.cos(angle)])
    level = np.array([TRAIL_LEVEL * config.full_well * np.hypot(*(end - centre))])
    row, col, part = track(centre, end, level, 2 * config.diffusion, config.active_shape)
    charge[row, col] = part
    return charge
