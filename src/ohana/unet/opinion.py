"""What the network says of an exposure, sparse: no part of this needs torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: A pixel and read is listed where the network gives a cosmic ray or a snowball this probability.
FLOOR = 0.02


class Voxels(NamedTuple):
    """Pixels and reads in which the network thinks a hit possible, one entry each.

    Attributes
    ----------
    row, col, read : ndarray of int32
        Pixel, and the read that the step from the one before leads to.
    ray, ball : ndarray of float32
        Probability of a cosmic ray and of a snowball; one of them is at least `FLOOR`.
    amplitude, error : ndarray of float32
        Generalised-least-squares step at that read, known steps at other reads left free, and its
        standard error [DN].
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
        Where hits are possible.
    telegraph : ndarray of float32, shape (H, W)
        Probability of telegraph noise, mean over the usable reads.
    """

    voxels: Voxels
    telegraph: np.ndarray
