"""How an array is cut into patches."""

from __future__ import annotations

import numpy as np


def patch_corners(shape: tuple[int, int], size: tuple[int, int], overlap: int) -> np.ndarray:
    """Return the first row and column of each patch, int32 (P, 2).

    Patches share ``overlap`` rows or columns with their neighbours; the last one of a row or
    column is moved back so that it ends at the edge, and shares more.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the array.
    size : tuple of int
        Height and width of a patch [pixel].
    overlap : int
        What neighbours share at least [pixel].

    Examples
    --------
    >>> patch_corners((8, 10), (8, 8), 2).tolist()
    [[0, 0], [0, 2]]
    """
    if any(not 0 <= overlap < side <= length for side, length in zip(size, shape, strict=True)):
        raise ValueError(
            f"size, overlap: wanted 0 <= overlap < size <= {shape}, got {size}, {overlap}"
        )
    rows, cols = (
        np.append(np.arange(0, length - side, side - overlap), length - side)
        for side, length in zip(size, shape, strict=True)
    )
    return np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.int32)


def cut_patches(reads: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return copies of some patches, shape (P, T, *size), of reads (T, H, W)."""
    high, wide = size
    return np.stack([reads[:, r : r + high, c : c + wide] for r, c in corners])
