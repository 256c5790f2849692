"""The model drawn over a ramp: steps on a line, or levels."""

from __future__ import annotations

import logging
import traceback
from typing import NamedTuple

import numpy as np
from scipy import linalg

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.telegraph.fit import fit_telegraph_noise
from ohana.detect.telegraph.pixels import noise_for_levels
from ohana.detect.tuning import TUNING as DETECT
from ohana.errors import one_line_message
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.curves import curve_shapes
from ohana.rampfit.scan import ramps_of, scan
from ohana.rampfit.step_search import find_steps
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction
from ohana.utils.log_file import FILE_ONLY

log = logging.getLogger("ohana")

#: Noise of a pixel without scatter [DN]. Chosen.
MIN_NOISE = 1e-6


class Pixel(NamedTuple):
    """A ramp (T,) [DN], its first saturated read, and its noise [DN^2, per frame time]."""

    ramp: np.ndarray
    stop: int
    variance: float
    shot: float
    typical: float
    dof: float


class Drawn(NamedTuple):
    """A fit to be drawn (T,) [DN]; ``reason`` says why it failed, empty if it did not."""

    fit: np.ndarray
    reason: str


def fit_to_draw(prediction: Prediction, event: Detection, y: int, x: int) -> Drawn:
    """Return `fitted_ramp`; NaN and the reason if it fails, so that the figure is still drawn."""
    try:
        return Drawn(fitted_ramp(prediction, event, y, x), "")
    except Exception as error:
        log.log(FILE_ONLY, "".join(traceback.format_exception(error)).rstrip())
        return Drawn(np.full(prediction.shape[0], np.nan), one_line_message(error))


def fitted_ramp(prediction: Prediction, event: Detection, y: int, x: int) -> np.ndarray:
    """Fit what an event is to the ramp of one of its pixels.

    A straight line by generalised least squares (curved, where that is what a bright ramp is),
    with a step at every read that shows one; for telegraph noise levels on top of it.

    Parameters
    ----------
    prediction : Prediction
        The exposure.
    event : dict
        Entry of its catalogue.
    y, x : int
        Row and column of the pixel.

    Returns
    -------
    ndarray of float64, shape (T,)
        [DN], comparable with ``prediction.ramp(y, x)``; NaN from the first saturated read on.

    Examples
    --------
    >>> from ohana.results.prediction import prediction_of
    >>> ramp = np.random.default_rng(3).normal(0, 0.1, (19, 8, 8))
    >>> ramp[9:, 4, 4] += 50
    >>> event = {
    ...     "type": "cosmic_ray", "first_frame": 10, "integration": 0, "bbox": [4, 4, 5, 5],
    ...     "pixels": [[4, 4]],
    ... }
    >>> fit = fitted_ramp(prediction_of(ramp, [event]), event, 4, 4)
    >>> float((fit[10] - fit[9]).round())
    50.0
    """
    model = prediction.covariance(event["integration"])
    pixel = _pixel(prediction, model, y, x, event["integration"])
    config = _config(prediction)
    levels = np.zeros(len(pixel.ramp))
    if event["type"] == Label.TELEGRAPH_NOISE.key:
        gain = prediction.run.get("facts", {}).get("gain", 1.0)
        levels = _levels(pixel, model, gain, config)
    rest = pixel._replace(ramp=pixel.ramp - levels)
    ramps = ramps_of(rest.ramp[:, None], rest.stop, rest.variance, rest.shot)
    dof = np.array([rest.dof])
    steps, _, curve, _ = find_steps(ramps, dof, scan(ramps, model), model, config)
    steps = steps.select(~steps.saturating)
    reads = set(steps.read.tolist())
    frame = event["first_frame"]
    if frame is not None and 0 < frame < pixel.stop:
        # Too faint to be found by itself, or dated to a neighbouring read.
        near = np.abs(steps.read - frame) <= DETECT.max_read_tolerance
        if not (near & (steps.amplitude > 0)).any():
            reads.add(frame)
    # A read that averages frames holds a part of the charge that arrives between them.
    reads |= {read + 1 for read in reads if may_split_jump(model)[read] and read + 1 < pixel.stop}
    bend = curve_shapes(model)[curve] if curve[0] >= 0 else None
    return _fit(rest, model, sorted(reads), bend) + levels


