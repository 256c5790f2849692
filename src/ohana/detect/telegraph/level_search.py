"""Search for the level model of one ramp.

Levels are looked for from a grid of guesses, ranked by the cheapest path through each; the best
few are improved by expectation maximisation, beside steps of cosmic rays.
"""

from __future__ import annotations

import numpy as np

from ohana.detect.telegraph.hidden_markov import (
    backward,
    cheapest_path,
    expectation_maximisation,
    forward,
    set_levels,
    viterbi,
)
from ohana.detect.telegraph.models import (
    CURVED,
    LEVEL_COST,
    STEP_COST,
    STRAIGHT,
    Explanation,
    WhitenedRamp,
    cost,
    is_bad,
    lone_step_cost,
    place,
    steps_in,
    without_levels,
)
from ohana.detect.telegraph.whitening import whiten

#: Guesses: amplitudes (above the least of interest), part of the time spent high, and price of
#: a transition in chi-squared. Of each price the cheapest two amplitudes are followed up.
AMPLITUDES = 1.5 ** np.arange(8)
DUTIES = np.array([0.5, 0.2, 0.8])
PRICES = np.array([9.0, 4.0])
PRICE, AMPLITUDE, DUTY = np.meshgrid(PRICES, AMPLITUDES, DUTIES, indexing="ij")
#: Where a third level is tried, in units of the amplitude above the lower level.
THIRD_LEVELS = np.array([0.5, 1.6, -0.6, 0.25, 0.75, 3.0, -2.0])
#: Iterations for the best two starts, and further ones for the best.
EARLY, LATE = 2, 6
#: Lead over the best explanation without levels, in log-likelihood, that two levels need to be
#: followed up: the cheapest path at the lower price (times reads**0.31), the likelihood at the
#: best start. Noise alone rarely has these, telegraph noise in reach lacks them in 1 % of cases.
PATH_LEAD, START_LEAD = 2.1, 2.5
#: Lead from which a third level is tried.
PROMISING = 8.0
#: Rounds in which levels and steps of cosmic rays are fitted in turn.
ROUNDS = 2
#: One pixel in exp(RARE) is noisier than any of its neighbours lets expect.
RARE = 9.0


