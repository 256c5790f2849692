"""One training sample: the input of the network in a window, its labels and augmentation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.classes import EVENT_LABELS, Label
from ohana.correction.load import CorrectedRamp, load_block
from ohana.events import PixelMaps, Steps
from ohana.network.inputs import LEVEL, SIGNIFICANCE, STEP, USABLE, network_input
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import covariance_of
from ohana.training.tuning import TUNING
from ohana.training_sets.labels import IGNORE, Runs, paint


class OpenExposure(NamedTuple):
    """A stored exposure with its steps, maps and labels."""

    source: CorrectedRamp
    steps: Steps
    maps: PixelMaps
    runs: Runs


def cut_sample(
    exposure: OpenExposure,
    where: tuple[slice, slice, slice],
    extra: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return channels (C, t, h, w) and labels (t, h, w) of a window.

    Parameters
    ----------
    exposure : OpenExposure
        The exposure.
    where : tuple of slice
        Reads, rows and columns of the window.
    extra : float
        Noise to add, in units of each pixel's own.
    rng : numpy.random.Generator
        Source of that noise.
    """
    reads, rows, cols = where
    source, maps = exposure.source, exposure.maps.window(rows, cols)
    steps = exposure.steps.within(rows, cols)
    data = load_block(source, rows, cols)[0].data
    factor = np.sqrt(1 + extra**2)
    if extra:
        data += rng.standard_normal(data.shape, np.float32) * (extra * np.nan_to_num(maps.noise))
        maps, steps = _noisier(maps, steps, factor)
    block = RampBlock(data, maps.stop)
    features = network_input(block, maps, steps, covariance_of(source.ramp), threads=1)
    x = features._replace(reads=features.reads[:, reads]).whole()
    y = _labels(exposure.runs, where, factor)
    y[(x[USABLE] == 0) & (y != Label.TELEGRAPH_NOISE)] = IGNORE
    return x, y


def _noisier(maps: PixelMaps, steps: Steps, factor: float) -> tuple[PixelMaps, Steps]:
    """Return the approximate maps and steps for ``factor`` times the noise."""
    values = {name: getattr(maps, name) for name in PixelMaps.__dataclass_fields__}
    values["noise"] = maps.noise * np.float32(factor)
    values["neighbour_noise"] = maps.neighbour_noise * np.float32(factor)
    values["flicker"] = maps.flicker / np.float32(factor**2)
    fainter = steps._replace(significance=steps.significance / np.float32(factor))
    # Steps below the threshold would not be known.
    known = np.abs(fainter.significance) >= TUNING.min_known_significance
    return PixelMaps(**values), fainter.select(known)


def _labels(runs: Runs, where: tuple[slice, slice, slice], factor: float) -> np.ndarray:
    """Paint the labels of measurable events, and `IGNORE` for fainter ones."""
    reads, rows, cols = where
    corner = rows.start, cols.start
    shape = reads.stop - reads.start, rows.stop - rows.start, cols.stop - cols.start
    least_of = np.zeros(IGNORE + 1)
    least_of[list(EVENT_LABELS)] = [label.traits.training_snr for label in EVENT_LABELS]
    least = least_of[runs.label]
    measurable = runs.snr / factor >= least
    labels = paint(runs.select(measurable), corner, reads.start, shape)
    faint = paint(runs.select(~measurable), corner, reads.start, shape)
    labels[(labels == Label.BACKGROUND) & (faint > 0)] = IGNORE
    return labels


def flip_and_transpose(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Flip rows and columns at random, and transpose square windows."""
    for axis in (-1, -2):
        if rng.random() < 0.5:
            x, y = np.flip(x, axis), np.flip(y, axis)
    if x.shape[-1] == x.shape[-2] and rng.random() < 0.5:
        x, y = x.swapaxes(-1, -2), y.swapaxes(-1, -2)
    return x, y


def invert_telegraph_noise(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """Change the sign of telegraph noise in half of its pixels, in place."""
    flicker = (y == Label.TELEGRAPH_NOISE).any(axis=0) & (rng.random(y.shape[1:]) < 0.5)
    for channel in (STEP, SIGNIFICANCE, LEVEL):
        x[channel][:, flicker] *= -1
