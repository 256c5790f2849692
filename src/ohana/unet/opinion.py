"""What the network says of an exposure, sparse: no part of this needs torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: A pixel and read is listed where the network gives a cosmic ray or a snowball this probability.
FLOOR = 0.02
#: Probability from which on a pixel and read can be part of a cosmic ray: its step is measured.
JOIN = 0.08


class Voxels(NamedTuple):
    """Pixels and reads in which the network thinks a hit possible, one entry each.

    Attributes
    ----------
    row, col, read : ndarray of int32
        Pixel, and the read that the step from the one before leads to: 1 to T - 1, up to the
        one that is saturated first.
    ray, ball : ndarray of float32
        Probability of a cosmic ray and of a snowball; one of them is at least `FLOOR`.
    amplitude, error : ndarray of float32
        Generalised-least-squares step at that read, known steps at other reads left free, and its
        standard error [DN]; 0 and infinity where it cannot be told from the rest of the ramp, and
        where a cosmic ray is less likely than `JOIN` and no step is known.
    significance : ndarray of float32
        Gaussian-equivalent significance [sigma].
    """

    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    ray: np.ndarray
    ball: np.ndarray
    amplitude: np.ndarray
    error: np.ndarray
    significance: np.ndarray

    def select(self, which: np.ndarray) -> Voxels:
        """Return the voxels that an index or boolean array picks."""
        return Voxels(*(column[which] for column in self))


class Opinion(NamedTuple):
    """What the network says of one integration.

    Attributes
    ----------
    voxels : Voxels
        Where hits are possible, sorted by read, row and column.
    telegraph : ndarray of float32, shape (H, W)
        Probability of telegraph noise, mean over the usable reads; 0 where there are none.
    """

    voxels: Voxels
    telegraph: np.ndarray


#: dtypes of the columns of `Voxels`.
VOXEL_TYPES = (*[np.int32] * 3, *[np.float32] * 5)


def join_voxels(parts: list[Voxels]) -> Voxels:
    """Concatenate lists of voxels and sort them by read, row and column.

    Examples
    --------
    >>> one = Voxels(*(np.ones(1, kind) for kind in VOXEL_TYPES))
    >>> join_voxels([one, one._replace(row=np.zeros(1, np.int32))]).row
    array([0, 1], dtype=int32)
    """
    empty = [np.empty(0, kind) for kind in VOXEL_TYPES]
    joined = Voxels(*(np.concatenate(columns) for columns in zip(empty, *parts, strict=True)))
    return joined.select(np.lexsort((joined.col, joined.row, joined.read)))
