"""Random numbers of one exposure among many."""

from __future__ import annotations

import numpy as np


def exposure_rng(seed: int, detector: int, index: int, k: int) -> np.random.Generator:
    """Return the source of random numbers of one exposure.

    It depends on these four numbers alone, not on the order in which exposures are made or on
    who makes them, and no two are alike (`numpy.random.SeedSequence`).

    Parameters
    ----------
    seed : int
        Of the whole set, not negative.
    detector, index, k : int
        Which detector, which index of the set, which exposure of these; not negative.

    Examples
    --------
    >>> exposure_rng(1, 0, 0, 3).integers(9, size=8) - exposure_rng(1, 0, 0, 3).integers(9, size=8)
    array([0, 0, 0, 0, 0, 0, 0, 0])
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(detector, index, k))
    return np.random.Generator(np.random.SFC64(sequence))
