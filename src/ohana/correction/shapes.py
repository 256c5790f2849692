"""Shapes in time that pixels share, each pixel with an amplitude of its own.

Settling after a reset differs from pixel to pixel in strength, not in shape; varying light is
seen by each pixel with its own response; a star that moves changes its pixels together. The shapes
are the principal components of whitened ramps that exceed what noise makes.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import linalg

from ohana.correction.model import Shared
from ohana.correction.tiles import PixelSample
from ohana.correction.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD

_NONE = TUNING.no_amplitude
_REJECT, _ROUNDS, _SHRINK = TUNING.shape_reject, TUNING.shape_rounds, TUNING.shape_shrink


def find_shapes(
    sample: PixelSample,
    typical: np.ndarray,
    dt: np.ndarray,
    light: np.ndarray,
    left_out: np.ndarray,
) -> np.ndarray:
    """Find the shapes that pixels share, as differences (S, T - 1), strongest first.

    Parameters
    ----------
    sample : PixelSample
        Differences without the shared light.
    typical : ndarray, shape (2, T - 1)
        Variance of the differences of a typical pixel, and covariance with the next [DN^2].
    dt : ndarray, shape (T - 1,)
        Times between reads.
    light : ndarray, shape (T - 1,)
        Change of the light of the whole array, the first shape if it is none of a single read.
    left_out : ndarray of bool, shape (T - 1,)
        Differences that do not count, such as those of a snowball that covers much of the array.
    """
    none = np.zeros((0, len(dt)), np.float32)
    if np.sum(~left_out) < TUNING.min_shape_differences:
        return none
    lower = _cholesky(typical)
    known = np.isfinite(sample.excess).all(axis=0) & (sample.spread > 0)
    if known.sum() < TUNING.pixels_per_difference * len(dt):
        return none
    scale = sample.spread[known] / np.median(sample.spread[known])
    excess = sample.excess[:, known] / scale
    limit = TUNING.shape_reject * np.sqrt(typical[0])[:, None]
    excess = np.where(left_out[:, None], 0.0, np.clip(excess, -limit, limit))
    white = linalg.solve_triangular(lower, excess, lower=True)
    rate = linalg.solve_triangular(lower, dt, lower=True)
    white = _beside(white, rate)
    # No pixel counts for more than a noisy one does, or a few odd ones would make the shapes.
    length = np.linalg.norm(white, axis=0)
    most = np.sqrt(len(dt) + 4 * np.sqrt(2 * len(dt)))
    white *= np.minimum(1, most / np.maximum(length, 1e-12))
    usual, given = float(np.mean(white**2)), np.zeros((0, len(dt)))
    edge = (1 + np.sqrt(len(dt) / white.shape[1])) ** 2 * (1 + TUNING.template_excess)
    if light.any() and not _in_one_read((light / np.sqrt(typical[0]))[:, None])[0]:
        own = linalg.solve_triangular(lower, np.where(left_out, 0.0, light), lower=True)
        own = _beside(own[:, None], rate)[:, 0]
        # All pixels see the light alike, unless their amplitudes scatter by more than noise.
        if np.mean((own @ white) ** 2) > edge * usual * (own @ own):
            given, white = light[None], _beside(white, own)
    value, shape = _principal(white)
    _, first = _principal(white[:, ::2])
    _, second = _principal(white[:, 1::2])
    count = int(np.sum(value[: TUNING.max_templates] > edge * usual))
    overlap = np.abs(first.T[:count] @ second[:, :count])
    alike = overlap.max(axis=1, initial=0) > TUNING.template_overlap
    shape = shape[:, :count]
    step = lower @ shape
    # The noise of a read, or what comes in a few reads as charge does, is no shape in time.
    in_sigma = step / np.sqrt(typical[0])[:, None]
    alike &= ~(_in_one_read(shape) | _in_one_read(in_sigma) | _in_few_reads(in_sigma))
    found = step[:, alike].T
    at = np.arange(len(dt))
    for row in found:
        row[left_out] = np.interp(at[left_out], at[~left_out], row[~left_out])
    return np.concatenate([given, found])


def _beside(white: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return whitened ramps (T - 1, n) without what they have of a column (T - 1,)."""
    unit = column / np.linalg.norm(column)
    return white - unit[:, None] * (unit @ white)


