"""What the network sees as events: cosmic rays, snowballs and telegraph noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import special

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.cosmic_rays import (
    charge_steps,
    dominant_read,
    halo_steps,
    once_per_pixel,
    ray_event,
)
from ohana.detect.linking import link_steps, read_tolerance
from ohana.detect.snowballs.candidates import SnowballContext, measure_candidate
from ohana.detect.snowballs.classify import classify
from ohana.detect.snowballs.tuning import TUNING as SNOWBALLS
from ohana.detect.telegraph.fit import TelegraphFit, fit_telegraph_noise, within_limits
from ohana.detect.telegraph.pixels import noise_error_of, noise_for_levels, telegraph_events
from ohana.events import Event, PixelMaps, Steps, join_steps
from ohana.network.probabilities import (
    MEMBER_THRESHOLD,
    NetworkOutput,
    Voxels,
    any_of,
    odds_of_groups,
)
from ohana.network.snowball_seeds import core_of, core_of_event, find_snowball_seeds, is_known
from ohana.ramp import row_blocks
from ohana.rampfit.covariance import DifferenceCovariance, covariance_of
from ohana.rampfit.load import CorrectedRamp, load_block
from ohana.rampfit.noise import prior_dof_of_map
from ohana.rampfit.nonlinearity import NONLINEAR_READS, NONLINEAR_SIGNAL, NOT_LINEAR
from ohana.refpix.border import border_mask
from ohana.results.maps import paint_mask

#: Probability from which on telegraph noise that the rules do not accept is looked at again: a
#: model of levels fits much, if it is allowed to.
REFIT_THRESHOLD = 0.7


def network_events(
    opinion: NetworkOutput,
    rules: list[Event],
    source: CorrectedRamp,
    steps: Steps,
    maps: PixelMaps,
    config: DetectorConfig,
) -> list[Event]:
    """Make events of what the network sees.

    Snowballs and telegraph noise that the rules have found are not described a second time;
    cosmic rays are, since the network may see more of them.

    Parameters
    ----------
    opinion : NetworkOutput
        What the network says.
    rules : list of Event
        What the rules have found.
    source : CorrectedRamp
        Ramp and correction, for a second look at candidates.
    steps : Steps
        All steps of the whole array, from the same walk as the maps.
    maps : PixelMaps
        Per-pixel results.
    config : DetectorConfig
        All limits but those of confidence act here, and that of significance on telegraph noise
        alone.

    Returns
    -------
    list of Event
        With source ``unet``. Telegraph noise has the confidence of the fit of levels, which is
        that of the rules; what to make of it and of the network's is for `ohana.network.combine` to
        say.
    """
    charge = steps.select(charge_steps(steps, border_mask(source.ramp)))
    balls = [event for event in rules if event.label == Label.SNOWBALL]
    new_balls = _snowballs(opinion, balls, source, charge, maps, config)
    flickers = np.zeros(maps.stop.shape, bool)
    for event in rules:
        if event.label == Label.TELEGRAPH_NOISE:
            flickers[event.rows, event.cols] = True
    covered = flickers | (paint_mask(balls + new_balls, maps.stop.shape) > 0)
    telegraph = _telegraph_noise(opinion, covered, source, maps, config)
    flickers |= opinion.telegraph >= Label.TELEGRAPH_NOISE.traits.network_threshold
    steep = _may_be_nonlinear(opinion.voxels, maps, covariance_of(source.ramp).dt)
    voxels = _possible(opinion.voxels.select(~steep), balls + new_balls, flickers, maps, config)
    rays = _cosmic_rays(voxels, steps, border_mask(source.ramp), maps, config)
    return [replace(event, source="unet") for event in [*new_balls, *telegraph, *rays]]


def _snowballs(
    opinion: NetworkOutput,
    known: list[Event],
    source: CorrectedRamp,
    charge: Steps,
    maps: PixelMaps,
    config: DetectorConfig,
) -> list[Event]:
    """Describe snowballs that the rules do not know as the rules describe theirs."""
    shape = maps.stop.shape
    landings = find_snowball_seeds(opinion.voxels, shape, config)
    landings = [landing for landing in landings if not is_known(landing, known, shape)]
    if not landings:
        return []
    dead = ~np.isfinite(maps.noise) | border_mask(source.ramp)
    group = link_steps(charge, read_tolerance(charge, maps.noise), shape)
    model, stop = covariance_of(source.ramp), np.where(dead, -1, maps.stop)
    scene = SnowballContext(source, charge, group, maps, model, stop, config)
    cores = [core for core in (core_of(landing, scene) for landing in landings) if core]
    others = cores + [core_of_event(ball) for ball in known]
    found = (
        classify(
            core, measure_candidate(core, [o for o in others if o is not core], scene), scene, 0.0
        )
        for core in cores
    )
    return [event for event in found if event is not None]


def _telegraph_noise(
    opinion: NetworkOutput,
    covered: np.ndarray,
    source: CorrectedRamp,
    maps: PixelMaps,
    config: DetectorConfig,
) -> list[Event]:
    """Fit levels to the pixels that are not known or covered yet, one row after another."""
    pixels = np.flatnonzero((opinion.telegraph >= REFIT_THRESHOLD) & ~covered)
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
    """Read some pixels of a row, corrected (T, n) [DN]."""
    window = slice(row, row + 1), slice(int(cols.min()), int(cols.max()) + 1)
    block, _ = load_block(source, *window)
    return block.data[:, 0, cols - cols.min()]


def _possible(
    voxels: Voxels,
    balls: list[Event],
    flickers: np.ndarray,
    maps: PixelMaps,
    config: DetectorConfig,
) -> Voxels:
    """Pick the voxels that may be of cosmic rays: not of snowballs, their wings, or levels.

    A hit in a pixel that flickers is for the rules to find, who know how far its levels are apart.
    """
    some = voxels.select(
        (voxels.p_cosmic_ray >= MEMBER_THRESHOLD) & (voxels.amplitude >= config.cosmic_ray_min_step)
    )
    some = some.select(~flickers[some.row, some.col])
    for ball in balls:
        inside = np.zeros(maps.stop.shape, bool)
        inside[ball.rows, ball.cols] = True
        since = some.read - ball.reads[0]
        grows = (since >= -SNOWBALLS.core_read_tolerance) & (since <= SNOWBALLS.growth_reads)
        # A hit on top of it is for the rules to find, who know the shape of the snowball.
        some = some.select(~(grows & inside[some.row, some.col]))
    return some.select(~halo_steps(_as_steps(some, maps), balls, maps.stop.shape, config))


def _may_be_nonlinear(voxels: Voxels, maps: PixelMaps, dt: np.ndarray) -> np.ndarray:
    """Tell voxels of bright ramps of few reads that may be their curve, as the rules do.

    ``dt`` (T-1,) is the time from each read to the next.
    """
    rate = np.abs(maps.rate[voxels.row, voxels.col])
    used = np.maximum(maps.stop[voxels.row, voxels.col] - 1, 0)
    signal = rate * np.append(0.0, np.cumsum(dt))[used]
    few = (used < NONLINEAR_READS) & (signal > NONLINEAR_SIGNAL) & (voxels.read <= used)
    return few & (voxels.amplitude < NOT_LINEAR * rate * dt[voxels.read - 1])


def _as_steps(voxels: Voxels, maps: PixelMaps) -> Steps:
    """Return voxels as steps; how well their ramps fit is not known."""
    measured = voxels.amplitude, voxels.error, voxels.significance
    saturating = voxels.read == maps.stop[voxels.row, voxels.col]
    fit = np.full(len(saturating), np.nan, np.float32)
    return Steps(voxels.row, voxels.col, voxels.read, *measured, saturating, fit)


def _cosmic_rays(
    voxels: Voxels, steps: Steps, border: np.ndarray, maps: PixelMaps, config: DetectorConfig
) -> list[Event]:
    """Link voxels to cosmic rays whose pixels together are likely enough."""
    shape, found = maps.stop.shape, _as_steps(voxels, maps)
    falls = steps.select(steps.amplitude < 0)
    stays = charge_steps(join_steps([falls, found]), border)[len(falls.row) :]
    found, chance = found.select(stays), voxels.p_cosmic_ray[stays].astype(float)
    if not len(chance):
        return []
    group = link_steps(found, read_tolerance(found, maps.noise), shape)
    pixel = np.ravel_multi_index((found.row, found.col), shape)
    # A faint step leaves its date open: its probability is spread over some reads.
    member, place = np.unique(group * maps.stop.size + pixel, return_inverse=True)
    of_group = member // maps.stop.size
    odds = odds_of_groups(any_of(chance, place, len(member)), of_group, group.max() + 1)
    order = np.lexsort((found.read, -chance, group))
    found, group = once_per_pixel(found.select(order), group[order], shape)
    order = np.lexsort((found.col, found.row, -found.amplitude, group))
    found, group = found.select(order), group[order]
    start = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(start, append=len(group))
    least = Label.COSMIC_RAY.traits.network_threshold
    keep = odds >= least / (1 - least)
    keep &= found.amplitude[start] >= config.cosmic_ray_min_intensity
    keep &= size >= config.min_anomaly_pixels
    sure, first_frame = special.expit(np.log(odds[keep])), dominant_read(found, group, start)[keep]
    return [
        ray_event(found.select(np.arange(first, last)), int(read), float(one), config)
        for first, last, read, one in zip(
            start[keep], (start + size)[keep], first_frame, sure, strict=True
        )
    ]
