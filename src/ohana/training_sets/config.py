"""Settings of a training set: number of exposures, contents and storage."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from pydantic import field_validator, model_validator

from ohana.classes import Label
from ohana.simulate.presets import PRESETS
from ohana.training_sets.checks import complaints
from ohana.training_sets.settings import CreatorSettings

#: Settings without effect on the contents of a training set.
NO_EFFECT_ON_RESULTS = {"output_dir", "workers"}


class CreatorConfig(CreatorSettings):
    """Settings of `DataSetCreator`, all optional; unknown names and wrong values are refused.

    Amplitudes are electrons. Ranges are [low, high]; unless stated otherwise, one value is
    drawn for each exposure, uniformly.

    Examples
    --------
    >>> CreatorConfig(gain_library=[1.5, 2.0]).gain_library
    {'detector_0': 1.5, 'detector_1': 2.0}
    """

    @field_validator("*", mode="before")
    @classmethod
    def _pairs(cls, value: Any, info: Any) -> Any:
        """Refuse a range that is not a pair, in terms of a settings file."""
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
        """Check consistency, and report all errors."""
        wrong = complaints(self)
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def fingerprint(self) -> str:
        """Return a hash of the settings that determine the contents of a training set."""
        text = json.dumps(self.contents(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def contents(self) -> dict[str, Any]:
        """Return the settings that determine the contents of a training set, as plain values."""
        return self.model_dump(mode="json", exclude=NO_EFFECT_ON_RESULTS)
