"""A second look at a window of the ramp: how significant a step at one given read is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.border import border_mask
from ohana.curvature import CURVED_SIGNAL, is_curved
from ohana.differences import Differences, can_share
from ohana.events import PixelMaps, Steps
from ohana.jumps import Ramps, scan, step_at
from ohana.linking import dating_error
from ohana.noise import measure
from ohana.ramp import TILE_ROWS, Block
from ohana.walk import Source, load_block

#: In ramps with fewer reads a step can pass for noise: the noise is measured again without it.
SHORT = 100
#: With fewer differences than this they cannot tell noise, or another step, beside a step.
TOO_FEW = 5
#: Values that a strip of a window may hold.
STRIP = 2**23
#: Pixels around the window that tell the noise of ramps of a few reads.
BESIDE = 64


class Cutout(NamedTuple):
    """Step of every pixel of a window, float64 (h, w).

    Attributes
    ----------
    amplitude, error : ndarray
        Step and its standard error [DN]; 0 and infinity where it cannot be told.
    alone : ndarray
        Standard error if the ramp held no other steps [DN].
    rise : ndarray
        Signal some reads later above that of the read before the step, rate included [DN]; NaN
        where it is not known.
    """

    amplitude: np.ndarray
    error: np.ndarray
    alone: np.ndarray
    rise: np.ndarray

    @property
    def significance(self) -> np.ndarray:
        """Step over its standard error [sigma]."""
        return self.amplitude / self.error


def step_window(
    source: Source,
    maps: PixelMaps,
    model: Differences,
    window: tuple[slice, slice],
    read: int,
    steps: Steps,
    apart: dict[int, np.ndarray],
    follow: int,
) -> Cutout:
    """Fit a step at one read in every pixel of a window, in strips that bound the memory needed.

    Parameters
    ----------
    source : Source
        Ramp and correction.
    maps : PixelMaps
        Noise of the pixels of the whole array.
    model : Differences
        Covariance coefficients.
    window : tuple of slice
        Rows and columns, from the first to behind the last.
    read : int
        First read that contains the step.
    steps : Steps
        Steps of the whole array. Those of other reads are left free in the fit; one whose date
        is uncertain enough to be this step is not. Jumps into saturation at ``read`` are taken
        as they are.
    apart : dict of int to ndarray of bool, shape (h, w)
        Steps too faint to be found one by one that are left free as well, by the read that
        contains them first.
    follow : int
        Reads after ``read`` at which ``rise`` is taken, or the last read.

    Returns
    -------
    Cutout
        Arrays of the window's shape.
    """
    rows, cols = window
    reads, width = source.ramp.shape[0], cols.stop - cols.start
    height = max(STRIP // (reads * width * TILE_ROWS), 1) * TILE_ROWS
    wide = tuple(slice(max(s.start - BESIDE, 0), s.stop + BESIDE) for s in window)
    around = float(np.nanmedian(maps.noise[wide])) ** 2 if reads < SHORT else np.nan
    parts = []
    for top in range(rows.start, rows.stop, height):
        strip = slice(top, min(top + height, rows.stop)), cols
        inside = slice(top - rows.start, top - rows.start + height)
        free = {at: pixels[inside] for at, pixels in apart.items()}
        parts.append(_strip(source, maps, model, strip, read, steps, free, follow, around))
    return Cutout(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _strip(
    source: Source,
    maps: PixelMaps,
    model: Differences,
    window: tuple[slice, slice],
    read: int,
    steps: Steps,
    apart: dict[int, np.ndarray],
    follow: int,
    around: float,
) -> Cutout:
    """Fit a step in every pixel of a strip; see `_quiet` for ``around``."""
    rows, cols = window
    block, _ = load_block(source, rows, cols)
    # Neighbours beyond the window count too.
    block = block._replace(stop=np.minimum(block.stop, maps.stop[window]))
    here, shape = steps.within(rows, cols), block.stop.shape
    pixel = here.row * shape[1] + here.col
    ramps = _ramps(block, maps.noise[window].astype(np.float64) ** 2, maps.shot[window])
    other = np.abs(here.read - read) > np.maximum(dating_error(here, maps.noise[window]), 1)
    if not can_share(model)[max(read - 1, 0) : read + 1].any():
        # Beside a step at the very read, one at the next is another: the rim of a core that grows.
        own = np.isin(pixel, pixel[(here.read == read) & ~here.saturating])
        other |= own & (here.read != read)
    other &= ~here.saturating
    ramps.left_out[here.read[other], pixel[other]] = True
    if len(model.dt) >= TOO_FEW:
        for at, pixels in apart.items():
            ramps.left_out[at] |= pixels.ravel()
    # Where reads average frames, the next one may have a part of a step.
    sharing = can_share(model)
    ramps.left_out[1:] |= ramps.left_out[:-1] & sharing[:-1, None]
    ramps.left_out[read : read + 1 + sharing[read]] = False
    bright = np.flatnonzero(np.abs(maps.rate[window].ravel()) * len(block.data) > CURVED_SIGNAL)
    some = ramps.select(bright)
    ramps.curved[bright] = is_curved(some, scan(some, model, quick=True), model)
    if len(block.data) < SHORT:
        ramps = _quiet(ramps, block, source, window, model, read, around)
    where = np.full(len(ramps.stop), read)
    shared = np.full(len(where), sharing[read])
    amplitude, error = step_at(ramps, model, where, shared)
    _, alone = step_at(ramps._replace(left_out=np.empty((0, 0), bool)), model, where, shared)
    jump = here.saturating & (here.read == read)
    amplitude[pixel[jump]], error[pixel[jump]] = here.amplitude[jump], here.error[jump]
    alone[pixel[jump]] = here.error[jump]
    after = min(read + follow, len(block.data) - 1)
    rise = (block.data[after] - block.data[read - 1]).ravel().astype(np.float64)
    rise[ramps.stop <= after] = np.nan
    return Cutout(*(values.reshape(shape) for values in (amplitude, error, alone, rise)))


def _quiet(
    ramps: Ramps,
    block: Block,
    source: Source,
    window: tuple[slice, slice],
    model: Differences,
    read: int,
    around: float,
) -> Ramps:
    """Return the ramps with the noise that they have without any of their steps.

    Where there are too few differences to tell, that is the variance ``around``.
    """
    steps = ramps.left_out.copy()
    steps[read] = True
    if len(model.dt) < TOO_FEW:
        return ramps._replace(variance=np.full(ramps.variance.shape, around))
    rate = np.nan_to_num(scan(ramps._replace(left_out=steps), model).rate)
    without = block.data.copy()
    _take_out(without.reshape(ramps.data.shape), steps, rate.astype(np.float32), model.dt)
    border, gain = border_mask(source.ramp, *window), source.ramp.facts.gain
    noise = measure(without, block.stop, border, model, gain)
    # Each step has taken one of the differences to fit.
    left = len(model.dt) - np.minimum(steps[1:].sum(0), len(model.dt) - 2)
    lost = (len(model.dt) / left).reshape(noise.variance.shape)
    fresh = _ramps(block, noise.variance * lost, noise.shot)
    return fresh._replace(left_out=ramps.left_out, curved=ramps.curved)


@njit(nogil=True, cache=True)
def _take_out(data, steps, rate, dt):
    """Subtract from ramps (T, n) what their differences in ``steps`` rise above their rate."""
    shift = np.zeros(data.shape[1], data.dtype)
    before = data[0].copy()
    for t in range(1, data.shape[0]):
        now = data[t]
        for i in range(len(shift)):
            rise = now[i] - before[i] - rate[i] * dt[t - 1]
            if steps[t, i] and rise == rise:
                shift[i] += rise
            before[i] = now[i]
            now[i] -= shift[i]


def _ramps(block: Block, variance: np.ndarray, shot: np.ndarray) -> Ramps:
    """Return the ramps of a block, with nothing left out."""
    reads, variance = len(block.data), variance.ravel()
    dead = ~np.isfinite(variance)
    return Ramps(
        block.data.reshape(reads, -1),
        np.where(dead, 0, block.stop.ravel()).astype(np.int32),
        np.where(dead, 1.0, variance),
        np.nan_to_num(shot.ravel().astype(np.float64)),
        np.zeros((reads, dead.size), bool),
        np.zeros(dead.size),
    )
