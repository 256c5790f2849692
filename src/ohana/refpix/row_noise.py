"""Slow 1/f noise common to all outputs, row by row, from the side columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.fft import dct, idct

from ohana.refpix.border import Strips, border_slices
from ohana.refpix.channels import Pixels, moments, usable
from ohana.refpix.correction import Reference, subtract

#: Cosine modes per octave that are weighed together.
MODES_PER_OCTAVE = 4
#: Power of a read over the median above which it is excluded from the choice of weights. Chosen.
ODD_READ = 10.0


class RowNoise(NamedTuple):
    """The noise common to each row of each read.

    ``common`` is (T, H) [DN]; ``weights`` (H,) is the fraction kept of each cosine mode, 0 to 1.
    """

    common: np.ndarray
    weights: np.ndarray


def row_term(strips: Strips, flat: Reference, smoothing: float | None) -> RowNoise:
    """Estimate the noise common to rows after levels and slopes are subtracted."""
    width, b = flat.level.shape[1], strips.left.shape[2]
    where = border_slices((flat.common.shape[1], width), b)
    bottom, top, left, right = (
        _deviations(strip, flat, *slices)
        for strip, slices in zip(vars(strips).values(), where, strict=True)
    )
    if np.any(np.isfinite(left)) != np.any(np.isfinite(right)):
        side = left if np.any(np.isfinite(left)) else right
        left, right = side[:, :, ::2], side[:, :, 1::2]
    whole = np.full(flat.common.shape, np.nan)
    whole[:, :b], whole[:, -b:] = (_mean(edge[:, :, b:-b]) for edge in (bottom, top))
    return row_noise(_mean(left), _mean(right), whole, smoothing)


def _deviations(strip: np.ndarray, flat: Reference, rows: slice, cols: slice) -> np.ndarray:
    """Return the residuals of a strip about each pixel's mean; NaN for bad pixels."""
    reads = len(strip)
    corrected = strip.copy()
    subtract(corrected, flat, rows, cols)
    size = strip[0].size
    zero = np.zeros(size)
    pixels, terms = Pixels(np.zeros(size, np.int64), zero, zero), np.zeros((reads, 1, 3))
    count, _, raw = moments(strip.reshape(reads, size), zero, pixels, terms)
    _, mean, scatter = moments(corrected.reshape(reads, size), zero, pixels, terms)
    good = usable(count, raw, scatter)
    mean[~good] = np.nan
    corrected -= mean.reshape(strip.shape[1:]).astype(np.float32)
    return corrected


def _mean(strip: np.ndarray) -> np.ndarray:
    """Return the mean along the last axis, NaN without finite values."""
    valid = np.isfinite(strip)
    count = valid.sum(axis=2)
    total = np.where(valid, strip, 0).sum(axis=2, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def row_noise(
    first: np.ndarray, second: np.ndarray, whole: np.ndarray, smoothing: float | None = None
) -> RowNoise:
    """Estimate the row-wise noise from two halves of the side columns.

    The mean of both halves is filtered along the rows by an optimum (Wiener) filter whose weights
    come from the data, as in Rauscher et al. (2017, PASP 129, 105003): in every band of
    frequencies the power that the halves share, less its own error, over the total power. White
    noise alone gives weights near 0, so that next to nothing is added to the science pixels.

    Power that is shared at the highest frequencies belongs to the instant when the side columns
    are read, not to the row: as much of it is left out as the whole rows of the border don't show.

    Parameters
    ----------
    first, second : ndarray, shape (T, H)
        Row means of the halves over their reference pixels [DN], levels and slopes subtracted;
        NaN where there is none.
    whole : ndarray, shape (T, H)
        The same of the rest of the row, NaN but for the first and last rows.
    smoothing : float, optional
        Noise-equivalent length of a Gaussian filter [rows], used in place of the optimum one.

    Returns
    -------
    RowNoise
    """
    reads, height = first.shape
    a, b = np.nan_to_num(first), np.nan_to_num(second)
    row_mean = np.where(np.isfinite(first) & np.isfinite(second), (a + b) / 2, a + b)
    modes = dct(row_mean, norm="ortho")
    if smoothing is not None:
        sigma = smoothing / np.sqrt(4 * np.pi)
        weights = np.exp(-0.5 * (np.pi * sigma * np.arange(height) / height) ** 2)
    else:
        power = np.sum(modes**2, axis=1)
        usual = power <= ODD_READ * np.median(power)
        shared = (dct(a, norm="ortho") * dct(b, norm="ortho"))[usual]
        whole_row = _shared_with_whole_row(row_mean[usual], whole[usual])
        weights = _weights(shared, modes[usual] ** 2, whole_row)
    common = idct(modes * weights, norm="ortho").astype(np.float32)
    return RowNoise(common, weights)


def _weights(shared: np.ndarray, total: np.ndarray, whole_row: float) -> np.ndarray:
    """Return the weight of each mode from products (reads, modes): shared power over total."""
    height = shared.shape[1]
    top = shared[:, height // 2 :]
    instant = max(float(np.mean(top)), 0.0)
    instant -= min(instant, whole_row)
    count = max(2, round(MODES_PER_OCTAVE * np.log2(height)))
    edges = np.unique(np.geomspace(1, height, count).round().astype(int))
    edges[0] = 0
    centres, values = [], []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        band, power = shared[:, low:high], total[:, low:high]
        scale = max(float(np.mean(power)), 1e-30)
        weight = float(np.mean(band)) / scale
        error = float(np.std(band - weight * power)) / scale / np.sqrt(band.size)
        values.append(min(max(weight - error - instant / scale, 0.0), 1.0))
        centres.append((low + high - 1) / 2)
    return np.interp(np.arange(height), centres, values)


def _shared_with_whole_row(row_mean: np.ndarray, whole: np.ndarray) -> float:
    """Return the covariance of side columns and whole row from row to row, less its error."""
    rows = np.flatnonzero(np.any(np.isfinite(whole), axis=0))
    half = row_mean.shape[1] / 2
    products = []
    for edge in (rows[rows < half], rows[rows >= half]):
        if len(edge) > 1:
            side, row = row_mean[:, edge], np.nan_to_num(whole[:, edge])
            side = side - side.mean(axis=1, keepdims=True)
            row = row - row.mean(axis=1, keepdims=True)
            products.append((side * row).sum(axis=1) / (len(edge) - 1))
    if not products:
        return 0.0
    covariance = np.concatenate(products)
    return max(float(np.mean(covariance) - np.std(covariance) / np.sqrt(len(covariance))), 0.0)
