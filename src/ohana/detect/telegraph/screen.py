"""A quick screening of every pixel for ramps that could jump between levels.

A recursive fit of pedestal and rate gives innovations, which are white and of unit variance
for a ramp without events. Telegraph noise makes them too large, leaves them correlated over the
dwell time and, where shot noise dominates, causes falls that charge cannot cause.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np
from numba import njit

from ohana.detect.telegraph.tuning import TUNING
from ohana.rampfit.covariance import DifferenceCovariance, read_variance

#: Pixels screened together: wide enough for vector instructions, small enough for the cache.
CHUNK = 256

_MEMORIES = np.exp(-2.0 / np.array(TUNING.screened_dwells)).astype(np.float32)
_FALL_MEMORIES = np.array(TUNING.fall_memories, np.float32)
_FALL_SCALES = np.array(TUNING.fall_scales)
_FALL_EXPONENT = TUNING.fall_exponent
_MIN_FALL = np.float32(TUNING.min_fall)
_RESTART = np.float32(TUNING.restart)
_CANDIDATE, _NOISE_ERROR, _SKEWNESS = TUNING.candidate, TUNING.noise_error, TUNING.skewness
_LENGTH_SHIFT, _REFERENCE_READS = TUNING.length_shift, TUNING.reference_reads
_MIN_WHITE, _PEDESTAL_VARIANCE, _MAX_DRIFT2, _DRIFT_SHOT = (
    np.float32(value)
    for value in (
        TUNING.min_white,
        TUNING.pedestal_variance,
        TUNING.max_drift**2,
        TUNING.drift_shot,
    )
)

ZERO, ONE, TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}
QUICK = OPTIONS | {"fastmath": {"reassoc", "contract", "nsz", "arcp"}}


@njit(**QUICK)
def track(read, used, dt, extra, white, walk, level, rate, ll, lr, rr, out):
    """Advance the fits of n ramps by one read; ``out`` receives their innovations.

    ``extra`` is the variance that the level gains from the last read besides ``walk``.
    ``ll``, ``lr`` and ``rr`` are the covariance of level and rate; all in units of the noise.
    """
    for i in range(out.size):
        spread = ll[i] + dt * (TWO * lr[i] + dt * rr[i] + walk[i]) + extra
        cross = lr[i] + dt * rr[i]
        ahead = level[i] + dt * rate[i]
        inverse = ONE / (spread + white[i])
        miss = (read[i] - ahead) * used[i]
        sigma = miss * np.sqrt(inverse)
        jump = sigma > _RESTART
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
    """Sum the squares of the fading sum where it lies below minus ``min_fall`` of its own sigma."""
    last[:] = ZERO
    out[:] = ZERO
    scale = np.float32(sqrt(1.0 - memory * memory))
    for k in range(len(innovations)):
        now = innovations[k]
        for i in range(out.size):
            last[i] = now[i] + memory * last[i]
            below = min(scale * last[i] + _MIN_FALL, ZERO)
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

    It is the largest of several parts, each of which reaches 3 in about one of 1000 pixels of
    pure noise, and in fewer of long ramps.
    """
    n = len(statistic)
    last, part = np.empty(n, np.float32), np.empty(n, np.float32)
    add_squares(innovations, part)
    for i in range(n):
        free = max(reads[i] - 2.0, 1.0)
        spread = 2.0 / (9.0 * free)
        # Wilson & Hilferty (1931): the cube root of chi2 / free is close to Gaussian.
        high = (part[i] / free) ** (1.0 / 3.0) - 1.0 + spread
        statistic[i] = high / sqrt(spread + (2.0 / 3.0 * _NOISE_ERROR) ** 2)
    for memory in _MEMORIES:
        correlate(innovations, memory, last, part)
        share = 1.0 - memory * memory
        for i in range(n):
            free = max(reads[i] - 2.0, 1.0)
            # The second term corrects for the skewness.
            sigma = part[i] * sqrt(share / free) - _SKEWNESS / sqrt(max(free * share, 1.0))
            statistic[i] = max(statistic[i], sigma)
    for i in range(n):
        statistic[i] -= _LENGTH_SHIFT * log(max(reads[i], 1.0) / _REFERENCE_READS)
    for j in range(len(_FALL_MEMORIES)):
        add_falls(innovations, _FALL_MEMORIES[j], last, part)
        for i in range(n):
            falls = _CANDIDATE * part[i] / (_FALL_SCALES[j] * max(reads[i], 1.0) ** _FALL_EXPONENT)
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
def screen_chunk(data, stop, scale, rate, walk, dt, white, shift, extra, statistic):
    """Screen n pixels (T, n): rate and walk per frame time are in units of their noise."""
    total, n = data.shape
    state = np.zeros((9, n), np.float32)
    level, rates, ll, lr, rr, first, reads, value, used = state
    usable, error = np.empty(n, np.float32), np.empty(n, np.float32)
    innovations = np.empty((total, n), np.float32)
    span = np.float32(dt.sum())
    for i in range(n):
        rates[i] = rate[i]
        # The pedestal is free. The rate is not: a jump early in a short ramp would pass for it.
        ll[i] = _PEDESTAL_VARIANCE
        rr[i] = _MAX_DRIFT2 / (span * span) + _DRIFT_SHOT * walk[i] / span
    for k in range(total):
        for i in range(n):
            usable[i] = ONE if k < stop[i] and scale[i] > ZERO else ZERO
            error[i] = max(white[k] - walk[i] * shift[k], _MIN_WHITE * white[k])
        take_read(data[k], usable, scale, first, reads, value, used)
        track(value, used, dt[k], extra[k], error, walk, level, rates, ll, lr, rr, innovations[k])
    coherence(innovations, reads, statistic)


