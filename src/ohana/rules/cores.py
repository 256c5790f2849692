"""Cores of snowballs: round groups of pixels that are much brighter than all around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ohana.config import DetectorConfig
from ohana.events import Steps
from ohana.rules.disks import EIGHT, Disk, fit_disks

#: An unsaturated core is what reaches half the step that so many pixels reach.
CORE_PIXELS = 10
#: So many pixels that jump into saturation together are (part of) a core.
FULL_PIXELS = 4
#: Measured radii may miss the limits by half a pixel.
PIXEL = 0.5
#: Pixels around a core that must be seen to tell its shape.
MARGIN = 3
#: Reads in which one core may light up: reads that average frames see it in two.
SAME = 2


class Core(NamedTuple):
    """A core: the read it appears in, the group of its steps, its shape in the array."""

    read: int
    group: int
    disk: Disk


def find_cores(
    steps: Steps, group: np.ndarray, stop: np.ndarray, config: DetectorConfig
) -> list[Core]:
    """Find round cores among linked steps.

    Parameters
    ----------
    steps : Steps
        n upward steps of the whole array.
    group : ndarray of int, shape (n,)
        From `ohana.linking.link_steps`.
    stop : ndarray of int, shape (H, W)
        First saturated read; -1 for pixels that see nothing.
    config : DetectorConfig
        ``cosmic_ray_max_spatial_extent``, and radius and circularity of snowballs, act here.

    Returns
    -------
    list of Core
    """
    found: list[Core] = []
    for number, part in _bright_parts(steps, group, stop.shape, config):
        read = int(part.read[0])
        for disk in _disks(part, stop >= read, config):
            core = Core(read, number, disk)
            if not any(_same(core, other) for other in found):
                found.append(core)
    return found


def _same(core: Core, other: Core) -> bool:
    """Tell whether a core is one that was found before, now in a later read."""
    apart = np.hypot(core.disk.row - other.disk.row, core.disk.col - other.disk.col)
    near = apart < max(core.disk.radius, other.disk.radius) / 2
    return bool(near) and abs(core.read - other.read) <= SAME


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
        full = np.count_nonzero(part.saturating)
        if full >= FULL_PIXELS:
            typical = np.median(part.amplitude[part.saturating])
        elif last - first >= CORE_PIXELS:
            typical = np.partition(part.amplitude, -CORE_PIXELS)[-CORE_PIXELS]
        else:
            continue
        bright = part.saturating | (part.amplitude >= typical / 2)
        yield int(group[large[first]]), part.select(bright)


def _disks(part: Steps, visible: np.ndarray, config: DetectorConfig) -> list[Disk]:
    """Fit disks to the connected pixels of bright steps; return those of the right kind."""
    top, left = max(part.row.min() - MARGIN, 0), max(part.col.min() - MARGIN, 0)
    window = np.s_[top : part.row.max() + MARGIN + 1, left : part.col.max() + MARGIN + 1]
    visible = visible[window]
    bright = np.zeros(visible.shape, bool)
    bright[part.row - top, part.col - left] = True
    labels, _ = ndimage.label(bright, EIGHT)
    disks = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        grown = tuple(slice(max(s.start - MARGIN, 0), s.stop + MARGIN) for s in box)
        inside = labels[grown] == number
        seen = visible[grown] & ((labels[grown] == 0) | inside)
        if _large_enough(inside, seen, config):
            disks += [
                disk.moved(top + grown[0].start, left + grown[1].start)
                for disk in _fit(inside, seen, config)
            ]
    return disks


def _large_enough(inside: np.ndarray, seen: np.ndarray, config: DetectorConfig) -> bool:
    """Tell whether a group of pixels can be a core, or the part of one that is seen."""
    radius = config.snowball_min_radius - PIXEL
    around = ndimage.binary_dilation(np.pad(inside, 1), EIGHT)
    hidden = (around & ~np.pad(seen, 1)).any()
    count = np.count_nonzero(inside)
    return count >= FULL_PIXELS if hidden else count >= 0.8 * np.pi * radius**2


def _fit(inside: np.ndarray, seen: np.ndarray, config: DetectorConfig) -> list[Disk]:
    """Fit one disk or, if the group is not round, two."""
    least = config.snowball_min_radius - PIXEL
    most = config.snowball_max_radius + PIXEL
    if np.count_nonzero(inside) > 2 * np.pi * (most + 1) ** 2:
        return []
    for count in (1, 2):
        disks = fit_disks(inside, seen, count)
        if disks[0].circularity >= config.snowball_circularity_threshold:
            return [disk for disk in disks if least <= disk.radius <= most]
    return []
