"""Differences in which an event may hide the light: they must not pass for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.correction.tiles import Tiles
from ohana.correction.tuning import TUNING


class Halos(NamedTuple):
    """Differences, bool (T - 1,), in which charge covers much of the array.

    Attributes
    ----------
    peaks : ndarray of bool
        A few tiles are far above many others.
    cores : ndarray of bool
        A core fills, in an array that its halo may cover.
    """

    peaks: np.ndarray
    cores: np.ndarray

    @property
    def either(self) -> np.ndarray:
        """Differences with a peak or a core."""
        return self.peaks | self.cores


def find_halos(tiles: Tiles) -> Halos:
    """Find the differences in which an event may hide the light.

    Light and the halo of a snowball look alike in a small array, and only the halo comes with a
    core.
    """
    cores = (tiles.filled >= TUNING.core_pixels) & (areas_of_events(tiles) < TUNING.small_array)
    return Halos(_peaked(tiles), cores)


def areas_of_events(tiles: Tiles) -> float:
    """Return the size of the array in units of the largest area of an event."""
    area = float(np.ptp(tiles.row) + 1) * float(np.ptp(tiles.col) + 1)
    return area / TUNING.max_event_area


def _peaked(tiles: Tiles) -> np.ndarray:
    """Return the differences (T - 1,) in which charge around a peak covers much of the array.

    So does the halo of a snowball in a small array.
    """
    count = len(tiles.mean)
    mean, error = tiles.mean.reshape(count, -1), tiles.error.reshape(count, -1)
    found = np.zeros(count, bool)
    for f, (values, floor) in enumerate(zip(mean, error, strict=True)):
        known = np.isfinite(values)
        if not known.any():
            continue
        rest = (values - np.median(values[known]))[known] / np.median(floor[known])
        few = np.mean(rest > rest.max() / 3) < TUNING.peaked_tiles
        wide = np.mean(rest > TUNING.local_threshold) > TUNING.covered_tiles
        found[f] = few and wide and rest.max() > TUNING.peak
    return found