@njit(**OPTIONS)
def screen_all(data, stop, scale, rate, walk, dt, white, shift, extra, statistic):
    """Screen all pixels, `CHUNK` at a time."""
    for a in range(0, data.shape[1], CHUNK):
        b = min(a + CHUNK, data.shape[1])
        part = (stop[a:b], scale[a:b], rate[a:b], walk[a:b])
        screen_chunk(data[:, a:b], *part, dt, white, shift, extra, statistic[a:b])


def read_noise_terms(
    covariance: DifferenceCovariance,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Describe single reads, where `DifferenceCovariance` describes pairs; arrays of shape (T,).

    Returns
    -------
    dt : ndarray
        Time since the read before, in frame times; 0 for the first.
    white : ndarray
        Variance of the white noise of a read, in units of that of one frame.
    shift : ndarray
        What averaging of frames takes from it, in units of the shot noise per frame time.
    extra : ndarray
        Variance that a read gains from the one before besides shot noise, in units of the read
        variance of one frame.
    """
    dt = np.append(0.0, covariance.dt)
    white = read_variance(covariance)
    shift = np.append(covariance.shot_next[0], covariance.shot_next)
    # Nothing is shared beyond the first and the last read: theirs follow from their differences.
    inner = shift[1], shift[-2]
    shift[0], shift[-1] = (covariance.dt - covariance.shot)[[0, -1]] - inner
    extra = np.append(0.0, np.maximum(covariance.read - white[:-1] - white[1:], 0.0))
    return dt, white, shift, extra


def screen(
    data: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    covariance: DifferenceCovariance,
    gain: float,
) -> np.ndarray:
    """Return the screening statistic of each pixel, high where it could have telegraph noise.

    Parameters
    ----------
    data : ndarray of float32, shape (T, n)
        Raw ramps [DN], NaN where masked.
    stop : ndarray of int, shape (n,)
        First read that cannot be used; T where there is none.
    noise, rate : ndarray, shape (n,)
        Noise of one frame [DN] and rate [DN per frame time]; NaN where unknown.
    covariance : DifferenceCovariance
        Timing of the reads.
    gain : float
        [e-/DN]

    Returns
    -------
    ndarray of float32, shape (n,)
        Above ``TUNING.candidate`` for 0.2 to 0.5 % of pixels of pure noise; -inf where noise
        or rate is unknown.
    """
    noise, rate = np.asarray(noise, np.float64), np.asarray(rate, np.float64)
    known = np.isfinite(rate) & np.isfinite(noise) & (noise > 0)
    scale = np.divide(1.0, noise, out=np.zeros(noise.shape), where=known)
    rate = np.where(known, rate, 0.0) * scale
    walk = np.maximum(rate, 0.0) / gain * scale
    statistic = np.empty(data.shape[1], np.float32)
    single = (np.asarray(x, np.float32) for x in (scale, rate, walk, *read_noise_terms(covariance)))
    screen_all(data, np.asarray(stop), *single, statistic)
    return np.where(known, statistic, np.float32(-np.inf))
