"""All significant steps of the ramps that have any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.config import DetectorConfig
from ohana.events import Steps, join_steps
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.curves import curve_misfits
from ohana.rampfit.exclusion import exclude, mark_steps, strongest
from ohana.rampfit.noise import gaussian
from ohana.rampfit.nonlinearity import may_be_nonlinear
from ohana.rampfit.scan import Ramps, Scan, fit_at, scan
from ohana.rampfit.tuning import TUNING

#: Ramps worked on together: bounds the memory needed.
BATCH = 2048


class Found(NamedTuple):
    """What is found in n ramps.

    Attributes
    ----------
    steps : Steps
        ``row`` is 0 and ``col`` the index of the ramp; sorted by ramp and read.
    rate : ndarray, shape (n,)
        Rate of each ramp with its steps excluded [DN per frame time].
    curve : ndarray of int, shape (n,)
        The curve of each ramp, an index of `ohana.rampfit.curves.curve_shapes`; -1 for none.
    bend : ndarray, shape (n,)
        Size of that curve, over that of its shape [DN]; 0 where there is none.
    """

    steps: Steps
    rate: np.ndarray
    curve: np.ndarray
    bend: np.ndarray


def find_steps(
    ramps: Ramps,
    dof: np.ndarray,
    scanned: Scan,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> Found:
    """Find every significant step, up and down, of every ramp.

    Parameters
    ----------
    ramps : Ramps
        n ramps, none of their differences excluded; ``curve`` may be known of some.
    dof : ndarray, shape (n,)
        Degrees of freedom of their noise.
    scanned : Scan
        Their most significant steps, from `ohana.rampfit.scan.scan`.
    covariance : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        ``sigma_threshold`` and ``max_steps`` act here.

    Returns
    -------
    Found

    Notes
    -----
    A ramp with a significant step is fitted again with that step free, until no further step
    is significant; then each step is fitted with all others free, and kept if still
    significant. A curve that describes the ramp better than these steps takes their place, and
    the ramp is searched again with the curve free. A free step is an excluded difference (see
    `ohana.rampfit.gls`), or two where it is split between a read that averages frames and the next
    one.
    """
    index = np.flatnonzero(
        strongest(scanned, dof)[0] >= config.sigma_threshold - TUNING.scan_margin
    )
    rate, curve, bend = scanned.rate.copy(), ramps.curves(), scanned.bend.copy()
    parts = [_saturating(ramps, dof, scanned, covariance, config)]
    filled = np.full(len(dof), len(ramps.data))
    filled[parts[0].col] = parts[0].read
    for start in range(0, len(index), BATCH):
        part = index[start : start + BATCH]
        here = _search(ramps.select(part), dof[part], covariance, config)
        rate[part], curve[part], bend[part] = here[1:]
        own = here.steps._replace(col=part[here.steps.col].astype(np.int32))
        # A jump into saturation that begins in the read before is one step, found already.
        parts.append(own.select(own.read < filled[own.col]))
    steps = join_steps(parts)
    nonlinear = may_be_nonlinear(steps, ramps, scanned, covariance)
    steps, ramp = steps.select(~nonlinear), steps.col[nonlinear]
    without_steps = np.setdiff1d(ramp, steps.col[~steps.saturating])
    rate[without_steps] = scanned.rate[without_steps]
    return Found(steps.select(np.lexsort((steps.read, steps.col))), rate, curve, bend)


def _search(
    ramps: Ramps, dof: np.ndarray, covariance: DifferenceCovariance, config: DetectorConfig
) -> Found:
    """Find the steps of ramps that have at least one, or their curves."""
    ramps = ramps._replace(excluded=np.zeros(ramps.data.shape, bool))
    ramps, split = exclude(ramps, dof, covariance, config)
    begins = ramps.excluded.copy()
    begins[1:] &= ~split[:-1]
    at, ramp = np.nonzero(begins)
    rest = scan(ramps, covariance, quick=True)
    # Too small a step beside a curve is one of the differences between the curve and its shape.
    misfit = curve_misfits(covariance)
    parts = []
    for start in range(0, len(ramp), BATCH):
        part = slice(start, start + BATCH)
        both = split[at[part], ramp[part]]
        found = _refit(ramps, (ramp[part], at[part], both), dof, covariance, config)
        least = misfit[ramps.curve[found.col], found.read - 1] * np.abs(rest.bend[found.col])
        parts.append(found.select(np.abs(found.amplitude) >= least))
    steps = join_steps(parts)
    fit = rest.chi2 / np.maximum(rest.used - 1 - (ramps.curve >= 0), 1)
    steps = steps._replace(fit=fit[steps.col].astype(np.float32))
    return Found(steps, rest.rate, ramps.curve, rest.bend)


def _refit(
    ramps: Ramps,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    dof: np.ndarray,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> Steps:
    """Fit each step with all other steps of its ramp free; keep those still significant.

    ``found`` is ramp and read of each step, and whether the next read holds a part of it.
    """
    ramp, at, both = found[0], found[1].copy(), found[2]
    alone, this = ramps.select(ramp), np.arange(len(ramp))
    mark_steps(alone.excluded, at, this, both, False)
    fitted = fit_at(alone, covariance, at, both if both.any() else None)
    # With the other steps of the ramp free, a split step may turn out to be in one difference.
    weak = np.flatnonzero(both & (np.abs(gaussian(fitted[2], dof[ramp])) < config.sigma_threshold))
    begin = at[weak]
    for later in (0, 1) if len(weak) else ():
        single = fit_at(alone.select(weak), covariance, begin + later)
        better = np.abs(single[2]) > np.abs(fitted[2][weak])
        for values, new in zip((*fitted, at), (*single, begin + later), strict=True):
            values[weak[better]] = new[better]
    amplitude, error, sigma = fitted
    sigma = gaussian(sigma, dof[ramp])
    keep = np.abs(sigma) >= config.sigma_threshold
    return _as_steps(ramp, at, amplitude, error, sigma, False).select(keep)


def _as_steps(ramp, read, amplitude, error, sigma, saturating: bool) -> Steps:
    return Steps(
        np.zeros(len(ramp), np.int32),
        ramp.astype(np.int32),
        read.astype(np.int32),
        amplitude.astype(np.float32),
        error.astype(np.float32),
        sigma.astype(np.float32),
        np.full(len(ramp), saturating),
        np.ones(len(ramp), np.float32),
    )


def _saturating(
    ramps: Ramps,
    dof: np.ndarray,
    scanned: Scan,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> Steps:
    """Find jumps into saturation: the first saturated read is far above the ramp extrapolated.

    The rise from the last usable read is a lower limit of the step. A pixel saturated in read 1
    has no known rate: its step has significance 0. Where the last usable read averages frames and
    contains a part of the jump, the step begins there.
    """
    index = np.flatnonzero((ramps.stop >= 1) & (ramps.stop < len(ramps.data)))
    read, dof = ramps.stop[index].astype(int), np.maximum(dof[index], TUNING.min_saturating_dof)
    known = scanned.used[index] > 0
    rate = np.where(known, scanned.rate[index], 0.0)
    excess, error = _rise(ramps, index, read, rate, covariance)
    sigma = gaussian(excess / error, dof)
    # A pixel that goes on rising is not full: it takes charge that spills out of its neighbours.
    later = ramps.data[np.minimum(read + 1, len(ramps.data) - 1), index] - ramps.data[read, index]
    spill = later > TUNING.max_later_rise * excess
    usual = TUNING.max_nonlinear_rise * rate * covariance.dt[read - 1]
    bends = (scanned.used[index] < TUNING.nonlinear_differences) & (excess < usual)
    keep = (sigma >= config.sigma_threshold) & ~spill & ~bends
    early = np.flatnonzero(keep & known & may_split_jump(covariance)[read - 1])
    part, its_error = _rise(ramps, index[early], read[early] - 1, rate[early], covariance)
    there = gaussian(part / its_error, dof[early]) >= config.sigma_threshold
    read[early[there]] -= 1
    excess[early[there]] += part[there]
    sigma = np.where(known, sigma, 0.0)
    return _as_steps(index, read, excess, error, sigma, True).select(keep)


def _rise(
    ramps: Ramps,
    index: np.ndarray,
    read: np.ndarray,
    rate: np.ndarray,
    covariance: DifferenceCovariance,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rise of ramps above their rate from the read before, and its error [DN]."""
    rise = ramps.data[read, index].astype(np.float64) - ramps.data[read - 1, index]
    variance = ramps.variance[index] * covariance.read[read - 1]
    error = np.sqrt(variance + ramps.shot[index] * covariance.shot[read - 1])
    return rise - rate * covariance.dt[read - 1], error
