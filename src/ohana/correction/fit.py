"""The model of what the pixels of a ramp share, estimated before anything is called a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ohana.config import DetectorConfig
from ohana.correction.columns import column_offsets
from ohana.correction.halos import Halos, areas_of_events, find_halos
from ohana.correction.load import CorrectedRamp, load_block
from ohana.correction.local import local_changes
from ohana.correction.model import Shared, light_at
from ohana.correction.noise import (
    crowded_reads,
    has_heavy_tails,
    lost_reads,
    measure_read_noise,
    measure_walk,
    typical_covariance,
    usual_covariance,
)
from ohana.correction.report import describe
from ohana.correction.shapes import find_shapes, without_shapes
from ohana.correction.surface import fit_surface
from ohana.correction.tiles import PixelSample, Tiles, measure_tiles
from ohana.correction.tuning import TUNING
from ohana.ramp import Ramp
from ohana.rampfit.covariance import covariance_of
from ohana.refpix.fit import fit_reference


def corrected_ramp(ramp: Ramp, config: DetectorConfig) -> tuple[CorrectedRamp, list[str]]:
    """Fit reference pixels and what all pixels share: the ramp as all later stages take it.

    Returns
    -------
    source : CorrectedRamp
        Ramp and corrections.
    notices : list of str
        What was done, one line each.
    """
    reference, notice = fit_reference(ramp, config)
    source = CorrectedRamp(ramp, reference)
    if not config.shared_correction:
        return source, [notice, "what pixels share: not looked for, shared_correction is off"]
    source = fit_shared(source, config.threads)
    return source, [notice, *describe(source)]


def fit_shared(source: CorrectedRamp, threads: int | None = None) -> CorrectedRamp:
    """Estimate what the science pixels of a ramp share, and the noise of each read.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and reference correction.
    threads : int, optional
        As many as there are cores if absent.

    Returns
    -------
    CorrectedRamp
        With ``shared`` where there is something to subtract, ``ramp.quality`` where reads differ.
    """
    ramp = source.ramp
    if len(ramp.times) < TUNING.min_reads:
        return source
    covariance = covariance_of(ramp)
    tiles, sample = measure_tiles(ramp, lambda r: load_block(source, r)[0], covariance, threads)
    few = sample.spread.size < TUNING.min_pixels or not np.isfinite(tiles.mean).any()
    if few or not np.median(sample.spread) > 0:
        return source
    halos = find_halos(tiles)
    if areas_of_events(tiles) < TUNING.tiny_array and halos.cores.any():
        return source
    shared, events = _light(ramp, tiles, covariance.dt, halos)
    rest = _without(sample, shared)
    noise = measure_read_noise(rest, covariance, halos.either)
    if not noise.white > 0:
        return source
    if not _matters(shared, np.sqrt(noise.white)):
        shared, rest = _nothing(ramp, tiles, covariance.dt), sample
        noise = measure_read_noise(rest, covariance, halos.either)
    # Shapes first: what they bring into single reads is no noise of these.
    unsearched = crowded_reads(tiles.stepping)
    unsearched[1:] &= ~halos.either
    typical = usual_covariance(noise, covariance)
    light = np.diff(shared.surface.mean(axis=(1, 2)))
    covered = events.mean(axis=(1, 2)) > TUNING.covered_tiles
    left_out = halos.either | unsearched[1:] | covered
    calm = _without_events(rest, events, tiles)
    shapes = find_shapes(calm, typical, covariance.dt, light, left_out)
    shared = shared._replace(shapes=shapes, typical=typical, unsearched=unsearched)
    if len(shapes) or unsearched.any():
        noise = measure_read_noise(without_shapes(rest, shared), covariance, halos.either)
        if noise.white > 0:
            shared = shared._replace(typical=typical_covariance(noise, covariance))
        rest = without_shapes(rest, shared)
    walk = measure_walk(rest, noise, covariance, ramp.facts.gain, left_out)
    quality = noise.quality._replace(
        extra=noise.quality.extra + walk / noise.white * covariance.dt,
        unsearched=unsearched,
        lost=lost_reads(tiles.mean),
        heavy_tails=has_heavy_tails(rest, halos.either),
    )
    return source._replace(
        ramp=replace(ramp, quality=quality) if quality.differs else ramp,
        shared=shared if shared.is_any else None,
    )


def _nothing(ramp: Ramp, tiles: Tiles, dt: np.ndarray) -> Shared:
    """Return the model of a ramp whose pixels share nothing."""
    reads, height, width = ramp.shape
    return Shared(
        np.zeros((reads, 1, 1), np.float32),
        tiles.row[:1],
        tiles.col[:1],
        np.zeros((reads, width), np.float32),
        np.zeros((reads, height, 1), np.float32),
        np.zeros((0, reads - 1)),
        np.ones((2, reads - 1)),
        dt,
        np.zeros(reads, bool),
    )


def _light(ramp: Ramp, tiles: Tiles, dt: np.ndarray, halos: Halos) -> tuple[Shared, np.ndarray]:
    """Return the changes of light and offsets, summed up from read 0, and tiles with events."""
    _, height, width = ramp.shape
    level, smooth = fit_surface(tiles, dt, halos)
    local, events = local_changes(tiles, smooth + level[:, tiles.output], dt, halos.cores)
    level, column = _summed(level), _summed(column_offsets(tiles, dt))
    shared = _nothing(ramp, tiles, dt)._replace(
        surface=_summed(smooth + local), node_row=tiles.row, node_col=tiles.col
    )
    outputs = level.shape[1]
    if abs(ramp.facts.fast_axis) == 1:
        level = level[:, np.arange(width) * outputs // width]
        return shared._replace(col_level=column + level), events
    along = np.arange(height) * outputs // height
    level = np.ascontiguousarray(level[:, along, None])
    return shared._replace(col_level=column, row_level=level), events


def _summed(change: np.ndarray) -> np.ndarray:
    """Sum differences up to reads: float32 (T, ...), zero in read 0."""
    total = np.cumsum(change, axis=0)
    return np.concatenate([np.zeros_like(total[:1]), total]).astype(np.float32)


def _without(sample: PixelSample, shared: Shared) -> PixelSample:
    """Return the sample of pixels without the shared light."""
    rest = np.empty_like(sample.excess)
    for start in range(0, len(sample.row), 4096):
        some = slice(start, start + 4096)
        rest[:, some] = sample.excess[:, some] - np.diff(
            light_at(shared, sample.row[some], sample.col[some]), axis=0
        )
    return sample._replace(excess=rest)


def _without_events(sample: PixelSample, events: np.ndarray, tiles: Tiles) -> PixelSample:
    """Return the sample of pixels with zeros where an event covers their tile."""
    near = np.abs(sample.row[:, None] - tiles.row).argmin(axis=1)
    tile = np.abs(sample.col[:, None] - tiles.col).argmin(axis=1)
    return sample._replace(excess=np.where(events[:, near, tile], 0.0, sample.excess))


def _matters(shared: Shared, noise: float) -> bool:
    """Return whether the shared changes bend ramps by more than a small part of their noise."""
    times = np.append(0.0, np.cumsum(shared.dt))
    line = np.stack([np.ones_like(times), times], axis=1)
    for change in (shared.surface, shared.col_level, shared.row_level):
        paths = change.reshape(len(times), -1)
        if not paths.any():
            continue
        bend = paths - line @ np.linalg.lstsq(line, paths, rcond=None)[0]
        if np.abs(bend).max() > TUNING.min_drift * noise:
            return True
    return False
