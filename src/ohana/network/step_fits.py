"""Steps in the ramps at the pixels and reads that the network selects."""

from __future__ import annotations

import numpy as np

from ohana.events import PixelMaps, Steps
from ohana.network.probabilities import Voxels
from ohana.network.tuning import TUNING
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.curves import curve_shapes
from ohana.rampfit.noise import gaussian
from ohana.rampfit.scan import ramps_of, step_at

#: Places (read, row, column), and the probabilities of a cosmic ray and of a snowball there.
Picked = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

#: Ramps that are fitted together, which limits memory.
BATCH = 2048


def measure_voxels(
    picked: Picked, block: RampBlock, maps: PixelMaps, steps: Steps, model: DifferenceCovariance
) -> Voxels:
    """Fit a step at each possible hit, with its other known steps and its curve as free parameters.

    Parameters
    ----------
    picked : tuple
        Arrays of shape (n,): (read, row, column) and probabilities. Rows and columns, here and
        in ``steps``, count from the corner of the window.
    block : RampBlock
        Reads of the window.
    maps : PixelMaps
        Per-pixel results for the window.
    steps : Steps
        Known steps; their values are taken over instead of a new fit.
    model : DifferenceCovariance
        Covariance coefficients.

    Returns
    -------
    Voxels
        In the order given.
    """
    (read, row, col), probabilities = picked
    amplitude, error = np.zeros(len(read)), np.full(len(read), np.inf)
    width = block.stop.shape[1]
    pixel = row.astype(np.int64) * width + col
    pixel_of_step = steps.row.astype(np.int64) * width + steps.col
    order = np.argsort(pixel_of_step, kind="stable")
    sorted_steps = pixel_of_step[order], steps.read[order]
    likely = np.flatnonzero(probabilities[0] >= TUNING.member_threshold)
    for start in range(0, len(likely), BATCH):
        part = likely[start : start + BATCH]
        at = row[part], col[part]
        ramps = ramps_of(
            block.data[:, *at],
            block.stop[at],
            maps.noise[at].astype(np.float64) ** 2,
            maps.shot[at],
            excluded=np.zeros((len(block.data), len(part)), np.bool_),
        )
        curve = np.maximum(maps.curve[at].astype(np.int64), -1)
        ramps = ramps._replace(curve=curve, shapes=curve_shapes(model))
        _exclude(ramps.excluded, pixel[part], *sorted_steps)
        ramps.excluded[read[part], np.arange(len(part))] = False
        amplitude[part], error[part] = step_at(ramps, model, read[part])
    significance = gaussian(amplitude / error, maps.dof[row, col])
    voxels = Voxels(
        *(values.astype(np.int32) for values in (row, col, read)),
        *(values.astype(np.float32) for values in (*probabilities, amplitude, error, significance)),
    )
    return _taken_over(voxels, steps, block.data.shape)


def _exclude(
    excluded: np.ndarray, pixel: np.ndarray, pixel_of_step: np.ndarray, read_of_step: np.ndarray
) -> None:
    """Mark the known steps of each pixel in place; steps are sorted by pixel."""
    first, end = (np.searchsorted(pixel_of_step, pixel, side) for side in ("left", "right"))
    count = end - first
    ramp = np.repeat(np.arange(len(pixel)), count)
    which = np.arange(len(ramp)) - np.repeat(np.cumsum(count) - count - first, count)
    excluded[read_of_step[which], ramp] = True


def _taken_over(voxels: Voxels, steps: Steps, shape: tuple[int, ...]) -> Voxels:
    """Copy the values of known steps to their voxels, also of rises into saturation."""
    one, other = (
        np.ravel_multi_index((places.read, places.row, places.col), shape)
        for places in (voxels, steps)
    )
    _, mine, theirs = np.intersect1d(one, other, return_indices=True)
    for name in ("amplitude", "error", "significance"):
        getattr(voxels, name)[mine] = getattr(steps, name)[theirs]
    return voxels
