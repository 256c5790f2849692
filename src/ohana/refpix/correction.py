"""A reference-pixel correction, and its subtraction from parts of an array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Reference:
    """The correction of a ramp [DN], small arrays in float32.

    With the slow axis along rows it is ``level[t, c] + slope[t, c] * (r - middle) + common[t, r]``
    at read t, row r and column c; with ``transposed``, r and c change places.

    Attributes
    ----------
    level, slope : ndarray, shape (T, n_fast)
        Level in the middle of the slow axis, and its slope [DN per pixel].
    common : ndarray, shape (T, n_slow)
        What all outputs share.
    transposed : bool
        The slow axis lies along the columns of the file.
    weights : ndarray, shape (n_slow,)
        How much of each cosine mode along the slow axis ``common`` contains, 0 to 1.
    used, total : int
        Reference pixels that gave level and slope, and those there are.
    """

    level: np.ndarray
    slope: np.ndarray
    common: np.ndarray
    transposed: bool
    weights: np.ndarray
    used: int
    total: int


def subtract(
    data: np.ndarray, reference: Reference, rows: slice = slice(None), cols: slice = slice(None)
) -> None:
    """Subtract the correction from part of a cube, in place; releases the GIL.

    Parameters
    ----------
    data : ndarray of float32, shape (T, rows, cols)
        [DN], C order.
    reference : Reference
        The correction of the whole array.
    rows, cols : slice
        Where the part lies in the array.

    Raises
    ------
    ValueError
        If type or shape do not fit.
    """
    fast, slow = (rows, cols) if reference.transposed else (cols, rows)
    cuts = ((reference.level, fast), (reference.slope, fast), (reference.common, slow))
    level, slope, common = (np.ascontiguousarray(term[:, cut]) for term, cut in cuts)
    sizes = (common.shape[1], level.shape[1])
    wanted = (len(level), *(sizes[::-1] if reference.transposed else sizes))
    if data.shape != wanted or data.dtype != np.float32 or not data.flags.c_contiguous:
        order = "C order" if data.flags.c_contiguous else "another order"
        raise ValueError(
            f"data: wanted float32 {wanted} (C order), got {data.dtype} {data.shape} ({order})"
        )
    height = reference.common.shape[1]
    x = np.arange(height, dtype=np.float32)[slow] - np.float32((height - 1) / 2)
    _subtract(data, level, slope, common, x, reference.transposed)


@njit(nogil=True, cache=True)
def _subtract(data, level, slope, common, x, transposed):
    """Subtract; ``x`` is the distance from the middle of the slow axis."""
    reads, height, width = data.shape
    for t in range(reads):
        base, tilt, shared = level[t], slope[t], common[t]
        for r in range(height):
            line = data[t, r]
            if transposed:
                for c in range(width):
                    line[c] -= base[r] + tilt[r] * x[c] + shared[c]
            else:
                for c in range(width):
                    line[c] -= base[c] + tilt[c] * x[r] + shared[r]
