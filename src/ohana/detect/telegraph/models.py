"""One ramp, what could explain it, and the explanations without levels.

Every explanation is worth its log-likelihood less a cost for each thing it adds: a step of a
cosmic ray, a curvature, a third level.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.detect.telegraph.screen import NOISE_ERROR

#: Most steps of cosmic rays in a ramp.
MAX_STEPS = 4
#: Log-likelihood that a curved ramp, a third level, and a step of a cosmic ray must bring. In
#: the explanation without levels, which gets the benefit of the doubt, a step costs no more
#: than log(reads) for its place and `LONE_STEP_COST` for its size.
CURVE_COST, LEVEL_COST, STEP_COST, LONE_STEP_COST = 8.0, 8.0, 10.0, 1.0
#: How far a ramp may fall from its first to its last read [noise of a read]. Charge only grows,
#: so steps upward on a falling ramp, which look much like two levels, are no explanation.
DRIFT = 0.3
#: Columns of a straight and of a curved ramp.
STRAIGHT, CURVED = 2, 4
OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}
#: Sums may be reordered, so that they use vector instructions; NaN never gets here.
SUMS = OPTIONS | {"fastmath": {"reassoc", "contract", "nsz"}}


class Ramp(NamedTuple):
    """The usable reads of one ramp.

    ``data`` (2, T) is plain [DN] and whitened [sigma]; for ``filter`` and ``columns`` see
    `ohana.detect.telegraph.models`. The first `CURVED` columns are always there.
    """

    data: np.ndarray
    filter: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class Model:
    """One explanation of a ramp: a straight or curved ramp, steps, and perhaps levels.

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


