"""Consistency of the settings of a training set."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ohana.config_file import plain_message, suggestion
from ohana.simulate.config import SimulationConfig
from ohana.training_sets.draws import DRAWN, TAKEN, base_config, simulation_config
from ohana.training_sets.settings import CreatorSettings

#: Ranges of draws that are uniform in the logarithm.
LOGARITHMIC = {
    "cosmic_ray_charge_range",
    "rtn_offset_range",
    "rtn_period_range",
    "snowball_halo_amplitude_ratio_range",
}
#: Artefacts that only the reading of a file puts right: patches are stored as they were read out.
OF_FILES = ("counts_fall", "lost_reads", "lost_rows")


def complaints(config: CreatorSettings) -> list[str]:
    """Return the inconsistencies of settings that are valid one by one, one line each."""
    return [*_ranges(config), *_sizes(config), *_names(config)] or _simulator(config)


def _ranges(config: CreatorSettings) -> list[str]:
    wrong = []
    for name in type(config).model_fields:
        if not name.endswith("_range"):
            continue
        limits = getattr(config, name)
        if limits is None:
            continue
        low, high = limits
        if low > high:
            wrong.append(f"{name}: low end ({low}) must not exceed high end ({high})")
        elif low == 0 and name in LOGARITHMIC:
            wrong.append(f"{name}: low end must be more than 0, draws are uniform in the logarithm")
    return wrong


def _sizes(config: CreatorSettings) -> list[str]:
    wrong = []
    (height, width), (high, wide) = config.image_shape, config.patch_size
    patch = f"patch_size ({high} x {wide} px)"
    if high > height or wide > width:
        wrong.append(f"{patch} must not exceed the image, {height} x {width} px")
    if config.overlap >= min(high, wide):
        wrong.append(f"overlap ({config.overlap}) must be less than {patch}")
    if not config.num_exposure_events + config.num_baseline_exposures:
        wrong.append("num_exposure_events and num_baseline_exposures must not both be 0")
    return wrong


def _names(config: CreatorSettings) -> list[str]:
    """Return the errors of single settings of the simulator."""
    wrong = [f"simulation: {k} follows from {TAKEN[k]}" for k in config.simulation if k in TAKEN]
    wrong += [
        f"simulation: {name} is for files alone, patches want it to be off"
        for name in OF_FILES
        if config.simulation.get(name)
    ]
    if "snowball_halo_length" in config.simulation and config.snowball_halo_decay_scale_range:
        wrong.append(
            "simulation: snowball_halo_length wants snowball_halo_decay_scale_range to be null"
        )
    own = {name: value for name, value in config.simulation.items() if name not in TAKEN}
    try:
        SimulationConfig.model_validate(own)
    except ValidationError as error:
        wrong += [_one_line(detail) for detail in error.errors() if detail["loc"]]
    return wrong


def _simulator(config: CreatorSettings) -> list[str]:
    """Return the errors of the simulator for the settings together."""
    lowest = min(config.gain_library.values())
    highest = {drawn: getattr(config, name)[1] for name, drawn in DRAWN.items()}
    try:
        empty = base_config(config).pedestal / lowest
        if empty >= config.saturation_dn:
            return [
                f"saturation_dn ({config.saturation_dn:g} DN) must exceed the level of an empty "
                f"pixel, {empty:g} DN at a gain of {lowest:g} e-/DN"
            ]
        simulation_config(config, lowest, highest)
    except ValidationError as error:
        return [_one_line(detail) for detail in error.errors()]
    return []


def _one_line(detail: Any) -> str:
    """Return pydantic's error about a setting of the simulator in one line."""
    if not detail["loc"]:
        return detail["msg"].removeprefix("Value error, ").replace(";", ",")
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        near = suggestion(name, SimulationConfig)
        return f"simulation: {name} is no setting of the simulator{near}"
    return f"simulation: {name}: {plain_message(detail).replace(';', ',')}"
