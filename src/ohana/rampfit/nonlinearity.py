"""False steps: of ramps that curve, and of pixels that saturate slowly."""

from __future__ import annotations

import numpy as np

from ohana.events import Steps
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
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
