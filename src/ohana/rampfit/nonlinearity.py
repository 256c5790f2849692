"""What looks like steps and is none: ramps that curve, and pixels that fill up."""

from __future__ import annotations

import numpy as np

from ohana.events import Steps
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.scan import Ramps, Scan, scan
from ohana.rampfit.tuning import TUNING


def is_nonlinear(ramps: Ramps, plain: Scan, model: DifferenceCovariance) -> np.ndarray:
    """Tell ramps that a curve describes better than one step (boolean, shape (n,)).

    Only bright ones are looked at, and those with a step that two differences share: a rate that
    falls (persistence, the settling of a reset) raises the first two above the others.
    ``plain`` is their scan without a curve.
    """
    bright = np.abs(plain.rate * plain.used) > TUNING.nonlinear_signal
    shared = np.where(plain.up_sigma >= -plain.down_sigma, plain.up_shared, plain.down_shared)
    # With three differences two parts fit anything: a faint ramp gets the benefit of the doubt.
    nonlinear = np.where(
        shared > 0,
        plain.used >= TUNING.nonlinear_differences_split - bright,
        bright & (plain.used >= TUNING.nonlinear_differences),
    )
    index = np.flatnonzero(nonlinear)
    bent = scan(ramps._replace(nonlinear=np.ones(len(nonlinear))).select(index), model, quick=True)
    step = np.maximum(plain.up_sigma, -plain.down_sigma)[index] ** 2
    step[shared[index] > 0] *= TUNING.nonlinear_split_fraction
    nonlinear[index] = plain.chi2[index] - bent.chi2 > step
    return nonlinear


def may_be_nonlinear(
    steps: Steps, ramps: Ramps, scanned: Scan, model: DifferenceCovariance
) -> np.ndarray:
    """Tell steps of bright ramps that may be their curve, of which too few reads would tell.

    Such a pixel fills up within a few reads. A difference that is much unlike the others is a
    step all the same (boolean, one for each step).
    """
    bend = np.zeros(len(steps.col), bool)
    bright = np.abs(scanned.rate * scanned.used) > TUNING.nonlinear_signal
    few = bright & (scanned.used < TUNING.nonlinear_differences)
    for k in np.flatnonzero(few[steps.col] & ~steps.saturating):
        ramp, read = steps.col[k], steps.read[k]
        slope = np.diff(ramps.data[: ramps.stop[ramp], ramp].astype(np.float64))
        slope /= model.dt[: len(slope)]
        others = np.delete(slope, read - 1)
        others = others[np.isfinite(others)]
        usual = np.median(others) if len(others) else 0.0
        bend[k] = abs(slope[read - 1] - usual) < TUNING.max_nonlinear_rise * abs(usual)
    return bend


def saturates_slowly(
    steps: Steps, rate: np.ndarray, model: DifferenceCovariance
) -> tuple[np.ndarray, np.ndarray]:
    """Tell pixels that fill from the first read on, to a level of their own, and stay there.

    Bright steps in every difference from the first to some other one, and none after: no pixel
    is hit in read after read, and by nothing but such hits.

    Parameters
    ----------
    steps : Steps
        Of n ramps, from `ohana.rampfit.step_search.find_steps`, sorted by ramp and read as there.
    rate : ndarray, shape (n,)
        Of each ramp, its steps left out [DN per frame time].
    model : DifferenceCovariance
        Timing of the reads.

    Returns
    -------
    ramps, stop : ndarray of int
        Which they are, and the read in which each is full.
    """
    found, gap = [], 1 + may_split_jump(model).astype(int)
    steps = steps.select(~steps.saturating)
    ramp, first, count = np.unique(steps.col, return_index=True, return_counts=True)
    for k in np.flatnonzero((steps.read[first] == 1) & (count > 1)):
        mine = slice(first[k], first[k] + count[k])
        read, amplitude = steps.read[mine], steps.amplitude[mine]
        alike = (np.diff(read) <= gap[read[:-1]]).all()
        bright = amplitude.min() > 0 and amplitude.sum() > TUNING.nonlinear_signal
        if alike and bright and abs(rate[ramp[k]]) < TUNING.full_rate * amplitude.mean():
            found.append((ramp[k], read[-1]))
    ramps, stop = np.array(found, int).reshape(-1, 2).T
    return ramps, stop