def _config(prediction: Prediction) -> DetectorConfig:
    return DetectorConfig(**prediction.run.get("config", {}))


def _pixel(
    prediction: Prediction, model: DifferenceCovariance, y: int, x: int, integration: int
) -> Pixel:
    """Return the ramp of a pixel and its noise; from its own scatter where there are no maps."""
    ramp, stop = prediction.ramp(y, x, integration), prediction.stop(y, x, integration)
    maps = prediction.features[integration]
    names = ("noise", "neighbour_noise", "shot", "dof")
    known = [float(maps[name][y, x]) if name in maps else np.nan for name in names]
    if np.isnan(known).any():  # degrees of freedom are infinite where read noise was given
        steps = np.diff(ramp[:stop])
        steps = steps[np.isfinite(steps)]
        scatter = 1.4826 * np.median(np.abs(steps - np.median(steps))) if len(steps) else 0.0
        noise = float(scatter / np.sqrt(model.read.mean()))
        known = [noise, noise, 0.0, max(len(steps) / 2, 1.0)]
    noise, typical, shot, dof = known
    # A stuck pixel has a ramp without noise.
    noise, typical = max(noise, MIN_NOISE), max(typical, MIN_NOISE)
    return Pixel(ramp, stop, noise**2, max(shot, 0.0), typical, dof)


def _levels(
    pixel: Pixel, model: DifferenceCovariance, gain: float, config: DetectorConfig
) -> np.ndarray:
    """Return the level at each read of telegraph noise, above the mean [DN]."""
    data = np.ascontiguousarray(pixel.ramp[:, None], np.float32)
    stop, variance, around, shot = (
        np.array([value]) for value in (pixel.stop, pixel.variance, pixel.typical**2, pixel.shot)
    )
    noise, rate = noise_for_levels(variance, around, shot, gain)
    fit = fit_telegraph_noise(data, stop, noise, rate, model, gain, config)
    return fit.model[:, 0].astype(np.float64)


def _fit(
    pixel: Pixel, model: DifferenceCovariance, steps: list[int], bend: np.ndarray | None
) -> np.ndarray:
    """Fit a line with steps at given reads by least squares.

    ``bend`` (1, T - 1) is the shape of its curve in the differences, if there is one. Differences
    of reads that cannot be used are left out.
    """
    ramp, reads = pixel.ramp, len(pixel.ramp)
    d = np.diff(ramp)
    used = np.flatnonzero(np.isfinite(d) & (np.arange(1, reads) < pixel.stop))
    curve = np.full(reads, np.nan)
    if not len(used):
        return curve
    columns = [model.dt, *([] if bend is None else bend)]
    columns += [np.arange(1, reads) == read for read in steps]
    design = np.column_stack(columns).astype(np.float64)
    banded = np.zeros((3, len(used)))
    banded[1] = (pixel.variance * model.read + pixel.shot * model.shot)[used]
    banded[0, 1:] = _between(pixel, model)[used[:-1]] * (np.diff(used) == 1)
    banded[2, :-1] = banded[0, 1:]
    # `solveh_banded` refuses a single equation.
    weighted = linalg.solve_banded((1, 1), banded, design[used])
    best = np.linalg.lstsq(weighted.T @ design[used], weighted.T @ d[used])[0]
    good = np.isfinite(ramp) & (np.arange(reads) < pixel.stop)
    shape = np.append(0.0, np.cumsum(design @ best))
    curve[: pixel.stop] = (shape + np.mean((ramp - shape)[good]))[: pixel.stop]
    return curve


def _between(pixel: Pixel, model: DifferenceCovariance) -> np.ndarray:
    """Return the covariance of each difference with the next one [DN^2]."""
    return pixel.variance * model.read_next + pixel.shot * model.shot_next
