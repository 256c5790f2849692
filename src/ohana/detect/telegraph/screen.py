"""A quick look at every pixel for ramps that could jump between levels.

A recursive fit of pedestal and rate gives innovations, which are white and of unit variance
for a ramp with nothing in it. Telegraph noise makes them too large, leaves them correlated over
the dwell time and, where the noise is mostly shot noise, brings falls that no charge makes.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np
from numba import njit

from ohana.rampfit.covariance import DifferenceCovariance, read_variance

#: Pixels above this go on to the fit: 0.2 to 0.5 % of those with noise alone.
CANDIDATE = 3.0

#: Pixels worked on together: wide enough for vector instructions, small enough for the cache.
CHUNK = 256
#: Memory of each correlation sum: exp(-2 / d) is best for dwell times of d reads.
MEMORIES = np.exp(-2.0 / np.array([3.0, 8.0, 20.0, 60.0])).astype(np.float32)
#: Memory of each search for falls, and its value, per reads**0.4, that one pixel in 1000 passes.
FALLS = np.array([0.0, 0.6], np.float32)
FALL_SCALE = np.array([1.08, 1.6])
#: What the other parts must be higher by in ramps of e times 60 reads: chosen to lose less than
#: 1 % of the telegraph noise that the fit accepts.
LENGTH_SHIFT = 0.3
#: Falls begin here [sigma].
FALL = np.float32(2.0)
#: Upward innovations beyond this [sigma] restart the pedestal: the step of a cosmic ray.
RESTART = np.float32(4.5)
#: Relative uncertainty of the noise that is handed in, if nothing else is said.
NOISE_ERROR = 0.04

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}
QUICK = OPTIONS | {"fastmath": {"reassoc", "contract", "nsz", "arcp"}}


@njit(**QUICK)
def track(read, used, dt, white, walk, level, rate, ll, lr, rr, out):
    """Advance the fits of n ramps by one read; ``out`` receives their innovations.

    ``ll``, ``lr`` and ``rr`` are the covariance of level and rate; all in units of the noise.
    """
    for i in range(out.size):
        spread = ll[i] + dt * (TWO * lr[i] + dt * rr[i] + walk[i])
        cross = lr[i] + dt * rr[i]
        ahead = level[i] + dt * rate[i]
        inverse = ONE / (spread + white[i])
        miss = (read[i] - ahead) * used[i]
        sigma = miss * np.sqrt(inverse)
        jump = sigma > RESTART
        share = inverse * used[i]
        to_rate = ZERO if jump else cross * share
        level[i] = ahead + (miss if jump else spread * share * miss)
        rate[i] += to_rate * miss
        rr[i] -= to_rate * cross
        lr[i] = ZERO if jump else cross * (ONE - spread * share)
        ll[i] = white[i] if jump else spread * (ONE - spread * share)
        out[i] = ZERO if jump else sigma


@njit(**QUICK)
def correlate(innovations, memory, last, out):
    """Sum the products of innovations with the fading sum of those before."""
    last[:] = ZERO
    out[:] = ZERO
    for k in range(len(innovations)):
        now = innovations[k]
        for i in range(out.size):
            out[i] += now[i] * last[i]
            last[i] = now[i] + memory * last[i]


@njit(**QUICK)
def add_falls(innovations, memory, last, out):
    """Sum the squares of the fading sum where it is below ``-FALL`` of its own sigma."""
    last[:] = ZERO
    out[:] = ZERO
    scale = np.float32(sqrt(1.0 - memory * memory))
    for k in range(len(innovations)):
        now = innovations[k]
        for i in range(out.size):
            last[i] = now[i] + memory * last[i]
            below = min(scale * last[i] + FALL, ZERO)
            out[i] += below * below


@njit(**QUICK)
def add_squares(innovations, out):
    """Sum the squares."""
    out[:] = ZERO
    for k in range(len(innovations)):
        now = innovations[k]
        for i in range(out.size):
            out[i] += now[i] * now[i]


@njit(**OPTIONS)
def coherence(innovations, reads, statistic):
    """Fill the statistic (n,) of innovations (T, n), of which ``reads`` (n,) count.

    Each part of it reaches 3 in about one pixel of 1000 that hold noise alone, fewer in long
    ramps, where more is needed to be believed.
    """
    n = len(statistic)
    last, part = np.empty(n, np.float32), np.empty(n, np.float32)
    add_squares(innovations, part)
    for i in range(n):
        free = max(reads[i] - 2.0, 1.0)
        spread = 2.0 / (9.0 * free)
        # Wilson & Hilferty (1931): the cube root of chi2 / free is close to Gaussian.
        high = (part[i] / free) ** (1.0 / 3.0) - 1.0 + spread
        statistic[i] = high / sqrt(spread + (2.0 / 3.0 * NOISE_ERROR) ** 2)
    for memory in MEMORIES:
        correlate(innovations, memory, last, part)
        share = 1.0 - memory * memory
        for i in range(n):
            free = max(reads[i] - 2.0, 1.0)
            # The second term makes up for the skewness.
            sigma = part[i] * sqrt(share / free) - 5.0 / sqrt(max(free * share, 1.0))
            statistic[i] = max(statistic[i], sigma)
    for i in range(n):
        statistic[i] -= LENGTH_SHIFT * log(max(reads[i], 1.0) / 60.0)
    for j in range(len(FALLS)):
        add_falls(innovations, FALLS[j], last, part)
        for i in range(n):
            falls = CANDIDATE * part[i] / (FALL_SCALE[j] * max(reads[i], 1.0) ** 0.4)
            statistic[i] = max(statistic[i], falls)


@njit(**QUICK)
def take_read(read, usable, scale, first, reads, value, used):
    """Turn a read of n pixels into units of their noise above their first one; NaN is unused."""
    for i in range(value.size):
        x = read[i]
        good = (x - x == ZERO) and usable[i] > ZERO
        first[i] = x if good and reads[i] == ZERO else first[i]
        value[i] = (x - first[i]) * scale[i] if good else ZERO
        used[i] = ONE if good else ZERO
        reads[i] += used[i]


@njit(**OPTIONS)
def screen_chunk(data, stop, scale, rate, walk, dt, white, shift, statistic):
    """Screen n pixels (T, n): rate and walk per frame time are in units of their noise."""
    total, n = data.shape
    state = np.zeros((9, n), np.float32)
    level, rates, ll, lr, rr, first, reads, value, used = state
    usable, error = np.empty(n, np.float32), np.empty(n, np.float32)
    innovations = np.empty((total, n), np.float32)
    span = np.float32(dt.sum())
    for i in range(n):
        rates[i] = rate[i]
        # Wide enough for the rate of a ramp that ends twenty sigma off; if it were free, a jump
        # at the start of a short ramp would pass for it.
        ll[i] = np.float32(1e6)
        rr[i] = np.float32(400.0) / (span * span) + np.float32(10.0) * walk[i] / span
    for k in range(total):
        for i in range(n):
            usable[i] = ONE if k < stop[i] and scale[i] > ZERO else ZERO
            error[i] = max(white[k] - walk[i] * shift[k], np.float32(0.1) * white[k])
        take_read(data[k], usable, scale, first, reads, value, used)
        track(value, used, dt[k], error, walk, level, rates, ll, lr, rr, innovations[k])
    coherence(innovations, reads, statistic)


@njit(**OPTIONS)
def screen_all(data, stop, scale, rate, walk, dt, white, shift, statistic):
    """Screen all pixels, `CHUNK` at a time."""
    for a in range(0, data.shape[1], CHUNK):
        b = min(a + CHUNK, data.shape[1])
        part = (stop[a:b], scale[a:b], rate[a:b], walk[a:b])
        screen_chunk(data[:, a:b], *part, dt, white, shift, statistic[a:b])


def read_noise_terms(model: DifferenceCovariance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Describe single reads, where `DifferenceCovariance` describes pairs; arrays of shape (T,).

    Returns
    -------
    dt : ndarray
        Time since the read before, in frame times; 0 for the first.
    white : ndarray
        Variance of the white noise of a read, in units of that of one frame.
    shift : ndarray
        What averaging of frames takes from it, in units of the shot noise per frame time.
    """
    dt = np.append(0.0, model.dt)
    white = read_variance(model)
    shift = np.append(model.shot_next[0], model.shot_next)
    # The first and the last read share no covariance, but their differences tell.
    inner = shift[1], shift[-2]
    shift[0], shift[-1] = (model.dt - model.shot)[[0, -1]] - inner
    return dt, white, shift


