"""All significant steps of the ramps that have any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.config import DetectorConfig
from ohana.events import Steps, join_steps
from ohana.rampfit.curves import Bend, best_curve, curve_cost, curve_shapes, misfits, step_gain
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
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
    rate, curve = scanned.rate.copy(), ramps.curve.copy()
    curve, bend = curve if curve.size else np.full(len(dof), -1), np.zeros(len(dof))
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


def strongest(scanned: Scan, dof: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return significance [sigma] and read of each ramp's strongest step, and if it is split."""
    # With two differences a rise in one and a fall in the other fit equally well: prefer the rise.
    up = scanned.up_sigma >= -scanned.down_sigma * (1 - TUNING.tie)
    sigma = np.where(up, scanned.up_sigma, -scanned.down_sigma)
    read = np.where(up, scanned.up_read, scanned.down_read).astype(int)
    split = np.where(up, scanned.up_split, scanned.down_split) > 0
    return gaussian(sigma, dof), read, split


def _search(
    ramps: Ramps, dof: np.ndarray, covariance: DifferenceCovariance, config: DetectorConfig
) -> Found:
    """Find the steps of ramps that have at least one, or their curves."""
    ramps = ramps._replace(excluded=np.zeros(ramps.data.shape, bool))
    ramps, split = _exclude(ramps, dof, covariance, config)
    begins = ramps.excluded.copy()
    begins[1:] &= ~split[:-1]
    at, ramp = np.nonzero(begins)
    rest = scan(ramps, covariance, quick=True)
    # Too small a step beside a curve is one of the differences between the curve and its shape.
    misfit = misfits(ramps.shapes, covariance.dt)
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


def exclude_steps(
    ramps: Ramps, dof: np.ndarray, covariance: DifferenceCovariance, config: DetectorConfig
) -> np.ndarray:
    """Find the differences of ramps that hold steps, at their later read: bool (T, n).

    Parameters
    ----------
    ramps : Ramps
        n ramps; the differences in ``ramps.excluded`` are known to hold steps.
    dof : ndarray, shape (n,)
        Degrees of freedom of their noise.
    covariance : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        ``sigma_threshold`` and ``max_steps`` act here.

    Notes
    -----
    `find_steps` also fits the amplitude of each step, which a rate does not need.
    """
    return _exclude(ramps, dof, covariance, config)[0].excluded


def _exclude(
    ramps: Ramps, dof: np.ndarray, covariance: DifferenceCovariance, config: DetectorConfig
) -> tuple[Ramps, np.ndarray]:
    """Exclude the steps of ramps one by one, the most significant first, or find their curve.

    Returns
    -------
    ramps : Ramps
        With ``excluded``, ``curve`` and ``shapes`` set.
    split : ndarray of bool, shape (T, n)
        Steps of which the next read holds a part.
    """
    known, n = ramps.excluded, len(dof)
    straight = ramps.curve < 0 if ramps.curve.size else np.ones(n, bool)
    curve = np.where(straight, -1, ramps.curve if ramps.curve.size else -1)
    ramps = ramps._replace(excluded=known.copy(), curve=curve, shapes=curve_shapes(covariance))
    split = np.zeros(known.shape, bool)
    fell = _exclude_strongest(ramps, split, np.arange(n), dof, covariance, config)
    # A smooth curve has no steps in half of its reads, the growing core of a snowball has.
    most = TUNING.max_excluded_fraction * (np.minimum(ramps.stop, len(ramps.data)) - 1)
    grown = np.flatnonzero(straight & (ramps.curve >= 0) & (ramps.excluded.sum(0) > most))
    ramps.curve[grown], ramps.excluded[:, grown], split[:, grown] = -1, known[:, grown], False
    fell |= _exclude_strongest(ramps, split, grown, dof, covariance, config, may_bend=False)
    few = np.flatnonzero(fell & (most <= TUNING.max_excluded_fraction * TUNING.rise_differences))
    _prefer_rises(ramps, split, few, known, dof, covariance, config)
    return ramps, split


def _prefer_rises(
    ramps: Ramps,
    split: np.ndarray,
    few: np.ndarray,
    known: np.ndarray,
    dof: np.ndarray,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
) -> None:
    """Explain ramps of few reads by rises alone where that leaves a rate that can be, in place.

    ``known`` (T, n) are the differences excluded from the start. Two rises around a quiet
    difference look like a bright ramp with one fall.
    """
    if not len(few):
        return
    some, parts = ramps.select(few), split[:, few]
    some = some._replace(excluded=known[:, few].copy(), curve=np.full(len(few), -1))
    parts[:] = False
    every = np.arange(len(few))
    _exclude_strongest(
        some, parts, every, dof[few], covariance, config, may_bend=False, may_fall=False
    )
    rest = scan(some, covariance)
    noise = np.sqrt(some.variance * covariance.read.max() + some.shot * covariance.shot.max())
    better = (rest.used > 0) & (rest.rate * covariance.dt.min() > -TUNING.max_negative * noise)
    index = few[better]
    ramps.excluded[:, index], split[:, index] = some.excluded[:, better], parts[:, better]
    ramps.curve[index] = -1


