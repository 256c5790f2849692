"""Stage 4: significance of a step at every read of every pixel; several steps per ramp."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.differences import Differences, can_share
from ohana.gls import (
    DATA,
    DIFFERENCE,
    LEAST,
    LEAST_SINGLE,
    PIVOT,
    RATE,
    RATIO,
    ROWS,
    USED,
    eliminate,
    solve_free,
    substitute,
)

#: Pixels worked on together: wide enough for vector instructions, small enough for the cache.
CHUNK = 128
#: What a step that two differences share must explain beyond what one in a single difference
#: would [chi-squared]: it has one more parameter, and with this it is no more frequent by chance.
SHARE_COST = np.array([2.0])
SHARE_COST_SINGLE = np.array([2.0], np.float32)


class Scan(NamedTuple):
    """Fit and most significant steps of each ramp, arrays of shape (n,).

    Attributes
    ----------
    rate : ndarray
        [DN per frame time]
    chi2, used : ndarray
        Chi-squared without any step, and differences used.
    up_sigma, up_step, up_read : ndarray
        Most significant upward step: in its standard errors, amplitude [DN], and read (-1 where
        no step can be told).
    down_sigma, down_step, down_read : ndarray
        The same for the downward step; sigma and amplitude are negative.
    up_shared, down_shared : ndarray
        1 where the next read has a part of the step, 0 elsewhere: see `can_share`. The amplitude
        is that of both parts.
    """

    rate: np.ndarray
    chi2: np.ndarray
    used: np.ndarray
    up_sigma: np.ndarray
    up_step: np.ndarray
    up_read: np.ndarray
    down_sigma: np.ndarray
    down_step: np.ndarray
    down_read: np.ndarray
    up_shared: np.ndarray
    down_shared: np.ndarray


@njit(nogil=True, cache=True, error_model="numpy")
def fit_chunk(data, stop, left_out, given, curved, model, least, sharing, work, sums, fit):
    """Fit (T, n) reads with a step at every read: differences, elimination, substitution.

    No difference is used from read ``stop`` on, nor any that ``left_out`` (T, n) marks at its
    later read; ``left_out`` may be empty, and so may ``curved``. ``given`` (3, n) is read
    variance, Poisson variance, and a rate to count differences from, which saves digits.
    ``sharing`` is that of `ohana.gls.substitute`.
    """
    n, guess = data.shape[1], given[2]
    none, one = work.dtype.type(0), work.dtype.type(1)
    for f in range(1, data.shape[0]):
        value, used, now, before = work[DIFFERENCE, f], work[USED, f], data[f], data[f - 1]
        dt = model.dt[f - 1]
        for i in range(n):
            # Reads are float32 and close to each other: their difference is nearly exact.
            step = now[i] - before[i] - guess[i] * dt
            good = step - step == 0.0 and f < stop[i]
            value[i] = step if good else none
            used[i] = one if good else none
        if left_out.size:
            for i in range(n):
                if left_out[f, i]:
                    value[i] = none
                    used[i] = none
    eliminate(given[0], given[1], curved, model, work)
    solve_free(work, curved, sums, fit)
    substitute(work, curved, fit, least, sharing)


@njit(nogil=True, cache=True, error_model="numpy")
def share_step(work, f, i, cost):
    """Fit a step to the differences f and f + 1 of one ramp: amplitude, information and power.

    Power is the chi-squared that it explains, less ``cost``, with the sign of the step. The
    information is zero where its two parts cannot be told, and the power where they disagree.
    """
    none = work.dtype.type(0)
    first, second = work[DATA, f, i], work[DATA, f + 1, i]
    own, after, common = work[PIVOT, f, i], work[PIVOT, f + 1, i], work[RATIO, f + 1, i]
    det = own * after - common * common
    if not det > work.dtype.type(1e-5) * own * after:
        return none, none, none
    now, later = (after * first - common * second) / det, (own * second - common * first) / det
    power = now * first + later * second - cost
    agree = now * later > none and power > none
    sign = work.dtype.type(1) if now > none else work.dtype.type(-1)
    information = det / (own + after - (common + common))
    return now + later, information, sign * power if agree else none


@njit(nogil=True, cache=True, error_model="numpy")
def keep_best(power, at, up, up_read, down, down_read):
    """Note where a step at ``at`` has more power than the best so far, upward and downward."""
    for i in range(power.size):
        up_read[i] = at if power[i] > up[i] else up_read[i]
        up[i] = max(power[i], up[i])
    for i in range(power.size):
        down_read[i] = at if power[i] < down[i] else down_read[i]
        down[i] = min(power[i], down[i])


@njit(nogil=True, cache=True, error_model="numpy")
def pick(work, fit, guess, sharing, cost, out):
    """Reduce scores and information over the reads; fills ``out`` (11, n), rows as in `Scan`."""
    reads, n = work.shape[1], work.shape[2]
    none, half = work.dtype.type(0), work.dtype.type(0.5)
    count, up, up_read = out[2], out[3], out[5]
    down, down_read = out[6], out[8]
    out[2:] = 0.0
    up_read[:] = -1.0
    down_read[:] = -1.0
    for f in range(1, reads):
        score, information, power = work[DATA, f], work[PIVOT, f], work[RATE, f]
        for i in range(n):
            known = information[i] > none
            power[i] = score[i] * abs(score[i]) / information[i] if known else none
        at = work.dtype.type(f)
        keep_best(power, at, up, up_read, down, down_read)
        if sharing.size and sharing[f]:
            for i in range(n):
                power[i] = share_step(work, f, i, cost[0])[2]
            # Half a read later, until the end, stands for a step that the next read shares.
            keep_best(power, at + half, up, up_read, down, down_read)
        used = work[USED, f]
        for i in range(n):
            count[i] += used[i]
    for i in range(n):
        out[0, i] = guess[i] + fit[0, i] if count[i] > 0 else np.nan
        out[1, i] = fit[2, i]
        up[i], down[i] = np.sqrt(up[i]), -np.sqrt(-down[i])
        for row, step, shared in ((5, 4, 9), (8, 7, 10)):
            f = int(out[row, i])
            if f > 0 and out[row, i] > f:
                out[row, i], out[shared, i] = f, 1.0
                out[step, i] = share_step(work, f, i, cost[0])[0]
            elif f > 0:
                out[step, i] = work[DATA, f, i] / work[PIVOT, f, i]


@njit(nogil=True, cache=True, error_model="numpy")
def take(work, at, shared, cost, out):
    """Take score, information and power of one step of each ramp; fills ``out`` (3, n)."""
    none = work.dtype.type(0)
    for i in range(at.size):
        score, information = work[DATA, at[i], i], work[PIVOT, at[i], i]
        power = score * abs(score) / information if information > none else none
        if shared.size and shared[i]:
            amplitude, both, together = share_step(work, at[i], i, cost[0])
            if both > none:
                score, information, power = amplitude * both, both, together
        out[0, i], out[1, i], out[2, i] = score, information, power


@njit(nogil=True, cache=True, error_model="numpy")
def scan_kernel(data, stop, left_out, given, curved, model, settings, at, shared, out):
    """Scan ramps (T, n), ``CHUNK`` at a time.

    ``settings`` are what must be left of the information (see `ohana.gls.substitute`), the cost
    of a shared step, and the reads that can share one, or none. ``out`` (11, n) receives the
    rows of `Scan`; if ``at`` (n,) is not empty, ``out`` (3, n) receives score, information and
    power of the step at read ``at`` instead, shared with the next where ``shared`` (n,) tells.
    """
    reads, n = data.shape
    least, cost, sharing = settings
    chunk = min(CHUNK, n)
    work = np.empty((ROWS, reads, chunk), least.dtype)
    sums, fit = np.empty((6, chunk), least.dtype), np.empty((6, chunk), least.dtype)
    for first in range(0, n, chunk):
        # The last chunk overlaps the one before instead of being narrower.
        start = min(first, n - chunk)
        part = slice(start, start + chunk)
        bend = curved[part] if curved.size else curved
        without = left_out[:, part] if left_out.size else left_out
        fit_chunk(
            data[:, part],
            stop[part],
            without,
            given[:, part],
            bend,
            model,
            least,
            sharing,
            work,
            sums,
            fit,
        )
        if at.size:
            both = shared[part] if shared.size else shared
            take(work, at[part], both, cost, out[:, part])
        else:
            pick(work, fit, given[2, part], sharing, cost, out[:, part])


class Ramps(NamedTuple):
    """Ramps to fit.

    Attributes
    ----------
    data : ndarray, shape (T, n)
        [DN], NaN where a read must not be used.
    stop : ndarray of int, shape (n,)
        First saturated read; T where none is.
    variance, shot : ndarray, shape (n,)
        Read variance of one frame, and Poisson variance per frame time [DN^2].
    left_out : ndarray of bool, shape (T, n), optional
        Differences to leave out, at the index of their later read: a free step each.
    curved : ndarray of bool, shape (n,), optional
        Ramps with a free curvature.
    guess : ndarray, shape (n,), optional
        Rates to start from [DN per frame time]; needed for fits in single precision only.
    """

    data: np.ndarray
    stop: np.ndarray
    variance: np.ndarray
    shot: np.ndarray
    left_out: np.ndarray = np.empty((0, 0), np.bool_)
    curved: np.ndarray = np.empty(0)
    guess: np.ndarray = np.empty(0)

    def select(self, index: np.ndarray) -> Ramps:
        """Return some of the ramps."""
        return Ramps(
            np.ascontiguousarray(self.data[:, index]),
            self.stop[index],
            self.variance[index],
            self.shot[index],
            np.ascontiguousarray(self.left_out[:, index]) if self.left_out.size else self.left_out,
            self.curved[index] if self.curved.size else self.curved,
            self.guess[index] if self.guess.size else self.guess,
        )


def _run(
    ramps: Ramps,
    model: Differences,
    rows: int,
    precision: type = np.float64,
    at: np.ndarray | None = None,
    shared: np.ndarray | None = None,
) -> np.ndarray:
    """Run `scan_kernel` with all its arrays in one precision."""
    n = ramps.data.shape[1]
    out: np.ndarray = np.zeros((rows, n), precision)
    given: np.ndarray = np.zeros((3, n), precision)
    given[0], given[1] = ramps.variance, ramps.shot
    if ramps.guess.size:
        given[2] = np.nan_to_num(ramps.guess)
    stop = np.ascontiguousarray(ramps.stop)
    curved: np.ndarray = ramps.curved.astype(precision)
    single = precision is np.float32
    sharing = can_share(model)
    settings = (
        LEAST_SINGLE if single else LEAST,
        SHARE_COST_SINGLE if single else SHARE_COST,
        sharing if sharing.any() else sharing[:0],
    )
    model = Differences(*(values.astype(precision) for values in model))
    at = np.empty(0, np.int64) if at is None else np.ascontiguousarray(at, np.int64)
    both = np.empty(0, np.bool_) if shared is None else np.ascontiguousarray(shared, np.bool_)
    if n:
        scan_kernel(ramps.data, stop, ramps.left_out, given, curved, model, settings, at, both, out)
    return out


def scan(ramps: Ramps, model: Differences, quick: bool = False) -> Scan:
    """Find the most significant upward and downward step of each ramp.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    model : Differences
        Covariance coefficients.
    quick : bool
        Work in single precision, good to about 1e-3 in significance if ``ramps.guess`` is good.

    Notes
    -----
    Where reads average frames, a step is tried in each difference, and also in two neighbours
    at once, with any part of it in either: a hit comes at any time.

    Examples
    --------
    >>> import numpy as np
    >>> from ohana.differences import differences
    >>> data = np.array([[0.0], [1.0], [2.0], [13.0], [14.0], [15.0]], np.float32)
    >>> ramps = Ramps(data, np.array([6]), np.ones(1), np.zeros(1))
    >>> found = scan(ramps, differences(np.arange(6.0)))
    >>> int(found.up_read[0]), float(found.up_step[0].round(6))
    (3, 10.0)

    A hit in the middle of the frames of read 2:

    >>> data = np.array([[0.0], [1.0], [7.0], [13.0], [14.0], [15.0]], np.float32)
    >>> ramps = Ramps(data, np.array([6]), np.ones(1), np.zeros(1))
    >>> found = scan(ramps, differences(np.arange(6.0), nframes=4))
    >>> int(found.up_read[0]), int(found.up_shared[0]), float(found.up_step[0].round(6))
    (2, 1, 10.0)
    """
    out = _run(ramps, model, len(Scan._fields), np.float32 if quick else np.float64)
    return Scan(*out.astype(np.float64))


def fit_at(
    ramps: Ramps, model: Differences, at: np.ndarray, shared: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a step at one given read of each ramp, and say how significant it is.

    Parameters
    ----------
    ramps, model, at, shared
        See `step_at`.

    Returns
    -------
    amplitude, error : ndarray, shape (n,)
        See `step_at`.
    sigma : ndarray, shape (n,)
        Significance with the sign of the amplitude, as in `Scan`: the amplitude over its error
        in a single difference, the root of the chi-squared explained in two.
    """
    score, information, power = _run(ramps, model, 3, at=at, shared=shared)
    known = information > 0
    safe = np.where(known, information, 1.0)
    amplitude, error = np.where(known, score / safe, 0.0), np.where(known, safe**-0.5, np.inf)
    return amplitude, error, np.copysign(np.sqrt(np.abs(power)), power)


def step_at(
    ramps: Ramps, model: Differences, at: np.ndarray, shared: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a step at one given read of each ramp.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    model : Differences
        Covariance coefficients.
    at : ndarray of int, shape (n,)
        First read that contains the step, 1 to T - 1.
    shared : ndarray of bool, shape (n,), optional
        Where the next read may have a part of the step; only for reads that can share one.

    Returns
    -------
    amplitude, error : ndarray, shape (n,)
        [DN]; 0 and infinity where the step cannot be told from the rest of the ramp.
    """
    return fit_at(ramps, model, at, shared)[:2]