def prepare(y: np.ndarray, times: np.ndarray, walk: np.ndarray, white: np.ndarray) -> Ramp:
    """Whiten a ramp and set up its columns.

    Parameters
    ----------
    y, times : ndarray, shape (T,)
        Usable reads [DN] and their times, in any unit.
    walk, white : ndarray, shape (T,)
        Variance of the shot noise since the read before, and of the read noise [DN^2].
    """
    ramp = Ramp(
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


def lone_step_cost(ramp: Ramp) -> float:
    """Log-likelihood that a step must bring where there are no levels."""
    return LONE_STEP_COST + float(np.log(ramp.data.shape[1]))


def place(ramp: Ramp, base: int, steps: np.ndarray) -> tuple[int, np.ndarray, float]:
    """Set up a nuisance; return its columns, the ramp without it, and its log-likelihood."""
    n = place_steps(steps, len(steps), ramp.columns, base, ramp.filter)
    share = ramp.columns[1, :n] @ ramp.data[1]
    rest = ramp.data[0] - share @ ramp.columns[0, :n]
    chi2 = ramp.data[1] @ ramp.data[1] - share @ share
    return n, rest, -0.5 * chi2


def steps_in(ramp: Ramp, whitened: np.ndarray, base: int, least: float) -> np.ndarray:
    """Find the upward steps in whitened data that bring a log-likelihood of ``least`` each."""
    reads = np.empty(MAX_STEPS, np.int64)
    count = find_steps(whitened, 2.0 * least, reads, ramp.columns, base, ramp.filter)
    return reads[:count]


def falling(ramp: Ramp, steps: np.ndarray, rest: np.ndarray, likely: float) -> float:
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


def without_levels(ramp: Ramp, curved: bool) -> Model:
    """Explain a ramp by steps and, if it may be ``curved``, by a curvature."""
    models = []
    step_cost = lone_step_cost(ramp)
    for base in (STRAIGHT, CURVED) if curved else (STRAIGHT,):
        found = steps_in(ramp, ramp.data[1], base, step_cost)
        for steps in (found[:0], found) if found.size else (found,):
            _, rest, value = place(ramp, base, steps)
            loss = falling(ramp, steps, rest, value) if base == STRAIGHT else 0.0
            value -= cost(base, steps, step_cost) + loss
            models.append(Model(value, value, base, steps, rest, np.zeros(1), np.ones((1, 1))))
    return max(models, key=lambda model: model.value)


def is_bad(model: Model) -> bool:
    """Tell whether a model leaves more than noise."""
    reads = model.rest.size
    return -2.0 * model.value > reads * (1.0 + 6.0 * NOISE_ERROR) + 6.0 * np.sqrt(2.0 * reads)


@njit(**OPTIONS)
def set_filter(walk, white, filter):
    """Fill the filter from the variances (T,) of walk and white noise of each read.

    The walk starts at the first read, where the pedestal is free anyway.
    """
    spread = 0.0
    for k in range(len(white)):
        spread += walk[k]
        variance = spread + white[k]
        filter[0, k] = spread / variance
        filter[1, k] = 1.0 / sqrt(variance)
        spread *= white[k] / variance


@njit(**OPTIONS)
def whiten(column, filter, out):
    """Innovations of a column, in units of their error."""
    state = 0.0
    for k in range(len(out)):
        innovation = column[k] - state
        state += filter[0, k] * innovation
        out[k] = innovation * filter[1, k]


@njit(**SUMS)
def copy(source, target):
    """Copy a column."""
    for k in range(len(target)):
        target[k] = source[k]


@njit(**SUMS)
def dot(first, second):
    """Inner product."""
    total = 0.0
    for k in range(len(first)):
        total += first[k] * second[k]
    return total


@njit(**SUMS)
def add_scaled(target, factor, column):
    """Add a multiple of a column in place."""
    for k in range(len(target)):
        target[k] += factor * column[k]


@njit(**OPTIONS)
def remove(columns, n, whitened):
    """Take out of whitened data what the first n columns explain."""
    for i in range(n):
        add_scaled(whitened, -dot(whitened, columns[1, i]), columns[1, i])


@njit(**OPTIONS)
def add_column(columns, n, filter):
    """Whiten column n, given plain, and make it orthonormal to those before.

    Returns the number of columns, still n if it was a combination of the others.
    """
    plain, white = columns[0, n], columns[1, n]
    whiten(plain, filter, white)
    before = dot(white, white)
    for i in range(n):
        share = -dot(white, columns[1, i])
        add_scaled(white, share, columns[1, i])
        add_scaled(plain, share, columns[0, i])
    norm = sqrt(dot(white, white))
    if norm * norm <= 1e-10 * before:
        return n
    for k in range(len(plain)):
        plain[k] /= norm
        white[k] /= norm
    return n + 1


@njit(**OPTIONS)
def place_steps(reads, steps, columns, base, filter):
    """Write the columns of steps at ``reads`` behind ``base`` columns; returns their number."""
    n = base
    for i in range(steps):
        for k in range(filter.shape[1]):
            columns[0, n, k] = 1.0 if k >= reads[i] else 0.0
        n = add_column(columns, n, filter)
    return n


@njit(**OPTIONS)
def best_upward_step(whitened, columns, n, filter):
    """Return the read and chi-squared gain of the best upward step beside n columns."""
    own, with_data = 0.0, 0.0
    shared = np.zeros(n)
    best, where = 0.0, -1
    for k in range(len(whitened) - 1, 0, -1):
        keep, root = 1.0 - filter[0, k], filter[1, k]
        own = root * root + keep * keep * own
        with_data = root * whitened[k] + keep * with_data
        left = own
        for i in range(n):
            shared[i] = root * columns[1, i, k] + keep * shared[i]
            left -= shared[i] * shared[i]
        if with_data > 0 and left > 1e-6 * own and with_data * with_data > best * left:
            best, where = with_data * with_data / left, k
    return where, best


@njit(**OPTIONS)
def find_steps(whitened, least, reads, columns, base, filter):
    """Find upward steps in whitened data, strongest first, each at least ``least`` in chi2.

    Every new step lets the earlier ones move, since one step fitted to two of them lands
    between. Fills ``reads`` and the columns behind ``base``; returns the number of steps.
    """
    rest = np.empty_like(whitened)
    steps, n = 0, base
    while steps < len(reads):
        copy(whitened, rest)
        remove(columns, n, rest)
        where, better = best_upward_step(rest, columns, n, filter)
        if better < least:
            break
        reads[steps] = where
        steps += 1
        for i in range(steps if steps > 1 else 0):
            # All the others become nuisance; the one that moves goes to the end of the list.
            moving = reads[i]
            reads[i] = reads[steps - 1]
            n = place_steps(reads, steps - 1, columns, base, filter)
            copy(whitened, rest)
            remove(columns, n, rest)
            where, better = best_upward_step(rest, columns, n, filter)
            reads[steps - 1] = where if where > 0 else moving
        n = place_steps(reads, steps, columns, base, filter)
    return steps
