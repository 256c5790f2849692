"""One ramp, what could explain it, and the explanations without levels.

The value of an explanation is its log-likelihood less a cost for each component that it adds: a
step of a cosmic ray, a curvature, a third level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ohana.detect.telegraph.tuning import TUNING
from ohana.detect.telegraph.whitening import (
    add_column,
    find_steps,
    place_steps,
    set_filter,
    whiten,
)

#: Columns of a straight and of a nonlinear ramp.
STRAIGHT, CURVED = 2, 4


class WhitenedRamp(NamedTuple):
    """The usable reads of one ramp.

    ``data`` (2, T) is plain [DN] and whitened [sigma]; for ``filter`` and ``columns`` see
    `ohana.detect.telegraph.models`. The first `CURVED` columns are always there.
    """

    data: np.ndarray
    filter: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """One explanation of a ramp: a straight or nonlinear ramp, steps, and perhaps levels.

    ``value`` is the log-likelihood less costs, ``value_without_levels`` that of the same model
    without its levels. ``residual`` (T,) is the ramp less everything but the levels.
    """

    value: float
    value_without_levels: float
    base: int
    steps: np.ndarray
    residual: np.ndarray
    levels: np.ndarray
    move: np.ndarray


def whiten_ramp(
    y: np.ndarray, times: np.ndarray, walk: np.ndarray, white: np.ndarray
) -> WhitenedRamp:
    """Whiten a ramp and set up its columns.

    Parameters
    ----------
    y, times : ndarray, shape (T,)
        Usable reads [DN] and their times, in any unit.
    walk, white : ndarray, shape (T,)
        Variance of the shot noise since the read before, and of the read noise [DN^2].
    """
    ramp = WhitenedRamp(
        np.empty((2, y.size)),
        np.empty((2, y.size)),
        np.empty((2, CURVED + TUNING.max_steps, y.size)),
    )
    set_filter(walk, white, ramp.filter)
    ramp.data[0] = y
    whiten(ramp.data[0], ramp.filter, ramp.data[1])
    x = (2.0 * times - times[0] - times[-1]) / (times[-1] - times[0])
    for i in range(CURVED):
        ramp.columns[0, i] = x**i
        add_column(ramp.columns, i, ramp.filter)
    return ramp


def cost(base: int, steps: np.ndarray, step: float = TUNING.step_cost) -> float:
    """Cost in log-likelihood of a curvature and steps."""
    return step * len(steps) + (TUNING.curve_cost if base == CURVED else 0.0)


def lone_step_cost(ramp: WhitenedRamp) -> float:
    """Cost in log-likelihood of a step where there are no levels."""
    return TUNING.lone_step_cost + float(np.log(ramp.data.shape[1]))


def fit_nuisance(ramp: WhitenedRamp, base: int, steps: np.ndarray) -> tuple[int, np.ndarray, float]:
    """Fit a nuisance; return its number of columns, the ramp without it, and log-likelihood."""
    n = place_steps(steps, len(steps), ramp.columns, base, ramp.filter)
    share = ramp.columns[1, :n] @ ramp.data[1]
    residual = ramp.data[0] - share @ ramp.columns[0, :n]
    chi2 = ramp.data[1] @ ramp.data[1] - share @ share
    return n, residual, -0.5 * chi2


def upward_steps(
    ramp: WhitenedRamp, whitened: np.ndarray, base: int, min_gain: float
) -> np.ndarray:
    """Find the upward steps in whitened data that each gain ``min_gain`` in log-likelihood."""
    reads = np.empty(TUNING.max_steps, np.int64)
    count = find_steps(whitened, 2.0 * min_gain, reads, ramp.columns, base, ramp.filter)
    return reads[:count]


def falling_penalty(
    ramp: WhitenedRamp, steps: np.ndarray, residual: np.ndarray, likely: float
) -> float:
    """Log-likelihood that a straight ramp with steps loses since it may hardly fall."""
    if steps.size == 0:
        return 0.0
    fit, x = ramp.data[0] - residual, ramp.columns[0, 1]
    rise = np.median((fit[1:] - fit[:-1]) / (x[1:] - x[:-1])) * (x[-1] - x[0])
    if rise >= 0:
        return 0.0
    flat = np.empty((2, 1 + steps.size, residual.size))
    flat[0, 0] = 1.0
    n = place_steps(steps, steps.size, flat, add_column(flat, 0, ramp.filter), ramp.filter)
    share = flat[1, :n] @ ramp.data[1]
    without_rate = -0.5 * (ramp.data[1] @ ramp.data[1] - share @ share)
    error2 = 0.5 * rise**2 / max(likely - without_rate, 1e-9)
    return 0.5 * rise**2 / (error2 + (TUNING.max_fall / ramp.filter[1, 0]) ** 2)


def explain_without_levels(ramp: WhitenedRamp, nonlinear: bool) -> Explanation:
    """Explain a ramp by steps and, if it may be ``nonlinear``, by a curvature."""
    models = []
    step_cost = lone_step_cost(ramp)
    for base in (STRAIGHT, CURVED) if nonlinear else (STRAIGHT,):
        found = upward_steps(ramp, ramp.data[1], base, step_cost)
        for steps in (found[:0], found) if found.size else (found,):
            _, residual, value = fit_nuisance(ramp, base, steps)
            loss = falling_penalty(ramp, steps, residual, value) if base == STRAIGHT else 0.0
            value -= cost(base, steps, step_cost) + loss
            models.append(
                Explanation(value, value, base, steps, residual, np.zeros(1), np.ones((1, 1)))
            )
    return max(models, key=lambda model: model.value)


def fits_poorly(model: Explanation) -> bool:
    """Return whether the residuals of a model are more than noise."""
    reads = model.residual.size
    expected = reads * (1.0 + TUNING.poor_fit_noise * TUNING.noise_error)
    return -2.0 * model.value > expected + TUNING.poor_fit_sigma * np.sqrt(2.0 * reads)