def screen(
    data: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    model: DifferenceCovariance,
    gain: float,
) -> np.ndarray:
    """Tell which pixels could have telegraph noise.

    Parameters
    ----------
    data : ndarray of float32, shape (T, n)
        Raw ramps [DN], NaN where masked.
    stop : ndarray of int, shape (n,)
        First read that cannot be used; T where there is none.
    noise, rate : ndarray, shape (n,)
        Noise of one frame [DN] and rate [DN per frame time]; a pixel without them is passed over.
    model : DifferenceCovariance
        Timing of the reads.
    gain : float
        [e-/DN]

    Returns
    -------
    ndarray of float32, shape (n,)
        Above `CANDIDATE` for 0.2 to 0.5 % of the pixels that hold noise alone.
    """
    noise, rate = np.asarray(noise, np.float64), np.asarray(rate, np.float64)
    known = np.isfinite(rate) & np.isfinite(noise) & (noise > 0)
    scale = np.divide(1.0, noise, out=np.zeros(noise.shape), where=known)
    rate = np.where(known, rate, 0.0) * scale
    walk = np.maximum(rate, 0.0) / gain * scale
    statistic = np.empty(data.shape[1], np.float32)
    single = (np.asarray(x, np.float32) for x in (scale, rate, walk, *read_noise_terms(model)))
    screen_all(data, np.asarray(stop), *single, statistic)
    return np.where(known, statistic, np.float32(-np.inf))