def _exclude_strongest(
    ramps: Ramps,
    split: np.ndarray,
    active: np.ndarray,
    dof: np.ndarray,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
    may_bend: bool = True,
    may_fall: bool = True,
) -> np.ndarray:
    """Exclude the strongest step of each active ramp until none is significant, in place.

    Returns in which ramps some of them are falls: bool (n,).

    Where a curve explains a ramp better than its steps, ``ramps.curve`` is set, and the search
    begins anew. ``split`` (T, n) is set where the next read holds a part of a step.
    """
    known, count, fell = ramps.excluded.copy(), np.zeros(len(dof), int), np.zeros(len(dof), bool)
    chi2, first = np.zeros(len(dof)), Bend(np.full(len(dof), -1), np.zeros(len(dof)))
    while len(active):
        scanned = scan(ramps.select(active), covariance, quick=True)
        if not may_fall:
            scanned = scanned._replace(down_sigma=np.zeros(len(active)))
        sigma, read, both = strongest(scanned, dof[active])
        significant = sigma >= config.sigma_threshold - TUNING.scan_margin
        active, read, both = active[significant], read[significant], both[significant]
        scanned = scanned.select(significant)
        bent = _bent(ramps, active, scanned, (count, chi2, first), covariance) & may_bend
        again, active, read, both = active[bent], active[~bent], read[~bent], both[~bent]
        ramps.excluded[:, again], split[:, again], count[again] = known[:, again], False, 0
        fell[again] = False
        fell[active] |= (scanned.up_read != scanned.down_read)[~bent] & (
            read == scanned.down_read[~bent]
        )
        ramps.excluded[read, active] = True
        ramps.excluded[read[both] + 1, active[both]] = True
        split[read[both], active[both]] = True
        count[active] += 1
        active = np.concatenate([again, active[count[active] < config.max_steps]])
    return fell


def _bent(
    ramps: Ramps,
    active: np.ndarray,
    scanned: Scan,
    before: tuple[np.ndarray, np.ndarray, Bend],
    covariance: DifferenceCovariance,
) -> np.ndarray:
    """Find the curves of straight ramps that need one more step, in place; return which have one.

    A curve replaces the next step (and the one after that), or it replaces all. ``before`` are the
    number of steps of each ramp so far, and chi-squared and best curve before any of these; they
    are filled in.
    """
    count, chi2, first = before
    straight = np.flatnonzero(ramps.curve[active] < 0)
    scanned, index = scanned.select(straight), active[straight]
    found = best_curve(ramps.select(index), covariance)
    fresh = count[index] == 0
    new = index[fresh]
    chi2[new], first.curve[new], first.gain[new] = (
        values[fresh] for values in (scanned.chi2, *found)
    )
    step, cost = step_gain(scanned), curve_cost(scanned)
    instead = found.gain > step + cost
    instead[instead] = _beats_two(ramps, index, scanned, found.gain - step - cost, instead, covariance)
    total = chi2[index] - scanned.chi2 + step
    all_instead = first.gain[index] > total + cost - TUNING.step_cost * count[index]
    all_instead &= (count[index] > 0) & ~instead
    ramps.curve[index] = np.where(instead, found.curve, np.where(all_instead, first.curve[index], -1))
    bent = np.zeros(len(active), bool)
    bent[straight] = instead | all_instead
    return bent


def _beats_two(
    ramps: Ramps,
    index: np.ndarray,
    scanned: Scan,
    beyond: np.ndarray,
    which: np.ndarray,
    covariance: DifferenceCovariance,
) -> np.ndarray:
    """Return for ``which`` of some ramps a curve also beats two steps.

    ``beyond`` is the chi-squared that it explains more than the strongest step and its cost.
    """
    some = ramps.select(index[which])
    _, read, both = strongest(scanned.select(which), np.full(which.sum(), np.inf))
    ramp = np.arange(len(read))
    some.excluded[read, ramp] = True
    some.excluded[read[both] + 1, ramp[both]] = True
    second = step_gain(scan(some, covariance, quick=True))
    return beyond[which] > second - TUNING.step_cost


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
    alone.excluded[at, this] = False
    alone.excluded[at[both] + 1, this[both]] = False
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
