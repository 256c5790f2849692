"""Numba kernels for the linear part of a ramp: whitening, nuisance columns, upward steps.

Shot noise makes a ramp walk, read noise is white on top of it. A Kalman filter with gains that
depend on the read alone turns both into independent innovations, in which least squares is
ordinary. ``filter`` (2, T) holds its gains and the inverse errors of the innovations.

A nuisance is a linear combination of columns: pedestal, rate, steps of cosmic rays.
``columns`` (2, m, T) holds them plain and whitened, the whitened ones orthonormal.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numba import njit

OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}
#: Sums may be reordered to use vector instructions; there is no NaN.
SUMS = OPTIONS | {"fastmath": {"reassoc", "contract", "nsz"}}


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
    """Subtract from whitened data their projection on the first n columns."""
    for i in range(n):
        add_scaled(whitened, -dot(whitened, columns[1, i]), columns[1, i])


@njit(**OPTIONS)
def add_column(columns, n, filter):
    """Whiten column n, given plain, and make it orthonormal to those before.

    Returns the number of columns, still n if it is a combination of the others.
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

    After each new step the earlier ones are placed again: a single step fitted to two of them
    lies between. Fills ``reads`` and the columns behind ``base``; returns the number of steps.
    """
    residual = np.empty_like(whitened)
    steps, n = 0, base
    while steps < len(reads):
        copy(whitened, residual)
        remove(columns, n, residual)
        where, better = best_upward_step(residual, columns, n, filter)
        if better < least:
            break
        reads[steps] = where
        steps += 1
        for i in range(steps if steps > 1 else 0):
            # All others become nuisance; the one that is placed again goes to the end of the list.
            moving = reads[i]
            reads[i] = reads[steps - 1]
            n = place_steps(reads, steps - 1, columns, base, filter)
            copy(whitened, residual)
            remove(columns, n, residual)
            where, better = best_upward_step(residual, columns, n, filter)
            reads[steps - 1] = where if where > 0 else moving
        n = place_steps(reads, steps, columns, base, filter)
    return steps
