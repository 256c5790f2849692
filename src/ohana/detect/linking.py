"""Steps of neighbouring pixels at about the same read, linked to groups."""

from __future__ import annotations

import numpy as np
from numba import njit

from ohana.detect.tuning import TUNING


def read_tolerance(amplitude: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return the number of reads by which the date of each step may be off, at least 1.

    A step of ``a`` read noises shifted by k reads costs ``k a^2`` in chi-squared.

    Parameters
    ----------
    amplitude, noise : ndarray, shape (n,)
        Each step and the read noise of its pixel [DN].
    """
    ratio = np.abs(amplitude) / noise
    with np.errstate(divide="ignore"):
        reads = np.ceil((TUNING.dated_at / ratio) ** 2)
    return np.clip(np.nan_to_num(reads, nan=1.0), 1, TUNING.max_read_tolerance).astype(np.int32)


@njit(nogil=True, cache=True)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(nogil=True, cache=True)
def _link(row, col, read, tolerance, shape):
    """Union-find over the steps of each pixel and its eight neighbours."""
    n = len(row)
    head, following = np.full(shape, -1, np.int32), np.full(n, -1, np.int32)
    for i in range(n):
        following[i] = head[row[i], col[i]]
        head[row[i], col[i]] = i
    parent = np.arange(n)
    for i in range(n):
        for r in range(max(row[i] - 1, 0), min(row[i] + 2, shape[0])):
            for c in range(max(col[i] - 1, 0), min(col[i] + 2, shape[1])):
                j = head[r, c]
                while j >= 0:
                    if abs(read[i] - read[j]) <= max(tolerance[i], tolerance[j]):
                        a, b = _root(parent, i), _root(parent, j)
                        parent[max(a, b)] = min(a, b)
                    j = following[j]
    for i in range(n):
        parent[i] = _root(parent, i)
    return parent


def link_steps(
    row: np.ndarray,
    col: np.ndarray,
    read: np.ndarray,
    tolerance: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """Group steps of the same or neighbouring pixels (8 of them) at about the same read.

    Parameters
    ----------
    row, col, read : ndarray of int, shape (n,)
        Pixel of each step, and the first read that contains it.
    tolerance : ndarray of int, shape (n,)
        Two steps are linked if their reads differ by no more than the larger tolerance.
    shape : tuple of int
        (H, W).

    Returns
    -------
    ndarray of int, shape (n,)
        Group of each step: 0, 1, ... in the order of their first steps.

    Examples
    --------
    >>> place = np.array([2, 3, 5])
    >>> link_steps(place, place, np.array([7, 8, 7]), np.ones(3, int), (9, 9)).tolist()
    [0, 0, 1]
    """
    if not len(row):
        return np.empty(0, np.int64)
    roots = _link(row, col, read, tolerance, shape)
    return np.unique(roots, return_inverse=True)[1]
