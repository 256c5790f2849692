"""A second look at a window of the ramp: how significant a step at one given read is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.detect.linking import read_tolerance
from ohana.events import PixelMaps, Steps
from ohana.ramp import TILE_ROWS, RampBlock
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.load import CorrectedRamp, load_block
from ohana.rampfit.noise import measure
from ohana.rampfit.nonlinearity import is_nonlinear
from ohana.rampfit.scan import Ramps, ramps_of, scan, step_at
from ohana.rampfit.tuning import TUNING as RAMPFIT
from ohana.refpix.border import border_mask

#: In ramps with fewer reads a step can pass for noise: the noise is measured again without it.
SHORT = 100
#: With fewer differences than this they cannot tell noise, or another step, beside a step.
TOO_FEW = 5
#: Values that a strip of a window may hold.
STRIP = 2**23
#: Pixels around the window that tell the noise of ramps of a few reads.
BESIDE = 64


class StepImage(NamedTuple):
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


def step_image(
    source: CorrectedRamp,
    maps: PixelMaps,
    model: DifferenceCovariance,
    window: tuple[slice, slice],
    read: int,
    steps: Steps,
    apart: dict[int, np.ndarray],
    follow: int,
) -> StepImage:
    """Fit a step at one read in every pixel of a window, in strips that bound the memory needed.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and correction.
    maps : PixelMaps
        Noise of the pixels of the whole array.
    model : DifferenceCovariance
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
    StepImage
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
    return StepImage(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _strip(
    source: CorrectedRamp,
    maps: PixelMaps,
    model: DifferenceCovariance,
    window: tuple[slice, slice],
    read: int,
    steps: Steps,
    apart: dict[int, np.ndarray],
    follow: int,
    around: float,
) -> StepImage:
    """Fit a step in every pixel of a strip; see `_quiet` for ``around``."""
    rows, cols = window
    block, _ = load_block(source, rows, cols)
    # Neighbours beyond the window count too.
    block = block._replace(stop=np.minimum(block.stop, maps.stop[window]))
    here, shape = steps.within(rows, cols), block.stop.shape
    pixel = here.row * shape[1] + here.col
    ramps = ramps_of(
        block.data,
        block.stop,
        maps.noise[window].astype(np.float64) ** 2,
        maps.shot[window],
        excluded=np.zeros(block.data.shape, bool),
    )
    tolerance = read_tolerance(here.amplitude, maps.noise[window].ravel()[pixel])
    other = (np.abs(here.read - read) > tolerance) & ~here.saturating
    ramps.excluded[here.read[other], pixel[other]] = True
    if len(model.dt) >= TOO_FEW:
        for at, pixels in apart.items():
            ramps.excluded[at] |= pixels.ravel()
    # Where reads average frames, the next one may have a part of a step.
    sharing = may_split_jump(model)
    ramps.excluded[1:] |= ramps.excluded[:-1] & sharing[:-1, None]
    ramps.excluded[read : read + 1 + sharing[read]] = False
    signal = np.abs(maps.rate[window].ravel()) * len(block.data)
    bright = np.flatnonzero(signal > RAMPFIT.nonlinear_signal)
    some, nonlinear = ramps.select(bright), np.zeros(block.stop.size)
    nonlinear[bright] = is_nonlinear(some, scan(some, model, quick=True), model)
    ramps = ramps._replace(nonlinear=nonlinear)
    if len(block.data) < SHORT:
        ramps = _quiet(ramps, block, source, window, model, read, around)
    where = np.full(len(ramps.stop), read)
    shared = np.full(len(where), sharing[read])
    amplitude, error = step_at(ramps, model, where, shared)
    _, alone = step_at(ramps._replace(excluded=np.empty((0, 0), bool)), model, where, shared)
    jump = here.saturating & (here.read == read)
    amplitude[pixel[jump]], error[pixel[jump]] = here.amplitude[jump], here.error[jump]
    alone[pixel[jump]] = here.error[jump]
    after = min(read + follow, len(block.data) - 1)
    rise = (block.data[after] - block.data[read - 1]).ravel().astype(np.float64)
    rise[ramps.stop <= after] = np.nan
    return StepImage(*(values.reshape(shape) for values in (amplitude, error, alone, rise)))


def _quiet(
    ramps: Ramps,
    block: RampBlock,
    source: CorrectedRamp,
    window: tuple[slice, slice],
    model: DifferenceCovariance,
    read: int,
    around: float,
) -> Ramps:
    """Return the ramps with the noise that they have without any of their steps.

    Where there are too few differences to tell, that is the variance ``around``.
    """
    steps = ramps.excluded.copy()
    steps[read] = True
    if len(model.dt) < TOO_FEW:
        return ramps._replace(variance=np.full(ramps.variance.shape, around))
    rate = np.nan_to_num(scan(ramps._replace(excluded=steps), model).rate)
    without = block.data.copy()
    _take_out(without.reshape(ramps.data.shape), steps, rate.astype(np.float32), model.dt)
    border, gain = border_mask(source.ramp, *window), source.ramp.facts.gain
    noise = measure(without, block.stop, border, model, gain)
    # Each step has taken one of the differences to fit.
    left = len(model.dt) - np.minimum(steps[1:].sum(0), len(model.dt) - 2)
    lost = (len(model.dt) / left).reshape(noise.variance.shape)
    fresh = ramps_of(
        block.data, block.stop, noise.variance * lost, noise.shot, excluded=ramps.excluded
    )
    return fresh._replace(nonlinear=ramps.nonlinear)


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
