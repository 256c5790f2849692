"""Saturation level measured from the ramps, for files that do not give it.

JWST and HST keep it in reference files. Pixels that are full by the middle of a ramp stay where
they are until its end, all at nearly the same level, and hardly any pixel is above it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ohana.ramp import Ramp

#: Minimum number of reads: first, middle, last, and one between the last two.
MIN_READS = 4
#: Minimum number of pixels that agree on the level, and their maximum fraction of the array: a
#: level common to more pixels is a flash, not saturation. Chosen.
MIN_PIXELS, MAX_PART = 20, 0.05
#: Maximum change of a saturated pixel from the middle read to the last [fraction of its height].
#: Chosen.
FLAT = 0.01
#: Maximum difference between saturated pixels [fraction of their height]. Chosen.
SPREAD = 0.05
#: Minimum fraction of the highest constant pixels that agree on the level, and maximum fraction
#: of others above it. Chosen.
AGREE, ABOVE = 0.5, 0.05
#: Lowest plausible level [fraction of the range of the converter]. Chosen.
LOWEST = 0.25
#: Reads above this count as saturated [fraction of the height of the lowest saturated pixels].
#: Chosen.
MARGIN = 0.97
#: A read is lost if so many of some sampled pixels have their median value. Chosen.
LOST_SAMPLE, MAX_ALIKE = 4096, 0.5


def with_full_level(ramp: Ramp) -> Ramp:
    """Return the ramp with the measured level, if only the full scale of the converter is known.

    Flags of reads, where a file has them, are better.
    """
    facts, reads = ramp.facts, len(ramp.planes)
    known = not facts.sources.get("saturation", "").startswith("default")
    if known or ramp.flags is not None or not np.isfinite(facts.saturation) or reads < MIN_READS:
        return ramp
    first, last = longest_part(reads, ramp.resets)
    if last - first < MIN_READS:
        return ramp
    middle = (first + last) // 2
    level = full_level(*(_read_with_data(ramp, at, middle) for at in (first, middle, last - 1)))
    if level is None or not LOWEST * facts.saturation < level < facts.saturation:
        return ramp
    sources = facts.sources | {"saturation": "measured, where pixels stay"}
    return replace(ramp, facts=replace(facts, saturation=level, sources=sources))


def longest_part(reads: int, resets: tuple[int, ...]) -> tuple[int, int]:
    """Return the first read of the longest part of a ramp without a reset, and the end of it.

    Examples
    --------
    >>> longest_part(40, (10, 35))
    (10, 35)
    """
    bounds = (0, *resets, reads)
    return max(zip(bounds[:-1], bounds[1:], strict=True), key=lambda part: part[1] - part[0])


def _read_with_data(ramp: Ramp, read: int, middle: int) -> np.ndarray:
    """Return a read, or if it is lost, mostly a constant, the next one towards the middle."""
    toward = 1 if read <= middle else -1
    for at in (read, read + toward):
        plane = ramp.planes.select(slice(at, at + 1)).read()[0]
        some = plane.ravel()[:: max(plane.size // LOST_SAMPLE, 1)]
        if np.mean(some == np.median(some)) < MAX_ALIKE:
            break
    return plane


def full_level(first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> float | None:
    """Return the raw level of saturated pixels [DN], None if there are none.

    Parameters
    ----------
    first, middle, last : ndarray, shape (H, W)
        Three reads [DN].

    Examples
    --------
    >>> rate = np.linspace(0, 1000, 4096).reshape(64, 64) ** 3 / 1e6
    >>> rise = [1000 + np.minimum(rate * t, 30000).astype(np.float32) for t in (0, 40, 80)]
    >>> full_level(*rise) is None  # too many pixels reach 30000 above the pedestal
    True
    >>> rate[rate < 970] *= 0.1
    >>> round(full_level(*rise[:1], *[1000 + np.minimum(rate * t, 30000) for t in (40, 80)]))
    30100
    """
    if not np.isfinite(first).any():
        return None
    pedestal = float(np.nanmedian(first))
    height = np.nan_to_num(last - pedestal)
    still = np.abs(np.nan_to_num(last - middle)) < FLAT * height
    if still.sum() < MIN_PIXELS:
        return None
    top = np.partition(height[still], -MIN_PIXELS)[-MIN_PIXELS]
    high = still & (height > 0.5 * top)
    level = float(np.median(height[high]))
    near = high & (np.abs(height - level) < SPREAD * level)
    count = int(near.sum())
    above = int((height > (1 + SPREAD) * level).sum())
    enough = MIN_PIXELS <= count <= MAX_PART * height.size
    if not enough or count < AGREE * high.sum() or above > ABOVE * count:
        return None
    return pedestal + MARGIN * float(np.percentile(height[near], 5))
