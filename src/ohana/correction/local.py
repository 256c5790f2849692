"""Changes that a part of the array shares, told from events: charge stays and comes at once."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from ohana.correction.surface import without_rate
from ohana.correction.tiles import Tiles
from ohana.correction.tuning import TUNING
from ohana.ramp import TILE_ROWS
from ohana.utils.tuning import SIGMA_OF_MAD

_NEIGHBOURS = np.ones((1, 3, 3))


def local_changes(
    tiles: Tiles, smooth: np.ndarray, dt: np.ndarray, cores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find what a part of the array shares, and tell light from events.

    A region of tiles that rises in a few reads over at most the area of a large snowball may be an
    event, and stays. What falls, is larger, or goes on for long is light: charge does none of that.

    Parameters
    ----------
    tiles : Tiles
        Averages of differences.
    smooth : ndarray, shape (T - 1, K, M)
        What `ohana.correction.surface.fit_surface` found, offsets of outputs included.
    dt : ndarray, shape (T - 1,)
        Times between reads.
    cores : ndarray of bool, shape (T - 1,)
        Differences in which what covers the array is a halo.

    Returns
    -------
    light : ndarray of float64, shape (T - 1, K, M)
        Change of the light [DN].
    events : ndarray of bool, shape (T - 1, K, M)
        Tiles with events, and those beside them.
    """
    known = np.isfinite(tiles.mean)
    rest = np.where(known, tiles.mean - smooth, 0.0)
    rest = without_rate(rest, dt)
    weight = np.where(known, 1 / np.where(known, tiles.error, 1.0) ** 2, 0.0)
    # The scatter of all tiles includes what the smooth change does not describe.
    excess = max(SIGMA_OF_MAD * float(np.median(np.abs(rest[known] * np.sqrt(weight[known])))), 1.0)
    near = ndimage.convolve(weight, _NEIGHBOURS, mode="constant")
    sigma = ndimage.convolve(rest * weight, _NEIGHBOURS, mode="constant")
    sigma /= np.sqrt(np.maximum(near, 1e-30)) * excess
    light = (sigma < -TUNING.local_threshold) | _lasting(sigma)
    high = sigma > TUNING.local_threshold
    for f in np.flatnonzero(high.any(axis=(1, 2)) & ~cores):
        light[f] |= _wide(high[f], rest[f], tiles)
    if tiles.height > TILE_ROWS:
        light &= _beyond_one_row(rest * np.sqrt(weight) / excess)
    events = ndimage.binary_dilation(high & ~light, _NEIGHBOURS > 0)
    return np.where(light & known, rest, 0.0), events


def _beyond_one_row(sigma: np.ndarray) -> np.ndarray:
    """Return which tiles (T - 1, K, M) share a change with a tile above or below.

    Where rows between the tiles were not read, only that shows that these change as well.
    """
    beside = np.zeros(sigma.shape, bool)
    alike = (sigma[:, 1:] * sigma[:, :-1] > 0) & (
        np.minimum(np.abs(sigma[:, 1:]), np.abs(sigma[:, :-1])) > TUNING.beside
    )
    beside[:, 1:] |= alike
    beside[:, :-1] |= alike
    return beside


def _lasting(sigma: np.ndarray) -> np.ndarray:
    """Return where tiles differ in most reads of a while, the strongest few left out."""
    count = min(TUNING.lasting_reads, len(sigma))
    windows = sliding_window_view(sigma, count, axis=0)
    kept = count - -(-count // 4)
    if kept < 1:
        return np.zeros(sigma.shape, bool)
    total = np.sort(windows, axis=-1)[..., :kept].sum(axis=-1)
    # The sum of the lowest three quarters of Gaussian deviates is low by 0.42 each.
    long = total / np.sqrt(kept) > TUNING.local_threshold
    lasting = np.zeros(sigma.shape, bool)
    for shift in range(count):
        lasting[shift : shift + len(long)] |= long
    return lasting


def _wide(high: np.ndarray, rest: np.ndarray, tiles: Tiles) -> np.ndarray:
    """Return the regions of one difference (K, M) that are too large and too flat for an event."""
    labels, count = ndimage.label(high, np.ones((3, 3)))
    wide = np.zeros(high.shape, bool)
    area = ndimage.sum_labels(
        np.broadcast_to(_areas(tiles), high.shape), labels, range(1, count + 1)
    )
    # Rows between those that were read are not known: a halo may look wider than it is.
    most = TUNING.max_event_area * (TUNING.sparse_areas if tiles.height > TILE_ROWS else 1.0)
    for k in np.flatnonzero(np.atleast_1d(area) > most) + 1:
        region = labels == k
        peak = rest[region].max() / max(float(np.median(rest[region])), 1e-30)
        wide |= region & (peak < TUNING.max_flat_peak)
    return wide


def _areas(tiles: Tiles) -> np.ndarray:
    """Return the area that each column of tiles stands for (M,) [pixels]."""
    one = np.full(1, float(TUNING.tile_cols))
    return tiles.height * (np.gradient(tiles.col) if len(tiles.col) > 1 else one)
