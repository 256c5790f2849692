"""Averages of the differences over tiles of the array, robust to events."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.correction.tuning import TUNING
from ohana.ramp import TILE_ROWS, Ramp, RampBlock, row_blocks
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.difference_stats import rough_kernel
from ohana.refpix.border import border_mask
from ohana.utils.tuning import SIGMA_OF_MAD

# Compiled loops take constants of a module.
_REJECT, _STEP = np.float32(TUNING.reject), np.float32(TUNING.step)
_START, _LEAST = TUNING.start_sample, TUNING.min_tile_pixels


class Tiles(NamedTuple):
    """Averages over tiles: K rows and M columns of them, T - 1 differences.

    Attributes
    ----------
    mean, error : ndarray of float32, shape (T - 1, K, M)
        Average of the differences less the typical rate of their pixel, and its error [DN]; NaN
        where a tile has too few usable pixels.
    stepping : ndarray of float32, shape (T - 1, K, M)
        Fraction of pixels far above the average.
    row, col : ndarray of float64, shape (K,), (M,)
        Centres of the tiles.
    output : ndarray of int, shape (K, M)
        Read-out channel of each tile.
    column : ndarray of float32, shape (2, T - 1, W)
        Sum and number of the differences of each column, less the average of their tile.
    filled : ndarray of int, shape (T - 1,)
        Most pixels of a tile that are saturated from the later read of each difference on.
    """

    mean: np.ndarray
    error: np.ndarray
    stepping: np.ndarray
    row: np.ndarray
    col: np.ndarray
    output: np.ndarray
    column: np.ndarray
    filled: np.ndarray

    @property
    def height(self) -> float:
        """Rows from one row of tiles to the next: more than `TILE_ROWS` where some are not read."""
        return float(np.diff(self.row).min()) if len(self.row) > 1 else TILE_ROWS


class PixelSample(NamedTuple):
    """Some pixels with all their differences.

    Attributes
    ----------
    excess : ndarray of float32, shape (T - 1, n)
        Differences less the typical rate of the pixel [DN]; NaN where not usable.
    spread : ndarray of float32, shape (n,)
        Robust scatter of the differences of a pixel [DN].
    rate : ndarray of float32, shape (n,)
        Typical rate [DN per frame time].
    row, col : ndarray of int, shape (n,)
        Where they are.
    """

    excess: np.ndarray
    spread: np.ndarray
    rate: np.ndarray
    row: np.ndarray
    col: np.ndarray


def tile_edges(width: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide a row into tiles that lie within one output each: edges (M + 1,), outputs (M,).

    Examples
    --------
    >>> tile_edges(128, 2)
    (array([  0,  32,  64,  96, 128]), array([0, 0, 1, 1]))
    """
    bounds = np.arange(outputs + 1) * width // outputs
    parts, owners = [np.zeros(1, int)], []
    for output, (low, high) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        count = max(1, round((high - low) / TUNING.tile_cols))
        parts.append(np.linspace(low, high, count + 1).astype(int)[1:])
        owners += [output] * count
    return np.concatenate(parts), np.array(owners)


