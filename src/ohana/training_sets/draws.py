"""Contents of one exposure: values drawn from ranges, and settings of the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np

from ohana.simulate.config import SimulationConfig
from ohana.simulate.presets import PRESETS
from ohana.training_sets.settings import CreatorSettings

#: Range of the training set -> setting of the simulator drawn from it for each exposure.
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
#: Numbers of events, and the injection type with these events (besides "all").
COUNTS = {"cosmic_rays": "cosmic_ray", "snowballs": "snowball", "telegraph_pixels": "rtn"}
#: Patches are stored in read-out order, regardless of the layout of the preset.
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


def draw_values(
    config: CreatorSettings, baseline: bool, rng: np.random.Generator
) -> dict[str, float | int]:
    """Draw the values that differ between exposures.

    Parameters
    ----------
    config : CreatorSettings
        Ranges; a range of whole numbers gives a whole number, both ends included.
    baseline : bool
        Whether the exposure has no events.
    rng : numpy.random.Generator
        Source of the draws; each range uses the same numbers of it regardless of the others.

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


def base_config(config: CreatorSettings) -> SimulationConfig:
    """Return the preset with the changes of ``simulation``, at the size of the training set.

    Raises
    ------
    pydantic.ValidationError
        If the simulator refuses it.
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
    config: CreatorSettings, gain: float, values: dict[str, float | int]
) -> SimulationConfig:
    """Return the simulator's settings for one exposure.

    Parameters
    ----------
    config : CreatorSettings
        Settings of the training set.
    gain : float
        Gain of the detector [e-/DN].
    values : dict
        From `draw_values`.

    Raises
    ------
    pydantic.ValidationError
        If the simulator refuses them.
    """
    base = base_config(config)
    plain = {name: value for name, value in values.items() if name != "gaussian_noise"}
    white = np.hypot(values["read_noise"], values["gaussian_noise"])
    frames_per_read = base.nframes + base.groupgap
    own = {
        "frame_time": config.exp_time / config.num_frames / frames_per_read,
        "gain": gain,
        "full_well": (config.saturation_dn * gain - base.pedestal) / (1 - base.nonlinearity),
        # The noise of one frame; a read is the mean of several.
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
