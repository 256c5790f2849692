"""What pixels share, read by read, and its subtraction from parts of an array."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit


class Shared(NamedTuple):
    """The model of a ramp; all that accumulates is zero in read 0 [DN].

    Attributes
    ----------
    surface : ndarray of float32, shape (T, K, M)
        Change of the light at the nodes; no nodes where there is none.
    node_row, node_col : ndarray of float64, shape (K,), (M,)
        Where the nodes lie.
    col_level : ndarray of float32, shape (T, W)
        Offset of each column, that of its output included.
    row_level : ndarray of float32, shape (T, H, N)
        Offset of each row, in N parts of equal width (outputs).
    shapes : ndarray of float32, shape (S, T - 1)
        Shapes in time, as differences, that each pixel has with an amplitude of its own.
    typical : ndarray of float64, shape (2, T - 1)
        Variance of each difference of a typical pixel, and covariance with the next [DN^2].
    dt : ndarray of float64, shape (T - 1,)
        Times between reads, in frame times.
    unsearched : ndarray of bool, shape (T,)
        Reads whose steps are taken out of every pixel.
    """

    surface: np.ndarray
    node_row: np.ndarray
    node_col: np.ndarray
    col_level: np.ndarray
    row_level: np.ndarray
    shapes: np.ndarray
    typical: np.ndarray
    dt: np.ndarray
    unsearched: np.ndarray

    @property
    def is_any(self) -> bool:
        """Whether there is anything to subtract."""
        light = (self.surface, self.col_level, self.row_level, self.unsearched)
        return len(self.shapes) > 0 or any(bool(part.any()) for part in light)


def subtract_shared(
    data: np.ndarray, shared: Shared, rows: slice = slice(None), cols: slice = slice(None)
) -> None:
    """Subtract light and offsets from part of a cube, in place; releases the GIL.

    Parameters
    ----------
    data : ndarray of float32, shape (T, rows, cols)
        [DN], C order.
    shared : Shared
        The model of the whole array.
    rows, cols : slice
        Where the part lies in the array.
    """
    height, width = shared.row_level.shape[1], shared.col_level.shape[1]
    row, col = np.arange(height)[rows], np.arange(width)[cols]
    part = col * shared.row_level.shape[2] // width
    if shared.col_level.any() or shared.row_level.any():
        level = np.ascontiguousarray(shared.col_level[:, cols])
        _subtract_levels(data, level, np.ascontiguousarray(shared.row_level[:, rows]), part)
    if shared.surface.any():
        down, across = _between(shared.node_row, row), _between(shared.node_col, col)
        _subtract_surface(data, shared.surface, *down, *across)


def light_at(shared: Shared, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """Return light and offsets of some pixels, given by row and column: (T, n) [DN]."""
    (above, down), (before, across) = (
        _between(shared.node_row, row),
        _between(shared.node_col, col),
    )
    below = np.minimum(above + 1, len(shared.node_row) - 1)
    after = np.minimum(before + 1, len(shared.node_col) - 1)
    surface = shared.surface
    left = surface[:, above, before] * (1 - down) + surface[:, below, before] * down
    right = surface[:, above, after] * (1 - down) + surface[:, below, after] * down
    part = col * shared.row_level.shape[2] // shared.col_level.shape[1]
    offset = shared.col_level[:, col] + shared.row_level[:, row, part]
    return left * (1 - across) + right * across + offset


def _between(nodes: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the node before each place, and the share of the next; constant beyond the ends."""
    if len(nodes) == 1:
        return np.zeros(len(places), int), np.zeros(len(places), np.float32)
    before = np.clip(np.searchsorted(nodes, places, "right") - 1, 0, len(nodes) - 2)
    share = (places - nodes[before]) / (nodes[before + 1] - nodes[before])
    return before, np.clip(share, 0, 1).astype(np.float32)


@njit(nogil=True, cache=True)
def _subtract_levels(data, col_level, row_level, part):
    """Subtract the offsets of columns, and of the rows of each part."""
    reads, rows, cols = data.shape
    for t in range(reads):
        level = col_level[t]
        for r in range(rows):
            line, own = data[t, r], row_level[t, r]
            for c in range(cols):
                line[c] -= level[c] + own[part[c]]


@njit(nogil=True, cache=True)
def _subtract_surface(data, surface, above, down, before, across):
    """Subtract the surface, linear between its nodes."""
    reads, rows, cols = data.shape
    _, count, wide = surface.shape
    one = np.float32(1)
    nodes = np.empty(wide, np.float32)
    for t in range(reads):
        for r in range(rows):
            low = above[r]
            high = min(low + 1, count - 1)
            for m in range(wide):
                nodes[m] = surface[t, low, m] * (one - down[r]) + surface[t, high, m] * down[r]
            line = data[t, r]
            for c in range(cols):
                m = before[c]
                line[c] -= nodes[m] * (one - across[c]) + nodes[min(m + 1, wide - 1)] * across[c]
