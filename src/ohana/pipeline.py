"""The main job, stage by stage: read this first."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp
from ohana.detect.cosmic_rays import (
    charge_steps,
    find_cosmic_rays,
    halo_steps,
    ray_candidates,
)
from ohana.detect.false_discovery import EventDensities
from ohana.detect.linking import link_steps, read_tolerance
from ohana.detect.ray_confidence import (
    event_odds,
    in_crowded_reads,
    population_of,
    ray_confidence,
)
from ohana.detect.row_block import BlockResult, Searched, analyse_block, compile_kernels
from ohana.detect.snowballs.classify import find_snowballs
from ohana.detect.strata import tell_suspects
from ohana.detect.telegraph.coherence import without_coherent
from ohana.detect.telegraph.fit import MIN_READS
from ohana.detect.telegraph.pixels import without_outliers
from ohana.events import Event, PixelMaps, join_steps
from ohana.network.calibration import Calibration
from ohana.network.tuning import TUNING as NETWORK_TUNING
from ohana.ramp import Ramp, row_blocks
from ohana.rampfit.covariance import covariance_of
from ohana.raw.missing import Missing, summed_up, tell_missing
from ohana.read import open_exposure
from ohana.refpix.border import border_mask
from ohana.results.catalogue import write_catalogue
from ohana.results.corrected_cube import Processed
from ohana.results.health import FalseSteps, Health, health_of, report_of
from ohana.results.maps import paint_mask, write_mask
from ohana.results.outputs import corrected_source, files_of, outputs_of, write_maps, writing_cube
from ohana.results.run_record import IntegrationFiles, remove_run, run_record, write_run
from ohana.results.summary import Summary, medians, summarise, tell_sources
from ohana.utils.files import make_folder
from ohana.utils.progress import Progress, Stopwatch, no_progress

if TYPE_CHECKING:
    from ohana.network.model_file import Network

log = logging.getLogger("ohana")


class FoundEvents(NamedTuple):
    """Events and per-pixel maps of one integration, and the densities behind confidences.

    ``missing`` are parts of its reads that hold no data.
    """

    events: list[Event]
    maps: PixelMaps
    population: EventDensities
    health: Health
    missing: tuple[Missing, ...] = ()


def predict(
    path: Path,
    output_dir: Path,
    config: DetectorConfig,
    *,
    processed: bool = True,
    progress: Progress | None = None,
    network: Network | None = None,
) -> Summary:
    """Find the events of an exposure and write mask, catalogue and per-pixel features.

    Parameters
    ----------
    path : Path
        A file, or a folder of TIFF frames.
    output_dir : Path
        Folder for the results.
    config : DetectorConfig
        Settings.
    processed : bool
        Write the corrected cube too.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.
    network : Network, optional
        Finds events besides those of the rules.

    Raises
    ------
    OhanaError
        If the input is no ramp, or the results cannot be written.
    """
    stopwatch = Stopwatch(progress or no_progress)
    stopwatch("reading", 0, 1)
    ramps = open_exposure(path, config)
    stopwatch("reading", 1, 1)
    log.debug(f"settings that are not the defaults: {config.model_dump(exclude_defaults=True)}")
    stopwatch.begin("compiling")
    compile_kernels(log)
    remove_run(make_folder(output_dir))
    events: list[Event] = []
    parts, health, notices = [], [], list(ramps[0].notes)
    if ramps[0].shape[0] < MIN_READS:
        notices.append(f"telegraph noise: needs {MIN_READS} reads, not looked for")
    if network is not None and ramps[0].shape[0] < NETWORK_TUNING.min_reads:
        notices.append(
            f"network: needs {NETWORK_TUNING.min_reads} reads, events by the rules alone"
        )
        network = None
    for ramp in ramps:
        # A segment of a longer exposure may hold a single integration.
        several = len(ramps) > 1 or ramp.integration > 0
        name = f"{ramp.name}_int{ramp.integration}" if several else ramp.name
        stem = output_dir / name
        found, part, of_ramp = predict_ramp(ramp, stem, config, processed, stopwatch, network)
        events += [replace(event, integration=ramp.integration) for event in found.events]
        parts.append(part)
        health.append(found.health)
        notices += [notice for notice in of_ramp if notice not in notices]
    if network is not None:
        notices.append(tell_sources(events, config))
    stopwatch("writing", 0, 1)
    mask = paint_mask(events, ramps[0].shape[1:])
    write_mask(output_dir / "prediction_mask.npy", mask)
    write_catalogue(output_dir / "detections.json", events)
    stopwatch("writing", 1, 1)
    stopwatch.stop()
    summary = Summary(
        path,
        ramps[0].name,
        output_dir,
        ramps[0].shape,
        len(ramps),
        ramps[0].facts,
        *medians(found.maps, ramps[0]),
        summarise(events, ramps),
        tuple(notices),
        files_of(output_dir, parts),
        stopwatch.seconds,
        health=tuple(health),
    )
    used = None if network is None else _described(network, config)
    write_run(
        output_dir,
        run_record(summary, parts, config, used, stopwatch.started),
    )
    return summary


def _described(network: Network, config: DetectorConfig) -> dict[str, str]:
    """Return the network's entry in the record of a run."""
    from ohana.network.device import running_on  # torch: only with a network

    where = running_on(config.network_precision)
    return {"fingerprint": network.fingerprint()} | where._asdict()


