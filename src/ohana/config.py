"""Settings of the detector: every threshold with its default, range, unit and stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ohana.classes import Label


def setting(default: Any, stage: str, unit: str, description: str, **limits: Any) -> Any:
    """Return a model field with its stage and unit ("" for none)."""
    extra: dict[str, Any] = {"stage": stage, "unit": unit}
    return Field(default, description=description, json_schema_extra=extra, **limits)


#: A (low, high) pair of finite numbers; a list will do in YAML and in Python.
Range = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]]
#: The same in cycles per read: one transition per read is half a cycle.
FrequencyRange = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0, le=0.5)]]

#: Width of the border at one side [pixel], and those at the first rows, the last rows, the first
#: columns, the last columns.
Side = Annotated[int, Field(ge=0, le=64)]
Sides = tuple[Side, Side, Side, Side]

#: Fields that affect speed, never results.
NO_EFFECT_ON_RESULTS = {"threads"}


class DetectorConfig(BaseModel):
    """Settings of one run, all optional; unknown names and values out of range are refused.

    Intensities and steps are DN, significances are in units of each pixel's own noise (sigma),
    confidences are calibrated probabilities. With a minimum step of 0 DN,
    ``sigma_threshold`` alone decides.

    Examples
    --------
    >>> DetectorConfig().sigma_threshold
    5.0
    >>> DetectorConfig(sigma_threshold=6, rtn_amplitude_range=(20, 300)).rtn_amplitude_range
    (20.0, 300.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str | None = setting(
        None,
        "reading",
        "",
        "Array of reads in an HDF5, ASDF or zarr file, if it is not named `data`",
        min_length=1,
    )
    detectors_side_by_side: int = setting(
        1, "reading", "", "Detectors that share the width of each image", ge=1, le=64
    )
    detector_index: int = setting(
        0, "reading", "", "Which of the detectors side by side to use, from 0 at the left", ge=0
    )

    gain: float | None = setting(None, "detector", "e-/DN", "Gain", gt=0)
    read_noise: float | None = setting(
        None,
        "detector",
        "e-",
        "Read noise of one frame, the same in every pixel; measured pixel by pixel if absent, "
        "which is better except in very short ramps",
        gt=0,
    )
    saturation: float | None = setting(
        None, "detector", "DN", "Raw value from which a read counts as saturated", gt=0
    )
    frame_time: float | None = setting(None, "detector", "s", "Time between frames", gt=0)
    outputs: int | None = setting(
        None, "detector", "", "Read-out channels side by side along the fast axis", ge=1, le=128
    )
    border: int | None = setting(
        None, "detector", "px", "Width of the reference-pixel border, 0 for none", ge=0, le=64
    )
    border_sides: Sides | None = setting(
        None,
        "detector",
        "px",
        "Instead of `border` where sides differ: its widths at the first rows, last rows, first "
        "columns and last columns",
    )
    polarity: Literal["auto", "rising", "falling"] = setting(
        "auto",
        "detector",
        "",
        "Whether counts rise or fall with light; measured where no format says it",
    )
    read_order: Literal["auto", "forward", "backward"] = setting(
        "auto",
        "detector",
        "",
        "Whether the first or the last read is stored first; measured where no format says it",
    )

    reference_correction: bool = setting(
        True, "reference", "", "Apply the reference-pixel correction", strict=True
    )
    odd_even: bool = setting(
        True, "reference", "", "Correct odd and even columns separately where possible", strict=True
    )
    shared_correction: bool = setting(
        True,
        "reference",
        "",
        "Take off what science pixels share: changes of the light, offsets, settling",
        strict=True,
    )
    row_smoothing: float | None = setting(
        None,
        "reference",
        "rows",
        "Smoothing length of the row-wise correction; chosen from the data if absent",
        gt=0,
    )

    sigma_threshold: float = setting(
        5.0, "steps", "sigma", "Significance from which a step is detected", ge=1, le=100
    )
    neighbour_threshold: float = setting(
        4.0,
        "steps",
        "sigma",
        "Significance from which a pixel joins a detected neighbour in the same read",
        ge=1,
        le=100,
    )
    max_steps: int = setting(12, "steps", "", "Maximum number of steps in one ramp", ge=1, le=100)
    min_anomaly_pixels: int = setting(
        1, "events", "px", "Minimum number of pixels of an event", ge=1
    )
    min_confidence: float = setting(
        0.5, "events", "", "Minimum confidence of a cosmic ray", ge=0, le=1
    )

    cosmic_ray_min_intensity: float = setting(
        40.0, "cosmic rays", "DN", "Minimum step of the brightest pixel", ge=0
    )
    cosmic_ray_max_spatial_extent: int = setting(
        15,
        "cosmic rays",
        "px",
        "A larger event is tested as a snowball first, then kept with the flag `extended`",
        ge=1,
    )
    cosmic_ray_min_step: float = setting(
        25.0, "cosmic rays", "DN", "Minimum step of each member pixel", ge=0
    )

    rtn_min_transitions: int = setting(
        2, "telegraph noise", "", "Minimum number of transitions in a ramp", ge=1
    )
    rtn_max_transitions: int = setting(
        50, "telegraph noise", "", "Maximum number of transitions in a ramp", ge=1
    )
    rtn_amplitude_range: Range = setting(
        (10.0, 300.0), "telegraph noise", "DN", "Distance between the lowest and highest level"
    )
    rtn_frequency_range: FrequencyRange = setting(
        (0.001, 0.5), "telegraph noise", "cycles/read", "Transitions / 2 / reads"
    )
    rtn_fit_quality_threshold: float = setting(
        0.3, "telegraph noise", "", "Minimum quality of the fit of levels", ge=0, le=1
    )
    rtn_min_confidence: float = setting(
        0.5, "telegraph noise", "", "Minimum confidence of telegraph noise", ge=0, le=1
    )

    snowball_min_confidence: float = setting(
        0.2, "snowballs", "", "Minimum confidence of a snowball", ge=0, le=1
    )
    snowball_min_intensity: float = setting(
        30.0, "snowballs", "DN", "Minimum mean step of the brightest ring of the halo", ge=0
    )
    snowball_max_intensity: float = setting(
        500.0,
        "snowballs",
        "DN",
        "Maximum median step of the halo without the core, unless the core is saturated",
        gt=0,
    )
    snowball_min_radius: float = setting(
        3.0, "snowballs", "px", "Minimum core radius, to half a pixel", gt=0
    )
    snowball_max_radius: float = setting(
        15.0,
        "snowballs",
        "px",
        "Maximum core radius, to half a pixel; saturated ones beyond it are flagged `oversized`",
        gt=0,
    )
    snowball_circularity_threshold: float = setting(
        0.7,
        "snowballs",
        "",
        "Minimum overlap of the core with a disk (intersection over union)",
        ge=0,
        le=1,
    )
    snowball_expansion_rate: float = setting(
        0.1,
        "snowballs",
        "px/read",
        "Growth of the core radius over the 20 reads after arrival that belongs to the snowball",
        ge=0,
    )
    snowball_min_area: int = setting(
        75, "snowballs", "px", "Minimum footprint, corrected for the edge of the array", ge=1
    )
    snowball_max_area: int = setting(
        120000,
        "snowballs",
        "px",
        "Maximum footprint; with a saturated core, larger ones are flagged `oversized`",
        ge=1,
    )

    network_precision: Literal["auto", "float32", "bfloat16", "float16"] = setting(
        "auto",
        "network",
        "",
        "Arithmetic of the network; auto is float32 on processors, on GPUs the faster bfloat16 or "
        "float16",
    )

    threads: int | None = setting(
        None, "running", "", "Threads; one per core if absent", ge=1, le=1024
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_guessing(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse values that pydantic would convert to numbers, such as `true` and text."""
        if info.field_name in _RANGES and (not isinstance(value, list | tuple) or len(value) != 2):
            raise ValueError("wanted a pair [low, high]")
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, str | bool) and info.field_name not in _NOT_NUMBERS:
                raise ValueError("wanted a number")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> DetectorConfig:
        """Check every pair of limits, and report all that are reversed."""
        pairs = [(n, n.replace("_min_", "_max_")) for n in type(self).model_fields if "_min_" in n]
        bad = [
            f"{low} ({getattr(self, low)}) must not exceed {high} ({getattr(self, high)})"
            for low, high in pairs
            if hasattr(self, high) and getattr(self, low) > getattr(self, high)
        ]
        for name in _RANGES:
            low, high = getattr(self, name)
            if low >= high:
                bad.append(f"{name}: low end ({low}) must be below high end ({high})")
        if self.border is not None and self.border_sides is not None:
            bad.append("border_sides must not be given beside border")
        if self.detector_index >= self.detectors_side_by_side:
            bad.append("detector_index must be below detectors_side_by_side")
        if bad:
            raise ValueError("; ".join(bad))
        return self

    def min_confidence_of(self, label: Label) -> float:
        """Return the confidence that an event of a class needs."""
        return float(getattr(self, label.traits.min_confidence))

    def fingerprint(self, stages: Iterable[str] | None = None) -> str:
        """Return a hash of the settings that can change results.

        Parameters
        ----------
        stages : iterable of str, optional
            Only the settings of these stages, e.g. ``("reading", "detector", "reference")``
            for the settings that determine the corrected cube.

        Examples
        --------
        >>> usual, strict = DetectorConfig(), DetectorConfig(sigma_threshold=6.0)
        >>> usual.fingerprint() == strict.fingerprint()
        False
        >>> usual.fingerprint(["reading"]) == strict.fingerprint(["reading"])
        True
        """
        wanted = None if stages is None else set(stages)
        values = {
            name: value
            for name, value in self.model_dump(mode="json").items()
            if name not in NO_EFFECT_ON_RESULTS and (wanted is None or stage_of(name) in wanted)
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


_NOT_NUMBERS = {
    "shared_correction",
    "dataset",
    "polarity",
    "read_order",
    "reference_correction",
    "odd_even",
    "network_precision",
}
_RANGES = [name for name in DetectorConfig.model_fields if name.endswith("_range")]


def stage_of(name: str) -> str:
    """Return the stage that a field belongs to."""
    return str(DetectorConfig.model_fields[name].json_schema_extra["stage"])  # type: ignore[index, call-overload]
