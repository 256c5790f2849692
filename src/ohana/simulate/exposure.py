"""A simulated exposure: what happens to the charge, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohana.labels import Label
from ohana.simulate.config import SimulationConfig
from ohana.simulate.cosmic_rays import draw_cosmic_rays
from ohana.simulate.detector import Electronics, Pixels, couple, digitise, draw_pixels
from ohana.simulate.events import Deposits, Source, join_deposits
from ohana.simulate.fits import header, write_frames
from ohana.simulate.snowballs import draw_snowballs
from ohana.simulate.telegraph_noise import Flicker, draw_telegraph_noise
from ohana.simulate.truth import TrueEvent, Truth, path_chi2, step_errors

#: Signal below which a pixel is not listed as part of an event [e-].
FAINTEST = 1.0


@dataclass(frozen=True)
class Scene:
    """Everything that is decided before the first read.

    ``stop`` (H, W) is filled while the scene is read out: the first read above the
    saturation level, T where there is none.
    """

    config: SimulationConfig
    pixels: Pixels
    hits: list[Source]
    flickers: list[Flicker]
    stop: np.ndarray
    noise_seed: np.random.Generator


@dataclass(frozen=True)
class Simulated:
    """An exposure and its truth.

    Attributes
    ----------
    cube : ndarray of uint16, shape (T, H, W)
        Raw reads [DN].
    truth : Truth
        What is in it.
    config : SimulationConfig
        How it was made.
    rate, noise : ndarray of float32, shape (H, W)
        Charge rate [e-/s], 0 in the border, and white noise of one read [e-].
    stop : ndarray of int32, shape (H, W)
        First saturated read, T where there is none.
    """

    cube: np.ndarray
    truth: Truth
    config: SimulationConfig
    rate: np.ndarray
    noise: np.ndarray
    stop: np.ndarray


def simulate_exposure(config: SimulationConfig, rng: np.random.Generator) -> Simulated:
    """Simulate an exposure in memory.

    The random streams of pixels, cosmic rays, telegraph noise, snowballs and read-out are
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
    cube = np.empty(config.shape, np.uint16)
    for t, frame in enumerate(read_out(scene)):
        cube[t] = frame
    rate = np.pad(scene.pixels.rate, config.border)
    return Simulated(cube, truth_of(scene), config, rate, scene.pixels.noise, scene.stop)


def simulate_to_fits(config: SimulationConfig, rng: np.random.Generator, path: str | Path) -> Truth:
    """Simulate an exposure into a FITS file, one read in memory at a time; return its truth."""
    scene = draw_scene(config, rng)
    write_frames(path, read_out(scene), header(config))
    return truth_of(scene)


def draw_scene(config: SimulationConfig, rng: np.random.Generator) -> Scene:
    """Draw the detector and all events of an exposure."""
    pixels, rays, telegraph, snowballs, readout = rng.spawn(5)
    return Scene(
        config,
        draw_pixels(config, pixels),
        draw_cosmic_rays(config, rays) + draw_snowballs(config, snowballs),
        draw_telegraph_noise(config, telegraph),
        np.full((config.rows, config.cols), config.reads, np.int32),
        readout,
    )


def read_out(scene: Scene) -> Iterator[np.ndarray]:
    """Expose and read: yield each read as uint16 (H, W) [DN].

    Charge: light and dark current with shot noise; what cosmic rays and snowballs leave; full
    well. Signal: non-linearity; coupling between pixels. Voltage: pedestal and reset noise;
    telegraph noise; read noise. Then gain and the converter.
    """
    config, pixels = scene.config, scene.pixels
    shot_rng, noise_rng = scene.noise_seed.spawn(2)
    electronics = Electronics(config, pixels.noise, noise_rng)
    deposits = join_deposits(scene.hits)
    inside = np.s_[config.border : -config.border or None]
    light = pixels.rate.astype(np.float64) * config.frame_time
    charge = np.zeros(config.active_shape, np.float32)
    rows = np.array([flicker.row for flicker in scene.flickers], int) + config.border
    cols = np.array([flicker.col for flicker in scene.flickers], int) + config.border
    paths = np.array([flicker.path for flicker in scene.flickers]).reshape(-1, config.reads)
    with ThreadPoolExecutor(1) as worker:  # the noise of the next read is drawn meanwhile
        pending = worker.submit(electronics.frame, 0)
        for t in range(config.reads):
            if t > 0:
                charge += shot_rng.poisson(light)
                _deposit(charge, deposits, t)
            np.minimum(charge, config.full_well, out=charge)
            frame = pending.result()
            if t + 1 < config.reads:
                pending = worker.submit(electronics.frame, t + 1)
            frame[inside, inside] += couple(_bend(charge, config), config.ipc)
            frame += pixels.offset
            frame[rows, cols] += paths[:, t]
            dn = digitise(frame, config.gain)
            full = dn >= config.saturation
            scene.stop[full] = np.minimum(scene.stop[full], t)
            yield dn


