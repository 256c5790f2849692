"""Temporal features of each pixel, from its steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.events import Steps
from ohana.rampfit.tuning import TUNING


class Temporal(NamedTuple):
    """Temporal features of n ramps, arrays of shape (n,), int32.

    Attributes
    ----------
    first_appearance : ndarray
        Read of the first significant step; -1 where there is none.
    persistence_count : ndarray
        Number of later reads in which the ramp is off its first level by at least half of its
        largest step: all later reads for a cosmic ray, those in the other level for telegraph
        noise.
    transition_count : ndarray
        Significant steps, up or down.
    """

    first_appearance: np.ndarray
    persistence_count: np.ndarray
    transition_count: np.ndarray


def temporal_features(steps: Steps, first_saturated: np.ndarray) -> Temporal:
    """Compute the temporal features of ramps from their steps.

    Parameters
    ----------
    steps : Steps
        Sorted by ramp (``col``) and read.
    first_saturated : ndarray of int, shape (n,)
        First saturated read of each ramp, or the number of reads.

    Examples
    --------
    One ramp of 9 reads that is up by 50 from read 3 to read 6:

    >>> one = np.ones(2, np.float32)
    >>> at = np.zeros(2, int)
    >>> steps = Steps(at, at, np.array([3, 7]), 50 * one * [1, -1], one, one, at, one)
    >>> [int(feature[0]) for feature in temporal_features(steps, np.array([9]))]
    [3, 4, 2]
    """
    n = len(first_saturated)
    first, persistence = np.full(n, -1, np.int32), np.zeros(n, np.int32)
    count = np.bincount(steps.col, minlength=n).astype(np.int32)
    start = np.flatnonzero(np.diff(steps.col, prepend=-1))
    if not len(start):
        return Temporal(first, persistence, count)
    ramp = steps.col[start]
    first[ramp] = steps.read[start]
    size = np.diff(np.append(start, len(steps.col)))
    amplitude = steps.amplitude.astype(np.float64)
    total = np.cumsum(amplitude)
    level = total - np.repeat(total[start] - amplitude[start], size)
    off = TUNING.persistence_level * np.maximum.reduceat(np.abs(amplitude), start)
    until = np.append(steps.read[1:], 0)
    # A jump into saturation shows in one read, the saturated one.
    until[start + size - 1] = np.maximum(first_saturated[ramp], steps.read[start + size - 1] + 1)
    reads_off = np.where(np.abs(level) >= np.repeat(off, size), until - steps.read, 0)
    persistence[ramp] = np.add.reduceat(reads_off, start)
    return Temporal(first, persistence, count)
