"""Pixels that decay alike decide together: the curve of the pixels around a step."""

from __future__ import annotations

import numpy as np
from numba import njit

from ohana.ramp import TILE_ROWS
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.curves import best_curve, curve_shapes, step_gain
from ohana.rampfit.scan import Ramps, scan
from ohana.rampfit.tuning import TUNING

# Compiled loops take constants of a module.
_REACH, _TILE = TUNING.patch_reach, TILE_ROWS


@njit(nogil=True, cache=True)
def _mean_kernel(data, stop, given, width, index, mean, known):
    """Average the differences of the pixels around each of some, see `mean_around`."""
    rows = data.shape[1] // width
    for m in range(index.size):
        row, col = index[m] // width, index[m] % width
        first = max(row - _REACH, row // _TILE * _TILE)
        last = min(row + _REACH + 1, row // _TILE * _TILE + _TILE, rows)
        for r in range(first, last):
            for c in range(max(col - _REACH, 0), min(col + _REACH + 1, width)):
                p = r * width + c
                if p == index[m] or stop[p] < data.shape[0]:
                    continue
                whole = True
                for f in range(data.shape[0]):
                    whole &= data[f, p] - data[f, p] == 0
                if not whole:
                    continue
                known[2, m] += 1
                known[0, m] += given[0, p]
                known[1, m] += given[1, p]
                for f in range(data.shape[0]):
                    mean[f, m] += data[f, p]
        if known[2, m] > 0:
            for f in range(data.shape[0]):
                mean[f, m] /= known[2, m]
            known[0, m] /= known[2, m] * known[2, m]
            known[1, m] /= known[2, m] * known[2, m]


def mean_around(ramps: Ramps, width: int, index: np.ndarray) -> tuple[Ramps, np.ndarray]:
    """Return the mean ramps of the pixels around some, and of how many pixels each is.

    Parameters
    ----------
    ramps : Ramps
        All ramps of a row block, row after row.
    width : int
        Pixels of a row.
    index : ndarray of int, shape (m,)
        Pixels; they are not part of their mean. Nor are those of other tiles of rows, so that
        blocks of any height give the same, and those without a value in every read.
    """
    mean = np.zeros((len(ramps.data), len(index)), np.float32)
    known = np.zeros((3, len(index)))
    given = np.stack([ramps.variance, ramps.shot])
    _mean_kernel(ramps.data, ramps.stop, given, width, index, mean, known)
    stop = np.where(known[2] > 0, len(mean), 0).astype(np.int32)
    variance = np.where(known[2] > 0, known[0], 1.0)
    return Ramps(mean, stop, variance, known[1]), known[2]


def patch_curves(
    ramps: Ramps, width: int, index: np.ndarray, covariance: DifferenceCovariance
) -> np.ndarray:
    """Return the curve in which the pixels around some pixels bend, -1 where they do not.

    Parameters
    ----------
    ramps, width, index
        As for `mean_around`.
    covariance : DifferenceCovariance
        Covariance coefficients.

    Notes
    -----
    The mean ramp of the pixels around bends where a curve explains more of it than a step at any
    read, and much more than chance: a hit shared by several pixels leaves a step.
    """
    around, count = mean_around(ramps, width, index)
    around = around._replace(shapes=curve_shapes(covariance))
    plain = scan(around, covariance)
    least = np.maximum(step_gain(plain) + TUNING.curve_cost, TUNING.patch_gain)
    found = best_curve(around, covariance, least)
    bent = (count >= TUNING.patch_pixels) & (found.gain > least)
    return np.where(bent, found.curve, -1)
