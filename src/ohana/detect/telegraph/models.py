"""One ramp, what could explain it, and the explanations without levels.

Every explanation is worth its log-likelihood less a cost for each thing it adds: a step of a
cosmic ray, a curvature, a third level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ohana.detect.telegraph.screen import NOISE_ERROR
from ohana.detect.telegraph.whitening import (
    add_column,
    find_steps,
    place_steps,
    set_filter,
    whiten,
)

#: Most steps of cosmic rays in a ramp.
MAX_STEPS = 4
#: Log-likelihood that a nonlinear ramp, a third level, and a step of a cosmic ray must bring. In
#: the explanation without levels, which gets the benefit of the doubt, a step costs no more
#: than log(reads) for its place and `LONE_STEP_COST` for its size.
CURVE_COST, LEVEL_COST, STEP_COST, LONE_STEP_COST = 8.0, 8.0, 10.0, 1.0
#: How far a ramp may fall from its first to its last read [noise of a read]. Charge only grows,
#: so steps upward on a falling ramp, which look much like two levels, are no explanation.
DRIFT = 0.3
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

    ``value`` is the log-likelihood less costs; ``rest`` (T,) the ramp less everything but the
    levels and ``alone`` the log-likelihood, less costs, of the same model without levels.
    """

    value: float
    alone: float
    base: int
    steps: np.ndarray
    rest: np.ndarray
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
        np.empty((2, y.size)), np.empty((2, y.size)), np.empty((2, CURVED + MAX_STEPS, y.size))
    )
    set_filter(walk, white, ramp.filter)
    ramp.data[0] = y
    whiten(ramp.data[0], ramp.filter, ramp.data[1])
    x = (2.0 * times - times[0] - times[-1]) / (times[-1] - times[0])
    for i in range(CURVED):
        ramp.columns[0, i] = x**i
        add_column(ramp.columns, i, ramp.filter)
    return ramp


def cost(base: int, steps: np.ndarray, step: float = STEP_COST) -> float:
    """Log-likelihood that a curvature and steps must bring."""
    return step * len(steps) + (CURVE_COST if base == CURVED else 0.0)


def lone_step_cost(ramp: WhitenedRamp) -> float:
    """Log-likelihood that a step must bring where there are no levels."""
    return LONE_STEP_COST + float(np.log(ramp.data.shape[1]))


def place(ramp: WhitenedRamp, base: int, steps: np.ndarray) -> tuple[int, np.ndarray, float]:
    """Set up a nuisance; return its columns, the ramp without it, and its log-likelihood."""
    n = place_steps(steps, len(steps), ramp.columns, base, ramp.filter)
    share = ramp.columns[1, :n] @ ramp.data[1]
    rest = ramp.data[0] - share @ ramp.columns[0, :n]
    chi2 = ramp.data[1] @ ramp.data[1] - share @ share
    return n, rest, -0.5 * chi2


def steps_in(ramp: WhitenedRamp, whitened: np.ndarray, base: int, least: float) -> np.ndarray:
    """Find the upward steps in whitened data that bring a log-likelihood of ``least`` each."""
    reads = np.empty(MAX_STEPS, np.int64)
    count = find_steps(whitened, 2.0 * least, reads, ramp.columns, base, ramp.filter)
    return reads[:count]


def falling(ramp: WhitenedRamp, steps: np.ndarray, rest: np.ndarray, likely: float) -> float:
    """Log-likelihood that a straight ramp with steps loses if it may hardly fall."""
    if steps.size == 0:
        return 0.0
    fit, x = ramp.data[0] - rest, ramp.columns[0, 1]
    rise = np.median((fit[1:] - fit[:-1]) / (x[1:] - x[:-1])) * (x[-1] - x[0])
    if rise >= 0:
        return 0.0
    flat = np.empty((2, 1 + steps.size, rest.size))
    flat[0, 0] = 1.0
    n = place_steps(steps, steps.size, flat, add_column(flat, 0, ramp.filter), ramp.filter)
    share = flat[1, :n] @ ramp.data[1]
    without_rate = -0.5 * (ramp.data[1] @ ramp.data[1] - share @ share)
    error2 = 0.5 * rise**2 / max(likely - without_rate, 1e-9)
    return 0.5 * rise**2 / (error2 + (DRIFT / ramp.filter[1, 0]) ** 2)


def without_levels(ramp: WhitenedRamp, nonlinear: bool) -> Explanation:
    """Explain a ramp by steps and, if it may be ``nonlinear``, by a curvature."""
    models = []
    step_cost = lone_step_cost(ramp)
    for base in (STRAIGHT, CURVED) if nonlinear else (STRAIGHT,):
        found = steps_in(ramp, ramp.data[1], base, step_cost)
        for steps in (found[:0], found) if found.size else (found,):
            _, rest, value = place(ramp, base, steps)
            loss = falling(ramp, steps, rest, value) if base == STRAIGHT else 0.0
            value -= cost(base, steps, step_cost) + loss
            models.append(
                Explanation(value, value, base, steps, rest, np.zeros(1), np.ones((1, 1)))
            )
    return max(models, key=lambda model: model.value)


def is_bad(model: Explanation) -> bool:
    """Tell whether a model leaves more than noise."""
    reads = model.rest.size
    return -2.0 * model.value > reads * (1.0 + 6.0 * NOISE_ERROR) + 6.0 * np.sqrt(2.0 * reads)