@njit(nogil=True, cache=True, error_model="numpy")
def _average(values, start):
    """Return average, scatter, kept number and fraction far above of some values.

    The median of about ``start`` of them is the start; those beyond `TUNING.reject` are left out.
    """
    some = np.sort(values[:: max(1, values.size // start)])
    mean = some[(some.size - 1) // 2]
    spread = np.float32(SIGMA_OF_MAD) * np.median(np.abs(some - mean)) + np.float32(1e-6)
    kept, scatter = 0, spread
    for _ in range(4):
        total, square, kept = np.float32(0), np.float32(0), 0
        for value in values:
            away = value - mean
            if abs(away) <= _REJECT * spread:
                total += away
                square += away * away
                kept += 1
        if kept == 0:
            break
        shift = total / np.float32(kept)
        scatter = np.sqrt(max(square / np.float32(kept) - shift * shift, np.float32(1e-12)))
        mean += shift
        if abs(shift) < np.float32(0.01) * spread:
            break
    above = 0
    for value in values:
        above += value - mean > _STEP * spread
    return mean, scatter, kept, above / values.size


@njit(nogil=True, cache=True, error_model="numpy")
def tile_kernel(data, stop, usable, rate, dt, edges, mean, error, stepping, column):
    """Average the differences of (T, R, W) reads over tiles that ``edges`` divide along rows.

    ``mean``, ``error`` and ``stepping`` (T - 1, M) are filled; NaN with too few pixels. ``column``
    (2, T - 1, W) receives sum and number of what each column has above the average of its tile.
    """
    column[:] = 0
    reads, rows, _ = data.shape
    none = np.float32(0)
    for m in range(len(edges) - 1):
        low, high = edges[m], edges[m + 1]
        values = np.empty(rows * (high - low), np.float32)
        for f in range(1, reads):
            count = 0
            for r in range(rows):
                for c in range(low, high):
                    if usable[r, c] and f < stop[r, c]:
                        value = data[f, r, c] - data[f - 1, r, c] - rate[r, c] * dt[f - 1]
                        if value - value == none:
                            values[count] = value
                            count += 1
            at = f - 1, m
            if count < _LEAST:
                mean[at], error[at], stepping[at] = np.nan, np.nan, np.nan
                continue
            average, scatter, kept, above = _average(values[:count], _START)
            mean[at], stepping[at] = average, above
            error[at] = scatter / np.sqrt(np.float32(max(kept, 1)))
            for r in range(rows):
                for c in range(low, high):
                    if usable[r, c] and f < stop[r, c]:
                        value = data[f, r, c] - data[f - 1, r, c] - rate[r, c] * dt[f - 1] - average
                        if abs(value) <= _REJECT * scatter:
                            column[0, f - 1, c] += value
                            column[1, f - 1, c] += np.float32(1)


def measure_tiles(
    ramp: Ramp,
    load: Callable[[slice], RampBlock],
    covariance: DifferenceCovariance,
    threads: int | None = None,
) -> tuple[Tiles, PixelSample]:
    """Average the differences of a ramp over tiles, and keep those of some pixels.

    Parameters
    ----------
    ramp : Ramp
        One integration.
    load : callable
        Returns the block of some rows.
    covariance : DifferenceCovariance
        Timing of the reads.
    threads : int, optional
        As many as there are cores if absent.
    """
    _, height, width = ramp.shape
    blocks = list(row_blocks(height))
    chosen = blocks[:: -(-len(blocks) // TUNING.max_blocks)]
    along_rows, outputs = abs(ramp.facts.fast_axis) == 1, ramp.facts.outputs
    edges, output = tile_edges(width, outputs if along_rows else 1)
    dt = covariance.dt.astype(np.float32)
    share = -(-len(chosen) * TILE_ROWS * width // TUNING.sample_pixels)

    def work(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray, PixelSample]:
        block = load(rows)
        rate, spread = rough_rates(block, dt)
        usable = ~border_mask(ramp, rows) & np.isfinite(rate)
        sums = np.empty((3, len(dt), len(output)), np.float32)
        column = np.empty((2, len(dt), width), np.float32)
        tile_kernel(block.data, block.stop, usable, rate, dt, edges, *sums, column)
        index = np.flatnonzero(usable.ravel())[rows.start // TILE_ROWS % share :: share]
        filled = most_filled(block.stop, edges, len(block.data))
        return sums, column, filled, _sample(block, index, rate, spread, dt, rows.start)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        results = list(pool.map(work, chosen))
    mean, error, stepping = np.stack([each[0] for each in results], axis=2)
    column = np.sum([each[1] for each in results], axis=0)
    filled = np.max([each[2] for each in results], axis=0)
    sample = [each[3] for each in results]
    joined = PixelSample(*(np.concatenate(parts, axis=-1) for parts in zip(*sample, strict=True)))
    row = np.array([(rows.start + rows.stop - 1) / 2 for rows in chosen])
    owner = np.broadcast_to(output, (len(row), len(output)))
    if not along_rows:
        owner = np.broadcast_to((row * outputs // height).astype(int)[:, None], owner.shape)
    col = (edges[:-1] + edges[1:] - 1) / 2
    return Tiles(mean, error, stepping, row, col, owner, column, filled), joined


def most_filled(stop: np.ndarray, edges: np.ndarray, reads: int) -> np.ndarray:
    """Return the most pixels of a tile that saturate in reads 1 to T - 1, from ``stop`` (R, W)."""
    most = np.zeros(reads - 1, int)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        counts = np.bincount(stop[:, low:high].ravel(), minlength=reads + 1)
        most = np.maximum(most, counts[1:reads])
    return most


def rough_rates(block: RampBlock, dt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return median rate and scatter of the differences of each pixel (R, W) [DN]."""
    rate, spread = np.empty((2, block.stop.size), np.float32)
    flat, none = block.data.reshape(len(block.data), -1), np.empty(0, np.float32)
    rough_kernel(flat, block.stop.ravel(), dt, dt, none, rate, spread)
    if len(dt) < TUNING.few_differences:
        # The lower middle of a few values is too low.
        slopes = np.diff(flat, axis=0) / dt[:, None]
        slopes[np.arange(1, len(flat))[:, None] >= block.stop.ravel()] = np.nan
        rate = _mean(slopes)
    shape = block.stop.shape
    return rate.reshape(shape), (spread * np.median(dt)).reshape(shape)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean along the first axis without what is NaN."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.float32("nan"))


def _sample(
    block: RampBlock,
    index: np.ndarray,
    rate: np.ndarray,
    spread: np.ndarray,
    dt: np.ndarray,
    top: int,
) -> PixelSample:
    """Keep the differences of some pixels of a block, given by their flat index."""
    data, stop = block.data.reshape(len(block.data), -1)[:, index], block.stop.ravel()[index]
    rate, spread = rate.ravel()[index], spread.ravel()[index]
    excess = np.diff(data, axis=0) - dt[:, None] * rate
    excess[np.arange(1, len(data))[:, None] >= stop] = np.nan
    row, col = np.divmod(index, block.stop.shape[1])
    return PixelSample(excess, spread, rate, row + top, col)
