"""Numba kernels that fit a ramp which jumps between a few levels.

A ramp less its nuisance (`ohana.detect.telegraph.models`) is ``level[state] + walk + white noise``,
the state a Markov chain. Every state keeps its own estimate of the walk, and the estimates of
merging paths are averaged by their weight (Kim 1994, J. Econometrics 60, 1). Without shot noise
this is the ordinary hidden Markov model.

``residual`` (T,) is the ramp less its nuisance, ``levels`` (L,) begins with 0, ``move`` (L, L)
holds the probability of each move per read.
"""

from __future__ import annotations

from math import exp, log

import numpy as np
from numba import njit

from ohana.detect.telegraph.tuning import TUNING
from ohana.detect.telegraph.whitening import OPTIONS, SUMS, add_scaled, copy, dot, remove, whiten

_LEAVE_PRIOR, _STAY_PRIOR = TUNING.leave_prior, TUNING.stay_prior
_MIN_MOVES, _MAX_LEAVE = TUNING.min_moves, TUNING.max_leave


@njit(**SUMS)
def advance(read, gain, root, low, high, price, cost, walk):
    """Take one read into the cheapest paths that end low and high, for many guesses at once."""
    cost_low, cost_high, walk_low, walk_high = cost[0], cost[1], walk[0], walk[1]
    inverse = root * root
    for g in range(low.size):
        stay_low = read - low[g] - walk_low[g]
        fall = read - low[g] - walk_high[g]
        rise = read - high[g] - walk_low[g]
        stay_high = read - high[g] - walk_high[g]
        from_low = cost_low[g] + inverse * stay_low * stay_low
        from_high = cost_high[g] + price[g] + inverse * fall * fall
        up_low = cost_low[g] + price[g] + inverse * rise * rise
        up_high = cost_high[g] + inverse * stay_high * stay_high
        falls, rises = from_high < from_low, up_low < up_high
        cost_low[g] = from_high if falls else from_low
        cost_high[g] = up_low if rises else up_high
        now_low = walk_high[g] + gain * fall if falls else walk_low[g] + gain * stay_low
        now_high = walk_low[g] + gain * rise if rises else walk_high[g] + gain * stay_high
        walk_low[g], walk_high[g] = now_low, now_high


@njit(**OPTIONS)
def cheapest_path(residual, filter, low, high, price):
    """Cost (G,) of the cheapest path between two levels for many guesses: chi2 and prices.

    ``low`` and ``high`` (G,) are the levels guessed, ``price`` that of a transition.
    """
    cost, walk = np.zeros((2, len(low))), np.zeros((2, len(low)))
    for k in range(len(residual)):
        advance(residual[k], filter[0, k], filter[1, k], low, high, price, cost, walk)
    for g in range(len(low)):
        cost[0, g] = min(cost[0, g], cost[1, g])
    return cost[0]


@njit(**OPTIONS)
def viterbi(residual, filter, levels, cost, path):
    """Fill the cheapest path (T,); ``cost[i, j]`` is paid for each move from i to j."""
    count = len(levels)
    back = np.empty((len(residual), count), np.int8)
    total, walk = np.zeros(count), np.zeros(count)
    total_now, walk_now = np.empty(count), np.empty(count)
    for k in range(len(residual)):
        inverse = filter[1, k] * filter[1, k]
        for j in range(count):
            best, come, step = np.inf, 0, 0.0
            for i in range(count):
                miss = residual[k] - levels[j] - walk[i]
                price = total[i] + inverse * miss * miss + cost[i, j]
                if price < best and (i == j or k > 0):
                    best, come, step = price, i, miss
            back[k, j] = come
            total_now[j] = best
            walk_now[j] = walk[come] + filter[0, k] * step
        for j in range(count):
            total[j], walk[j] = total_now[j], walk_now[j]
    state = 0
    for j in range(1, count):
        state = j if total[j] < total[state] else state
    for k in range(len(residual) - 1, -1, -1):
        path[k] = state
        state = back[k, state]


@njit(**OPTIONS)
def forward(residual, filter, levels, move, weights):
    """Log-likelihood, without the term that all models share.

    Fills ``weights`` (T, L), the probability of each level given the reads so far.
    """
    count = len(levels)
    now, walk = np.empty(count), np.zeros(count)
    weight_now, walk_now = np.empty(count), np.empty(count)
    for j in range(count):
        now[j] = 1.0 / count
    total, product = 0.0, 1.0
    for k in range(len(residual)):
        read, gain, half = residual[k], filter[0, k], -0.5 * filter[1, k] * filter[1, k]
        top = -np.inf
        for j in range(count):
            miss = read - levels[j] - walk[j]
            top = max(top, half * miss * miss)
        norm = 0.0
        for j in range(count):
            weight, mean = 1e-300, 0.0
            for i in range(count):
                chance = move[i, j] if k > 0 else (1.0 if i == j else 0.0)
                miss = read - levels[j] - walk[i]
                part = now[i] * chance * exp(min(half * miss * miss - top, 300.0))
                weight += part
                mean += part * (walk[i] + gain * miss)
            weight_now[j] = weight
            walk_now[j] = mean / weight
            norm += weight
        for j in range(count):
            now[j] = weight_now[j] / norm
            weights[k, j] = now[j]
            walk[j] = walk_now[j]
        total += top
        product *= norm
        if product < 1e-150 or product > 1e150:
            total += log(product)
            product = 1.0
    return total + log(product)


