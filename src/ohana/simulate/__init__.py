"""Simulated exposures with known truth."""

from ohana.simulate.config import PRESETS, SimulationConfig, preset
from ohana.simulate.exposure import Simulated, simulate_exposure, simulate_to_fits
from ohana.simulate.fits import write_fits
from ohana.simulate.truth import TrueEvent, Truth

__all__ = [
    "PRESETS",
    "Simulated",
    "SimulationConfig",
    "TrueEvent",
    "Truth",
    "preset",
    "simulate_exposure",
    "simulate_to_fits",
    "write_fits",
]
