"""Named sets of settings: kinds of ramps, and instruments as they are read out."""

from __future__ import annotations

from typing import Any

from ohana.simulate.config import SimulationConfig

_DETECTOR: dict[str, Any] = {
    "read_noise_spread": 0.1,
    "pink_common": 3.0,
    "pink_output": 1.0,
    "odd_even": 0.5,
    "hot_fraction": 1e-3,
    "saturating_fraction": 1e-4,
}
_TELEGRAPH: dict[str, Any] = {"telegraph_fraction": 1e-4}

#: Settings by name; see `preset`.
PRESETS: dict[str, dict[str, Any]] = {
    "dark": _DETECTOR,
    "sky": _DETECTOR | {"sky": 0.5, "stars": 200},
    # Muons at sea level: one per cm2 and minute; snowballs ten times rarer than in space.
    "ground": _DETECTOR
    | _TELEGRAPH
    | {"cosmic_ray_rate": 1 / 60, "snowball_rate": 0.005, "outputs": 32},
    # Rates seen by JWST at L2: 2.3-4.3 hits/cm2/s, one snowball per 20 s and detector.
    "l2": _DETECTOR | _TELEGRAPH | {"cosmic_ray_rate": 3.0, "snowball_rate": 0.05, "sky": 0.2},
    # A bit of everything on a quarter of an array's width, to look at.
    "demo": _DETECTOR
    | {
        "sky": 0.2,
        "stars": 60,
        "cosmic_rays": 250,
        "telegraph_pixels": 80,
        "telegraph_amplitude": (40.0, 400.0),
        "snowballs": 6,
    },
}


def preset(name: str, **changes: Any) -> SimulationConfig:
    """Return a preset (``dark``, ``sky``, ``ground``, ``l2``, ``demo``) with some changes.

    Examples
    --------
    >>> preset("l2", reads=450).cosmic_ray_rate
    3.0
    """
    if name not in PRESETS:
        raise ValueError(f"preset: wanted one of {sorted(PRESETS)}, got {name!r}")
    return SimulationConfig(**(PRESETS[name] | changes))
