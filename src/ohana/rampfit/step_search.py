"""Stage 4, second half: all significant steps of the ramps that have any."""

from __future__ import annotations

import numpy as np

from ohana.config import DetectorConfig
from ohana.events import Steps, join_steps
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.noise import gaussian
from ohana.rampfit.nonlinearity import is_nonlinear, may_be_nonlinear
from ohana.rampfit.scan import Ramps, Scan, fit_at, scan
from ohana.rampfit.tuning import TUNING

#: Ramps worked on together: bounds the memory needed.
BATCH = 2048


def find_steps(
    ramps: Ramps,
    dof: np.ndarray,
    scanned: Scan,
    model: DifferenceCovariance,
    config: DetectorConfig,
) -> tuple[Steps, np.ndarray]:
    """Find every significant step, up and down, of every ramp.

    Parameters
    ----------
    ramps : Ramps
        n ramps, nothing left out.
    dof : ndarray, shape (n,)
        Degrees of freedom of their noise.
    scanned : Scan
        Their most significant steps, from `ohana.rampfit.scan.scan`.
    model : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        ``sigma_threshold`` and ``max_steps`` act here.

    Returns
    -------
    steps : Steps
        ``row`` is 0 and ``col`` the index of the ramp; sorted by ramp and read.
    rate : ndarray, shape (n,)
        Rate of each ramp with its steps left out [DN per frame time].

    Notes
    -----
    A ramp with a significant step is fitted again with that step free, until no further step
    is significant; then each step is fitted with all others free, and kept if still
    significant. A step found is a difference left out (see `ohana.rampfit.gls`), or two where it is
    shared by a read that averages frames and the one after it.
    """
    index = np.flatnonzero(
        strongest(scanned, dof)[0] >= config.sigma_threshold - TUNING.scan_margin
    )
    rate = scanned.rate.copy()
    parts = [_saturating(ramps, dof, scanned, model, config)]
    filled = np.full(len(dof), len(ramps.data))
    filled[parts[0].col] = parts[0].read
    for start in range(0, len(index), BATCH):
        part = index[start : start + BATCH]
        plain = Scan(*(values[part] for values in scanned))
        found, rate[part] = _search(ramps.select(part), dof[part], plain, model, config)
        found = found._replace(col=part[found.col].astype(np.int32))
        # What fills a pixel may begin in the read before, and is one step.
        parts.append(found.select(found.read < filled[found.col]))
    steps = join_steps(parts)
    bend = may_be_nonlinear(steps, ramps, scanned, model)
    steps, bent = steps.select(~bend), steps.col[bend]
    alone = np.setdiff1d(bent, steps.col[~steps.saturating])
    rate[alone] = scanned.rate[alone]
    return steps.select(np.lexsort((steps.read, steps.col))), rate