@njit(**OPTIONS)
def backward(weights, move, chance, moves):
    """Fill ``chance`` (T, L), the levels given all reads, and ``moves`` (L, L), expected counts."""
    last, count = len(weights) - 1, len(move)
    for i in range(count):
        chance[last, i] = weights[last, i]
        for j in range(count):
            moves[i, j] = 0.0
    for k in range(last - 1, -1, -1):
        for i in range(count):
            chance[k, i] = 0.0
        for j in range(count):
            ahead = 1e-300
            for i in range(count):
                ahead += weights[k, i] * move[i, j]
            ratio = chance[k + 1, j] / ahead
            for i in range(count):
                part = weights[k, i] * move[i, j] * ratio
                moves[i, j] += part
                chance[k, i] += part


@njit(**OPTIONS)
def set_move(moves, move):
    """Set the probabilities of the moves from their counts, kept away from 0 and 1."""
    count, reads = len(move), 1.0
    for i in range(count):
        for j in range(count):
            reads += moves[i, j]
    for i in range(count):
        total, stay = _STAY_PRIOR, 1.0
        for j in range(count):
            total += moves[i, j]
        for j in range(count):
            if j != i:
                chance = (moves[i, j] + _LEAVE_PRIOR / (count - 1)) / total
                move[i, j] = min(max(chance, _MIN_MOVES / reads), _MAX_LEAVE / (count - 1))
                stay -= move[i, j]
        move[i, i] = stay


@njit(**OPTIONS)
def set_levels(data, filter, columns, n, chance, levels, residual):
    """Regress a ramp on n nuisance columns and the expected occupation of its levels.

    ``data`` (2, T) holds the ramp plain and whitened. Updates ``levels`` (the first stays 0) and
    ``residual``; returns chi-squared.
    """
    count, reads = len(levels), len(residual)
    parts, share = np.empty((2, reads)), np.zeros((2, n))
    normal, right = np.zeros((2, 2)), np.zeros(2)
    for j in range(1, count):
        part = parts[j - 1]
        for k in range(reads):
            residual[k] = chance[k, j]
        whiten(residual, filter, part)
        for i in range(n):
            share[j - 1, i] = dot(part, columns[1, i])
        remove(columns, n, part)
        normal[j - 1, j - 1] = dot(part, part)
        right[j - 1] = dot(part, data[1])
    if count == 3:
        normal[0, 1] = dot(parts[0], parts[1])
    # The occupation is uncertain: its variance belongs to the expected squares.
    for k in range(reads):
        weight = filter[1, k] * filter[1, k]
        for j in range(1, count):
            normal[j - 1, j - 1] += weight * chance[k, j] * (1.0 - chance[k, j])
        if count == 3:
            normal[0, 1] -= weight * chance[k, 1] * chance[k, 2]
    if count == 2:
        levels[1] = right[0] / max(normal[0, 0], 1e-12)
    else:
        det = max(normal[0, 0] * normal[1, 1] - normal[0, 1] ** 2, 1e-12)
        levels[1] = (right[0] * normal[1, 1] - right[1] * normal[0, 1]) / det
        levels[2] = (right[1] * normal[0, 0] - right[0] * normal[0, 1]) / det
    copy(data[0], residual)
    chi2 = dot(data[1], data[1])
    for i in range(n):
        whole = dot(data[1], columns[1, i])
        chi2 -= whole * whole
        for j in range(1, count):
            whole -= levels[j] * share[j - 1, i]
        add_scaled(residual, -whole, columns[0, i])
    for j in range(1, count):
        chi2 -= levels[j] * right[j - 1]
    return chi2


@njit(**OPTIONS)
def expectation_maximisation(data, filter, columns, n, levels, move, residual, iterations):
    """Improve levels, moves and residual by expectation maximisation beside n nuisance columns.

    Leaves the most likely ones; returns their log-likelihood.
    """
    count, reads = len(levels), len(residual)
    now, now_move, now_residual = levels.copy(), move.copy(), residual.copy()
    moves = np.empty((count, count))
    weights, chance = np.empty((reads, count)), np.empty((reads, count))
    best = -np.inf
    for step in range(iterations + 1):
        value = forward(now_residual, filter, now, now_move, weights)
        if value > best:
            best = value
            copy(now, levels)
            copy(now_residual, residual)
            for i in range(count):
                copy(now_move[i], move[i])
        if step < iterations:
            backward(weights, now_move, chance, moves)
            set_move(moves, now_move)
            set_levels(data, filter, columns, n, chance, now, now_residual)
    return best
