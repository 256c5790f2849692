"""A simulated exposure: all that happens to the charge, in order of time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ohana.simulate.artefacts import ReadoutArtefacts
from ohana.simulate.config import SimulationConfig
from ohana.simulate.cosmic_rays import draw_cosmic_rays
from ohana.simulate.deposits import ChargeEvent, Deposits, join_deposits
from ohana.simulate.detector import couple, draw_pixels, hold
from ohana.simulate.electronics import Electronics, digitise
from ohana.simulate.layouts import write_exposure
from ohana.simulate.layouts.orientation import file_shape, to_file, to_file_pixels
from ohana.simulate.light import ShotNoise, draw_light
from ohana.simulate.scene import Scene, Simulated
from ohana.simulate.snowballs import draw_snowballs
from ohana.simulate.telegraph_noise import draw_telegraph_noise
from ohana.simulate.true_signal import NoiseLimits, true_events
from ohana.simulate.truth import TrueEvent, Truth


def simulate_exposure(config: SimulationConfig, rng: np.random.Generator) -> Simulated:
    """Simulate an exposure in memory.

    The random streams of pixels, light, cosmic rays, telegraph noise, snowballs and read-out are
    separate: switching one kind of event off leaves everything else as it was.

    Examples
    --------
    >>> import numpy as np
    >>> config = SimulationConfig(reads=5, rows=32, cols=32, cosmic_rays=3)
    >>> simulated = simulate_exposure(config, np.random.default_rng(1))
    >>> simulated.cube.shape, simulated.cube.dtype, len(simulated.truth.events)
    ((5, 32, 32), dtype('uint16'), 3)
    """
    scene = draw_scene(config, rng)
    cube = np.empty((config.reads, *file_shape(config)), np.uint16)
    for t, frame in enumerate(read_out(scene)):
        cube[t] = frame
    maps = (mean_rate(scene), scene.pixels.noise, scene.stop)
    return Simulated(cube, truth_of(scene), config, *(to_file(each, config) for each in maps))


def simulate_to_fits(config: SimulationConfig, rng: np.random.Generator, path: str | Path) -> Truth:
    """Simulate an exposure into a file, one read in memory at a time; return its truth.

    The file has the layout of the settings (`ohana.simulate.layouts`), so that it can be given
    to ``ohana-predict`` as it is; save the truth beside it with `Truth.save`.

    Examples
    --------
    >>> import tempfile
    >>> from ohana.simulate.presets import preset
    >>> path = Path(tempfile.mkdtemp()) / "x_uncal.fits"
    >>> config = preset("nircam", rows=64, cols=64, cosmic_rays=3, snowballs=0)
    >>> truth = simulate_to_fits(config, np.random.default_rng(1), path)
    >>> truth.save(path.with_suffix(".truth.json"))
    >>> from ohana.read import open_exposure
    >>> [ramp] = open_exposure(path)
    >>> ramp.shape, ramp.facts.nframes, ramp.facts.sources["gain"]
    ((10, 64, 64), 4, 'default (NRCA1)')
    """
    scene = draw_scene(config, rng)
    write_exposure(path, read_out(scene), config)
    return truth_of(scene)


def draw_scene(config: SimulationConfig, rng: np.random.Generator) -> Scene:
    """Draw the detector, the light and all events of an exposure."""
    pixels_rng, light_rng, rays, telegraph, snowballs, readout = rng.spawn(6)
    pixels = draw_pixels(config, pixels_rng)
    stop = np.full((config.rows, config.cols), config.reads, np.int32)
    stop[pixels.stuck] = 0
    hits = draw_cosmic_rays(config, rays) + draw_snowballs(config, snowballs)
    return Scene(
        config,
        draw_light(config, light_rng),
        pixels,
        _on_live_pixels(hits, pixels.dead, config),
        draw_telegraph_noise(config, telegraph),
        stop,
        readout,
    )


def _on_live_pixels(
    hits: list[ChargeEvent], dead: np.ndarray, config: SimulationConfig
) -> list[ChargeEvent]:
    """Return hits with charge in live pixels, without the charge in dead ones."""
    live = np.ones(config.active_shape, bool)
    live.reshape(-1)[dead] = False
    kept = [live[hit.deposits.row, hit.deposits.col] for hit in hits]
    return [
        replace(hit, deposits=Deposits(*(column[here] for column in hit.deposits)))
        for hit, here in zip(hits, kept, strict=True)
        if here.any()
    ]


def read_out(scene: Scene, threads: int | None = None) -> Iterator[np.ndarray]:
    """Expose and read: yield each read as uint16 (H, W) [DN], in the orientation of the file.

    Parameters
    ----------
    scene : Scene
        From `draw_scene`; its ``stop`` is filled.
    threads : int, optional
        Threads that draw random numbers; one per core by default. The result does not depend
        on it.
    """
    config, pixels = scene.config, scene.pixels
    shot_rng, reset_rng, noise_rng, artefact_rng = scene.noise_seed.spawn(4)
    shot = ShotNoise(scene.light, pixels.dead, config, shot_rng)
    electronics = Electronics(config, pixels.noise, noise_rng)
    artefacts = ReadoutArtefacts(config, artefact_rng)
    draws = _ahead(_draws(shot, electronics, config), threads or os.cpu_count() or 1)
    reset = reset_rng.standard_normal(pixels.pedestal.shape, np.float32)
    empty = pixels.pedestal + np.float32(config.ktc_noise) * reset
    deposits = join_deposits(scene.hits)
    rows = np.array([flicker.row for flicker in scene.flickers], int)
    cols = np.array([flicker.col for flicker in scene.flickers], int)
    paths = np.array([flicker.path for flicker in scene.flickers]).reshape(-1, config.reads)
    inside = np.s_[config.border : config.rows - config.border]
    across = np.s_[config.border : config.cols - config.border]
    charge = np.zeros(config.active_shape, np.float32)
    for read, frames in enumerate(_frames(config)):
        signal = np.zeros_like(charge)
        for frame in frames:
            arriving = next(draws)  # dark current and light, with their shot noise
            _deposit(arriving, deposits, frame)  # cosmic rays and snowballs, as diffusion has it
            hold(charge, arriving, signal, config.full_well, config.bend)  # well, non-linearity
        signal /= np.float32(len(frames))  # the mean of the frames
        level = next(draws)  # 1/f, alternating columns, read noise, jumps and settling of outputs
        level[inside, across] += couple(signal, config.ipc)  # IPC; none reaches the border
        level += empty  # pedestal and kTC noise of the reset
        level[rows, cols] += paths[:, read]  # telegraph noise
        artefacts.add(level, read)  # settling, drifts, walks, columns, interference
        dn = digitise(level, config.gain)
        dn[pixels.stuck] = pixels.stuck_at
        np.minimum(scene.stop, read, out=scene.stop, where=dn >= config.saturation)
        # polarity and lost data
        yield np.ascontiguousarray(to_file(artefacts.spoil(dn, read), config))


def _frames(config: SimulationConfig) -> list[range]:
    """Return the frames of each read."""
    begins = config.first_frames.tolist()
    return [range(a, a + n) for a, n in zip(begins, config.averaged.tolist(), strict=True)]


def _draws(
    shot: ShotNoise, electronics: Electronics, config: SimulationConfig
) -> Iterator[Callable[[], np.ndarray]]:
    """Yield functions that draw the random numbers of an exposure, in order of use."""
    for read, frames in enumerate(_frames(config)):
        for frame in frames:
            yield partial(shot.frame, frame)
        yield partial(electronics.read, read)


def _ahead(calls: Iterable[Callable[[], np.ndarray]], threads: int) -> Iterator[np.ndarray]:
    """Yield the results of calls in order, computed ahead by some threads."""
    pending: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for call in calls:
            pending.append(pool.submit(call))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _deposit(charge: np.ndarray, deposits: Deposits, frame: int) -> None:
    """Add charge that arrives between the previous frame and this one, in place."""
    now = slice(*np.searchsorted(deposits.frame, [frame, frame + 1]))
    np.add.at(charge, (deposits.row[now], deposits.col[now]), deposits.charge[now])


def mean_rate(scene: Scene) -> np.ndarray:
    """Return the mean charge rate of a scene, 0 in the border, float32 (H, W) [e-/s]."""
    rate = scene.light.mean_rate(scene.config)
    rate.reshape(-1)[scene.pixels.dead] = 0
    return np.pad(rate, scene.config.border)


def truth_of(scene: Scene) -> Truth:
    """Return the truth of a scene that has been read out, in the orientation of the file."""
    config = scene.config
    if scene.light.flash_read is not None:
        config = config.model_copy(update={"flash_read": scene.light.flash_read})
    noise = config.total_noise(scene.pixels.noise)
    ramps = NoiseLimits(noise, mean_rate(scene) * config.frame_time, scene.stop)
    events = true_events(scene.hits, scene.flickers, ramps, config)
    shape = (config.reads, *file_shape(config))
    return Truth(shape, [_turned(event, config) for event in events], config)


def _turned(event: TrueEvent, config: SimulationConfig) -> TrueEvent:
    """Return an event in the orientation of the file."""
    rows, cols = to_file_pixels(event.rows, event.cols, config)
    row, col = to_file_pixels(event.repeated.row, event.repeated.col, config)
    facts = dict(event.facts)
    if "center" in facts:
        down, right = np.array(facts["center"])
        facts["center"] = [float(value) for value in to_file_pixels(down, right, config)]
    repeated = event.repeated._replace(row=row, col=col)
    return replace(event, rows=rows, cols=cols, repeated=repeated, facts=facts)


def exposure_rng(seed: int, detector: int, index: int, k: int) -> np.random.Generator:
    """Return the source of random numbers of one exposure.

    It depends on these four numbers alone, not on the order of exposures or the process, and no
    two are alike (`numpy.random.SeedSequence`).

    Parameters
    ----------
    seed : int
        Seed of the whole set, not negative.
    detector, index, k : int
        Number of the detector, index in the set, and number of the exposure; not negative.

    Examples
    --------
    >>> exposure_rng(1, 0, 0, 3).integers(9, size=8) - exposure_rng(1, 0, 0, 3).integers(9, size=8)
    array([0, 0, 0, 0, 0, 0, 0, 0])
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(detector, index, k))
    return np.random.Generator(np.random.SFC64(sequence))