def strongest(scanned: Scan, dof: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Significance [sigma] and read of the strongest step of each ramp, and if it is shared."""
    # Two differences cannot tell a rise in one from a fall in the other: charge comes first.
    up = scanned.up_sigma >= -scanned.down_sigma * (1 - TUNING.tie)
    sigma = np.where(up, scanned.up_sigma, -scanned.down_sigma)
    read = np.where(up, scanned.up_read, scanned.down_read).astype(int)
    shared = np.where(up, scanned.up_shared, scanned.down_shared) > 0
    return gaussian(sigma, dof), read, shared


def _search(
    ramps: Ramps, dof: np.ndarray, plain: Scan, model: DifferenceCovariance, config: DetectorConfig
) -> tuple[Steps, np.ndarray]:
    """Find the steps of ramps that have at least one, and the rates without them."""
    ramps = ramps._replace(excluded=np.zeros(ramps.data.shape, bool))
    ramps, shared = _exclude(ramps, is_nonlinear(ramps, plain, model), dof, model, config)
    begins = ramps.excluded.copy()
    begins[1:] &= ~shared[:-1]
    at, ramp = np.nonzero(begins)
    parts = []
    for start in range(0, len(ramp), BATCH):
        part = slice(start, start + BATCH)
        both = shared[at[part], ramp[part]]
        parts.append(_refit(ramps, (ramp[part], at[part], both), dof, model, config))
    steps, rest = join_steps(parts), scan(ramps, model, quick=True)
    fit = rest.chi2 / np.maximum(rest.used - 1 - ramps.nonlinear, 1)
    return steps._replace(fit=fit[steps.col].astype(np.float32)), rest.rate


def exclude_steps(
    ramps: Ramps, dof: np.ndarray, model: DifferenceCovariance, config: DetectorConfig
) -> np.ndarray:
    """Find the differences of ramps that hold steps, at their later read: bool (T, n).

    Parameters
    ----------
    ramps : Ramps
        n ramps; what ``ramps.excluded`` has is known to hold steps.
    dof : ndarray, shape (n,)
        Degrees of freedom of their noise.
    model : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        ``sigma_threshold`` and ``max_steps`` act here.

    Notes
    -----
    `find_steps` goes on from here to the amplitude of each step, which rates can do without.
    """
    nonlinear = is_nonlinear(ramps, scan(ramps, model), model)
    return _exclude(ramps, nonlinear, dof, model, config)[0].excluded


def _exclude(
    ramps: Ramps,
    nonlinear: np.ndarray,
    dof: np.ndarray,
    model: DifferenceCovariance,
    config: DetectorConfig,
) -> tuple[Ramps, np.ndarray]:
    """Leave out the steps of ramps one by one, the most significant first.

    Returns
    -------
    ramps : Ramps
        With ``excluded`` and ``nonlinear`` set.
    shared : ndarray of bool, shape (T, n)
        Steps of which the next read has a part.
    """
    known = ramps.excluded
    ramps = ramps._replace(excluded=known.copy(), nonlinear=nonlinear.astype(float))
    shared = np.zeros(known.shape, bool)
    _exclude_strongest(ramps, shared, np.arange(len(dof)), dof, model, config)
    # No smooth curve has steps in half of its reads: a snowball's core that grows, rather.
    most = TUNING.max_excluded_fraction * (np.minimum(ramps.stop, len(ramps.data)) - 1)
    bent = nonlinear & (ramps.excluded.sum(0) > most)
    ramps.nonlinear[bent], ramps.excluded[:, bent], shared[:, bent] = 0, known[:, bent], False
    _exclude_strongest(ramps, shared, np.flatnonzero(bent), dof, model, config)
    return ramps, shared


def _exclude_strongest(
    ramps: Ramps,
    shared: np.ndarray,
    active: np.ndarray,
    dof: np.ndarray,
    model: DifferenceCovariance,
    config: DetectorConfig,
) -> None:
    """Leave out the strongest step of each active ramp until none is significant, in place.

    ``shared`` (T, n) is filled where the next read has a part of a step.
    """
    for _ in range(config.max_steps):
        if not len(active):
            break
        scanned = scan(ramps.select(active), model, quick=True)
        sigma, read, both = strongest(scanned, dof[active])
        significant = sigma >= config.sigma_threshold - TUNING.scan_margin
        active, read, both = active[significant], read[significant], both[significant]
        ramps.excluded[read, active] = True
        ramps.excluded[read[both] + 1, active[both]] = True
        shared[read[both], active[both]] = True


def _refit(
    ramps: Ramps,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    dof: np.ndarray,
    model: DifferenceCovariance,
    config: DetectorConfig,
) -> Steps:
    """Fit each step with all other steps of its ramp free; keep those still significant.

    ``found`` are ramp and read of each step, and whether the next read has a part of it.
    """
    ramp, at, both = found[0], found[1].copy(), found[2]
    alone, this = ramps.select(ramp), np.arange(len(ramp))
    alone.excluded[at, this] = False
    alone.excluded[at[both] + 1, this[both]] = False
    fitted = fit_at(alone, model, at, both if both.any() else None)
    # What looked shared while another step was in the ramp may lie in one difference after all.
    weak = np.flatnonzero(both & (np.abs(gaussian(fitted[2], dof[ramp])) < config.sigma_threshold))
    begin = at[weak]
    for later in (0, 1) if len(weak) else ():
        single = fit_at(alone.select(weak), model, begin + later)
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
    model: DifferenceCovariance,
    config: DetectorConfig,
) -> Steps:
    """Find jumps into saturation: the first saturated read is well above where the ramp led.

    The rise from the last usable read is a lower limit of the step. A pixel that is saturated
    in read 1 has no rate to compare with: its step gets significance 0. Where the last usable
    read averages frames and shows a part of the jump, the step begins there.
    """
    index = np.flatnonzero((ramps.stop >= 1) & (ramps.stop < len(ramps.data)))
    read, dof = ramps.stop[index].astype(int), np.maximum(dof[index], TUNING.min_saturating_dof)
    known = scanned.used[index] > 0
    rate = np.where(known, scanned.rate[index], 0.0)
    excess, error = _rise(ramps, index, read, rate, model)
    sigma = gaussian(excess / error, dof)
    keep = sigma >= config.sigma_threshold
    early = np.flatnonzero(keep & known & may_split_jump(model)[read - 1])
    part, its_error = _rise(ramps, index[early], read[early] - 1, rate[early], model)
    there = gaussian(part / its_error, dof[early]) >= config.sigma_threshold
    read[early[there]] -= 1
    excess[early[there]] += part[there]
    sigma = np.where(known, sigma, 0.0)
    return _as_steps(index, read, excess, error, sigma, True).select(keep)


def _rise(
    ramps: Ramps, index: np.ndarray, read: np.ndarray, rate: np.ndarray, model: DifferenceCovariance
) -> tuple[np.ndarray, np.ndarray]:
    """Rise of some ramps to a read from the one before, above their rate; and its error [DN]."""
    rise = ramps.data[read, index].astype(np.float64) - ramps.data[read - 1, index]
    variance = ramps.variance[index] * model.read[read - 1]
    error = np.sqrt(variance + ramps.shot[index] * model.shot[read - 1])
    return rise - rate * model.dt[read - 1], error
