"""Cores of snowballs: round groups of pixels that are much brighter than all around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ohana.config import DetectorConfig
from ohana.detect.snowballs.disks import EIGHT, Disk, fit_disks
from ohana.events import Steps

#: An unsaturated core is what reaches half the step that so many pixels reach.
CORE_PIXELS = 10
#: So many pixels that jump into saturation together are (part of) a core.
FULL_PIXELS = 4
#: At least this part of an unsaturated core is flat: within a fifth of its bright level. The
#: blur of a cosmic ray has a third there.
MIN_FLAT_FRACTION = 0.55
#: Measured radii may miss the limits by half a pixel.
RADIUS_TOLERANCE = 0.5
#: Below this circularity a pair of disks is tried; it must gain so much.
PAIR_BELOW, PAIR_GAIN = 0.85, 0.07
#: Pixels around a core that must be seen to tell its shape.
FIT_MARGIN = 3
#: Reads in which one core may light up: reads that average frames see it in two.
CORE_READ_TOLERANCE = 2
#: Reads over which a core is expected to grow, and the width of the fainter ring that follows
#: around it [pixel].
GROWTH_READS = 20
RING_WIDTH = 5.0
#: Growth of the radius that is never taken for another core [pixel], and steps of the ring in
#: units of those of the core.
GROWTH = 2.5
RING_LEVEL = 0.2
#: This part of what a core has grown lies within its reach.
GROWTH_QUANTILE = 0.8
#: At least this part of a core must be seen.
SEEN = 0.04
#: No more than this part of a core may lie where pixels were full before.
MAX_HIDDEN_FRACTION = 0.6


class Core(NamedTuple):
    """A core.

    Attributes
    ----------
    read : int
        First read that contains it.
    group : int
        Group of its steps.
    disk : Disk
        Its shape, in pixels of the array.
    level : float
        Typical step of its pixels [DN].
    significance : float
        Typical significance of its steps [sigma]; 0 for pixels that are full from read 1 on.
    """

    read: int
    group: int
    disk: Disk
    level: float
    significance: float


def find_cores(
    steps: Steps, group: np.ndarray, stop: np.ndarray, config: DetectorConfig
) -> list[Core]:
    """Find round cores among linked steps.

    Parameters
    ----------
    steps : Steps
        n upward steps of the whole array.
    group : ndarray of int, shape (n,)
        From `ohana.detect.linking.link_steps`.
    stop : ndarray of int, shape (H, W)
        First saturated read; -1 for pixels that see nothing.
    config : DetectorConfig
        ``cosmic_ray_max_spatial_extent``, and radius and circularity of snowballs, act here.

    Returns
    -------
    list of Core
    """
    parts = sorted(
        _bright_parts(steps, group, stop.shape, config), key=lambda part: part[1].read[0]
    )
    found: list[Core] = []
    for number, part in parts:
        found += _cores(number, part, stop, found, config)
    return found


def _is_growth(core: Core, away: np.ndarray, read: int, level: float, full: bool) -> bool:
    """Tell whether bright pixels are those of an earlier core, or what it has grown.

    ``away`` are their distances from the rim of that core, ``level`` is their typical step.
    """
    since = read - core.read
    if not 0 < since <= GROWTH_READS:
        return False
    ring = not full and level < RING_LEVEL * core.level
    return bool(np.quantile(away, GROWTH_QUANTILE) <= (RING_WIDTH if ring else GROWTH))


def _bright_parts(
    steps: Steps, group: np.ndarray, shape: tuple[int, int], config: DetectorConfig
) -> Iterator[tuple[int, Steps]]:
    """Yield, for each read of each large group, the steps that may be of a core."""
    if not len(group):
        return
    pixels = np.unique(np.stack([group, steps.row * np.int64(shape[1]) + steps.col]), axis=1)
    size = np.bincount(pixels[0])
    large = np.flatnonzero(size[group] > config.cosmic_ray_max_spatial_extent)
    large = large[np.lexsort((steps.read[large], group[large]))]
    keys = np.stack([group[large], steps.read[large]])
    edges = np.flatnonzero(np.any(np.diff(keys, prepend=-1, append=-1), axis=0))
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        part = steps.select(large[first:last])
        bright = bright_steps(part)
        if bright.any():
            yield int(group[large[first]]), part.select(bright)


def bright_steps(part: Steps) -> np.ndarray:
    """Tell which steps of one group in one read may be of a core: none if they are too few."""
    if np.count_nonzero(part.saturating) >= FULL_PIXELS:
        typical = np.median(part.amplitude[part.saturating])
    elif len(part.read) >= CORE_PIXELS:
        typical = np.partition(part.amplitude, -CORE_PIXELS)[-CORE_PIXELS]
    else:
        return np.zeros(len(part.read), bool)
    return part.saturating | (part.amplitude >= typical / 2)


def _cores(
    number: int, part: Steps, stop: np.ndarray, found: list[Core], config: DetectorConfig
) -> list[Core]:
    """Fit disks to the connected pixels of bright steps of one read; return new round ones."""
    read = int(part.read[0])
    top, left = max(part.row.min() - FIT_MARGIN, 0), max(part.col.min() - FIT_MARGIN, 0)
    window = np.s_[top : part.row.max() + FIT_MARGIN + 1, left : part.col.max() + FIT_MARGIN + 1]
    stop = stop[window]
    level, full = np.zeros(stop.shape), np.zeros(stop.shape, bool)
    sigma = np.zeros(stop.shape)
    level[part.row - top, part.col - left] = part.amplitude
    sigma[part.row - top, part.col - left] = part.significance
    full[part.row - top, part.col - left] = part.saturating
    labels, _ = ndimage.label(level > 0, EIGHT)
    cores: list[Core] = []
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        grown = tuple(slice(max(s.start - FIT_MARGIN, 0), s.stop + FIT_MARGIN) for s in box)
        inside = labels[grown] == label
        seen = (stop[grown] >= read) & ((labels[grown] == 0) | inside)
        flat = full[grown] | (level[grown] >= 0.8 * np.quantile(level[grown][inside], 0.9))
        if not _large_enough(inside, seen, config) or np.mean(flat[inside]) < MIN_FLAT_FRACTION:
            continue
        row, col = top + grown[0].start, left + grown[1].start
        rows, cols = np.nonzero(inside)
        saturated = bool(np.count_nonzero(full[grown] & inside) >= FULL_PIXELS)
        typical, sure = (float(np.median(values[grown][inside])) for values in (level, sigma))
        if any(
            _is_growth(core, core.disk.outside(rows + row, cols + col), read, typical, saturated)
            for core in found
        ):
            continue
        before = (stop[grown] >= 0) & (stop[grown] < read)
        for disk in _fit(inside, seen, saturated, config):
            away = disk.distance(*np.ogrid[: inside.shape[0], : inside.shape[1]])
            if np.mean(before[away <= disk.radius]) <= MAX_HIDDEN_FRACTION:
                cores.append(Core(read, number, disk.moved(row, col), typical, sure))
    return cores


def _large_enough(inside: np.ndarray, seen: np.ndarray, config: DetectorConfig) -> bool:
    """Tell whether a group of pixels can be a core, or the part of one that is seen."""
    radius = config.snowball_min_radius - RADIUS_TOLERANCE
    around = ndimage.binary_dilation(np.pad(inside, 1), EIGHT)
    hidden = (around & ~np.pad(seen, 1)).any()
    least = FULL_PIXELS if hidden else 0.8 * np.pi * radius**2
    return bool(np.count_nonzero(inside) >= least)


def _fit(
    inside: np.ndarray, seen: np.ndarray, saturated: bool, config: DetectorConfig
) -> list[Disk]:
    """Fit one disk or, if the group is not round, two; a saturated core may be of any size."""
    least = config.snowball_min_radius - RADIUS_TOLERANCE
    most = np.inf if saturated else config.snowball_max_radius + RADIUS_TOLERANCE
    if np.count_nonzero(inside) > 2 * np.pi * (most + 1) ** 2:
        return []
    fits = [fit_disks(inside, seen)]
    if fits[0][0].circularity < PAIR_BELOW:
        fits.append(fit_disks(inside, seen, 2))
    # Two disks have to be worth it.
    gain = fits[-1][0].circularity - fits[0][0].circularity
    best = fits[-1] if gain > PAIR_GAIN else fits[0]
    if best[0].circularity < config.snowball_circularity_threshold:
        return []
    # A straight or small piece of a rim may be that of any disk.
    most = min(most, np.sqrt(np.count_nonzero(inside) / (SEEN * np.pi)))
    return [disk for disk in best if least <= disk.radius <= most]