def _in_one_read(shape: np.ndarray) -> np.ndarray:
    """Return which columns (T - 1, S) have most of their power in two neighbouring rows."""
    power = shape**2 / np.sum(shape**2, axis=0)
    return (power[1:] + power[:-1]).max(axis=0, initial=0) > TUNING.local_shape


def _in_few_reads(step: np.ndarray) -> np.ndarray:
    """Return which columns (T - 1, S) have most of their power in a few rows, not the first."""
    power, few = step**2 / np.sum(step**2, axis=0), TUNING.few_reads
    return np.sort(power, axis=0)[-few:].sum(axis=0) > np.maximum(
        TUNING.in_few_reads, power[:few].sum(axis=0) + 1e-9
    )


def without_shapes(sample: PixelSample, shared: Shared) -> PixelSample:
    """Return a sample of pixels without the shapes and steps that `subtract_shapes` takes out."""
    zero = np.zeros((1, sample.excess.shape[1]))
    data = np.concatenate([zero, np.cumsum(sample.excess, axis=0, dtype=np.float64)])
    subtract_shapes(data, np.full(data.shape[1], len(data), np.int32), shared)
    return sample._replace(excess=np.diff(data, axis=0).astype(np.float32))


def _banded(typical: np.ndarray) -> np.ndarray:
    """Return the covariance of differences in the lower banded form of `scipy.linalg`."""
    return np.stack([typical[0], np.append(typical[1][:-1], 0.0)])


