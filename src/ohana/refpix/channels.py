"""Level and slope of every output in every read, from its own reference pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.special import gammainc, gammaincc, gammaincinv, ndtri

from ohana.refpix.border import Strips
from ohana.utils.tuning import SIGMA_OF_MAD

#: Minimum number of reference pixels per output for separate odd and even columns. With it, level,
#: slope and parity together add less than 1 % to the noise of science pixels.
MIN_ODD_EVEN = 128
#: Deviation of the variance from the other pixels of an output above which a pixel is excluded
#: [sigma]. Chosen.
OUTLIER = 5.0
#: Slope and parity are measured where their lever arm keeps this fraction of its nominal length
#: squared; with one edge missing there is no slope.
LEVERAGE = 0.05
#: Pixel values and read levels are fitted in turn until they change by less than this [DN].
CONVERGED, MAX_TURNS = 1e-4, 50


class Pixels(NamedTuple):
    """Where reference pixels lie, arrays of shape (P,).

    ``output`` is the read-out channel, ``x`` the place along the slow axis (-1 to 1 over the
    array), ``parity`` -1 for even and 1 for odd columns, 0 where they are not separated.
    """

    output: np.ndarray
    x: np.ndarray
    parity: np.ndarray

    def select(self, which: np.ndarray) -> Pixels:
        """Return the pixels selected by an index or boolean array."""
        return Pixels(*(column[which] for column in self))


class Levels(NamedTuple):
    """Terms ``level + slope x + parity p`` of each output in each read, (T, outputs, 3) [DN].

    ``used`` and ``total`` count reference pixels.
    """

    terms: np.ndarray
    used: int
    total: int


def fit_levels(strips: Strips, outputs: int, odd_even: bool) -> Levels:
    """Fit level, slope along the slow axis and odd-even difference per output and read.

    Every pixel has its own constant value, so that neither bias pattern nor pixels that come and
    go leave a trace: pixel values and levels are fitted in turn. Pixels whose variance over the
    reads is out of line (dead, hot, telegraph noise, hit by a cosmic ray) are left out altogether,
    since leaving them out of single reads would bend the ramp.

    Parameters
    ----------
    strips : Strips
        With the slow axis along rows. Where both edges are missing the side columns serve all
        outputs together.
    outputs : int
        Number of outputs along a row.
    odd_even : bool
        Treat odd and even columns separately where there are enough pixels.
    """
    data, pixels = _edges(strips, outputs)
    outputs = int(pixels.output.max()) + 1
    parity = pixels.parity if odd_even else 0 * pixels.parity
    pixels = _enough_for_parity(pixels._replace(parity=parity), outputs)

    flat = np.zeros((len(data), outputs, 3))
    count, values, raw = moments(data, np.zeros(data.shape[1]), pixels, flat)
    medians, cells = _medians(data, values, pixels)
    terms = _solve(medians, np.zeros(len(cells.x)), cells, outputs)
    _, shift, scatter = moments(data, values, pixels, terms)
    good = np.zeros(len(values), np.bool_)
    for output in range(outputs):
        # Outputs differ in noise, so a pixel's peers are those of its own output.
        peers = pixels.output == output
        good[peers] = usable(count[peers], raw[peers], scatter[peers])
    data, values = np.ascontiguousarray(data[:, good]), (values + shift)[good]
    pixels = _enough_for_parity(pixels.select(good), outputs)
    for _ in range(MAX_TURNS):
        terms = _solve(data, values, pixels, outputs)
        _, shift, _ = moments(data, values, pixels, terms)
        values += shift
        if not np.any(np.abs(shift) > CONVERGED):
            break
    return Levels(terms, len(values), len(good))


def usable(count: np.ndarray, raw: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Return which pixels behave like most, from their variances over the reads.

    Parameters
    ----------
    count : ndarray of int, shape (P,)
        Valid reads.
    raw, scatter : ndarray, shape (P,)
        Variance before and after subtraction of what is common to the pixels. A pixel that
        follows nothing (stuck, deaf) has less of the one than others have of the other.
    """
    good = count >= max(2.0, 0.5 * np.median(count[count > 0])) if np.any(count) else count > 0
    if not np.any(good):
        return good
    typical = max(float(np.median(scatter[good])), 1e-12)
    z = _deviates(scatter / typical, count)
    # Where pixels differ by more than chance, the unit is their own spread.
    spread = max(1.0, SIGMA_OF_MAD * float(np.median(np.abs(z[good]))))
    deaf = _deviates(raw / typical, count) < -OUTLIER * spread
    stuck = (raw == 0) & (np.median(raw[good]) > 0)
    return good & (np.abs(z) < OUTLIER * spread) & ~deaf & ~stuck


