"""Which differences of a ramp hold steps and are to be left out of its slope."""

from __future__ import annotations

import numpy as np

from ohana.config import DetectorConfig
from ohana.curvature import is_curved
from ohana.differences import Differences
from ohana.jumps import Ramps, scan
from ohana.steps import strongest


def leave_out(
    ramps: Ramps, dof: np.ndarray, model: Differences, config: DetectorConfig
) -> np.ndarray:
    """Tell the differences of ramps that hold steps, at their later read: bool (T, n).

    The most significant step is left out, until there is none.

    Parameters
    ----------
    ramps : Ramps
        n ramps; what ``ramps.left_out`` has is known to hold steps.
    dof : ndarray, shape (n,)
        Degrees of freedom of their noise.
    model : Differences
        Covariance coefficients.
    config : DetectorConfig
        ``sigma_threshold`` and ``max_steps`` act here.

    Notes
    -----
    `ohana.steps.find_steps` goes on from here to the amplitude of each step, which rates can do
    without.
    """
    curved = is_curved(ramps, scan(ramps, model), model)
    known, left_out = ramps.left_out, ramps.left_out.copy()
    ramps = ramps._replace(left_out=left_out, curved=curved.astype(float))
    _search(ramps, np.arange(len(dof)), dof, model, config)
    # No smooth curve has steps in half of its reads: these are several hits.
    bent = curved & (2 * left_out.sum(0) > np.minimum(ramps.stop, len(left_out)) - 1)
    ramps.curved[bent], left_out[:, bent] = 0.0, known[:, bent]
    _search(ramps, np.flatnonzero(bent), dof, model, config)
    return left_out


def _search(
    ramps: Ramps,
    active: np.ndarray,
    dof: np.ndarray,
    model: Differences,
    config: DetectorConfig,
) -> None:
    """Leave out the steps of some ramps, in place."""
    for _ in range(config.max_steps):
        if not len(active):
            break
        best = scan(ramps.select(active), model, quick=True)
        sigma, read, shared = strongest(best, dof[active])
        found = sigma >= config.sigma_threshold
        active, read, shared = active[found], read[found], shared[found]
        ramps.left_out[read, active] = True
        ramps.left_out[read[shared] + 1, active[shared]] = True


def flag_filling(flagged: np.ndarray, full: np.ndarray, sharing: np.ndarray) -> None:
    """Flag the read before one that a step has filled up, where it can have a part of it.

    Parameters
    ----------
    flagged : ndarray of bool, shape (T, R, W)
        Reads that begin with a step, changed in place.
    full : ndarray of int, shape (R, W)
        First saturated read, T where there is none.
    sharing : ndarray of bool, shape (T,)
        Reads that can share a step with the next one, `ohana.differences.can_share`.
    """
    reads = len(flagged)
    row, col = np.nonzero((full > 1) & (full < reads))
    last = full[row, col]
    filled = flagged[last, row, col] & sharing[last - 1]
    flagged[last[filled] - 1, row[filled], col[filled]] = True
