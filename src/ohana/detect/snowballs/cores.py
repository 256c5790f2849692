"""Cores of snowballs: round groups of pixels that are much brighter than all around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ohana.config import DetectorConfig
from ohana.detect.snowballs.disks import EIGHT, Disk, fit_disks
from ohana.detect.snowballs.tuning import TUNING
from ohana.events import Steps


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
        Typical significance of its steps [sigma]; 0 for pixels that are saturated from read 1 on.
    """

    read: int
    group: int
    disk: Disk
    level: float
    significance: float


class Patch(NamedTuple):
    """Connected pixels of bright steps, in a window with a margin; maps of shape (h, w).

    Attributes
    ----------
    read, group : int
        First read that contains them, and their group of steps.
    row, col : int
        First row and column of the window.
    inside : ndarray of bool
        The pixels.
    visible : ndarray of bool
        False where a pixel could not have shown whether it belongs to the patch.
    saturated_before : ndarray of bool
        Pixels that had saturated before ``read``.
    level, significance : ndarray
        Step [DN] and its significance [sigma], 0 where there is none.
    saturating : ndarray of bool
        Pixels that jump into saturation.
    """

    read: int
    group: int
    row: int
    col: int
    inside: np.ndarray
    visible: np.ndarray
    saturated_before: np.ndarray
    level: np.ndarray
    significance: np.ndarray
    saturating: np.ndarray

    @property
    def size(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.inside))

    @property
    def saturated(self) -> bool:
        """Whether enough pixels jump into saturation for a core."""
        return bool(np.count_nonzero(self.saturating & self.inside) >= TUNING.saturating_pixels)

    def core(self, disk: Disk) -> Core:
        """Return the core that fills a disk of the window."""
        level, significance = (
            float(np.median(values[self.inside])) for values in (self.level, self.significance)
        )
        disk = disk.moved(self.row, self.col)
        return Core(self.read, self.group, disk, level, significance)


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
        First saturated read; -1 for pixels without signal.
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
    for number, bright in parts:
        cores: list[Core] = []
        for patch in bright_patches(bright, int(bright.read[0]), number, stop):
            cores += _cores_in(patch, found, config)
        found += cores
    return found


def _bright_parts(
    steps: Steps, group: np.ndarray, shape: tuple[int, int], config: DetectorConfig
) -> Iterator[tuple[int, Steps]]:
    """Yield, for each read of each large group, the steps that may belong to a core."""
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
    """Return which steps of one group in one read may belong to a core: none if too few."""
    if np.count_nonzero(part.saturating) >= TUNING.saturating_pixels:
        typical = np.median(part.amplitude[part.saturating])
    elif len(part.read) >= TUNING.core_pixels:
        typical = np.partition(part.amplitude, -TUNING.core_pixels)[-TUNING.core_pixels]
    else:
        return np.zeros(len(part.read), bool)
    return part.saturating | (part.amplitude >= typical * TUNING.bright_level)


def bright_patches(bright: Steps, read: int, group: int, stop: np.ndarray) -> Iterator[Patch]:
    """Yield the connected patches of bright steps.

    Parameters
    ----------
    bright : Steps
        From `bright_steps`; not empty.
    read, group : int
        First read that contains them, and their group.
    stop : ndarray of int, shape (H, W)
        First saturated read; -1 for pixels without signal.
    """
    margin = TUNING.fit_margin
    top, left = max(bright.row.min() - margin, 0), max(bright.col.min() - margin, 0)
    stop = stop[top : bright.row.max() + margin + 1, left : bright.col.max() + margin + 1]
    at = bright.row - top, bright.col - left
    level, significance = np.zeros((2, *stop.shape))
    saturating = np.zeros(stop.shape, bool)
    level[at], significance[at], saturating[at] = (
        bright.amplitude,
        bright.significance,
        bright.saturating,
    )
    labels, _ = ndimage.label(level > 0, EIGHT)
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        window = tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in box)
        inside = labels[window] == label
        visible = (stop[window] >= read) & ((labels[window] == 0) | inside)
        before = (stop[window] >= 0) & (stop[window] < read)
        row, col = top + window[0].start, left + window[1].start
        maps = (values[window] for values in (level, significance, saturating))
        yield Patch(read, group, row, col, inside, visible, before, *maps)