def predict_ramp(
    ramp: Ramp,
    stem: Path,
    config: DetectorConfig,
    processed: bool,
    progress: Progress,
    network: Network | None = None,
) -> tuple[FoundEvents, IntegrationFiles, list[str]]:
    """Find the events of one integration; write features and, if wanted, the corrected cube."""
    outputs = outputs_of(ramp, stem, config)
    source, notices = corrected_source(outputs, config, progress)
    with writing_cube(outputs, processed and source.corrected is None) as cube:
        found = find_events(source, config, progress, cube, network=network)
    # An older cube beside these features must not be used with them.
    ours = processed or source.corrected is not None
    progress("writing", 0, 1)
    notices = [*notices, *tell_missing(found.missing, ramp.shape[1:])]
    files = write_maps(outputs, found.maps, ours)
    return found, files._replace(ramp=source.ramp), notices


def find_events(
    source: CorrectedRamp,
    config: DetectorConfig,
    progress: Progress,
    cube: Processed | None = None,
    population: EventDensities | None = None,
    network: Network | None = None,
) -> FoundEvents:
    """Find the events of one integration: all stages between reading and writing.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and its correction.
    config : DetectorConfig
        Settings.
    progress : callable
        Called with the name of a stage, the parts done and the parts in all.
    cube : Processed, optional
        Where to write the corrected reads.
    population : EventDensities, optional
        Densities of false and of real events, if known better than from this ramp.
    network : Network, optional
        Finds events besides those of the rules.
    """
    searched = search_pixels(source, config, cube, progress)
    steps, maps = searched.steps, searched.maps
    telegraph = searched.telegraph
    if source.ramp.quality is not None and source.ramp.quality.heavy_tails:
        telegraph = without_outliers(telegraph)
    telegraph = without_coherent(telegraph, source.ramp.shape, config)
    log.debug(f"{len(steps.row)} steps of pixels, {len(telegraph)} pixels like telegraph noise")
    if len(source.ramp.planes) < NETWORK_TUNING.min_reads:
        network = None
    # The network may confirm events of which the rules alone are too unsure.
    lenient = {} if network is None else {"min_confidence": 0.0}
    settings = config.model_copy(update=lenient)
    events, population = link_events(searched, settings, progress, population)
    events += outside_snowballs(telegraph, events, maps.stop.shape)
    if network is not None:
        events, population = add_network(network, events, population, searched, config, progress)
    events = tell_suspects(events, source.ramp.suspect)
    dropped = len(searched.telegraph) - len(telegraph)
    health = health_of(
        (steps, maps, events),
        source.ramp.shape[0],
        border_mask(source.ramp),
        source.ramp.suspect,
        FalseSteps(population.decoys, population.noise[0] * stats.norm.sf(config.sigma_threshold)),
        dropped,
        report_of(source, tell_missing(searched.missing, source.ramp.shape[1:])),
    )
    health = replace(health, integration=source.ramp.integration)
    return FoundEvents(events, maps, population, health, searched.missing)


