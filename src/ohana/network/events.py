"""Events from the probabilities of the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp, load_block
from ohana.detect.cosmic_rays import (
    charge_steps,
    dominant_read,
    halo_steps,
    once_per_pixel,
    ray_event,
)
from ohana.detect.linking import link_steps, read_tolerance
from ohana.detect.row_block import Searched
from ohana.detect.snowballs.candidates import SnowballContext, measure_candidate
from ohana.detect.snowballs.classify import classify
from ohana.detect.snowballs.tuning import TUNING as SNOWBALLS
from ohana.detect.telegraph.fit import TelegraphFit, fit_telegraph_noise, within_limits
from ohana.detect.telegraph.pixels import noise_error_of, noise_for_levels, telegraph_events
from ohana.events import Event, PixelMaps, Steps, join_steps, pixels_of
from ohana.network.probabilities import (
    NetworkOutput,
    Voxels,
    probability_of_any,
    summed_odds,
)
from ohana.network.snowball_seeds import core_of, core_of_event, find_snowball_seeds, is_known
from ohana.network.tuning import TUNING
from ohana.ramp import row_blocks
from ohana.rampfit.covariance import DifferenceCovariance, covariance_of
from ohana.rampfit.noise import prior_dof_of_map
from ohana.rampfit.tuning import TUNING as RAMPFIT
from ohana.refpix.border import border_mask


def network_events(
    output: NetworkOutput,
    rules: list[Event],
    searched: Searched,
    config: DetectorConfig,
) -> list[Event]:
    """Return the events that the network detects.

    Snowballs and telegraph noise of the rules are left out; cosmic rays are not, since the
    network may detect more pixels of them.

    Parameters
    ----------
    output : NetworkOutput
        Probabilities of the network.
    rules : list of Event
        Events of the rules.
    searched : Searched
        The ramp, from which candidates are measured, its steps and its per-pixel maps.
    config : DetectorConfig
        All limits act here but the minimum confidences; that of significance acts on telegraph
        noise alone.

    Returns
    -------
    list of Event
        With source ``unet``. Telegraph noise has the confidence of the fit of levels, as by the
        rules; `ohana.network.combine` combines it with the network's.
    """
    source, steps, maps = searched[:3]
    charge = steps.select(charge_steps(steps, border_mask(source.ramp)))
    balls = [event for event in rules if event.label == Label.SNOWBALL]
    new_balls = _snowballs(output, balls, source, charge, maps, config)
    known = (event for event in rules if event.label == Label.TELEGRAPH_NOISE)
    flickers = pixels_of(known, maps.stop.shape)
    covered = flickers | pixels_of(balls + new_balls, maps.stop.shape)
    telegraph = _telegraph_noise(output, covered, source, maps, config)
    flickers |= output.telegraph >= Label.TELEGRAPH_NOISE.traits.network_threshold
    nonlinear = _may_be_nonlinear(output.voxels, maps, covariance_of(source.ramp).dt)
    voxels = _cosmic_ray_voxels(
        output.voxels.select(~nonlinear), balls + new_balls, flickers, maps, config
    )
    rays = _cosmic_rays(voxels, steps, border_mask(source.ramp), maps, config)
    return [replace(event, source="unet") for event in [*new_balls, *telegraph, *rays]]


def _snowballs(
    output: NetworkOutput,
    known: list[Event],
    source: CorrectedRamp,
    charge: Steps,
    maps: PixelMaps,
    config: DetectorConfig,
) -> list[Event]:
    """Describe snowballs that the rules have not found, as the rules describe theirs."""
    shape = maps.stop.shape
    seeds = find_snowball_seeds(output.voxels, shape, config)
    seeds = [seed for seed in seeds if not is_known(seed, known, shape)]
    if not seeds:
        return []
    dead = ~np.isfinite(maps.noise) | border_mask(source.ramp)
    tolerance = read_tolerance(charge.amplitude, maps.noise[charge.row, charge.col])
    group = link_steps(charge.row, charge.col, charge.read, tolerance, shape)
    model, stop = covariance_of(source.ramp), np.where(dead, -1, maps.stop)
    scene = SnowballContext(source, charge, group, maps, model, stop, config)
    cores = [core for core in (core_of(seed, scene) for seed in seeds) if core]
    others = cores + [core_of_event(ball) for ball in known]
    found = (
        classify(
            core, measure_candidate(core, [o for o in others if o is not core], scene), scene, 0.0
        )
        for core in cores
    )
    return [event for event in found if event is not None]


def _telegraph_noise(
    output: NetworkOutput,
    covered: np.ndarray,
    source: CorrectedRamp,
    maps: PixelMaps,
    config: DetectorConfig,
) -> list[Event]:
    """Fit levels to probable pixels that no event covers yet, row by row."""
    pixels = np.flatnonzero((output.telegraph >= TUNING.refit_threshold) & ~covered)
    rows, cols = np.divmod(pixels, covered.shape[1])
    if not len(pixels):
        return []
    ramps = np.concatenate([_ramps(source, row, cols[rows == row]) for row in np.unique(rows)], 1)
    noise, typical, shot = (
        values.ravel()[pixels].astype(float)
        for values in (maps.noise, maps.neighbour_noise, maps.shot)
    )
    gain, model = source.ramp.facts.gain, covariance_of(source.ramp)
    expected = noise_for_levels(noise**2, typical**2, shot, gain)
    error = _noise_errors(maps, model)[rows]
    stop = maps.stop.ravel()[pixels]
    fit = fit_telegraph_noise(ramps, stop, *expected, model, gain, config, error)
    good = within_limits(fit, config)
    fit = TelegraphFit(*(values[..., good] for values in fit))
    return telegraph_events(pixels[good], fit, covered.shape[1])


def _noise_errors(maps: PixelMaps, model: DifferenceCovariance) -> np.ndarray:
    """Return the relative error of the neighbourhood's noise for each row (H,)."""
    errors = np.empty(len(maps.stop))
    for rows in row_blocks(len(errors)):
        reads = maps.stop[rows] - maps.first_usable[rows]
        errors[rows] = noise_error_of(prior_dof_of_map(maps.dof[rows], reads, model))
    return errors


