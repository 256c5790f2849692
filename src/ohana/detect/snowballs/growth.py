"""Growth of a snowball after its first read, and the steps that it explains."""

from __future__ import annotations

import numpy as np

from ohana.detect.linking import read_tolerance
from ohana.detect.snowballs.candidates import Candidate, SnowballContext, saturated_at
from ohana.detect.snowballs.cores import Core
from ohana.detect.snowballs.tuning import TUNING


def growth_rate(core: Core, candidate: Candidate, context: SnowballContext) -> float:
    """Return the mean growth of the radius over the reads that follow [pixel per read]."""
    followed = min(TUNING.growth_reads, context.source.ramp.shape[0] - 1 - core.read)
    if not followed:
        return 0.0
    stop, disk = context.stop[candidate.window], core.disk
    saturated = saturated_at(stop, core.read, context.covariance)
    later = (stop > core.read) & (stop <= core.read + TUNING.growth_reads) & ~saturated
    later &= candidate.distance <= disk.radius + _max_growth(context) + 1
    at_once = int(np.count_nonzero(saturated & candidate.core))
    # Growth in area over the length of the rim, both of the visible part.
    return float(np.count_nonzero(later) * disk.radius / (2 * max(at_once, 1)) / followed)


def _max_growth(context: SnowballContext) -> float:
    """Return the largest growth of the core radius over the reads that count [pixel]."""
    return context.config.snowball_expansion_rate * TUNING.growth_reads


def explained_steps(core: Core, candidate: Candidate, context: SnowballContext) -> np.ndarray:
    """Return which steps a snowball explains: those of its first read, and of later growth."""
    steps, (rows, cols) = context.steps, candidate.window
    inside = (steps.row >= rows.start) & (steps.row < rows.stop)
    inside &= (steps.col >= cols.start) & (steps.col < cols.stop)
    at = np.flatnonzero(inside)
    here = steps.select(at)
    row, col = here.row - rows.start, here.col - cols.start
    since = here.read - core.read
    tolerance = read_tolerance(here.amplitude, context.maps.noise[here.row, here.col])
    prompt = np.abs(since) <= tolerance
    prompt &= candidate.member[row, col]
    outside = candidate.distance[row, col] - core.disk.radius
    core_growth = outside <= _max_growth(context)
    brightest = float(candidate.profiles[0].level.max(initial=0.0))
    ring = (outside <= TUNING.ring_width) & (here.amplitude <= brightest)
    growth = (since > 0) & (since <= TUNING.growth_reads) & (core_growth | ring)
    claimed = np.zeros(len(steps.row), bool)
    claimed[at[prompt | growth]] = True
    return claimed
