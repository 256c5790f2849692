"""Search for the level model of one ramp.

A grid of guesses is ranked by the cheapest path through each; the best few are improved by
expectation maximisation, beside steps of cosmic rays.
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
    STRAIGHT,
    Explanation,
    WhitenedRamp,
    cost,
    explain_without_levels,
    fit_nuisance,
    fits_poorly,
    lone_step_cost,
    upward_steps,
)
from ohana.detect.telegraph.tuning import TUNING
from ohana.detect.telegraph.whitening import whiten

#: Grid of guesses: price of a transition in chi-squared, amplitude over the least one, and
#: fraction of the time in the high level.
PRICE, AMPLITUDE, DUTY = np.meshgrid(
    np.array(TUNING.prices),
    TUNING.amplitude_ratio ** np.arange(TUNING.amplitude_count),
    np.array(TUNING.duties),
    indexing="ij",
)


def two_level_starts(ramp: WhitenedRamp, residual: np.ndarray, least: float) -> list[np.ndarray]:
    """Pick starts for `search`, none where no path between two levels has a value of ``least``."""
    # Detectable in so many reads, in units of the innovation error.
    floor = max(TUNING.min_amplitude, TUNING.short_ramp_amplitude * np.sqrt(30.0 / residual.size))
    floor /= ramp.filter[1, residual.size // 2]
    low = -floor * AMPLITUDE * DUTY
    high = low + floor * AMPLITUDE
    price = cheapest_path(residual, ramp.filter, low.ravel(), high.ravel(), PRICE.ravel())
    price = price.reshape(PRICE.shape)
    if -0.5 * price[-1].min() < least:
        return []
    starts, duty = [], price.argmin(axis=2)
    for p, best in enumerate(price.min(axis=2)):
        for a in np.argsort(best)[: TUNING.starts_per_price]:
            d = duty[p, a]
            starts.append(np.array([TUNING.prices[p], low[p, a, d], high[p, a, d]]))
    return starts


def two_levels(
    ramp: WhitenedRamp, base: int, steps: np.ndarray, other: Explanation
) -> Explanation | None:
    """Find the best two levels beside a nuisance; None if they hardly lead ``other``.

    Where the other explanation fits poorly, three levels may fit, and any two are a start.
    """
    _, residual, without = fit_nuisance(ramp, base, steps)
    path_lead = TUNING.path_lead * residual.size**TUNING.path_lead_exponent
    start_lead, add = TUNING.start_lead, cost(base, steps)
    if fits_poorly(other):
        path_lead = start_lead = -np.inf
    least = max(without + path_lead, other.value + add + path_lead / 2)
    starts = two_level_starts(ramp, residual, least)
    return search(ramp, base, steps, residual, starts, other.value + start_lead)


def search(
    ramp: WhitenedRamp,
    base: int,
    steps: np.ndarray,
    residual: np.ndarray,
    starts: list[np.ndarray],
    least: float,
) -> Explanation | None:
    """Find the best levels beside a nuisance.

    Parameters
    ----------
    residual : ndarray, shape (T,)
        The ramp without its nuisance, which the starts refer to.
    starts : list of ndarray
        Price of a transition and two or more levels each.
    least : float
        Value that a start must have for the search to go on.
    """
    n, _, without = fit_nuisance(ramp, base, steps)
    fixed, add = (ramp.data, ramp.filter, ramp.columns, n), cost(base, steps)
    found = []
    for start in starts:
        levels, shifted = start[1:] - start[1], residual - start[1]
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
        (expectation_maximisation(*fixed, *state[1:], TUNING.first_iterations), *state[1:])
        for state in found[: TUNING.best_starts]
    ]
    _, levels, move, residual = max(found, key=lambda state: state[0])
    value = expectation_maximisation(*fixed, levels, move, residual, TUNING.final_iterations)
    return Explanation(value - add, without - add, base, steps, residual, levels, move)


def occupation(ramp: WhitenedRamp, model: Explanation) -> np.ndarray:
    """Probability (T, L) of each level at each read."""
    weights, chance = np.empty((2, model.residual.size, model.levels.size))
    forward(model.residual, ramp.filter, model.levels, model.move, weights)
    backward(weights, model.move, chance, np.empty_like(model.move))
    return chance


def refine(ramp: WhitenedRamp, model: Explanation) -> Explanation:
    """Find steps in the residuals of the levels and refit the levels beside them, in turn."""
    for _ in range(TUNING.rounds):
        signal = np.empty(model.residual.size)
        chance = occupation(ramp, model)
        whiten(chance @ model.levels, ramp.filter, signal)
        steps = upward_steps(ramp, ramp.data[1] - signal, model.base, TUNING.step_cost)
        if np.array_equal(np.sort(steps), np.sort(model.steps)):
            break
        n, residual, without = fit_nuisance(ramp, model.base, steps)
        levels, move = model.levels.copy(), model.move.copy()
        set_levels(ramp.data, ramp.filter, ramp.columns, n, chance, levels, residual)
        value = expectation_maximisation(
            ramp.data, ramp.filter, ramp.columns, n, levels, move, residual, TUNING.final_iterations
        )
        add = cost(model.base, steps)
        if value - add <= model.value:
            break
        model = Explanation(value - add, without - add, model.base, steps, residual, levels, move)
    return model


def add_level(ramp: WhitenedRamp, model: Explanation, other: Explanation) -> Explanation:
    """Return the best model with a third level, or the same one if that is not better.

    It is tried where two levels clearly lead the ``other`` explanation, or fit poorly.
    """
    leads = model.value > other.value + TUNING.third_level_lead
    if model.levels.size > 2 or not (leads or fits_poorly(model)):
        return model
    leave = 0.5 * (model.move[0, 1] + model.move[1, 0])
    price, amplitude = 2.0 * np.log(1.0 / leave - 1.0), model.levels[1]
    starts = [np.array([price, 0.0, amplitude, third * amplitude]) for third in TUNING.third_levels]
    better = search(ramp, model.base, model.steps, model.residual, starts, -np.inf)
    return model if better is None else max(model, better, key=net_value)


def rescaled(chi2: float, reads: int, noise_error: float) -> float:
    """Log-likelihood of a chi-squared where the noise has a relative error.

    Whatever the noise of its neighbours, one pixel in ``exp(TUNING.rare_noise)`` may have any.
    """
    width = (2.0 * noise_error) ** 2
    log_scale = 0.0
    for _ in range(4):
        pull = 0.5 * chi2 * np.exp(-log_scale)
        slope = pull - 0.5 * reads - log_scale / width
        log_scale += slope / (pull + 1.0 / width)
    prior = log_scale**2 / (2.0 * width)
    likely = -0.5 * chi2 * np.exp(-log_scale) - 0.5 * reads * log_scale - prior
    rare = -0.5 * reads * (1.0 + np.log(max(chi2 / reads, 1.0))) - TUNING.rare_noise
    return max(likely, rare)


def compare(
    ramp: WhitenedRamp, best: Explanation, other: Explanation, noise_error: float
) -> tuple[float, float]:
    """Log-likelihood that levels gain beside their own nuisance, and their lead over ``other``.

    The noise of each explanation has the relative error ``noise_error``: otherwise underestimated
    noise would pass for fast telegraph noise.
    """
    reads = best.residual.size
    own, others = (
        rescaled(-2.0 * (value + add), reads, noise_error) - add
        for value, add in (
            (best.value_without_levels, cost(best.base, best.steps)),
            (other.value, cost(other.base, other.steps, lone_step_cost(ramp))),
        )
    )
    weights = np.empty((reads, best.levels.size))
    points = noise_error * np.array([-2.0, 0.0, 2.0])
    values = []
    for log_scale in points:
        filter = ramp.filter * np.exp([[0.0], [-0.5 * log_scale]])
        value = forward(best.residual, filter, best.levels, best.move, weights)
        values.append(value - 0.5 * reads * log_scale - 0.5 * (log_scale / points[2]) ** 2)
    curve, slope, middle = np.polyfit(points, values, 2)
    log_scale = np.clip(-slope / (2.0 * curve), 2.0 * points[0], 2.0 * points[2])
    top = middle + log_scale * (slope + log_scale * curve) - cost(best.base, best.steps)
    top -= TUNING.level_cost * (best.levels.size > 2)
    return top - own, top - others


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
    other = explain_without_levels(ramp, nonlinear)
    models = [two_levels(ramp, STRAIGHT, other.steps[:0], other)]
    if other.steps.size or other.base == CURVED:
        steps = upward_steps(ramp, ramp.data[1], other.base, TUNING.step_cost)
        models.append(two_levels(ramp, other.base, steps, other))
    found = [model for model in models if model is not None]
    if not found:
        return None, other
    # Steps can take the place of a third level, which is tried before and after them.
    found += [add_level(ramp, model, other) for model in found]
    best = max((refine(ramp, model) for model in found), key=net_value)
    return add_level(ramp, best, other), other


def net_value(model: Explanation) -> float:
    """Value of a model less the cost of a third level."""
    return model.value - TUNING.level_cost * (model.levels.size > 2)


def decode(ramp: WhitenedRamp, model: Explanation) -> tuple[np.ndarray, float, float]:
    """Most likely path (T,) of a model, and chi-squared of its nuisance without and with it."""
    path = np.empty(model.residual.size, np.int8)
    viterbi(model.residual, ramp.filter, model.levels, -2.0 * np.log(model.move), path)
    n, residual, without = fit_nuisance(ramp, model.base, model.steps)
    chance = (path[:, None] == np.arange(model.levels.size)).astype(np.float64)
    levels = model.levels.copy()
    chi2 = set_levels(ramp.data, ramp.filter, ramp.columns, n, chance, levels, residual)
    return path, -2.0 * without, chi2
