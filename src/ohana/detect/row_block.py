"""Per-pixel stages on one row block: noise, steps, telegraph noise, temporal features."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp, load_with_missing, without_gaps
from ohana.detect.telegraph.pixels import find_telegraph_noise, telegraph_events, without_levels
from ohana.events import Event, PixelMaps, Steps
from ohana.ramp import Ramp, RampBlock
from ohana.rampfit.covariance import (
    DifferenceCovariance,
    difference_covariance,
    without_weight,
)
from ohana.rampfit.curves import straightened
from ohana.rampfit.noise import Noise, gaussian, measure, with_read_noise
from ohana.rampfit.pixel_search import search
from ohana.rampfit.scan import Scan, ramps_of
from ohana.rampfit.scan_kernels import scan_kernel
from ohana.rampfit.step_search import Found
from ohana.rampfit.temporal import temporal_features
from ohana.raw.missing import Missing
from ohana.refpix.border import border_mask


class Searched(NamedTuple):
    """A ramp and all that the per-pixel stages found in it: where the later stages begin.

    Attributes
    ----------
    source : CorrectedRamp
        Ramp and its correction.
    steps : Steps
        All significant steps of the array.
    maps : PixelMaps
        Per-pixel results.
    telegraph : list of Event
        Pixels with telegraph noise, those under snowballs included.
    missing : tuple of Missing
        Parts of the reads that hold no data.
    """

    source: CorrectedRamp
    steps: Steps
    maps: PixelMaps
    telegraph: list[Event]
    missing: tuple[Missing, ...] = ()


class BlockResult(NamedTuple):
    """Steps, telegraph noise and maps of a row block; rows of steps and events are the array's.

    ``missing`` are runs without data, see `ohana.raw.missing.find_missing`.
    """

    rows: slice
    steps: Steps
    telegraph: list[Event]
    maps: PixelMaps
    missing: np.ndarray


def analyse_block(
    source: CorrectedRamp, rows: slice, covariance: DifferenceCovariance, config: DetectorConfig
) -> tuple[BlockResult, np.ndarray]:
    """Run the per-pixel stages on one row block of a ramp.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and reference correction.
    rows : slice
        From `ohana.ramp.row_blocks`.
    covariance : DifferenceCovariance
        Covariance coefficients.
    config : DetectorConfig
        Settings.

    Returns
    -------
    result : BlockResult
    data : ndarray of float32, shape (T, R, W)
        The corrected reads, first usable read at zero [DN].
    """
    block, first, missing = load_with_missing(source, rows)
    border = border_mask(source.ramp, rows)
    gain = source.ramp.facts.gain
    noise = measure(block.data, block.stop, border, covariance, gain)
    known = _known_read_noise(source.ramp, rows, config)
    if known is not None:
        noise = with_read_noise(noise, known)
    filled = block
    if source.ramp.quality is not None and source.ramp.quality.lost.any():
        lost = source.ramp.quality.lost
        filled = block._replace(data=without_gaps(block.data, lost, source.ramp.times))
        covariance = without_weight(covariance, lost)
    steps, telegraph, maps = analyse(filled, noise, covariance, gain, config)
    maps = replace(maps, first_usable=first)
    shift = rows.start
    steps = steps._replace(row=steps.row + np.int32(shift))
    telegraph = [replace(event, rows=event.rows + np.int32(shift)) for event in telegraph]
    return BlockResult(rows, steps, telegraph, maps, missing), block.data


def _known_read_noise(ramp: Ramp, rows: slice, config: DetectorConfig) -> np.ndarray | None:
    """Return the read noise given with the ramp, or else in the settings (R, W) [DN, one frame]."""
    if ramp.read_noise is not None:
        return ramp.read_noise[rows]
    if config.read_noise is None:
        return None
    shape = rows.stop - rows.start, ramp.shape[2]
    return np.full(shape, config.read_noise / ramp.facts.gain)


def analyse(
    block: RampBlock,
    noise: Noise,
    covariance: DifferenceCovariance,
    gain: float,
    config: DetectorConfig,
) -> tuple[Steps, list[Event], PixelMaps]:
    """Find steps and telegraph noise of the pixels of a block, with their per-pixel maps."""
    flat, shape = Noise(*(values.ravel() for values in noise)), block.stop.shape
    ramps = ramps_of(block.data, block.stop, noise.variance, noise.shot, guess=noise.rate)
    ramps, scanned, found = search(ramps, flat.dof, shape[1], covariance, config)
    # A pixel without noise has no usable read, but the read in which it saturates is known.
    ends = np.where(ramps.stop.reshape(shape) > 0, ramps.stop.reshape(shape), block.stop)
    block = block._replace(stop=ends.astype(block.stop.dtype))
    straight = straightened(ramps, found.curve, found.bend, covariance)
    usual = flat._replace(rate=np.where(found.curve < 0, flat.rate, found.rate))
    index, fit, flicker = find_telegraph_noise(
        straight, usual, found.steps, covariance, gain, config
    )
    maps, steps = _maps(block, noise, scanned, found, flicker), found.steps
    if len(index):
        steps = without_levels(ramps, flat.dof, index, fit, covariance, config, steps)
        maps.transition_count.ravel()[index] = fit.transitions
    row, col = np.divmod(steps.col, shape[1])
    steps = steps._replace(row=row.astype(np.int32), col=col.astype(np.int32))
    return steps, telegraph_events(index, fit, shape[1]), maps


def compile_kernels(log: logging.Logger) -> None:
    """Compile the kernels on a tiny ramp unless that is done, and log it: it takes a while."""
    if any(Path(scan_kernel.stats.cache_path).glob("scan_kernels.scan_kernel-*.nbi")):
        return
    log.info("compiling kernels, once for this installation")
    start = time.perf_counter()
    data = np.random.default_rng(0).normal(0, 1, (12, 16, 32)).astype(np.float32)
    data[6:, 8, 8] += 100
    block = RampBlock(data, np.full((16, 32), 12, np.int32))
    covariance = difference_covariance(np.arange(12.0))
    noise = measure(*block, np.zeros((16, 32), bool), covariance, 1.0)
    analyse(block, noise, covariance, 1.0, DetectorConfig())
    log.info(f"compiled in {time.perf_counter() - start:.0f} s")


def _maps(
    block: RampBlock,
    noise: Noise,
    scanned: Scan,
    found: Found,
    flicker: np.ndarray,
) -> PixelMaps:
    """Collect the per-pixel maps of a block; the steps count pixels along the block."""
    steps, rate, curve, _ = found
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
        fall_step=plane(-scanned.down_step),
        fall_significance=plane(gaussian(-scanned.down_sigma, noise.dof.ravel())),
        fall_read=plane(scanned.down_read, np.int32),
        flicker=plane(np.maximum(flicker, 0.0)),
        curve=plane(curve, np.int16),
        first_usable=np.zeros(shape, np.int32),
        stop=block.stop,
        first_appearance=plane(temporal.first_appearance, np.int32),
        persistence_count=plane(temporal.persistence_count, np.int32),
        transition_count=plane(temporal.transition_count, np.int32),
        max_intensity=plane(noise.largest),
        intensity_variance=plane(noise.scatter),
    )
