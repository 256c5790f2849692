"""False steps: of ramps that curve, and of pixels that saturate slowly."""

from __future__ import annotations

import numpy as np

from ohana.events import Steps
from ohana.ramp import TILE_ROWS
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.scan import Ramps, Scan
from ohana.rampfit.tuning import TUNING


def may_be_nonlinear(
    steps: Steps, ramps: Ramps, scanned: Scan, covariance: DifferenceCovariance
) -> np.ndarray:
    """Return which steps may be curvature of a bright ramp with few reads: bool, one per step.

    Such a pixel saturates within a few reads, too few to separate curvature from a step. A
    difference far above or below the others still counts as a step.
    """
    nonlinear = np.zeros(len(steps.col), bool)
    bright = np.abs(scanned.rate * scanned.used) > TUNING.nonlinear_signal
    few = bright & (scanned.used < TUNING.nonlinear_differences)
    for k in np.flatnonzero(few[steps.col] & ~steps.saturating):
        ramp, read = steps.col[k], steps.read[k]
        slope = np.diff(ramps.data[: ramps.stop[ramp], ramp].astype(np.float64))
        slope /= covariance.dt[: len(slope)]
        others = np.delete(slope, read - 1)
        others = others[np.isfinite(others)]
        usual = np.median(others) if len(others) else 0.0
        nonlinear[k] = abs(slope[read - 1] - usual) < TUNING.max_nonlinear_rise * abs(usual)
    return nonlinear


def undecided(
    steps: Steps,
    ramps: Ramps,
    fitted: tuple[np.ndarray, np.ndarray],
    width: int,
    covariance: DifferenceCovariance,
    threshold: float,
) -> np.ndarray:
    """Return which steps of ramps with few reads may be no charge: bool, one per step.

    In a hot pixel a rate that changes explains them; and a rise that is one only compared with
    other differences that fall is none.

    Parameters
    ----------
    steps : Steps
        Of the n ramps of a row block, row after row; ``col`` is the index of the ramp.
    ramps : Ramps
        The ramps.
    fitted : tuple of ndarray, shape (n,)
        Differences used of each ramp, and its rate with all steps excluded [DN per frame time].
    width : int
        Pixels of a row.
    covariance : DifferenceCovariance
        Timing of the reads.
    threshold : float
        Significance of a step [sigma].
    """
    used, rate = fitted
    few = (used[steps.col] < TUNING.nonlinear_differences) & ~steps.saturating
    maybe = np.zeros(len(few), bool)
    index = np.flatnonzero(few)
    if not len(index):
        return maybe
    ramp, read = steps.col[index], steps.read[index]
    amplitude = steps.amplitude[index].astype(np.float64)
    rise = rate[ramp] * covariance.dt[read - 1]
    hot = rate[ramp] > TUNING.hot_rate * np.fmax(_rate_around(rate, width, ramp), 0.0)
    # A rate may change by a factor from one difference to the next, so by more in several.
    slope = np.diff(ramps.data[:, ramp].astype(np.float64), axis=0) / covariance.dt[:, None]
    slope[np.arange(1, len(ramps.data))[:, None] >= ramps.stop[ramp]] = np.nan
    here = np.arange(len(ramp))
    beside = np.stack([slope[np.maximum(read - 2, 0), here], slope[read % len(slope), here]])
    beside[0, read == 1] = beside[1, read == len(slope)] = np.nan
    near = np.fmax(*beside) * covariance.dt[read - 1]
    bends = hot & (np.abs(amplitude) < (1 + TUNING.max_bend) * near - rise)
    bends |= hot & (np.abs(amplitude) < TUNING.max_bend * rise)
    falls = (amplitude > 0) & (amplitude + rise < threshold * steps.error[index])
    maybe[index] = bends | falls
    return maybe


def _rate_around(rate: np.ndarray, width: int, index: np.ndarray) -> np.ndarray:
    """Return the median rate of the pixels around some, of the same tile of rows."""
    plane, reach = rate.reshape(-1, width), TUNING.patch_reach
    row, col = np.divmod(index, width)
    tile = row // TILE_ROWS * TILE_ROWS
    around = []
    for dr in range(-reach, reach + 1):
        for dc in range(-reach, reach + 1):
            r, c = row + dr, col + dc
            inside = (r >= tile) & (r < np.minimum(tile + TILE_ROWS, len(plane)))
            inside &= (c >= 0) & (c < width) & ((dr != 0) | (dc != 0))
            values = plane[np.where(inside, r, 0), np.where(inside, c, 0)]
            around.append(np.where(inside, values, np.nan))
    known = np.sort(around, axis=0)  # NaN come last
    count = np.isfinite(known).sum(0)
    return known[np.maximum(count - 1, 0) // 2, np.arange(len(index))]


def saturates_slowly(
    ramps: Ramps, candidates: np.ndarray, covariance: DifferenceCovariance
) -> tuple[np.ndarray, np.ndarray]:
    """Find pixels that fill from the first read on, to a level of their own, and stay there.

    They rise in every difference up to some read, and not after that. Hits do not come in read
    after read.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    candidates : ndarray of int
        Those that are not straight.
    covariance : DifferenceCovariance
        Timing of the reads.

    Returns
    -------
    ramps, full : ndarray of int
        Their indices, and the read in which each is full.
    """
    reads = len(ramps.data)
    last = ramps.data[np.clip(ramps.stop[candidates] - 1, 0, None), candidates]
    bright = last - ramps.data[0, candidates] > TUNING.nonlinear_signal
    candidates = candidates[bright]
    if not len(candidates):
        return candidates, candidates
    data = ramps.data[:, candidates].astype(np.float64)
    data[np.arange(reads)[:, None] >= ramps.stop[candidates]] = np.nan
    rise = np.diff(data, axis=0)
    known = np.isfinite(rise)
    rise = np.where(known, rise, 0.0)
    total = rise.sum(0)
    noise = np.sqrt(2.0 * ramps.variance[candidates])
    margin = np.maximum(TUNING.full_rate * total, TUNING.clip * noise)
    # The first difference after which hardly anything is added.
    left = total - np.cumsum(rise, axis=0)
    full = (np.abs(left)[::-1] > margin).argmax(0)
    full = np.where((np.abs(left) > margin).any(0), reads - full, 1)
    read = np.arange(1, reads)[:, None]
    slope = rise / covariance.dt[:, None]
    # The last of these rises may be less than the others, but is no jump.
    least = np.where(known & (read < full), slope, np.inf).min(0)
    most = np.where(known & (read <= full), slope, -np.inf).max(0)
    fills = (full > 1) & (known.sum(0) - full >= TUNING.full_differences)
    steady = least * TUNING.max_slow_rise > most
    index = np.flatnonzero(fills & steady & known[0])
    return candidates[index], full[index]
