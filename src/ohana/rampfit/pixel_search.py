"""The search of all pixels of a row block: steps, curves, full pixels, and undecided steps."""

from __future__ import annotations

import numpy as np

from ohana.config import DetectorConfig
from ohana.events import join_steps
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.curves import curve_shapes, step_gain
from ohana.rampfit.nonlinearity import saturates_slowly, undecided
from ohana.rampfit.patches import patch_curves
from ohana.rampfit.scan import Ramps, Scan, scan
from ohana.rampfit.step_search import Found, find_steps
from ohana.rampfit.tuning import TUNING


def search(
    ramps: Ramps,
    dof: np.ndarray,
    width: int,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> tuple[Ramps, Scan, Found]:
    """Find the steps and curves of the pixels of a row block.

    Parameters
    ----------
    ramps : Ramps
        All n ramps, row after row.
    dof : ndarray, shape (n,)
        Degrees of freedom of their noise.
    width : int
        Pixels of a row.
    covariance : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        ``sigma_threshold`` and ``max_steps`` act here.

    Returns
    -------
    ramps : Ramps
        Those of pixels that fill to a level of their own end there.
    scanned : Scan
        Strongest step of each ramp, its curve free; no rise where it is undecided.
    found : Found
        Steps, rates and curves; -2 is the curve where too few reads tell a step from one.
    """
    scanned = scan(ramps, covariance, quick=True)
    found = find_steps(ramps, dof, scanned, covariance, config)
    ramps, scanned, found = _end_slow_saturation(ramps, dof, (scanned, found), covariance, config)
    found = _bend_together(ramps, dof, (scanned, found), width, covariance, config)
    scanned = _scan_bent(ramps, scanned, found, covariance)
    scanned, found = _without_undecided(ramps, (scanned, found), width, covariance, config)
    return ramps, scanned, found


def _end_slow_saturation(
    ramps: Ramps,
    dof: np.ndarray,
    before: tuple[Scan, Found],
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> tuple[Ramps, Scan, Found]:
    """End the ramps of pixels that fill to a level of their own, and search these again."""
    scanned, found = before
    steps = found.steps.select(~found.steps.saturating)
    odd = np.union1d(steps.col, np.flatnonzero(found.curve >= 0))
    index, full = saturates_slowly(ramps, odd, covariance)
    if not len(index):
        return ramps, scanned, found
    ramps = ramps._replace(stop=ramps.stop.copy())
    ramps.stop[index] = full
    some = ramps.select(index)
    again = scan(some, covariance, quick=True)
    found = _search_again(some, again, dof, found, index, covariance, config)
    return ramps, scanned.replaced(index, again), found


def _bend_together(
    ramps: Ramps,
    dof: np.ndarray,
    before: tuple[Scan, Found],
    width: int,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> Found:
    """Search ramps with steps again, with the curve in which the pixels around them bend.

    A ramp that one step describes far better than that curve keeps its step.
    """
    scanned, found = before
    count = np.bincount(found.steps.col[~found.steps.saturating], minlength=len(dof))
    stepped = np.flatnonzero((count > 0) & (found.curve < 0))
    curve = patch_curves(ramps, width, stepped, covariance)
    index, curve = stepped[curve >= 0], curve[curve >= 0]
    some = ramps.select(index)._replace(curve=curve, shapes=curve_shapes(covariance))
    bent, straight = scan(some, covariance, quick=True), scanned.select(index)
    explained = straight.chi2 - bent.chi2 + TUNING.patch_gain
    keep = np.flatnonzero((count[index] > 1) | (step_gain(straight) < explained))
    some, bent = some.select(keep), bent.select(keep)
    return _search_again(some, bent, dof, found, index[keep], covariance, config)


def _search_again(
    some: Ramps,
    scanned: Scan,
    dof: np.ndarray,
    found: Found,
    index: np.ndarray,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> Found:
    """Search the ramps ``index`` again as ``some``; the others keep what was found in them.

    ``scanned`` is the scan of these ramps alone, ``dof`` that of all.
    """
    if not len(index):
        return found
    here = find_steps(some, dof[index], scanned, covariance, config)
    maps = [values.copy() for values in found[1:]]
    for values, new in zip(maps, here[1:], strict=True):
        values[index] = new
    own = here.steps._replace(col=index[here.steps.col].astype(np.int32))
    steps = join_steps([found.steps.select(~np.isin(found.steps.col, index)), own])
    return Found(steps.select(np.lexsort((steps.read, steps.col))), *maps)


def _scan_bent(ramps: Ramps, scanned: Scan, found: Found, covariance: DifferenceCovariance) -> Scan:
    """Return the scan of all ramps, of those that bend with their curve free."""
    bent = np.flatnonzero(found.curve >= 0)
    if not len(bent):
        return scanned
    some = ramps.select(bent)._replace(curve=found.curve[bent], shapes=curve_shapes(covariance))
    return scanned.replaced(bent, scan(some, covariance, quick=True))


def _without_undecided(
    ramps: Ramps,
    before: tuple[Scan, Found],
    width: int,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> tuple[Scan, Found]:
    """Drop steps that too few reads tell from a curve; their ramps are marked -2 as curve."""
    scanned, found = before
    fitted = scanned.used, found.rate
    maybe = undecided(found.steps, ramps, fitted, width, covariance, config.sigma_threshold)
    if not maybe.any():
        return scanned, found
    ramp = found.steps.col[maybe]
    curve, sigma, step = found.curve.copy(), scanned.up_sigma.copy(), scanned.up_step.copy()
    curve[ramp], sigma[ramp], step[ramp] = -2, 0, 0
    found = found._replace(steps=found.steps.select(~maybe), curve=curve)
    return scanned._replace(up_sigma=sigma, up_step=step), found
