"""Cosmic rays: lasting upward steps, linked over neighbouring pixels at about the same read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy import ndimage

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.tuning import TUNING
from ohana.events import Event, PixelMaps, Steps

# Compiled loops take constants of a module.
_MAX_FALL, _MAX_UNDOING = TUNING.max_fall, TUNING.max_undoing_fall
_PAIR_READS, _PAIR, _LIKE = TUNING.pair_reads, TUNING.pair_difference, TUNING.like_pair
_SAME = TUNING.same_size


def charge_steps(steps: Steps, border: np.ndarray) -> np.ndarray:
    """Return which steps may be charge.

    Parameters
    ----------
    steps : Steps
        n steps of the whole array.
    border : ndarray of bool, shape (H, W)
        Reference pixels.

    Returns
    -------
    ndarray of bool, shape (n,)
        Upward, in a pixel sensitive to light, and undone by no fall of about its size.
    """
    pixel = steps.row.astype(np.int64) * border.shape[1] + steps.col
    order = np.lexsort((steps.read, pixel))
    stays = np.empty(len(order), np.bool_)
    columns = (values[order] for values in (pixel, steps.read, steps.amplitude, steps.error))
    _mark_lasting(*columns, stays)
    charge = np.empty(len(order), bool)
    charge[order] = stays
    return charge & ~border[steps.row, steps.col]


@njit(cache=True)
def _mark_lasting(pixel, read, amplitude, error, stays):
    """Mark the rises that no fall of the same pixel undoes; steps are sorted by pixel.

    A fall and a rise of its size within a few reads are one read, or some, off the ramp: they
    explain each other, and only further rises of that size are doubtful, as in telegraph noise.
    """
    first = 0
    while first < len(pixel):
        last = first
        while last < len(pixel) and pixel[last] == pixel[first]:
            stays[last] = amplitude[last] > 0
            last += 1
        for i in range(first, last):
            fall = -amplitude[i]
            if fall <= 0:
                continue
            most, least = fall / _MAX_FALL, fall / _MAX_UNDOING
            for j in range(first, last):
                apart, margin = abs(read[j] - read[i]), _SAME * np.hypot(error[i], error[j])
                if apart <= _PAIR_READS and abs(amplitude[j] - fall) <= max(margin, _PAIR * fall):
                    most, least = (1 + _LIKE) * fall + margin, (1 - _LIKE) * fall - margin
            for j in range(first, last):
                if least <= amplitude[j] <= most:
                    stays[j] = False
        first = last


def halo_steps(
    steps: Steps, snowballs: list[Event], shape: tuple[int, int], config: DetectorConfig
) -> np.ndarray:
    """Return which faint steps just outside the footprint of a snowball belong to its halo.

    Parameters
    ----------
    steps : Steps
        n upward steps.
    snowballs : list of Event
        Snowballs found.
    shape : tuple of int
        (H, W).
    config : DetectorConfig
        ``sigma_threshold`` acts here.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    in_halo = np.zeros(len(steps.row), bool)
    faint = steps.significance < TUNING.halo_significance * config.sigma_threshold
    for ball in snowballs:
        inside = np.zeros(shape, bool)
        inside[ball.rows, ball.cols] = True
        halo, core = (float(ball.extra[f"{name}_radius"]) for name in ("halo", "core"))  # type: ignore[arg-type]
        reach = int(max(TUNING.halo_margin, TUNING.halo_margin_fraction * (halo - core)))
        top, bottom = max(ball.rows.min() - reach, 0), ball.rows.max() + reach + 1
        left, right = max(ball.cols.min() - reach, 0), ball.cols.max() + reach + 1
        near = np.flatnonzero(
            (steps.row >= top) & (steps.row < bottom) & (steps.col >= left) & (steps.col < right)
        )
        away = ndimage.distance_transform_edt(~inside[top:bottom, left:right])
        close = away[steps.row[near] - top, steps.col[near] - left] <= reach
        since = steps.read[near] - ball.first_frame
        recent = (since >= -TUNING.max_read_tolerance) & (since <= TUNING.halo_reads)
        in_halo[near] |= close & faint[near] & recent
    return in_halo


class RayCandidates(NamedTuple):
    """Linked steps that may be cosmic rays, m of them with n steps in all.

    Attributes
    ----------
    steps : Steps
        Sorted by candidate, the strongest pixel of each first.
    start, size : ndarray of int, shape (m,)
        First step of each candidate, and how many pixels it has.
    significance : ndarray of float32, shape (m,)
        Of its most significant pixel [sigma].
    first_frame : ndarray of int, shape (m,)
        First read that contains it.
    wanted : ndarray of bool, shape (m,)
        As bright and as large as the settings ask for.
    """

    steps: Steps
    start: np.ndarray
    size: np.ndarray
    significance: np.ndarray
    first_frame: np.ndarray
    wanted: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """Candidate of each step, shape (n,)."""
        return np.repeat(np.arange(len(self.size)), self.size)


def ray_candidates(
    steps: Steps, group: np.ndarray, maps: PixelMaps, config: DetectorConfig
) -> RayCandidates:
    """Collect linked steps that may be cosmic rays.

    Parameters
    ----------
    steps : Steps
        n upward steps of the whole array.
    group : ndarray of int, shape (n,)
        The event each belongs to, see `ohana.detect.linking`.
    maps : PixelMaps
        Per-pixel results.
    config : DetectorConfig
        The fields of the stages "steps" and "events" act here, and the ``cosmic_ray_min_*``.
    """
    bright = steps.amplitude >= config.cosmic_ray_min_step
    # A jump into saturation without a known rate before it is no event on its own.
    bright &= steps.significance >= config.sigma_threshold
    steps, group = steps.select(bright), group[bright]
    steps, group = _join_neighbours(steps, group, maps, config)
    order = np.lexsort((steps.read, -steps.amplitude, group))
    steps, group = once_per_pixel(steps.select(order), group[order], maps.stop.shape)
    start = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(start, append=len(group))
    significance = steps.significance[:0]
    if len(group):
        significance = np.maximum.reduceat(steps.significance, start)
    wanted = steps.amplitude[start] >= config.cosmic_ray_min_intensity
    wanted &= size >= config.min_anomaly_pixels
    first_frame = dominant_read(steps.read, steps.significance, group)
    return RayCandidates(steps, start, size, significance, first_frame, wanted)


