"""Steps at one given read in every pixel of a window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.correction.load import CorrectedRamp, load_block
from ohana.detect.linking import read_tolerance
from ohana.detect.snowballs.tuning import TUNING
from ohana.events import PixelMaps, Steps
from ohana.ramp import TILE_ROWS, RampBlock
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.curves import bends, curve_shapes
from ohana.rampfit.noise import measure
from ohana.rampfit.scan import Ramps, ramps_of, scan, step_at
from ohana.rampfit.tuning import TUNING as RAMPFIT
from ohana.refpix.border import border_mask

#: Values that a strip of a window may hold.
STRIP = 2**23


class StepImage(NamedTuple):
    """Step of every pixel of a window, float64 (h, w).

    Attributes
    ----------
    amplitude, error : ndarray
        Step and its standard error [DN]; 0 and infinity where it cannot be measured.
    error_if_single_step : ndarray
        Standard error if the ramp held no other steps [DN].
    later_signal : ndarray
        Signal some reads later above that of the read before the step, rate included [DN]; NaN
        where it is not known.
    """

    amplitude: np.ndarray
    error: np.ndarray
    error_if_single_step: np.ndarray
    later_signal: np.ndarray

    @property
    def significance(self) -> np.ndarray:
        """Step over its standard error [sigma]."""
        return self.amplitude / self.error


def step_image(
    source: CorrectedRamp,
    maps: PixelMaps,
    covariance: DifferenceCovariance,
    window: tuple[slice, slice],
    read: int,
    steps: Steps,
    other_snowballs: dict[int, np.ndarray],
    n_later: int,
) -> StepImage:
    """Fit a step at one read in every pixel of a window, in strips that bound the memory needed.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and correction.
    maps : PixelMaps
        Noise of the pixels of the whole array.
    covariance : DifferenceCovariance
        Covariance coefficients.
    window : tuple of slice
        Rows and columns, from the first to behind the last.
    read : int
        First read that contains the step.
    steps : Steps
        Steps of the whole array. Those of other reads are free parameters of the fit, unless
        the read of one is so uncertain that it may be this step. Jumps into saturation at
        ``read`` are taken as they are.
    other_snowballs : dict of int to ndarray of bool, shape (h, w)
        Pixels with further steps, too faint to be found one by one, by the read that first
        contains them; free parameters as well.
    n_later : int
        Reads after ``read`` at which ``later_signal`` is taken, or the last read.

    Returns
    -------
    StepImage
        Arrays of the window's shape.
    """
    rows, cols = window
    reads, width = source.ramp.shape[0], cols.stop - cols.start
    height = max(STRIP // (reads * width * TILE_ROWS), 1) * TILE_ROWS
    margin = TUNING.noise_margin
    wide = tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in window)
    around = float(np.nanmedian(maps.noise[wide])) ** 2 if reads < TUNING.short_ramp else np.nan
    parts = []
    for top in range(rows.start, rows.stop, height):
        strip = slice(top, min(top + height, rows.stop)), cols
        inside = slice(top - rows.start, top - rows.start + height)
        free = {at: pixels[inside] for at, pixels in other_snowballs.items()}
        parts.append(_strip(source, maps, covariance, strip, read, steps, free, n_later, around))
    return StepImage(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _strip(
    source: CorrectedRamp,
    maps: PixelMaps,
    covariance: DifferenceCovariance,
    window: tuple[slice, slice],
    read: int,
    steps: Steps,
    other_snowballs: dict[int, np.ndarray],
    n_later: int,
    around: float,
) -> StepImage:
    """Fit a step in every pixel of a strip; see `_without_steps` for ``around``."""
    rows, cols = window
    block, _ = load_block(source, rows, cols)
    # Saturation of neighbours beyond the window ends ramps too.
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
    other = np.abs(here.read - read) > tolerance
    if not may_split_jump(covariance)[max(read - 1, 0) : read + 1].any():
        # A pixel with a step at this very read has another one at the next: the rim of a core
        # that grows.
        own = np.isin(pixel, pixel[(here.read == read) & ~here.saturating])
        other |= own & (here.read != read)
    other &= ~here.saturating
    ramps.excluded[here.read[other], pixel[other]] = True
    if len(covariance.dt) >= TUNING.min_differences:
        for at, pixels in other_snowballs.items():
            ramps.excluded[at] |= pixels.ravel()
    # Where reads average frames, the next difference may contain a part of a step.
    sharing = may_split_jump(covariance)
    ramps.excluded[1:] |= ramps.excluded[:-1] & sharing[:-1, None]
    ramps.excluded[read : read + 1 + sharing[read]] = False
    signal = np.abs(maps.rate[window].ravel()) * len(block.data)
    bright = np.flatnonzero(signal > RAMPFIT.nonlinear_signal)
    ramps = ramps._replace(shapes=curve_shapes(covariance))
    some, curve = ramps.select(bright), np.full(block.stop.size, -1)
    curve[bright] = bends(some, scan(some, covariance, quick=True), covariance)
    ramps = ramps._replace(curve=curve)
    if len(block.data) < TUNING.short_ramp:
        ramps = _without_steps(ramps, block, source, window, covariance, read, around)
    where = np.full(len(ramps.stop), read)
    shared = np.full(len(where), sharing[read])
    amplitude, error = step_at(ramps, covariance, where, shared)
    single = ramps._replace(excluded=np.empty((0, 0), bool))
    _, error_if_single = step_at(single, covariance, where, shared)
    jump = here.saturating & (here.read == read)
    amplitude[pixel[jump]], error[pixel[jump]] = here.amplitude[jump], here.error[jump]
    error_if_single[pixel[jump]] = here.error[jump]
    after = min(read + n_later, len(block.data) - 1)
    later = (block.data[after] - block.data[read - 1]).ravel().astype(np.float64)
    later[ramps.stop <= after] = np.nan
    images = amplitude, error, error_if_single, later
    return StepImage(*(values.reshape(shape) for values in images))


def _without_steps(
    ramps: Ramps,
    block: RampBlock,
    source: CorrectedRamp,
    window: tuple[slice, slice],
    covariance: DifferenceCovariance,
    read: int,
    around: float,
) -> Ramps:
    """Return the ramps with the noise that they have without any of their steps.

    With too few differences to measure it, that is the variance ``around``.
    """
    steps = ramps.excluded.copy()
    steps[read] = True
    if len(covariance.dt) < TUNING.min_differences:
        return ramps._replace(variance=np.full(ramps.variance.shape, around))
    rate = np.nan_to_num(scan(ramps._replace(excluded=steps), covariance).rate)
    without = block.data.copy()
    _subtract_steps(
        without.reshape(ramps.data.shape), steps, rate.astype(np.float32), covariance.dt
    )
    border, gain = border_mask(source.ramp, *window), source.ramp.facts.gain
    noise = measure(without, block.stop, border, covariance, gain)
    # Each step has taken one of the differences to fit.
    left = len(covariance.dt) - np.minimum(steps[1:].sum(0), len(covariance.dt) - 2)
    lost = (len(covariance.dt) / left).reshape(noise.variance.shape)
    fresh = ramps_of(
        block.data, block.stop, noise.variance * lost, noise.shot, excluded=ramps.excluded
    )
    return fresh._replace(curve=ramps.curve, shapes=ramps.shapes)


@njit(nogil=True, cache=True)
def _subtract_steps(data, steps, rate, dt):
    """Subtract from ramps (T, n) the excess of their differences in ``steps`` over their rate."""
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