def _deviates(ratio: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Return variances in units of their median as Gaussian deviates."""
    half = np.maximum(count - 1, 1) / 2
    middle = gammaincinv(half, 0.5)  # half of the median of a chi-squared variable
    x = middle * ratio
    z = np.where(x < middle, ndtri(gammainc(half, x)), -ndtri(gammaincc(half, x)))
    return np.clip(z, -1e3, 1e3)


def _edges(strips: Strips, outputs: int) -> tuple[np.ndarray, Pixels]:
    """Return the pixels that determine levels (T, P): first and last rows, or else the sides."""
    height, width = strips.left.shape[1], strips.bottom.shape[2]
    b = strips.bottom.shape[1]
    rows, cols = np.arange(height), np.arange(width)
    if np.any(np.isfinite(strips.bottom)) or np.any(np.isfinite(strips.top)):
        parts = [(strips.bottom, rows[:b], cols), (strips.top, rows[-b:], cols)]
        output = cols * outputs // width
    else:
        parts = [(strips.left, rows, cols[:b]), (strips.right, rows, cols[-b:])]
        output = 0 * cols
    data = np.concatenate([part.reshape(len(part), -1) for part, _, _ in parts], axis=1)
    row = np.concatenate([np.repeat(r, len(c)) for _, r, c in parts])
    col = np.concatenate([np.tile(c, len(r)) for _, r, c in parts])
    return data, Pixels(output[col], 2 * row / (height - 1) - 1, 2.0 * (col % 2) - 1)


def _enough_for_parity(pixels: Pixels, outputs: int) -> Pixels:
    """Merge odd and even columns in outputs with too few reference pixels."""
    enough = np.bincount(pixels.output, minlength=outputs) >= MIN_ODD_EVEN
    return pixels._replace(parity=np.where(enough[pixels.output], pixels.parity, 0.0))


def _medians(data: np.ndarray, values: np.ndarray, pixels: Pixels) -> tuple[np.ndarray, Pixels]:
    """Reduce each edge of each output, and each parity, to its median: (T, cells)."""
    cell = (pixels.output * 2 + (pixels.x > 0)) * 2 + (pixels.parity > 0)
    order = np.argsort(cell, kind="stable")
    _, first = np.unique(cell[order], return_index=True)
    bounds = np.append(first, len(cell))
    x = np.add.reduceat(pixels.x[order], first) / np.diff(bounds)
    heads = pixels.select(order[first])._replace(x=x)
    return _cell_medians(data, values, order, bounds), heads


@njit(nogil=True, cache=True)
def _cell_medians(data, values, order, bounds):
    """Return the median of ``data - values`` over the pixels of each cell, NaN without any."""
    out = np.empty((data.shape[0], len(bounds) - 1), data.dtype)
    buffer = np.empty(len(order))
    for t in range(out.shape[0]):
        for cell in range(out.shape[1]):
            n = 0
            for p in order[bounds[cell] : bounds[cell + 1]]:
                value = data[t, p] - values[p]
                if np.isfinite(value):
                    buffer[n] = value
                    n += 1
            out[t, cell] = np.median(buffer[:n]) if n else np.nan
    return out


@njit(nogil=True, cache=True)
def _solve(data, values, pixels, outputs):
    """Fit ``level + slope x + parity p`` to ``data - values`` by least squares, (T, outputs, 3)."""
    terms = np.zeros((data.shape[0], outputs, 3))
    sums = np.empty((outputs, 9))
    for t in range(data.shape[0]):
        sums[:] = 0.0
        for p in range(data.shape[1]):
            y = data[t, p] - values[p]
            if np.isfinite(y):
                s, x, q = sums[pixels.output[p]], pixels.x[p], pixels.parity[p]
                s[0] += 1.0
                s[1] += x
                s[2] += q
                s[3] += y
                s[4] += x * x
                s[5] += x * q
                s[6] += q * q
                s[7] += x * y
                s[8] += q * y
        for output in range(outputs):
            n = sums[output, 0]
            if n == 0.0:
                continue
            mean = sums[output] / n
            x, q, y = mean[1], mean[2], mean[3]
            qq, qx, qy = mean[6] - q * q, mean[5] - q * x, mean[8] - q * y
            xx, xy = mean[4] - x * x, mean[7] - x * y
            ratio = qx / qq if qq > LEVERAGE else 0.0
            xx -= ratio * qx
            slope = (xy - ratio * qy) / xx if xx > LEVERAGE else 0.0
            parity = (qy - slope * qx) / qq if qq > LEVERAGE else 0.0
            terms[t, output, 0] = y - slope * x - parity * q
            terms[t, output, 1] = slope
            terms[t, output, 2] = parity
    return terms


@njit(nogil=True, cache=True)
def moments(data, values, pixels, terms):
    """Return count, mean and variance over the reads of the residuals."""
    n = np.zeros(data.shape[1], np.int64)
    mean = np.zeros(data.shape[1])
    square = np.zeros(data.shape[1])
    for t in range(data.shape[0]):
        for p in range(data.shape[1]):
            term = terms[t, pixels.output[p]]
            y = data[t, p] - values[p]
            y -= term[0] + term[1] * pixels.x[p] + term[2] * pixels.parity[p]
            if np.isfinite(y):
                # Welford's update: raw values are large, their variance is not.
                n[p] += 1
                step = y - mean[p]
                mean[p] += step / n[p]
                square[p] += step * (y - mean[p])
    return n, mean, square / np.maximum(n - 1, 1)
