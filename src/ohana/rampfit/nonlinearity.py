"""False steps: of ramps that curve, and of pixels that saturate slowly."""

from __future__ import annotations

import numpy as np

from ohana.events import Steps
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.scan import Ramps, Scan, scan
from ohana.rampfit.tuning import TUNING


def is_nonlinear(ramps: Ramps, plain: Scan, covariance: DifferenceCovariance) -> np.ndarray:
    """Return which ramps a curve describes better than one step: bool (n,).

    Candidates are bright ramps, and ramps with a step split between two differences: a falling
    rate (persistence, settling after a reset) raises the first two above the others. ``plain`` is
    the scan of the ramps without curvature.
    """
    bright = np.abs(plain.rate * plain.used) > TUNING.nonlinear_signal
    split = np.where(plain.up_sigma >= -plain.down_sigma, plain.up_split, plain.down_split)
    # The two parts of a split step fit any three differences: a faint ramp keeps its step then.
    nonlinear = np.where(
        split > 0,
        plain.used >= TUNING.nonlinear_differences_split - bright,
        bright & (plain.used >= TUNING.nonlinear_differences),
    )
    index = np.flatnonzero(nonlinear)
    free = ramps._replace(nonlinear=np.ones(len(nonlinear))).select(index)
    curved = scan(free, covariance, quick=True)
    step = np.maximum(plain.up_sigma, -plain.down_sigma)[index] ** 2
    step[split[index] > 0] *= TUNING.nonlinear_split_fraction
    nonlinear[index] = plain.chi2[index] - curved.chi2 > step
    return nonlinear


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
    steps: Steps, rate: np.ndarray, covariance: DifferenceCovariance
) -> tuple[np.ndarray, np.ndarray]:
    """Find pixels that fill from the first read on, to a level of their own, and stay there.

    They have bright upward steps in every difference from the first up to some read, and no
    signal after that. Hits do not come in read after read.

    Parameters
    ----------
    steps : Steps
        Of n ramps, from `ohana.rampfit.step_search.find_steps`, sorted by ramp and read.
    rate : ndarray, shape (n,)
        Rate of each ramp, its steps excluded [DN per frame time].
    covariance : DifferenceCovariance
        Timing of the reads.

    Returns
    -------
    ramps, full : ndarray of int
        Their indices, and the read in which each is full.
    """
    found, gap = [], 1 + may_split_jump(covariance).astype(int)
    steps = steps.select(~steps.saturating)
    ramp, first, count = np.unique(steps.col, return_index=True, return_counts=True)
    for k in np.flatnonzero((steps.read[first] == 1) & (count > 1)):
        mine = slice(first[k], first[k] + count[k])
        read, amplitude = steps.read[mine], steps.amplitude[mine]
        alike = (np.diff(read) <= gap[read[:-1]]).all()
        bright = amplitude.min() > 0 and amplitude.sum() > TUNING.nonlinear_signal
        if alike and bright and abs(rate[ramp[k]]) < TUNING.full_rate * amplitude.mean():
            found.append((ramp[k], read[-1]))
    ramps, full = np.array(found, int).reshape(-1, 2).T
    return ramps, full
