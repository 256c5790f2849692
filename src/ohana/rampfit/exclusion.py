"""Which differences of a ramp hold steps, and which ramps bend instead."""

from __future__ import annotations

import numpy as np

from ohana.config import DetectorConfig
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.curves import Bend, best_curve, curve_cost, curve_shapes, step_gain
from ohana.rampfit.noise import gaussian
from ohana.rampfit.scan import Ramps, Scan, scan
from ohana.rampfit.tuning import TUNING


def strongest(scanned: Scan, dof: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return significance [sigma] and read of each ramp's strongest step, and if it is split."""
    # With two differences a rise in one and a fall in the other fit equally well: prefer the rise.
    up = scanned.up_sigma >= -scanned.down_sigma * (1 - TUNING.tie)
    sigma = np.where(up, scanned.up_sigma, -scanned.down_sigma)
    read = np.where(up, scanned.up_read, scanned.down_read).astype(int)
    split = np.where(up, scanned.up_split, scanned.down_split) > 0
    return gaussian(sigma, dof), read, split


def mark_steps(
    marked: np.ndarray, read: np.ndarray, ramp: np.ndarray, split: np.ndarray, value: bool = True
) -> None:
    """Mark steps in (T, n) at their read, split ones at the next read too, in place."""
    marked[read, ramp] = value
    marked[read[split] + 1, ramp[split]] = value


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
    return exclude(ramps, dof, covariance, config)[0].excluded


def exclude(
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
    curve = ramps.curves()
    straight = curve < 0
    ramps = ramps._replace(excluded=known.copy(), curve=curve, shapes=curve_shapes(covariance))
    split = np.zeros(known.shape, bool)
    fell = _exclude_strongest(ramps, split, np.arange(n), dof, covariance, config)
    # A smooth curve has no steps in half of its reads, the growing core of a snowball has.
    differences = np.minimum(ramps.stop, len(ramps.data)) - 1
    most = TUNING.max_excluded_fraction * differences
    grown = np.flatnonzero(straight & (ramps.curve >= 0) & (ramps.excluded.sum(0) > most))
    ramps.curve[grown], ramps.excluded[:, grown], split[:, grown] = -1, known[:, grown], False
    fell |= _exclude_strongest(ramps, split, grown, dof, covariance, config, may_bend=False)
    few = np.flatnonzero(fell & (differences <= TUNING.rise_differences))
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
    some = ramps._replace(excluded=known).select(few)._replace(curve=np.full(len(few), -1))
    parts, every = np.zeros(some.excluded.shape, bool), np.arange(len(few))
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

    Where a curve explains a ramp better than its steps, ``ramps.curve`` is set, and the search
    begins anew. ``split`` (T, n) is set where the next read holds a part of a step. Returns in
    which ramps some step is a fall: bool (n,).
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
        bent = np.zeros(len(active), bool)
        if may_bend:
            bent = _bent(ramps, active, scanned, (count, chi2, first), covariance)
        again, active, read, both = active[bent], active[~bent], read[~bent], both[~bent]
        ramps.excluded[:, again], split[:, again], count[again] = known[:, again], False, 0
        fell[again] = False
        up, down = scanned.up_read[~bent], scanned.down_read[~bent]
        fell[active] |= (read == down) & (read != up)
        mark_steps(ramps.excluded, read, active, both)
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
    step, cost = step_gain(scanned), curve_cost(scanned)
    some, least = ramps.select(index), step + cost
    found = best_curve(some, covariance, least)
    fresh = count[index] == 0
    new = index[fresh]
    chi2[new], first.curve[new], first.gain[new] = (
        values[fresh] for values in (scanned.chi2, *found)
    )
    instead = found.gain > least
    second = _second_gain(some.select(instead), scanned.select(instead), covariance)
    instead[instead] = (found.gain - least)[instead] > second - TUNING.step_cost
    total = chi2[index] - scanned.chi2 + step
    all_instead = first.gain[index] > total + cost - TUNING.step_cost * count[index]
    all_instead &= (count[index] > 0) & ~instead
    ramps.curve[index] = np.where(
        instead, found.curve, np.where(all_instead, first.curve[index], -1)
    )
    bent = np.zeros(len(active), bool)
    bent[straight] = instead | all_instead
    return bent


def _second_gain(ramps: Ramps, scanned: Scan, covariance: DifferenceCovariance) -> np.ndarray:
    """Return the chi-squared that a second step of each ramp explains after the strongest."""
    _, read, both = strongest(scanned, np.full(len(ramps.stop), np.inf))
    excluded = ramps.excluded.copy()
    mark_steps(excluded, read, np.arange(len(read)), both)
    return step_gain(scan(ramps._replace(excluded=excluded), covariance, quick=True))
