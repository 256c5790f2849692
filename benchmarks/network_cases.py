"""The exposures on which the network is scored, with settings drawn independently of training.

Each draw of a case gives four exposures of the same pixels and noise: with events of all classes,
with faint tracks only, without events, and without events but with artefacts that resemble them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from ohana.rampfit.covariance import difference_covariance
from ohana.simulate import SimulationConfig, exposure_rng
from ohana.simulate.optimal_snr import step_errors

#: Detectors of training sets have random streams numbered from 0: this one is of no training set.
STREAM = 2**32 - 3
#: Kinds of exposures.
KINDS = ("events", "tracks", "quiet", "awkward")
#: Charge of hits, log-uniform [error of a step at mid-ramp].
HITS = (2.5, 3000.0)
#: Charge of faint tracks per pixel of path [as above]: most of their pixels have an S/N of 3 to 4.
TRACKS = 3.6
#: A faint track: number of pixels with an S/N in the second range; none is above it.
FAINT_PIXELS, FAINT_SNR = (3, 8), (2.5, 4.5)


@dataclass(frozen=True)
class Case:
    """A kind of exposure.

    Attributes
    ----------
    reads, size, draws : int
        Reads; height and width [pixel]; how often the rest is drawn.
    rate, light : str
        ``ground`` or ``l2``: how many hits; ``dark`` or ``sky``.
    noise, gain : tuple of float
        Ranges of the read noise [e-] and gain [e-/DN].
    unseen : bool
        Whether the detector is outside of all that was trained on.
    """

    reads: int
    size: int
    draws: int
    rate: str
    light: str
    noise: tuple[float, float] = (5.0, 25.0)
    gain: tuple[float, float] = (0.5, 2.7)
    unseen: bool = False

    @property
    def name(self) -> str:
        """Name in files and tables."""
        detector = f"_{self.noise[0]:g}e_{self.gain[0]:g}" if self.unseen else ""
        return f"{self.reads:03d}_{self.rate}_{self.light}{detector}"

    def facts(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


#: Reads -> size and draws: similar numbers of voxels, and similar times.
SIZES = {8: (256, 6), 20: (256, 4), 60: (256, 2), 450: (192, 1)}
#: Read noise [e-] and gain [e-/DN] 30 % outside the range of the training, on either side.
UNSEEN = (((32.0, 32.0), (3.5, 3.5)), ((32.0, 32.0), (0.35, 0.35)), ((3.5, 3.5), (0.35, 0.35)))


def cases(exposures: int, quick: bool) -> list[Case]:
    """Return all cases, with ``exposures`` times the usual draws; few and small ones if quick."""
    if quick:
        return [
            Case(8, 96, 1, "l2", "dark"),
            Case(20, 96, 1, "ground", "sky"),
            Case(6, 96, 1, "l2", "dark", *UNSEEN[0], unseen=True),
        ]
    scenes = list(product(("ground", "l2"), ("dark", "sky")))
    seen = [
        Case(reads, size, draws * exposures, *scene)
        for reads, (size, draws) in SIZES.items()
        for scene in scenes
    ]
    unseen = [
        Case(reads, *like, *scene, noise, gain, unseen=True)
        for reads, like in ((6, (256, 4 * exposures)), (585, (160, exposures)))
        for scene in (("ground", "dark"), ("l2", "sky"))
        for noise, gain in UNSEEN
    ]
    return seen + unseen


def exposures_of(case: Case, seed: int) -> Iterator[dict[str, tuple[SimulationConfig, Any]]]:
    """Yield the settings and random numbers of all kinds of exposures for each draw of a case."""
    for draw in range(case.draws):
        numbers = [seed, case.reads, *case.name.encode()]
        own = int(np.random.SeedSequence(numbers).generate_state(1)[0])

        def rng(own: int = own, draw: int = draw) -> list[np.random.Generator]:
            return exposure_rng(seed, STREAM, own, draw).spawn(2)

        base = _detector(case, rng()[0])
        yield {kind: (_with_events(base, case, kind), rng()[1]) for kind in KINDS}


def _detector(case: Case, rng: np.random.Generator) -> SimulationConfig:
    """Draw detector and scene, without events."""
    sky = case.light == "sky"
    averaged = int(rng.choice([1, 1, 2])) if case.reads <= 20 else 1
    frame_time = float(rng.uniform(1.4, 12.0 if case.reads <= 60 else 2.5))
    gain = rng.uniform(*case.gain)
    return SimulationConfig(
        reads=case.reads,
        rows=case.size,
        cols=case.size,
        frame_time=frame_time,
        nframes=averaged,
        gain=gain,
        read_noise=rng.uniform(*case.noise) * np.sqrt(averaged),
        read_noise_spread=rng.uniform(0.05, 0.15),
        full_well=(5e4 * gain - 1e4) / 0.95 if gain > 0.5 else 3e4,
        dark_current=rng.uniform(0.001, 0.05),
        sky=rng.uniform(0.3, 2.5) if sky else 0.0,
        stars=int(case.size // 16) if sky else 0,
        pink_common=rng.uniform(1.0, 5.0),
        pink_output=rng.uniform(0.5, 2.0),
        odd_even=0.5,
        transient=rng.uniform(0.0, 30.0),
        channel_steps=int(rng.integers(0, 3)),
        nonlinearity=rng.uniform(0.0, 0.08),
        ipc=rng.uniform(0.002, 0.01),
        diffusion=0.35 if case.rate == "l2" else 0.25,
        hot_fraction=1e-3,
        warm_fraction=5e-3,
        saturating_fraction=2e-4,
        dead_fraction=1e-3,
        stuck_fraction=1e-5,
    )


def _with_events(base: SimulationConfig, case: Case, kind: str) -> SimulationConfig:
    """Add the events of a kind of exposure."""
    area, error = case.size**2, step_error(base)
    white = base.read_noise / np.sqrt(base.nframes)
    changes: dict[str, dict[str, Any]] = {
        "quiet": {},
        # A flash of some sigma of a step, and after-images of earlier light.
        "awkward": {"flash": 3.0 * error, "persistence": max(1, area // 2**14)},
        "tracks": {
            "cosmic_rays": area // 150,
            "cosmic_ray_charge": TRACKS * error,
            "cosmic_ray_length": (2.0, 7.0),
            "cosmic_ray_index": 1.1,
            "delta_fraction": 0.0,
        },
        "events": {
            "cosmic_rays": area // (120 if case.rate == "l2" else 400),
            "cosmic_ray_total": tuple(error * limit for limit in HITS),
            "cosmic_ray_index": 1.8,
            "shower_fraction": 0.02,
            "telegraph_pixels": area // 800,
            # Within the default limits: at most 300 DN, at most 50 transitions.
            "telegraph_amplitude": (white, min(20.0 * white, 290.0 * base.gain)),
            "telegraph_period": (max(3.0, case.reads / 16), max(case.reads / 2.5, 4.0)),
            "snowballs": max(1, area // 2**15),
        },
    }
    return SimulationConfig.model_validate(base.model_dump() | changes[kind])


def step_error(config: SimulationConfig) -> float:
    """Return the error of a step at mid-ramp, from background and all noise [e-]."""
    rate = (config.dark_current + config.sky) * config.frame_time
    middle, end = np.array([config.reads // 2]), np.array([config.reads])
    noise = np.atleast_1d(config.total_noise(config.read_noise))
    model = difference_covariance(config.read_times, config.frame_time, config.nframes)
    return float(step_errors(middle, end, noise, np.array([rate]), model)[0])


def is_faint(snr: np.ndarray) -> bool:
    """Return whether a hit is a faint track, from the S/N of its pixels.

    Examples
    --------
    >>> is_faint(np.array([3.0, 4.0, 3.5, 1.0])), is_faint(np.array([3.0, 4.0, 5.5]))
    (True, False)
    """
    count = int((snr >= FAINT_SNR[0]).sum())
    return bool(snr.max(initial=0) <= FAINT_SNR[1]) and FAINT_PIXELS[0] <= count <= FAINT_PIXELS[1]
