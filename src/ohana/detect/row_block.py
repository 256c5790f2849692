"""Stages 3 to 5 on one row block: noise, steps, telegraph noise, temporal features."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ohana.config import DetectorConfig
from ohana.detect.telegraph.pixels import find_telegraph_noise, telegraph_events, without_levels
from ohana.events import Event, PixelMaps, Steps, join_steps
from ohana.ramp import Ramp, RampBlock
from ohana.rampfit.covariance import DifferenceCovariance, difference_covariance
from ohana.rampfit.load import CorrectedRamp, load_block
from ohana.rampfit.noise import Noise, gaussian, measure, with_read_noise
from ohana.rampfit.nonlinearity import saturates_slowly
from ohana.rampfit.scan import Ramps, Scan, scan
from ohana.rampfit.scan_kernels import scan_kernel
from ohana.rampfit.step_search import find_steps
from ohana.rampfit.temporal import temporal_features
from ohana.refpix.border import border_mask


class BlockResult(NamedTuple):
    """What was found in a row block; rows of steps and events count from those of the array."""

    rows: slice
    steps: Steps
    telegraph: list[Event]
    maps: PixelMaps


def analyse_block(
    source: CorrectedRamp, rows: slice, model: DifferenceCovariance, config: DetectorConfig
) -> tuple[BlockResult, np.ndarray]:
    """Run the per-pixel stages on one row block of a ramp.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and reference correction.
    rows : slice
        From `ohana.ramp.row_blocks`.
    model : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        Settings.

    Returns
    -------
    result : BlockResult
    data : ndarray of float32, shape (T, R, W)
        The corrected reads, first usable read at zero [DN].
    """
    block, first = load_block(source, rows)
    border = border_mask(source.ramp, rows)
    noise = measure(block.data, block.stop, border, model, source.ramp.facts.gain)
    known = _known_read_noise(source.ramp, rows, config)
    if known is not None:
        noise = with_read_noise(noise, known)
    steps, telegraph, maps = analyse(block, noise, model, source.ramp.facts.gain, config)
    maps = replace(maps, first_usable=first)
    shift = rows.start
    steps = steps._replace(row=steps.row + np.int32(shift))
    telegraph = [replace(event, rows=event.rows + np.int32(shift)) for event in telegraph]
    return BlockResult(rows, steps, telegraph, maps), block.data


def _known_read_noise(ramp: Ramp, rows: slice, config: DetectorConfig) -> np.ndarray | None:
    """Return the read noise given with the ramp, or else in the settings (R, W) [DN, one frame]."""
    if ramp.read_noise is not None:
        return ramp.read_noise[rows]
    if config.read_noise is None:
        return None
    shape = rows.stop - rows.start, ramp.shape[2]
    return np.full(shape, config.read_noise / ramp.facts.gain)


def analyse(
    block: RampBlock, noise: Noise, model: DifferenceCovariance, gain: float, config: DetectorConfig
) -> tuple[Steps, list[Event], PixelMaps]:
    """Find steps and telegraph noise of the pixels of a block, and describe them by maps."""
    reads, rows, cols = block.data.shape
    flat = Noise(*(values.ravel() for values in noise))
    dead = ~np.isfinite(flat.variance)
    ramps = Ramps(
        block.data.reshape(reads, -1),
        np.where(dead, 0, block.stop.ravel()).astype(np.int32),
        np.where(dead, 1.0, flat.variance),
        flat.shot,
        guess=flat.rate,
    )
    scanned = scan(ramps, model, quick=True)
    steps, rate = find_steps(ramps, flat.dof, scanned, model, config)
    ramps, scanned, steps, rate = _end_where_full(
        ramps, flat.dof, (scanned, steps, rate), model, config
    )
    ends = np.where(dead, block.stop.ravel(), ramps.stop).astype(block.stop.dtype)
    block = block._replace(stop=ends.reshape(rows, cols))
    index, fit, flicker = find_telegraph_noise(ramps, flat, steps, model, gain, config)
    maps = _maps(block, noise, scanned, (rate, flicker), steps)
    if len(index):
        steps = without_levels(ramps, flat.dof, index, fit, model, config, steps)
        maps.transition_count.ravel()[index] = fit.transitions
    row, col = np.divmod(steps.col, cols)
    steps = steps._replace(row=row.astype(np.int32), col=col.astype(np.int32))
    return steps, telegraph_events(index, fit, cols), maps


def _end_where_full(
    ramps: Ramps,
    dof: np.ndarray,
    found: tuple[Scan, Steps, np.ndarray],
    model: DifferenceCovariance,
    config: DetectorConfig,
) -> tuple[Ramps, Scan, Steps, np.ndarray]:
    """End the ramps of pixels that fill up to a level of their own, and look at these again.

    ``found`` are scan, steps and rates; all are returned anew.
    """
    scanned, steps, rate = found
    index, stop = saturates_slowly(steps, rate, model)
    if not len(index):
        return ramps, scanned, steps, rate
    ramps, scanned, rate = (
        ramps._replace(stop=ramps.stop.copy()),
        Scan(*map(np.copy, scanned)),
        rate.copy(),
    )
    ramps.stop[index] = stop
    some = ramps.select(index)
    again = scan(some, model, quick=True)
    for values, new in zip(scanned, again, strict=True):
        values[index] = new
    more, rate[index] = find_steps(some, dof[index], again, model, config)
    others = steps.select(~np.isin(steps.col, index))
    steps = join_steps([others, more._replace(col=index[more.col].astype(np.int32))])
    return ramps, scanned, steps.select(np.lexsort((steps.read, steps.col))), rate


def compile_kernels(log: logging.Logger) -> None:
    """Compile what is not compiled yet, on a tiny ramp, and say so: it takes a while."""
    if any(Path(scan_kernel.stats.cache_path).glob("scan_kernels.scan_kernel-*.nbi")):
        return
    log.info("compiling kernels, once for this installation")
    start = time.perf_counter()
    data = np.random.default_rng(0).normal(0, 1, (12, 16, 32)).astype(np.float32)
    data[6:, 8, 8] += 100
    block, model = (
        RampBlock(data, np.full((16, 32), 12, np.int32)),
        difference_covariance(np.arange(12.0)),
    )
    noise = measure(*block, np.zeros((16, 32), bool), model, 1.0)
    analyse(block, noise, model, 1.0, DetectorConfig())
    log.info(f"compiled in {time.perf_counter() - start:.0f} s")


def _maps(
    block: RampBlock,
    noise: Noise,
    scanned: Scan,
    measured: tuple[np.ndarray, np.ndarray],
    steps: Steps,
) -> PixelMaps:
    """Collect the per-pixel maps of a block; ``steps.col`` counts pixels along the block.

    ``measured`` is rate and flicker of each pixel.
    """
    rate, flicker = measured
    shape = block.stop.shape
    temporal = temporal_features(steps, block.stop.ravel())

    def plane(values: np.ndarray, kind: type = np.float32) -> np.ndarray:
        return np.asarray(values).reshape(shape).astype(kind)

    return PixelMaps(
        rate=plane(rate),
        noise=plane(np.sqrt(noise.variance)),
        neighbour_noise=plane(np.sqrt(noise.neighbourhood_variance)),
        shot=plane(noise.shot),
        dof=plane(noise.dof),
        best_step=plane(scanned.up_step),
        best_significance=plane(gaussian(scanned.up_sigma, noise.dof.ravel())),
        best_read=plane(scanned.up_read, np.int32),
        flicker=plane(np.maximum(flicker, 0.0)),
        first_usable=np.zeros(shape, np.int32),
        stop=block.stop,
        first_appearance=plane(temporal.first_appearance, np.int32),
        persistence_count=plane(temporal.persistence_count, np.int32),
        transition_count=plane(temporal.transition_count, np.int32),
        max_intensity=plane(noise.largest),
        intensity_variance=plane(noise.scatter),
    )