def _deposit(charge: np.ndarray, deposits: Deposits, read: int) -> None:
    """Add what arrives between the previous read and this one, in place."""
    now = slice(*np.searchsorted(deposits.read, [read, read + 1]))
    np.add.at(charge, (deposits.row[now], deposits.col[now]), deposits.charge[now])


def _bend(charge: np.ndarray, config: SimulationConfig) -> np.ndarray:
    """Return the signal of a pixel whose capacitance grows with its charge [e-]."""
    if not config.nonlinearity:
        return charge
    return charge * (1 - np.float32(config.nonlinearity / config.full_well) * charge)


def truth_of(scene: Scene) -> Truth:
    """Return the truth of a scene that has been read out."""
    config, border = scene.config, scene.config.border
    events = [_true_hit(hit, config) for hit in scene.hits]
    sizes = np.cumsum([0] + [len(event.rows) for event in events])
    if events:
        rows, cols, reads = (
            np.concatenate([getattr(event, name) for event in events])
            for name in ("rows", "cols", "reads")
        )
        error = step_errors(
            reads,
            scene.stop[rows, cols],
            config.total_noise(scene.pixels.noise[rows, cols]),
            scene.pixels.rate[rows - border, cols - border] * config.frame_time,
        )
        for event, low, high in zip(events, sizes[:-1], sizes[1:], strict=True):
            event.snr[:] = event.charge / error[low:high]
    events += [_true_flicker(flicker, scene) for flicker in scene.flickers]
    return Truth(config.shape, events, config)


def _true_hit(hit: Source, config: SimulationConfig) -> TrueEvent:
    """Return the signal that a hit adds to each pixel; its S/N is filled in later."""
    row, col, read, amount = hit.deposits
    # One pixel more on each side, for the coupling, but not over the edge of the active part.
    top, left = np.maximum([row.min() - 1, col.min() - 1], 0)
    bottom, right = np.minimum([row.max() + 2, col.max() + 2], config.active_shape)
    charge = np.zeros((bottom - top, right - left), np.float32)
    first = np.full(charge.shape, config.reads, np.int32)
    np.add.at(charge, (row - top, col - left), amount)
    np.minimum.at(first, (row - top, col - left), read)
    first[first == config.reads] = hit.first_frame
    signal = couple(np.minimum(charge, np.float32(config.full_well)), config.ipc)
    rows, cols = np.nonzero(signal > FAINTEST)
    return TrueEvent(
        hit.label,
        hit.first_frame,
        (rows + top + config.border).astype(np.int32),
        (cols + left + config.border).astype(np.int32),
        first[rows, cols],
        signal[rows, cols],
        np.zeros(len(rows), np.float32),
        config.gain,
        hit.facts,
    )


def _true_flicker(flicker: Flicker, scene: Scene) -> TrueEvent:
    config = scene.config
    row, col = flicker.row + config.border, flicker.col + config.border
    states = flicker.states[: scene.stop[row, col]]
    changes = np.flatnonzero(np.diff(states)) + 1
    chi2 = path_chi2(
        flicker.levels[states],
        float(config.total_noise(scene.pixels.noise[row, col])),
        float(scene.pixels.rate[flicker.row, flicker.col] * config.frame_time),
    )
    facts = {
        "levels": flicker.levels.tolist(),
        "dwell": flicker.dwell.tolist(),
        "transitions": changes.tolist(),
        "states": states[np.append(0, changes)].tolist() if len(states) else [],
        "chi2": max(chi2, 0.0),
    }
    return TrueEvent(
        Label.TELEGRAPH_NOISE,
        None,
        np.array([row], np.int32),
        np.array([col], np.int32),
        np.array([-1], np.int32),
        np.array([np.ptp(flicker.levels)], np.float32),
        np.array([np.sqrt(facts["chi2"])], np.float32),
        config.gain,
        facts,
    )
