"""How an array is cut into patches."""

from __future__ import annotations

import numpy as np


def patch_corners(shape: tuple[int, int], size: int, overlap: int) -> np.ndarray:
    """Return the first row and column of each patch, int32 (P, 2).

    Patches lie ``size - overlap`` apart; the last one of a row or column is moved back so that
    it ends at the edge, and shares more with its neighbour.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the array.
    size, overlap : int
        Height and width of a patch, and what neighbours share at least [pixel].

    Examples
    --------
    >>> patch_corners((8, 10), 8, 2).tolist()
    [[0, 0], [0, 2]]
    """
    if not 0 <= overlap < size <= min(shape):
        raise ValueError(
            f"size, overlap: wanted 0 <= overlap < size <= {min(shape)}, got {size}, {overlap}"
        )
    rows, cols = (
        np.append(np.arange(0, length - size, size - overlap), length - size) for length in shape
    )
    return np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.int32)


def cut_patches(reads: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
    """Return copies of some patches, shape (P, T, size, size), of reads (T, H, W)."""
    return np.stack([reads[:, r : r + size, c : c + size] for r, c in corners])