def add_network(
    network: Network,
    rules: list[Event],
    population: EventDensities,
    searched: Searched,
    config: DetectorConfig,
    progress: Progress,
) -> tuple[list[Event], EventDensities]:
    """Run the network on the same reads and merge its events with those of the rules.

    The fraction of the candidates for cosmic rays that are real becomes part of ``population``,
    unless it is known.
    """
    from ohana.network.candidates import combine  # torch: only with a network
    from ohana.network.combine import merge, real_fractions
    from ohana.network.events import network_events
    from ohana.network.inference import run_network

    noise, calibration = searched.maps.noise, network.calibration or Calibration()
    output = run_network(searched, network, config, progress)
    detected = network_events(output, rules, searched, config)
    found = combine(rules, detected, output, noise, config)
    if not np.isfinite(population.real_fractions).all():
        population = population._replace(real_fractions=real_fractions(found, calibration))
    odds = event_odds(found.events, population, config)
    merged = merge(found, noise, calibration, config, population.real_fractions, odds)
    # What the network alone has found has not been compared with other pixels yet.
    moving = [event for event in merged if event.label == Label.TELEGRAPH_NOISE]
    others = [event for event in merged if event.label != Label.TELEGRAPH_NOISE]
    return others + without_coherent(moving, searched.source.ramp.shape, config), population


def search_pixels(
    source: CorrectedRamp, config: DetectorConfig, cube: Processed | None, progress: Progress
) -> Searched:
    """Run the per-pixel stages over all row blocks, on several threads."""
    reads, height, width = source.ramp.shape
    covariance, blocks = covariance_of(source.ramp), list(row_blocks(height))
    maps: PixelMaps | None = None
    steps, telegraph, missing = [], [], []

    def work(rows: slice) -> BlockResult:
        result, data = analyse_block(source, rows, covariance, config)
        if cube is not None:
            cube.write(data, rows)
        return result

    progress("steps", 0, reads * height * width)
    with ThreadPoolExecutor(config.threads or os.cpu_count()) as pool:
        for result in pool.map(work, blocks):
            if maps is None:
                maps = _empty_maps(result.maps, (height, width))
            for field in fields(maps):
                getattr(maps, field.name)[result.rows] = getattr(result.maps, field.name)
            steps.append(result.steps)
            telegraph += result.telegraph
            missing.append(result.missing)
            progress("steps", reads * result.rows.stop * width, reads * height * width)
    assert maps is not None  # an array has rows
    lost = summed_up(np.concatenate(missing))
    return Searched(source, join_steps(steps), maps, telegraph, lost)


def _empty_maps(like: PixelMaps, shape: tuple[int, int]) -> PixelMaps:
    arrays = {f.name: np.empty(shape, getattr(like, f.name).dtype) for f in fields(like)}
    return PixelMaps(**arrays)


def link_events(
    searched: Searched,
    config: DetectorConfig,
    progress: Progress,
    population: EventDensities | None = None,
) -> tuple[list[Event], EventDensities]:
    """Link the steps of neighbouring pixels to snowballs and cosmic rays."""
    source, steps, maps = searched[:3]
    progress("events", 0, 1)
    border, covariance = border_mask(source.ramp), covariance_of(source.ramp)
    steps = steps.select(charge_steps(steps, border))
    tolerance = read_tolerance(steps.amplitude, maps.noise[steps.row, steps.col])
    group = link_steps(steps.row, steps.col, steps.read, tolerance, maps.stop.shape)
    snowballs, claimed = find_snowballs(source, steps, group, maps, covariance, config)
    if snowballs:
        left = ~claimed & ~halo_steps(steps, snowballs, maps.stop.shape, config)
        steps, tolerance = steps.select(left), tolerance[left]
        group = link_steps(steps.row, steps.col, steps.read, tolerance, maps.stop.shape)
    # Reference pixels hold no charge, so none joins an event beside them either.
    light = replace(maps, best_significance=np.where(border, 0, maps.best_significance))
    rays = ray_candidates(steps, group, light, config)
    if population is None:
        population = population_of(rays, searched, snowballs, border, config)
    confidence = ray_confidence(rays, population, config)
    snowballs = in_crowded_reads(snowballs, population, config)
    progress("events", 1, 1)
    return snowballs + find_cosmic_rays(rays, confidence, config), population


def outside_snowballs(
    telegraph: list[Event], events: list[Event], shape: tuple[int, int]
) -> list[Event]:
    """Drop telegraph noise under snowballs: charge released over many reads resembles it."""
    balls = [event for event in events if event.label == Label.SNOWBALL]
    covered = paint_mask(balls, shape) > 0
    return [event for event in telegraph if not covered[event.rows[0], event.cols[0]]]
