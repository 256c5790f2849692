"""Contents of a simulated exposure, before (`Scene`) and after read-out (`Simulated`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohana.simulate.config import SimulationConfig
from ohana.simulate.deposits import ChargeEvent
from ohana.simulate.detector import Pixels
from ohana.simulate.light import Light
from ohana.simulate.telegraph_noise import TelegraphSignal
from ohana.simulate.truth import Truth


@dataclass(frozen=True)
class Scene:
    """All that is drawn before the first read, in the orientation of the read-out.

    ``stop`` (H, W) is filled while the scene is read out: the first read above the
    saturation level, T where there is none, 0 in stuck pixels.
    """

    config: SimulationConfig
    light: Light
    pixels: Pixels
    hits: list[ChargeEvent]
    flickers: list[TelegraphSignal]
    stop: np.ndarray
    noise_seed: np.random.Generator


@dataclass(frozen=True)
class Simulated:
    """An exposure and its truth, in the orientation of a file.

    Attributes
    ----------
    cube : ndarray of uint16, shape (T, H, W)
        Raw reads [DN].
    truth : Truth
        Its events.
    config : SimulationConfig
        Its settings.
    rate, noise : ndarray of float32, shape (H, W)
        Mean charge rate [e-/s], 0 in the border, and white noise of one frame [e-].
    stop : ndarray of int32, shape (H, W)
        First saturated read, T where there is none; 0 in stuck pixels.
    """

    cube: np.ndarray
    truth: Truth
    config: SimulationConfig
    rate: np.ndarray
    noise: np.ndarray
    stop: np.ndarray
