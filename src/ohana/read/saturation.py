"""The level at which pixels are full, from the ramps themselves, where the file does not say it.

JWST and HST keep it in reference files. Pixels that are full by the middle of a ramp stay where
they are until its end, all at nearly the same level, and hardly any pixel is above it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ohana.ramp import Ramp

#: Reads that are needed: the first, one in the middle, the last, and one between these.
MIN_READS = 4
#: Pixels that must agree on the level, and the part of the array that they are at most: what
#: changes everywhere is a flash, not saturation.
MIN_PIXELS, MAX_PART = 20, 0.05
#: A full pixel changes by less than this from the middle to the end [of its height].
FLAT = 0.01
#: Full pixels differ by no more than this from one another [of their height].
SPREAD = 0.05
#: Of the highest pixels that stay where they are, so many agree, and so few others are above.
AGREE, ABOVE = 0.5, 0.05
#: Lowest level that is credible [of the converter's range].
LOWEST = 0.25
#: Reads above this count as saturated [of the height of the lowest full pixels].
MARGIN = 0.97


def with_full_level(ramp: Ramp) -> Ramp:
    """Return the ramp with the measured level, if only the converter's rail is known.

    Flags of reads, where a file has them, are better.
    """
    facts, reads = ramp.facts, len(ramp.planes)
    known = not facts.sources.get("saturation", "").startswith("default")
    if known or ramp.flags is not None or not np.isfinite(facts.saturation) or reads < MIN_READS:
        return ramp
    level = full_level(*ramp.planes.select(np.array([0, reads // 2, reads - 1])).read())
    if level is None or not LOWEST * facts.saturation < level < facts.saturation:
        return ramp
    sources = facts.sources | {"saturation": "measured, where pixels stay"}
    return replace(ramp, facts=replace(facts, saturation=level, sources=sources))


def full_level(first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> float | None:
    """Return the raw level above which pixels are full, None if there are no such pixels.

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
