"""Columns that share their offsets over all rows: single ones, and odd and even ones."""

from __future__ import annotations

import numpy as np

from ohana.correction.surface import surplus, without_rate
from ohana.correction.tiles import Tiles
from ohana.correction.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD


def column_offsets(tiles: Tiles, dt: np.ndarray) -> np.ndarray:
    """Return the offsets of columns, those of odd and even ones where none is single [DN].

    Zero in columns that do no more than noise does.

    Parameters
    ----------
    tiles : Tiles
        Averages of differences.
    dt : ndarray, shape (T - 1,)
        Times between reads.

    Returns
    -------
    ndarray of float64, shape (T - 1, W)
    """
    total, count = tiles.column.astype(np.float64)
    mean, known = total / np.maximum(count, 1), count > TUNING.min_tile_pixels
    single = _single(mean, known, dt)
    return np.where(single.any(axis=0), single, _parity(mean, known, tiles, dt))


def _single(mean: np.ndarray, known: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """Return the offsets of columns that jump or drift together with all their rows."""
    mean = without_rate(mean, dt)
    scatter = SIGMA_OF_MAD * np.median(np.abs(mean), axis=1)
    power = np.where(known, (mean / np.maximum(scatter, 1e-12)[:, None]) ** 2, 1.0)
    # A snowball raises a column in one read or two, and not evenly: these do not count.
    left_out = TUNING.column_left_out + len(dt) // 20
    power = np.sort(power, axis=0)[: max(len(dt) - left_out, 0)].sum(axis=0)
    return np.where((surplus(power, len(dt)) > TUNING.odd_column) & known, mean, 0.0)


def _parity(mean: np.ndarray, known: np.ndarray, tiles: Tiles, dt: np.ndarray) -> np.ndarray:
    """Return the offsets of odd and even columns of each output."""
    width = mean.shape[1]
    owner = np.arange(width) * (tiles.output[0].max() + 1) // width
    sign, offsets = 1.0 - 2.0 * (np.arange(width) % 2), np.zeros(mean.shape)
    for output in np.unique(owner):
        mine = (owner == output) & known.all(axis=0)
        if mine.sum() < TUNING.min_tile_pixels:
            continue
        turned = mean[:, mine] * sign[mine]
        half = without_rate(np.median(turned, axis=1), dt)
        error = 1.25 * SIGMA_OF_MAD * np.median(np.abs(turned - half[:, None]), axis=1)
        error /= np.sqrt(mine.sum())
        power = np.sum((half / np.maximum(error, 1e-12)) ** 2)
        if surplus(power, len(dt)) > TUNING.odd_column:
            offsets[:, owner == output] = half[:, None] * sign[owner == output]
    return offsets
