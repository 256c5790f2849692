"""Simulated exposures with known truth."""

from ohana.simulate.config import SimulationConfig
from ohana.simulate.exposure import exposure_rng, simulate_exposure, simulate_to_fits
from ohana.simulate.layouts import write_exposure, write_fits
from ohana.simulate.presets import PRESETS, preset
from ohana.simulate.scene import Simulated
from ohana.simulate.truth import TrueEvent, Truth

__all__ = [
    "PRESETS",
    "Simulated",
    "SimulationConfig",
    "TrueEvent",
    "Truth",
    "exposure_rng",
    "preset",
    "simulate_exposure",
    "simulate_to_fits",
    "write_exposure",
    "write_fits",
]
