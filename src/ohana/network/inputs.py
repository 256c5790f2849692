"""Input of the network: the ramp of every pixel in units of its own noise.

Gain, pedestal, read noise and rate cancel, so one network serves every detector. Channels hold
the quantities that need all reads of a pixel, so windows of few reads suffice.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.events import PixelMaps, Steps
from ohana.network.tuning import TUNING
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.gls import DATA, MIN_INFORMATION_SINGLE, PIVOT, ROWS
from ohana.rampfit.scan_kernels import CHUNK, fit_chunk, take_differences

#: Names of the channels, in their order.
CHANNELS = (
    "step",  # from the previous read, minus the rate, in units of its noise
    "significance",  # of that step by a fit to all reads, other known steps excluded
    "level",  # above the mean of the ramp, minus the rate, in units of its noise
    "usable",  # 1: usable step; 0: unknown; -1: saturated
    "flicker",  # screening statistic, see ohana.detect.telegraph.screen
    "noisy",  # logarithm of the ratio of noise to that of the neighbours
    "poisson",  # fraction of shot noise in the variance of a step
)
STEP, SIGNIFICANCE, LEVEL, USABLE, FLICKER, NOISY, POISSON = range(len(CHANNELS))
#: Number of the first channels, which differ from read to read; the others are per pixel.
OF_READS = 4


class NetworkInput(NamedTuple):
    """Input of a window: channels of reads (4, T, R, W) and of pixels (3, R, W)."""

    reads: np.ndarray
    pixels: np.ndarray

    def whole(self) -> np.ndarray:
        """Return all channels (C, T, R, W), those of pixels repeated in every read."""
        own = np.broadcast_to(self.pixels[:, None], (len(self.pixels), *self.reads.shape[1:]))
        return np.concatenate([self.reads, own])


def network_input(
    block: RampBlock,
    maps: PixelMaps,
    steps: Steps,
    model: DifferenceCovariance,
    threads: int | None = None,
) -> NetworkInput:
    """Return the input of the network for a window.

    Parameters
    ----------
    block : RampBlock
        Reads (T, R, W) [DN] and the end of each ramp, from `ohana.correction.load.load_block`.
    maps : PixelMaps
        Per-pixel results for the window.
    steps : Steps
        Known steps; ``row`` and ``col`` count from the corner of the window.
    model : DifferenceCovariance
        Covariance coefficients.
    threads : int, optional
        All cores if absent.

    Returns
    -------
    NetworkInput
        `CHANNELS` in their order, float32. Entry f of a step is that from read f - 1 to f; there
        is none at read 0.

    Notes
    -----
    Significances are limited smoothly: ``x / sqrt(1 + (x / c)**2)`` with c of
    ``TUNING.significance_ceiling``.
    """
    reads, rows, cols = block.data.shape
    known = np.isfinite(maps.noise) & (maps.noise > 0)
    out = np.zeros((OF_READS, reads, rows, cols), np.float32)
    excluded = np.zeros((reads, rows, cols), np.bool_)
    excluded[steps.read, steps.row, steps.col] = True
    both = may_split_jump(model)[steps.read]
    excluded[steps.read[both] + 1, steps.row[both], steps.col[both]] = True
    given = np.zeros((3, rows, cols), np.float32)
    given[0] = np.where(known, maps.noise, 1.0) ** 2
    given[1] = np.where(known, maps.shot, 0.0)
    given[2] = np.nan_to_num(maps.rate)
    stop = np.where(known, block.stop, 0).astype(np.int32)
    single = model.astype(np.float32)
    dof = np.clip(maps.dof, 0.5, 1e6).astype(np.float32)

    limits = MIN_INFORMATION_SINGLE, np.float32(1 / TUNING.significance_ceiling**2), TUNING.max_dof

    def fill(row: int) -> None:
        own = (block.data[:, row], stop[row], excluded[:, row], given[:, row], dof[row])
        _fill(*own, single, limits, out[:, :, row])

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(fill, range(rows)))
    _mark_steps(out, steps)
    _mark_usable(out[USABLE], block.stop, known)
    shot = given[1] * np.float32(np.mean(model.shot))
    poisson = shot / (shot + given[0] * np.float32(np.mean(model.read)))
    flicker = _limited(np.where(known, maps.flicker, 0.0) / TUNING.flicker_unit)
    return NetworkInput(
        out, np.stack([flicker, _log_ratio(maps, known), poisson]).astype(np.float32)
    )


def _limited(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt(1.0 + (x / TUNING.significance_ceiling) ** 2)


def _mark_steps(out: np.ndarray, steps: Steps) -> None:
    """Enter the significance of the steps that were excluded from the fit."""
    limited = _limited(steps.significance.astype(np.float64))
    out[SIGNIFICANCE, steps.read, steps.row, steps.col] = limited


def _mark_usable(usable: np.ndarray, stop: np.ndarray, known: np.ndarray) -> None:
    reads = np.arange(len(usable))[:, None, None]
    usable[(reads >= stop) & known] = -1.0


def _log_ratio(maps: PixelMaps, known: np.ndarray) -> np.ndarray:
    around = np.where(known & (maps.neighbour_noise > 0), maps.neighbour_noise, 1.0)
    ratio = np.where(known, maps.noise, 1.0) / np.where(known, around, 1.0)
    return np.clip(np.log(ratio), -TUNING.max_log_noise_ratio, TUNING.max_log_noise_ratio)


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(data, stop, excluded, given, dof, model, limits, out):
    """Fill the channels of reads (C, T, n), ``CHUNK`` pixels at a time.

    ``limits`` are the least information of a step, 1 / ceiling^2 of significances, and the
    degrees of freedom from which the noise counts as known. They are arguments because compiled
    code would keep the values of globals.
    """
    least, ceiling, max_dof = limits
    reads, n = data.shape
    chunk = min(CHUNK, n)
    work = np.empty((ROWS, reads, chunk), np.float32)
    sums, fit = np.empty((6, chunk), np.float32), np.empty((6, chunk), np.float32)
    for first in range(0, n, chunk):
        start = min(first, n - chunk)
        part = slice(start, start + chunk)
        own = given[:, part]
        straight, shapes = np.empty(0, np.int64), np.empty((0, 0), np.float32)
        take_differences(data[:, part], stop[part], excluded[:, part], own[2], model.dt, work)
        fit_chunk(own, straight, shapes, model, least, np.empty(0, np.bool_), work, sums, fit)
        _significances(work, dof[part], ceiling, max_dof, out[SIGNIFICANCE, :, part])
        _steps(data[:, part], stop[part], own, model, ceiling, out[:, :, part])
        _levels(data[:, part], stop[part], own, model, ceiling, out[LEVEL, :, part])


@njit(nogil=True, cache=True, error_model="numpy")
def _significances(work, dof, ceiling, max_dof, out):
    """Significance of the step at every read."""
    one, zero = np.float32(1.0), np.float32(0.0)
    few = dof.min() < max_dof
    for f in range(1, work.shape[1]):
        score, information, line = work[DATA, f], work[PIVOT, f], out[f]
        for i in range(score.size):
            known = information[i] > zero
            line[i] = score[i] / np.sqrt(information[i]) if known else zero
        if few:
            for i in range(score.size):
                # Wallace (1959), as in ohana.rampfit.noise.gaussian.
                power = line[i] * line[i] / dof[i]
                shrunk = np.sqrt(np.log1p(power) / power) if power > zero else one
                line[i] *= shrunk
        for i in range(score.size):
            line[i] /= np.sqrt(one + line[i] * line[i] * ceiling)


@njit(nogil=True, cache=True, error_model="numpy")
def _steps(data, stop, given, model, ceiling, out):
    """Step from the previous read, and whether it is usable."""
    one, zero = np.float32(1.0), np.float32(0.0)
    variance, shot, rate = given
    for f in range(1, data.shape[0]):
        now, before, dt = data[f], data[f - 1], model.dt[f - 1]
        read, poisson = model.read[f - 1], model.shot[f - 1]
        line, usable = out[STEP, f], out[USABLE, f]
        for i in range(now.size):
            step = now[i] - before[i] - rate[i] * dt
            x = step / np.sqrt(variance[i] * read + shot[i] * poisson)
            good = x - x == zero and f < stop[i]
            line[i] = x / np.sqrt(one + x * x * ceiling) if good else zero
            usable[i] = one if good else zero


@njit(nogil=True, cache=True, error_model="numpy")
def _levels(data, stop, given, model, ceiling, out):
    """Level above the mean of the ramp, minus the rate.

    Its variance is that of a read plus that of a Brownian bridge of the shot noise, on average a
    sixth of the variance of the whole path.
    """
    one, zero = np.float32(1.0), np.float32(0.0)
    reads, n = data.shape
    time = np.zeros(reads, np.float32)
    for f in range(1, reads):
        time[f] = time[f - 1] + model.dt[f - 1]
    rate, total, count = given[2], np.zeros(n, np.float32), np.zeros(n, np.float32)
    for f in range(reads):
        now = data[f]
        for i in range(n):
            x = now[i] - rate[i] * time[f]
            good = x - x == zero and f < stop[i]
            total[i] += x if good else zero
            count[i] += one if good else zero
    for i in range(n):
        total[i] = total[i] / max(count[i], one)
        span = time[max(min(stop[i], reads) - 1, 0)]
        count[i] = one / np.sqrt(given[0, i] + given[1, i] * span / np.float32(6.0))
    for f in range(reads):
        now, line = data[f], out[f]
        for i in range(n):
            x = (now[i] - rate[i] * time[f] - total[i]) * count[i]
            good = x - x == zero and f < stop[i]
            line[i] = x / np.sqrt(one + x * x * ceiling) if good else zero