def _ramps(source: CorrectedRamp, row: int, cols: np.ndarray) -> np.ndarray:
    """Return corrected reads of some pixels of a row, shape (T, n) [DN]."""
    window = slice(row, row + 1), slice(int(cols.min()), int(cols.max()) + 1)
    block, _ = load_block(source, *window)
    return block.data[:, 0, cols - cols.min()]


def _cosmic_ray_voxels(
    voxels: Voxels,
    balls: list[Event],
    flickers: np.ndarray,
    maps: PixelMaps,
    config: DetectorConfig,
) -> Voxels:
    """Return the voxels that can be cosmic rays: not in snowballs, their haloes or flickers.

    Hits in pixels with telegraph noise are left to the rules, which know the distance of levels.
    """
    some = voxels.select(
        (voxels.p_cosmic_ray >= TUNING.member_threshold)
        & (voxels.amplitude >= config.cosmic_ray_min_step)
    )
    some = some.select(~flickers[some.row, some.col])
    for ball in balls:
        inside = np.zeros(maps.stop.shape, bool)
        inside[ball.rows, ball.cols] = True
        since = some.read - ball.reads[0]
        grows = (since >= -SNOWBALLS.core_read_tolerance) & (since <= SNOWBALLS.growth_reads)
        # Hits on a snowball are left to the rules, which know its shape.
        some = some.select(~(grows & inside[some.row, some.col]))
    return some.select(~halo_steps(_as_steps(some, maps), balls, maps.stop.shape, config))


def _may_be_nonlinear(voxels: Voxels, maps: PixelMaps, dt: np.ndarray) -> np.ndarray:
    """Return which voxels may be nonlinearity of bright ramps of few reads, as the rules do.

    ``dt`` (T-1,) is the time from each read to the next.
    """
    rate = np.abs(maps.rate[voxels.row, voxels.col])
    used = np.maximum(maps.stop[voxels.row, voxels.col] - 1, 0)
    signal = rate * np.append(0.0, np.cumsum(dt))[used]
    few = (used < RAMPFIT.nonlinear_differences) & (voxels.read <= used)
    few &= signal > RAMPFIT.nonlinear_signal
    return few & (voxels.amplitude < RAMPFIT.max_nonlinear_rise * rate * dt[voxels.read - 1])


def _as_steps(voxels: Voxels, maps: PixelMaps) -> Steps:
    """Return voxels as steps; the fit of their ramps is unknown (NaN)."""
    measured = voxels.amplitude, voxels.error, voxels.significance
    saturating = voxels.read == maps.stop[voxels.row, voxels.col]
    fit = np.full(len(saturating), np.nan, np.float32)
    return Steps(voxels.row, voxels.col, voxels.read, *measured, saturating, fit)


def _cosmic_rays(
    voxels: Voxels, steps: Steps, border: np.ndarray, maps: PixelMaps, config: DetectorConfig
) -> list[Event]:
    """Link voxels to cosmic rays and keep those above the threshold of the network."""
    shape, found = maps.stop.shape, _as_steps(voxels, maps)
    falls = steps.select(steps.amplitude < 0)
    stays = charge_steps(join_steps([falls, found]), border)[len(falls.row) :]
    found, probability = found.select(stays), voxels.p_cosmic_ray[stays].astype(float)
    if not len(probability):
        return []
    tolerance = read_tolerance(found.amplitude, maps.noise[found.row, found.col])
    group = link_steps(found.row, found.col, found.read, tolerance, shape)
    pixel = np.ravel_multi_index((found.row, found.col), shape)
    # The date of a faint step is uncertain: its probability is spread over several reads.
    member, place = np.unique(group * maps.stop.size + pixel, return_inverse=True)
    of_group = member // maps.stop.size
    odds = summed_odds(
        probability_of_any(probability, place, len(member)), of_group, group.max() + 1
    )
    order = np.lexsort((found.read, -probability, group))
    found, group = once_per_pixel(found.select(order), group[order], shape)
    order = np.lexsort((found.col, found.row, -found.amplitude, group))
    found, group = found.select(order), group[order]
    start = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(start, append=len(group))
    threshold = Label.COSMIC_RAY.traits.network_threshold
    keep = odds >= threshold / (1 - threshold)
    keep &= found.amplitude[start] >= config.cosmic_ray_min_intensity
    keep &= size >= config.min_anomaly_pixels
    confidence = special.expit(np.log(odds[keep]))
    first_frame = dominant_read(found.read, found.significance, group)[keep]
    return [
        ray_event(found.select(np.arange(first, last)), int(read), float(one), config)
        for first, last, read, one in zip(
            start[keep], (start + size)[keep], first_frame, confidence, strict=True
        )
    ]