def _cholesky(typical: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor of the covariance of differences (T - 1, T - 1)."""
    factor = linalg.cholesky_banded(_banded(typical), lower=True)
    return np.diag(factor[0]) + np.diag(factor[1][:-1], -1)


def _principal(white: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return variances, the largest first, and unit vectors as columns."""
    value, vector = np.linalg.eigh(white @ white.T / white.shape[1])
    return value[::-1], vector[:, ::-1]


def subtract_shapes(data: np.ndarray, stop: np.ndarray, shared: Shared) -> None:
    """Subtract from each ramp the shapes that it holds, in place; releases the GIL.

    The amplitudes are fitted together with the rate by generalised least squares. Differences far
    from the fit, such as those of hits, are left out, and amplitudes up to twice their errors
    shrunk to zero (after James & Stein 1961). What a ramp does in a read that is not searched is
    taken out whole.

    Parameters
    ----------
    data : ndarray of float32, shape (T, ...)
        Reads [DN], NaN where not usable.
    stop : ndarray of int, shape (...)
        First saturated read.
    shared : Shared
        Its shapes and unsearched reads.
    """
    odd = np.flatnonzero(shared.unsearched[1:])
    single = np.eye(len(shared.dt))[odd]
    columns = np.concatenate([shared.dt[None], shared.shapes, single])
    if len(columns) > 1:
        flat, last = data.reshape(len(data), -1), np.ascontiguousarray(stop).ravel()
        plain = _plain_fit(columns, shared.typical) if not len(odd) else np.zeros((0, 1))
        _subtract_shapes(flat, last, columns, plain, len(odd), *shared.typical)


def _plain_fit(columns: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """Return weights (S, T - 1) that give the amplitude of each shape over its error."""
    solved = linalg.solveh_banded(_banded(typical), columns.T, lower=True)
    inverse = np.linalg.inv(columns @ solved)
    return (inverse @ solved.T)[1:] / np.sqrt(np.diag(inverse))[1:, None]


@njit(nogil=True, cache=True, error_model="numpy")
def _subtract_shapes(data, stop, columns, plain, whole, diagonal, beside):
    """Fit ``columns`` (terms, T - 1) to each ramp, and subtract all but the first, the rate.

    The last ``whole`` columns are not shrunk. ``plain`` are the weights of `_plain_fit`, or none:
    whole ramps that hold no shape according to them are left alone.
    """
    reads, n = data.shape
    count, terms = reads - 1, len(columns)
    d, rest, used = np.empty(count), np.empty(count), np.empty(count, np.bool_)
    reduced = np.empty((terms + 1, count))
    for i in range(n):
        last = min(stop[i], reads)
        good = 0
        for f in range(count):
            d[f] = np.float64(data[f + 1, i]) - np.float64(data[f, i])
            used[f] = f + 1 < last and d[f] - d[f] == 0.0
            good += used[f]
        if good <= terms + 1:
            continue
        if good == count and plain.shape[0]:
            most = 0.0
            for k in range(plain.shape[0]):
                amplitude = 0.0
                for f in range(count):
                    amplitude += plain[k, f] * d[f]
                most = max(most, abs(amplitude))
            if most < _NONE:
                continue
        scale = 1.0
        for turn in range(_ROUNDS):
            normal, solution = _normal_equations(d, used, columns, diagonal, beside, reduced)
            inverse = np.linalg.inv(normal)
            solution = inverse @ solution
            changed, scale = _reject(d, columns, solution, diagonal, last, used, rest)
            if turn == _ROUNDS - 1 or not changed:
                break
        for k in range(1, terms - whole):
            chance = _SHRINK * inverse[k, k] * max(scale, 1.0) ** 2
            solution[k] *= max(1 - chance / max(solution[k] ** 2, 1e-30), 0.0)
        total = 0.0
        for f in range(count):
            for k in range(1, terms):
                total += solution[k] * columns[k, f]
            data[f + 1, i] -= np.float32(total)


@njit(nogil=True, cache=True, error_model="numpy")
def _normal_equations(d, used, columns, diagonal, beside, reduced):
    """Return the normal matrix and right-hand side under the tridiagonal covariance."""
    terms, count = columns.shape
    normal, right = np.zeros((terms, terms)), np.zeros(terms)
    pivot = 0.0
    for f in range(count):
        ratio = beside[f - 1] * pivot if f > 0 else 0.0
        pivot = 1 / (diagonal[f] - beside[f - 1] * ratio) if used[f] else 0.0
        for k in range(terms + 1):
            value = d[f] if k == terms else columns[k, f]
            reduced[k, f] = value - (ratio * reduced[k, f - 1] if f > 0 else 0.0)
        if not used[f]:
            reduced[:, f] = 0.0
            continue
        for k in range(terms):
            share = reduced[k, f] * pivot
            right[k] += share * reduced[terms, f]
            for m in range(k + 1):
                normal[k, m] += share * reduced[m, f]
    for k in range(terms):
        # A column that no used difference holds gets a zero coefficient.
        normal[k, k] = normal[k, k] * (1 + 1e-9) + 1e-30
        for m in range(k):
            normal[m, k] = normal[k, m]
    return normal, right


@njit(nogil=True, cache=True, error_model="numpy")
def _reject(d, columns, solution, diagonal, last, used, rest):
    """Leave out differences far from the fit, in place.

    Returns whether any changed, and the scatter over that of a typical pixel.
    """
    terms, count = columns.shape
    inside, sizes = 0, np.empty(count)
    for f in range(count):
        value = d[f]
        for k in range(terms):
            value -= solution[k] * columns[k, f]
        rest[f] = value / np.sqrt(diagonal[f])
        if f + 1 < last and value - value == 0.0:
            sizes[inside] = abs(rest[f])
            inside += 1
    scale = max(SIGMA_OF_MAD * np.median(sizes[:inside]), 1e-6)
    changed = False
    for f in range(count):
        good = f + 1 < last and abs(rest[f]) <= _REJECT * scale
        changed |= good != used[f]
        used[f] = good
    return changed, scale
