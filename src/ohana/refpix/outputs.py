"""The number of outputs, from where neighbouring columns stop sharing their offsets."""

from __future__ import annotations

import numpy as np

from ohana.refpix.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD

#: Numbers of outputs that are looked for: equal stripes.
NUMBERS = (64, 32, 16, 8, 4, 2)
#: Deviations and jumps count up to this many times their standard deviation, so that neither one
#: pixel nor one read decides.
CLIP = 3.0
#: Every how many columns give the standard deviation of deviations; odd, for both parities.
SPARSE = 7


def count_outputs(change: np.ndarray) -> int | None:
    """Count the outputs that lie side by side along the last axis.

    The finest division of which nearly every boundary jumps from read to read, and hardly any
    place halfway between two. Gradients do not count as jumps.

    Parameters
    ----------
    change : ndarray of float32, shape (S, R, W)
        Between successive reads of a sample, less its mean in each pixel [DN]: light that is
        added once, or rows that are lost, count once.

    Returns
    -------
    int or None
        None if no division shows.
    """
    reads, lines, width = change.shape
    if reads < TUNING.min_changes or lines < 2:
        return None
    # Events and stars count as far as noise goes, which costs less than a median.
    limit = CLIP * SIGMA_OF_MAD * float(np.median(np.abs(change[:, :, ::SPARSE])))
    clipped = np.clip(change, -limit, limit)
    # Columns of two halves of the lines, whose noise is independent.
    halves = np.stack([clipped[:, half::2].mean(axis=1) for half in (0, 1)])
    for number in NUMBERS:
        segment = width // (4 * number) // 2 * 2  # as many even columns as odd ones
        if width % number == 0 and segment >= TUNING.min_segment and _divides(halves, number):
            return number
    return None


def _divides(halves: np.ndarray, number: int) -> bool:
    """Tell whether there are jumps between ``number`` equal stripes, and not within them."""
    _, reads, width = halves.shape
    size = width // number
    segment = size // 8 * 2
    within = _jumps(halves, size // 2 + size * np.arange(number), segment)
    between = _jumps(halves, size * np.arange(1, number), segment)
    power = np.mean(between[0] * between[1], axis=0)
    usual = float(np.quantile(np.mean(within[0] * within[1], axis=0), 0.75))
    error = float(np.sqrt(np.mean(within[0] ** 2) * np.mean(within[1] ** 2) / reads))
    product = np.sum(between[0] * between[1])
    norm = np.sqrt(np.sum(between[0] ** 2) * np.sum(between[1] ** 2))
    correlation = min(max(product / max(norm, 1e-30), -0.999), 0.999)
    free = (reads - 1) * (number - 1) - 3
    if free <= 0 or np.arctanh(correlation) * np.sqrt(free) < TUNING.jump_significance:
        return False
    clear = power > max(TUNING.jump_contrast * usual, TUNING.jump_power * error)
    return bool(np.mean(clear) >= TUNING.min_boundaries)


def _jumps(halves: np.ndarray, places: np.ndarray, segment: int) -> np.ndarray:
    """Return the jumps at some places, less their median over the reads, (2, S, places) [DN].

    Two segments on either side extrapolate a straight line to the place.
    """
    columns = places[:, None] + np.arange(-2 * segment, 2 * segment)
    # Pairs of columns, of which one is even; their median, as single columns may be noisy.
    pairs = halves[:, :, columns.reshape(len(places), 4, -1, 2)].mean(axis=-1)
    a, b, c, d = np.moveaxis(np.median(pairs, axis=-1), -1, 0)
    jump = 1.5 * (c - b) - 0.5 * (d - a)
    jump -= np.median(jump, axis=1, keepdims=True)
    spread = SIGMA_OF_MAD * np.median(np.abs(jump), axis=1, keepdims=True)
    return np.clip(jump, -CLIP * spread, CLIP * spread)
