"""A second look at a window of the ramp: how significant a step at one given read is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.differences import Differences
from ohana.events import PixelMaps, Steps
from ohana.jumps import Ramps, step_at
from ohana.linking import dating_error
from ohana.steps import CURVED_SIGNAL, is_curved
from ohana.walk import Source, load_block


class Cutout(NamedTuple):
    """Step of every pixel of a window, float64 (h, w).

    Attributes
    ----------
    amplitude, error : ndarray
        Step and its standard error [DN]; 0 and infinity where it cannot be told.
    """

    amplitude: np.ndarray
    error: np.ndarray

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
) -> Cutout:
    """Fit a step at one read in every pixel of a window.

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

    Returns
    -------
    Cutout
        Arrays of the window's shape.
    """
    rows, cols = window
    block, _ = load_block(source, rows, cols)
    reads, shape = len(block.data), block.stop.shape
    variance = maps.noise[window].astype(np.float64).ravel() ** 2
    dead = ~np.isfinite(variance)
    ramps = Ramps(
        block.data.reshape(reads, -1),
        np.where(dead, 0, block.stop.ravel()).astype(np.int32),
        np.where(dead, 1.0, variance),
        np.nan_to_num(maps.shot[window].astype(np.float64).ravel()),
        np.zeros((reads, dead.size), bool),
    )
    here = _inside(steps, window)
    pixel = (here.row - rows.start) * shape[1] + here.col - cols.start
    other = np.abs(here.read - read) > np.maximum(dating_error(here, maps.noise), 1)
    other &= ~here.saturating
    ramps.left_out[here.read[other], pixel[other]] = True
    bright = np.flatnonzero(np.abs(maps.rate[window].ravel()) * reads > CURVED_SIGNAL)
    curved = np.zeros(dead.size)
    curved[bright] = is_curved(ramps.select(bright), model)
    amplitude, error = step_at(ramps._replace(curved=curved), model, np.full(dead.size, read))
    jump = here.saturating & (here.read == read)
    amplitude[pixel[jump]], error[pixel[jump]] = here.amplitude[jump], here.error[jump]
    return Cutout(amplitude.reshape(shape), error.reshape(shape))


def _inside(steps: Steps, window: tuple[slice, slice]) -> Steps:
    """Return the steps inside a window."""
    rows, cols = window
    inside = (steps.row >= rows.start) & (steps.row < rows.stop)
    inside &= (steps.col >= cols.start) & (steps.col < cols.stop)
    return steps.select(inside)