def find_cosmic_rays(
    found: RayCandidates, confidence: np.ndarray, config: DetectorConfig
) -> list[Event]:
    """Turn candidates into cosmic rays.

    Parameters
    ----------
    found : RayCandidates
        m candidates.
    confidence : ndarray, shape (m,)
        That each is real.
    config : DetectorConfig
        ``min_confidence`` and ``cosmic_ray_max_spatial_extent`` act here.

    Returns
    -------
    list of Event
        Events of more than ``cosmic_ray_max_spatial_extent`` pixels are flagged ``extended``.
    """
    keep = found.wanted & (confidence >= config.min_confidence)
    start, size = found.start[keep], found.size[keep]
    columns = zip(start, start + size, found.first_frame[keep], confidence[keep], strict=True)
    return [
        ray_event(
            Steps(*(column[first:last] for column in found.steps)), int(read), float(sure), config
        )
        for first, last, read, sure in columns
    ]


def once_per_pixel(
    steps: Steps, group: np.ndarray, shape: tuple[int, int]
) -> tuple[Steps, np.ndarray]:
    """Keep the first step of each pixel in each group; groups are sorted, and remain so."""
    pixel = np.ravel_multi_index((steps.row, steps.col), shape)
    order = np.lexsort((pixel, group))
    repeated = (np.diff(group[order], prepend=-1) == 0) & (np.diff(pixel[order], prepend=-1) == 0)
    keep = np.ones(len(group), bool)
    # The sort is stable: of equal entries the first comes first.
    keep[order[repeated]] = False
    return steps.select(keep), group[keep]


def dominant_read(read: np.ndarray, significance: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the read of each group that holds most of its squared significance.

    Parameters
    ----------
    read, significance : ndarray, shape (n,)
        Of each step [sigma].
    group : ndarray of int, shape (n,)
        Ascending; the result has one entry for each group, in their order.

    Examples
    --------
    >>> group = np.array([0, 0, 0, 1])
    >>> dominant_read(np.array([7, 8, 7, 3]), np.array([5.0, 8.0, 7.0, 6.0]), group).tolist()
    [7, 3]
    """
    weight = np.minimum(significance.astype(np.float64), TUNING.max_date_significance) ** 2
    order = np.lexsort((read, group))
    weight, read, group = weight[order], read[order], group[order]
    begin = np.flatnonzero((np.diff(group, prepend=-1) != 0) | (np.diff(read, prepend=-1) != 0))
    total, group = np.add.reduceat(weight, begin), group[begin]
    best = np.lexsort((-total, group))
    first = np.flatnonzero(np.diff(group[best], prepend=-1))
    return read[begin][best][first]


def _join_neighbours(
    steps: Steps, group: np.ndarray, maps: PixelMaps, config: DetectorConfig
) -> tuple[Steps, np.ndarray]:
    """Add fainter pixels beside a member whose own best step is in the same read."""
    height, width = maps.stop.shape
    taken = np.zeros((height, width), bool)
    taken[steps.row, steps.col] = True
    candidate = maps.best_significance >= config.neighbour_threshold
    candidate &= (maps.best_significance < config.sigma_threshold) & ~taken
    candidate &= maps.best_step >= config.cosmic_ray_min_step
    added, groups = [], []
    for dr, dc in [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c]:
        row, col = steps.row + dr, steps.col + dc
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        at = np.flatnonzero(inside)
        same = candidate[row[at], col[at]]
        same &= np.abs(maps.best_read[row[at], col[at]] - steps.read[at]) <= TUNING.neighbour_reads
        # Each pixel joins one event only, the first in the order of the steps.
        _, once = np.unique(row[at[same]] * width + col[at[same]], return_index=True)
        at = at[same][once]
        row, col = row[at], col[at]
        candidate[row, col] = False
        amplitude, sigma = maps.best_step[row, col], maps.best_significance[row, col]
        flags = np.zeros(len(at), bool), np.ones(len(at), np.float32)
        read = maps.best_read[row, col]
        added.append(Steps(row, col, read, amplitude, amplitude / sigma, sigma, *flags))
        groups.append(group[at])
    joined = Steps(*(np.concatenate(parts) for parts in zip(steps, *added, strict=True)))
    return joined, np.concatenate([group, *groups])


def ray_event(steps: Steps, first_frame: int, confidence: float, config: DetectorConfig) -> Event:
    """Return the event of some steps, which have the strongest first."""
    fit = float(steps.fit[0])
    extra: dict[str, object] = {
        "step_amplitude": float(steps.amplitude.sum()),
        "step_error": float(np.sqrt(np.square(steps.error, dtype=np.float64).sum())),
        "fit_quality": None if np.isnan(fit) else 1 / max(fit, 1.0),
        "saturated": bool(steps.saturating.any()),
        "extended": len(steps.row) > config.cosmic_ray_max_spatial_extent,
    }
    return Event(
        Label.COSMIC_RAY,
        steps.row,
        steps.col,
        steps.read,
        steps.amplitude,
        steps.significance,
        first_frame,
        confidence,
        extra=extra,
    )