def two_level_starts(ramp: WhitenedRamp, rest: np.ndarray, least: float) -> list[np.ndarray]:
    """Pick starts for `search`, none where no path between two levels is worth ``least``."""
    # What so many reads can tell, in units of the innovation error.
    floor = max(0.6, 2.0 * np.sqrt(30.0 / rest.size)) / ramp.filter[1, rest.size // 2]
    low = -floor * AMPLITUDE * DUTY
    high = low + floor * AMPLITUDE
    price = cheapest_path(rest, ramp.filter, low.ravel(), high.ravel(), PRICE.ravel())
    price = price.reshape(PRICE.shape)
    if -0.5 * price[-1].min() < least:
        return []
    starts, duty = [], price.argmin(axis=2)
    for p, best in enumerate(price.min(axis=2)):
        for a in np.argsort(best)[:2]:
            d = duty[p, a]
            starts.append(np.array([PRICES[p], low[p, a, d], high[p, a, d]]))
    return starts


def two_levels(
    ramp: WhitenedRamp, base: int, steps: np.ndarray, other: Explanation
) -> Explanation | None:
    """Find the best two levels beside a nuisance; None if they hardly lead ``other``.

    If the other explanation is a bad one, more levels may do, and any two are a beginning.
    """
    _, rest, alone = place(ramp, base, steps)
    path_lead, start_lead, add = PATH_LEAD * rest.size**0.31, START_LEAD, cost(base, steps)
    if is_bad(other):
        path_lead = start_lead = -np.inf
    least = max(alone + path_lead, other.value + add + path_lead / 2)
    starts = two_level_starts(ramp, rest, least)
    return search(ramp, base, steps, rest, starts, other.value + start_lead)


def search(
    ramp: WhitenedRamp,
    base: int,
    steps: np.ndarray,
    rest: np.ndarray,
    starts: list[np.ndarray],
    least: float,
) -> Explanation | None:
    """Find the best levels beside a nuisance.

    Parameters
    ----------
    rest : ndarray, shape (T,)
        The ramp without its nuisance, which the starts refer to.
    starts : list of ndarray
        Price of a transition and two or more levels each.
    least : float
        Value that a start must have for the search to go on.
    """
    n, _, alone = place(ramp, base, steps)
    fixed, add = (ramp.data, ramp.filter, ramp.columns, n), cost(base, steps)
    found = []
    for start in starts:
        levels, shifted = start[1:] - start[1], rest - start[1]
        leave = 1.0 / (1.0 + np.exp(0.5 * start[0])) / (levels.size - 1)
        move = np.full((levels.size, levels.size), leave)
        np.fill_diagonal(move, 1.0 - leave * (levels.size - 1))
        found.append(
            (expectation_maximisation(*fixed, levels, move, shifted, 0), levels, move, shifted)
        )
    found.sort(key=lambda state: -state[0])
    if not found or found[0][0] < least + add:
        return None
    found = [
        (expectation_maximisation(*fixed, *state[1:], EARLY), *state[1:]) for state in found[:2]
    ]
    _, levels, move, rest = max(found, key=lambda state: state[0])
    value = expectation_maximisation(*fixed, levels, move, rest, LATE)
    return Explanation(value - add, alone - add, base, steps, rest, levels, move)


def occupation(ramp: WhitenedRamp, model: Explanation) -> np.ndarray:
    """Probability (T, L) of each level at each read."""
    weights, chance = np.empty((2, model.rest.size, model.levels.size))
    forward(model.rest, ramp.filter, model.levels, model.move, weights)
    backward(weights, model.move, chance, np.empty_like(model.move))
    return chance


def refine(ramp: WhitenedRamp, model: Explanation) -> Explanation:
    """Look for steps in what the levels leave, refit the levels beside them, and again."""
    for _ in range(ROUNDS):
        signal = np.empty(model.rest.size)
        chance = occupation(ramp, model)
        whiten(chance @ model.levels, ramp.filter, signal)
        steps = steps_in(ramp, ramp.data[1] - signal, model.base, STEP_COST)
        if np.array_equal(np.sort(steps), np.sort(model.steps)):
            break
        n, rest, alone = place(ramp, model.base, steps)
        levels, move = model.levels.copy(), model.move.copy()
        set_levels(ramp.data, ramp.filter, ramp.columns, n, chance, levels, rest)
        value = expectation_maximisation(
            ramp.data, ramp.filter, ramp.columns, n, levels, move, rest, LATE
        )
        add = cost(model.base, steps)
        if value - add <= model.value:
            break
        model = Explanation(value - add, alone - add, model.base, steps, rest, levels, move)
    return model


def add_level(ramp: WhitenedRamp, model: Explanation, other: Explanation) -> Explanation:
    """Return the best model with a third level, or the same one if that is not better.

    A model that neither leads the ``other`` explanation nor leaves much is not worth the try.
    """
    if model.levels.size > 2 or not (model.value > other.value + PROMISING or is_bad(model)):
        return model
    leave = 0.5 * (model.move[0, 1] + model.move[1, 0])
    price, amplitude = 2.0 * np.log(1.0 / leave - 1.0), model.levels[1]
    starts = [np.array([price, 0.0, amplitude, third * amplitude]) for third in THIRD_LEVELS]
    better = search(ramp, model.base, model.steps, model.rest, starts, -np.inf)
    return model if better is None else max(model, better, key=worth)


def rescaled(chi2: float, reads: int, noise_error: float) -> float:
    """Log-likelihood of a chi-squared if the noise may be off by a factor of about so much.

    Whatever the others are like, one pixel in ``exp(RARE)`` may be of any noise.
    """
    width = (2.0 * noise_error) ** 2
    log_scale = 0.0
    for _ in range(4):
        pull = 0.5 * chi2 * np.exp(-log_scale)
        slope = pull - 0.5 * reads - log_scale / width
        log_scale += slope / (pull + 1.0 / width)
    prior = log_scale**2 / (2.0 * width)
    likely = -0.5 * chi2 * np.exp(-log_scale) - 0.5 * reads * log_scale - prior
    rare = -0.5 * reads * (1.0 + np.log(max(chi2 / reads, 1.0))) - RARE
    return max(likely, rare)


def compare(
    ramp: WhitenedRamp, best: Explanation, other: Explanation, noise_error: float
) -> tuple[float, float]:
    """Log-likelihood that levels bring beside their own nuisance, and their lead over ``other``.

    The noise of each explanation may be off by ``noise_error``: otherwise noise that was
    underestimated would pass for fast telegraph noise.
    """
    reads = best.rest.size
    alone, without = (
        rescaled(-2.0 * (value + add), reads, noise_error) - add
        for value, add in (
            (best.alone, cost(best.base, best.steps)),
            (other.value, cost(other.base, other.steps, lone_step_cost(ramp))),
        )
    )
    weights = np.empty((reads, best.levels.size))
    points = noise_error * np.array([-2.0, 0.0, 2.0])
    values = []
    for log_scale in points:
        filter = ramp.filter * np.exp([[0.0], [-0.5 * log_scale]])
        value = forward(best.rest, filter, best.levels, best.move, weights)
        values.append(value - 0.5 * reads * log_scale - 0.5 * (log_scale / points[2]) ** 2)
    curve, slope, middle = np.polyfit(points, values, 2)
    log_scale = np.clip(-slope / (2.0 * curve), 2.0 * points[0], 2.0 * points[2])
    top = middle + log_scale * (slope + log_scale * curve) - cost(best.base, best.steps)
    top -= LEVEL_COST * (best.levels.size > 2)
    return top - alone, top - without


def fit_levels(
    ramp: WhitenedRamp, nonlinear: bool = False
) -> tuple[Explanation | None, Explanation]:
    """Fit the best level model of a ramp, and the best explanation without levels.

    Returns
    -------
    levels : Explanation or None
        None where two levels have no clear lead over ``other``.
    other : Explanation
    """
    other = without_levels(ramp, nonlinear)
    models = [two_levels(ramp, STRAIGHT, other.steps[:0], other)]
    if other.steps.size or other.base == CURVED:
        steps = steps_in(ramp, ramp.data[1], other.base, STEP_COST)
        models.append(two_levels(ramp, other.base, steps, other))
    found = [model for model in models if model is not None]
    if not found:
        return None, other
    # Steps could stand in for a third level, so that is tried both before and after them.
    found += [add_level(ramp, model, other) for model in found]
    best = max((refine(ramp, model) for model in found), key=worth)
    return add_level(ramp, best, other), other


def worth(model: Explanation) -> float:
    """Value of a model less the cost of a third level."""
    return model.value - LEVEL_COST * (model.levels.size > 2)


def decode(ramp: WhitenedRamp, model: Explanation) -> tuple[np.ndarray, float, float]:
    """Most likely path (T,) of a model, and chi-squared of its nuisance without and with it."""
    path = np.empty(model.rest.size, np.int8)
    viterbi(model.rest, ramp.filter, model.levels, -2.0 * np.log(model.move), path)
    n, rest, alone = place(ramp, model.base, model.steps)
    chance = (path[:, None] == np.arange(model.levels.size)).astype(np.float64)
    levels = model.levels.copy()
    chi2 = set_levels(ramp.data, ramp.filter, ramp.columns, n, chance, levels, rest)
    return path, -2.0 * alone, chi2
