"""The settings of a training set, one by one: type, range, default, stage and unit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ohana.classes import Label
from ohana.config import setting

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


class CreatorSettings(BaseModel):
    """Every setting by itself; `ohana.training_sets.config.CreatorConfig` checks them together."""

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
