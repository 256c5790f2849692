"""Settings of a training set: how many exposures, what is in them, how they are stored."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ohana.classes import Label
from ohana.config import setting
from ohana.config_file import plain_message, suggestion
from ohana.simulate.config import SimulationConfig
from ohana.simulate.presets import PRESETS

#: Numbers must be written as numbers: neither text nor true or false.
Number = Annotated[float, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=0)]
#: Height or width that 16 bits can count.
Length = Annotated[int, Field(strict=True, ge=8, le=65535)]
Size = tuple[Length, Length]
Part = Annotated[float, Field(strict=True, ge=0, le=1)]
Gain = Annotated[float, Field(strict=True, gt=0)]
Range = tuple[Number, Number]
CountRange = tuple[Count, Count]
PartRange = tuple[Part, Part]
#: Settings that change where and how fast a training set is made, never what is in it.
NO_EFFECT_ON_RESULTS = {"output_dir", "workers"}
#: Ranges of draws that are uniform in the logarithm.
LOGARITHMIC = {
    "cosmic_ray_charge_range",
    "rtn_offset_range",
    "rtn_period_range",
    "snowball_halo_amplitude_ratio_range",
}
#: Range of the training set -> what is drawn from it for each exposure.
DRAWN = {
    "dark_current_range": "dark_current",
    "read_noise_range": "read_noise",
    "gaussian_noise_range": "gaussian_noise",
    "sky_range": "sky",
    "stars_range": "stars",
    "cosmic_ray_per_exp_range": "cosmic_rays",
    "snowballs_per_exp_range": "snowballs",
    "rtn_per_exp_range": "telegraph_pixels",
}
#: Numbers of events, and the injection type that asks for them (besides "all").
COUNTS = {"cosmic_rays": "cosmic_ray", "snowballs": "snowball", "telegraph_pixels": "rtn"}
#: Patches are stored in read-out order, whatever the preset says of files.
READ_OUT_ORDER: dict[str, Any] = {"layout": "cube", "fast_axis": 1, "slow_axis": 2}
#: Settings of the simulator that follow from those of the training set.
TAKEN = {
    "reads": "num_frames",
    "rows": "image_shape",
    "cols": "image_shape",
    "border": "border",
    "outputs": "outputs",
    "frame_time": "exp_time",
    "first_interval": "exp_time",
    "read_pattern": "exp_time",
    "gain": "gain_library",
    "full_well": "saturation_dn",
    "cosmic_ray_total": "cosmic_ray_charge_range",
    "telegraph_amplitude": "rtn_offset_range",
    "telegraph_period": "rtn_period_range",
    "telegraph_duty": "rtn_duty_fraction_range",
    "snowball_radius": "snowball_radius_range",
    "snowball_halo": "snowball_halo_amplitude_ratio_range",
    "snowball_halo_decay": "snowball_halo_decay_scale_range",
    **{drawn: name for name, drawn in DRAWN.items()},
    **dict.fromkeys(READ_OUT_ORDER, "the order of read-out, in which patches are stored"),
}


class CreatorConfig(BaseModel):
    """Settings of `DataSetCreator`, all optional; unknown names and wrong values are refused.

    Amplitudes are electrons. Ranges are [low, high]; where nothing else is said, one value is
    drawn for each exposure, uniformly.

    Examples
    --------
    >>> CreatorConfig(gain_library=[1.5, 2.0]).gain_library
    {'detector_0': 1.5, 'detector_1': 2.0}
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    output_dir: str = setting(
        "./data/processed", "store", "", "Folder of the training set", min_length=1, strict=True
    )
    image_shape: Size = setting(
        (2048, 2048), "store", "px", "Height and width of an exposure, reference border included"
    )
    num_frames: Annotated[int, Field(strict=True, ge=2, le=65535)] = setting(
        450, "store", "reads", "Reads of an exposure"
    )
    patch_size: Size = setting(
        (256, 256),
        "store",
        "px",
        "Height and width of the patches that an exposure is cut into, or one number for both",
    )
    overlap: Count = setting(
        32, "store", "px", "Rows or columns that neighbouring patches share at least"
    )
    window: Annotated[int, Field(strict=True, ge=1)] = setting(
        32, "store", "reads", "Reads that are stored, and later read, in one piece"
    )
    test_fraction: Annotated[float, Field(strict=True, ge=0, lt=1)] = setting(
        0.1, "store", "", "Part of the exposures that is set aside and never trained on"
    )

    num_exposure_events: Count = setting(
        1, "exposures", "", "Exposures with events, for each detector and index"
    )
    num_baseline_exposures: Count = setting(
        1, "exposures", "", "Exposures without events, for each detector and index"
    )
    injection_type: Literal["cosmic_ray", "snowball", "rtn", "all"] = setting(
        "all", "exposures", "", "Class of the events"
    )
    num_classes: Annotated[int, Field(strict=True)] = setting(
        len(Label), "exposures", "", "Classes of the labels, background included"
    )
    cosmic_ray_per_exp_range: CountRange = setting(
        (100, 4000), "exposures", "", "Cosmic rays in an exposure"
    )
    snowballs_per_exp_range: CountRange = setting(
        (0, 3), "exposures", "", "Snowballs in an exposure"
    )
    rtn_per_exp_range: CountRange = setting(
        (100, 1500), "exposures", "", "Pixels with telegraph noise in an exposure"
    )

    gain_library: dict[str, Gain] = setting(
        {"18220_SCA": 1.062, "18248_SCA": 1.021},
        "detector",
        "e-/DN",
        "Gain of each detector: a list, or names and gains",
        min_length=1,
    )
    exp_time: Annotated[float, Field(strict=True, gt=0)] = setting(
        45000.0, "detector", "s", "Exposure time; reads are exp_time / num_frames apart"
    )
    saturation_dn: Annotated[float, Field(strict=True, gt=0, le=65535)] = setting(
        65535.0, "detector", "DN", "Raw value of a full pixel"
    )
    dark_current_range: Range = setting((0.01, 0.02), "detector", "e-/s", "Dark current of a pixel")
    read_noise_range: Range = setting(
        (15.0, 25.0), "detector", "e-", "White noise of one read, RMS over time"
    )
    gaussian_noise_range: Range = setting(
        (0.5, 10.0), "detector", "e-", "Further white noise of one read, added in quadrature"
    )
    border: Count = setting(4, "detector", "px", "Width of the reference-pixel border, 0 for none")
    outputs: Annotated[int, Field(strict=True, ge=1)] = setting(
        32, "detector", "", "Read-out channels side by side"
    )
    sky_range: Range = setting((0.0, 0.0), "scene", "e-/s", "Sky background in a pixel")
    stars_range: CountRange = setting((0, 0), "scene", "", "Stars in an exposure")
    preset: str = setting("dark", "scene", "", "Settings of the simulator to start from")
    simulation: dict[str, Any] = setting(
        {}, "scene", "", "Other settings of the simulator, on top of the preset"
    )

    cosmic_ray_charge_range: Range = setting(
        (200.0, 6000.0), "cosmic rays", "e-", "Charge of a hit, drawn for each, log-uniform"
    )
    rtn_offset_range: Range = setting(
        (30.0, 300.0),
        "telegraph noise",
        "e-",
        "Distance of the extreme levels, drawn for each pixel, log-uniform",
    )
    rtn_period_range: Range = setting(
        (20.0, 200.0),
        "telegraph noise",
        "reads",
        "Mean time of one cycle, drawn for each pixel, log-uniform",
    )
    rtn_duty_fraction_range: PartRange = setting(
        (0.1, 0.9), "telegraph noise", "", "Mean part of a cycle spent high, drawn for each pixel"
    )
    snowball_radius_range: Range = setting(
        (5.0, 200.0), "snowballs", "px", "Radius of the saturated core, drawn for each snowball"
    )
    snowball_halo_amplitude_ratio_range: PartRange = setting(
        (0.02, 0.15),
        "snowballs",
        "",
        "Halo at the rim of the core / level of the core, drawn for each snowball, log-uniform",
    )
    snowball_halo_decay_scale_range: Range | None = setting(
        (3.0, 30.0),
        "snowballs",
        "px",
        "Length over which the halo falls by a factor e, drawn for each snowball; "
        "null: `snowball_halo_length` of the simulator, in core radii",
    )

    seed: Count = setting(0, "running", "", "Of all random numbers")
    workers: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = setting(
        None, "running", "", "Processes; as many as there are cores if absent"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _pairs(cls, value: Any, info: Any) -> Any:
        """Say what a range wants in the words of a settings file."""
        name = info.field_name
        if name == "patch_size" and type(value) is int:
            return value, value
        if name == "snowball_halo_decay_scale_range" and value is None:
            return None
        limits = name.endswith("_range")
        pair = limits or name in ("image_shape", "patch_size")
        if pair and (not isinstance(value, list | tuple) or len(value) != 2):
            single = " or one number" if name == "patch_size" else ""
            wanted = "[low, high]" if limits else f"[height, width]{single}"
            raise ValueError(f"wanted a pair {wanted}")
        return value

    @field_validator("gain_library", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Name the detectors of a plain list of gains."""
        if isinstance(value, list | tuple):
            return {f"detector_{i}": gain for i, gain in enumerate(value)}
        if not isinstance(value, dict):
            raise ValueError("wanted a list of gains, or names and gains of detectors")
        odd = [name for name in value if not re.fullmatch(r"[A-Za-z0-9][\w-]*", str(name))]
        if odd:
            raise ValueError(f"wanted detector names of letters, digits, - and _, not {odd[0]!r}")
        return {str(name): gain for name, gain in value.items()}

    @field_validator("num_classes")
    @classmethod
    def _all_classes(cls, value: int) -> int:
        if value != len(Label):
            names = ", ".join(label.key for label in Label)
            raise ValueError(f"wanted {len(Label)}: {names}")
        return value

    @field_validator("preset")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in PRESETS:
            raise ValueError(f"wanted one of {', '.join(PRESETS)}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> CreatorConfig:
        """Check what must agree, and report all that does not."""
        wrong = complaints(self)
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def fingerprint(self) -> str:
        """Return a hash of the settings that decide what is in a training set."""
        text = json.dumps(self.contents(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def contents(self) -> dict[str, Any]:
        """Return the settings that decide what is in a training set, as plain values."""
        return self.model_dump(mode="json", exclude=NO_EFFECT_ON_RESULTS)


def complaints(config: CreatorConfig) -> list[str]:
    """Return what is wrong between settings that are right one by one, each in one line."""
    return [*_ranges(config), *_sizes(config), *_names(config)] or _simulator(config)


def _ranges(config: CreatorConfig) -> list[str]:
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


def _sizes(config: CreatorConfig) -> list[str]:
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


def _names(config: CreatorConfig) -> list[str]:
    """Return what is wrong with the settings of the simulator one by one."""
    wrong = [f"simulation: {k} follows from {TAKEN[k]}" for k in config.simulation if k in TAKEN]
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


def _simulator(config: CreatorConfig) -> list[str]:
    """Return what the simulator has to say of its settings."""
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
    """Turn what pydantic says of a setting of the simulator into one line."""
    if not detail["loc"]:
        return detail["msg"].removeprefix("Value error, ").replace(";", ",")
    name = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        near = suggestion(name, SimulationConfig)
        return f"simulation: {name} is no setting of the simulator{near}"
    return f"simulation: {name}: {plain_message(detail).replace(';', ',')}"


def draw_values(
    config: CreatorConfig, baseline: bool, rng: np.random.Generator
) -> dict[str, float | int]:
    """Draw what differs from exposure to exposure.

    Parameters
    ----------
    config : CreatorConfig
        Ranges; a range of whole numbers gives a whole number, both ends included.
    baseline : bool
        Whether the exposure has no events.
    rng : numpy.random.Generator
        Source of the draws. Each takes the same numbers from it whatever the other ranges are.

    Examples
    --------
    >>> from ohana.training_sets.config import CreatorConfig
    >>> config = CreatorConfig(injection_type="snowball", snowballs_per_exp_range=(3, 3))
    >>> values = draw_values(config, False, np.random.default_rng(1))
    >>> values["snowballs"], values["cosmic_rays"]
    (3, 0)
    """
    values: dict[str, float | int] = {}
    for (name, drawn), u in zip(DRAWN.items(), rng.random(len(DRAWN)), strict=True):
        low, high = getattr(config, name)
        if isinstance(low, int):
            values[drawn] = low + int(u * (high - low + 1))
        else:
            values[drawn] = float(low + u * (high - low))
    for drawn, kind in COUNTS.items():
        if baseline or config.injection_type not in ("all", kind):
            values[drawn] = 0
    return values


def base_config(config: CreatorConfig) -> SimulationConfig:
    """Return the preset with what ``simulation`` changes, at the size of the training set.

    Raises
    ------
    pydantic.ValidationError
        If the simulator does not take it.
    """
    size = {
        "reads": config.num_frames,
        "rows": config.image_shape[0],
        "cols": config.image_shape[1],
        "border": config.border,
        "outputs": config.outputs,
        "first_interval": None,
        "read_pattern": None,
    }
    return SimulationConfig.model_validate(
        PRESETS[config.preset] | config.simulation | size | READ_OUT_ORDER
    )


def simulation_config(
    config: CreatorConfig, gain: float, values: dict[str, float | int]
) -> SimulationConfig:
    """Return the simulator's settings for one exposure.

    Parameters
    ----------
    config : CreatorConfig
        Settings of the training set.
    gain : float
        Of the detector [e-/DN].
    values : dict
        What `draw_values` returned.

    Raises
    ------
    pydantic.ValidationError
        If the simulator does not take them.
    """
    base = base_config(config)
    plain = {name: value for name, value in values.items() if name != "gaussian_noise"}
    white = np.hypot(values["read_noise"], values["gaussian_noise"])
    frames_per_read = base.nframes + base.groupgap
    own = {
        "frame_time": config.exp_time / config.num_frames / frames_per_read,
        "gain": gain,
        "full_well": (config.saturation_dn * gain - base.pedestal) / (1 - base.nonlinearity),
        # The simulator wants the noise of one frame; a read is the mean of some.
        "read_noise": float(white * np.sqrt(base.nframes)),
        "cosmic_ray_total": config.cosmic_ray_charge_range,
        "telegraph_amplitude": config.rtn_offset_range,
        "telegraph_period": config.rtn_period_range,
        "telegraph_duty": config.rtn_duty_fraction_range,
        "snowball_radius": config.snowball_radius_range,
        "snowball_halo": config.snowball_halo_amplitude_ratio_range,
        "snowball_halo_decay": config.snowball_halo_decay_scale_range,
    }
    return SimulationConfig.model_validate(base.model_dump() | plain | own)
