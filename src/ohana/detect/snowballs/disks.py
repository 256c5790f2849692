"""Disks fitted to groups of pixels, where some pixels may be hidden: cores of snowballs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage, optimize

#: Neighbours of a pixel: all eight.
EIGHT = np.ones((3, 3), bool)


class Disk(NamedTuple):
    """A disk of pixels.

    Attributes
    ----------
    row, col, radius : float
        Centre and radius [pixel]; the centre may lie outside the array.
    circularity : float
        Intersection over union of pixels and disk, without hidden pixels: 1 for a perfect disk.
    cut : bool
        Part of it is hidden.
    """

    row: float
    col: float
    radius: float
    circularity: float
    cut: bool

    def distance(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return distances from the centre [pixel]."""
        return np.hypot(rows - self.row, cols - self.col)

    def outside(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return distances from the rim, negative inside [pixel]."""
        return self.distance(rows, cols) - self.radius

    def moved(self, rows: int, cols: int) -> Disk:
        """Return the disk counted from another origin."""
        return self._replace(row=self.row + rows, col=self.col + cols)


def fit_disks(inside: np.ndarray, visible: np.ndarray, count: int = 1) -> list[Disk]:
    """Fit a union of disks to one connected group of pixels.

    Parameters
    ----------
    inside : ndarray of bool, shape (h, w)
        The group, with a margin around it where there are such pixels.
    visible : ndarray of bool, shape (h, w)
        False where a pixel could not have shown whether it belongs to the group.
    count : int
        1, or 2 for a pair that overlaps.

    Returns
    -------
    list of Disk
        ``count`` of them, with the circularity of their union.

    Examples
    --------
    >>> row, col = np.indices((15, 15))
    >>> inside = np.hypot(row - 7, col - 7) <= 5
    >>> disk, = fit_disks(inside, np.ones_like(inside))
    >>> round(disk.row), round(disk.col), round(disk.radius), disk.circularity > 0.85
    (7, 7, 5, True)
    """
    rows, cols = np.nonzero(visible | inside)
    wanted = inside[rows, cols].astype(float)

    def reach(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the coverage of each pixel by each disk, and its direction from the centre."""
        parts = values.reshape(-1, 3, 1)
        away = np.stack([rows - parts[:, 0], cols - parts[:, 1]])
        distance = np.hypot(*away)
        return parts[:, 2] + 0.5 - distance, away / np.maximum(distance, 1e-9)

    def union(values: np.ndarray) -> np.ndarray:
        return np.clip(reach(values)[0].max(0), 0, 1)

    def slope(values: np.ndarray) -> np.ndarray:
        over, way = reach(values)
        first = (over == over.max(0)) & (over > 0) & (over < 1)
        change = np.stack([*way, np.ones(over.shape)], axis=1) * first[:, None]
        return change.reshape(len(values), -1).T

    hidden = ndimage.binary_dilation(inside, EIGHT) & ~visible & ~inside
    at_edge = _touches_rim(inside)
    cut = bool(hidden.any() or at_edge)
    starts = _starts(inside, visible, count, cut)
    fits = [
        optimize.least_squares(
            lambda values: union(values) - wanted, start, slope, method="lm", max_nfev=40
        )
        for start in starts
    ]
    best = min(fits, key=lambda fit: fit.cost).x
    model = union(best)
    overlap = float(np.minimum(model, wanted).sum() / max(np.maximum(model, wanted).sum(), 1e-9))
    return [
        Disk(row, col, radius, overlap, cut) for row, col, radius in best.reshape(-1, 3).tolist()
    ]


def _touches_rim(inside: np.ndarray) -> bool:
    """Return whether a group reaches the rim of its window, which is then that of the array."""
    return bool(inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any())


def _starts(inside: np.ndarray, visible: np.ndarray, count: int, cut: bool) -> list[np.ndarray]:
    """Return first guesses of (row, col, radius) of each disk."""
    at = np.argwhere(inside).astype(float)
    centre, radius = at.mean(0), np.sqrt(len(at) / np.pi)
    if count == 2:
        values, vectors = np.linalg.eigh(np.cov(at.T))
        shift = vectors[:, 1] * np.sqrt(values[1])
        pair = [[*(centre + sign * shift), radius / np.sqrt(2)] for sign in (-1, 1)]
        return [np.ravel(pair)]
    starts = [np.array([*centre, radius])]
    return [*starts, _arc(inside, visible)] if cut else starts


def _arc(inside: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Return (row, col, radius) of the circle through the visible part of the rim.

    A circle is linear in its centre and in its radius squared less that of the centre.
    """
    outside = ndimage.binary_dilation(visible & ~inside, EIGHT)
    at = np.argwhere(inside & (outside if outside.any() else True)).astype(float)
    middle = at.mean(0)
    at -= middle
    columns = np.column_stack([2 * at, np.ones(len(at))])
    centre_row, centre_col, rest = np.linalg.lstsq(columns, np.sum(at**2, axis=1), rcond=1e-6)[0]
    radius = np.sqrt(max(rest + centre_row**2 + centre_col**2, 1.0))
    return np.array([centre_row + middle[0], centre_col + middle[1], radius])