def radius_limits(patch: Patch, config: DetectorConfig) -> tuple[float, float]:
    """Return the least and greatest radius of a core [pixel]; a saturated one may be of any size.

    A straight or small piece of a rim fits any disk: enough of the core must be visible.
    """
    least = config.snowball_min_radius - TUNING.radius_tolerance
    most = config.snowball_max_radius + TUNING.radius_tolerance
    visible = float(np.sqrt(patch.size / (TUNING.min_visible_fraction * np.pi)))
    return least, visible if patch.saturated else min(most, visible)


def _cores_in(patch: Patch, found: list[Core], config: DetectorConfig) -> list[Core]:
    """Return the round cores of a patch, unless it is what an earlier one has grown."""
    if not _is_large(patch, config) or _flat_fraction(patch) < TUNING.min_flat_fraction:
        return []
    if any(_is_growth(patch, core) for core in found):
        return []
    cores, shape = [], patch.inside.shape
    for disk in _fit(patch, config):
        covered = disk.distance(*np.ogrid[: shape[0], : shape[1]]) <= disk.radius
        if np.mean(patch.saturated_before[covered]) <= TUNING.max_hidden_fraction:
            cores.append(patch.core(disk))
    return cores


def _is_large(patch: Patch, config: DetectorConfig) -> bool:
    """Return whether a patch can be a core, or the visible part of one."""
    radius = config.snowball_min_radius - TUNING.radius_tolerance
    around = ndimage.binary_dilation(np.pad(patch.inside, 1), EIGHT)
    hidden = (around & ~np.pad(patch.visible, 1)).any()
    whole = TUNING.min_filled_fraction * np.pi * radius**2
    return patch.size >= (TUNING.saturating_pixels if hidden else whole)


def _flat_fraction(patch: Patch) -> float:
    """Return the fraction of the pixels of a patch that are saturated or about equally bright."""
    high = np.quantile(patch.level[patch.inside], 0.9)
    flat = patch.saturating | (patch.level >= TUNING.flat_level * high)
    return float(np.mean(flat[patch.inside]))


def _is_growth(patch: Patch, core: Core) -> bool:
    """Return whether a patch is an earlier core again, or what that has grown."""
    if not 0 < patch.read - core.read <= TUNING.growth_reads:
        return False
    rows, cols = np.nonzero(patch.inside)
    outside = core.disk.outside(rows + patch.row, cols + patch.col)
    level = float(np.median(patch.level[patch.inside]))
    ring = not patch.saturated and level < TUNING.ring_level * core.level
    reach = TUNING.ring_width if ring else TUNING.core_growth
    return bool(np.quantile(outside, TUNING.growth_quantile) <= reach)


def _fit(patch: Patch, config: DetectorConfig) -> list[Disk]:
    """Fit one disk or, if the patch is not round, two; return those within the limits."""
    most = np.inf if patch.saturated else config.snowball_max_radius + TUNING.radius_tolerance
    if patch.size > 2 * np.pi * (most + 1) ** 2:
        return []
    fits = [fit_disks(patch.inside, patch.visible)]
    if fits[0][0].circularity < TUNING.pair_below:
        fits.append(fit_disks(patch.inside, patch.visible, 2))
    gain = fits[-1][0].circularity - fits[0][0].circularity
    best = fits[-1] if gain > TUNING.pair_gain else fits[0]
    if best[0].circularity < config.snowball_circularity_threshold:
        return []
    least, most = radius_limits(patch, config)
    return [disk for disk in best if least <= disk.radius <= most]
