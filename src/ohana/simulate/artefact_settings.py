"""Settings of artefacts: what many pixels do together or one pixel does on its own, but no event.

All are off by default.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat

from ohana.config import setting
from ohana.simulate.event_settings import EventSettings, PositiveRange

LIGHT, READOUT, DATA = "artefacts of light", "artefacts of the read-out", "artefacts of the data"


class ArtefactSettings(EventSettings):
    """The part of `ohana.simulate.SimulationConfig` that is about artefacts."""

    varying: Literal["sky", "all"] = setting(
        "sky", LIGHT, "", "What varies: the sky, or stars and flashes as well"
    )
    light_trend: float = setting(
        0.0,
        LIGHT,
        "",
        "Change of the light from the first to the last read, as a part of it",
        ge=-1,
    )
    light_oscillation: float = setting(
        0.0, LIGHT, "", "Amplitude of an oscillation of the light, as a part of it", ge=0, le=1
    )
    oscillation_period: float = setting(15.0, LIGHT, "reads", "Its period", gt=0)
    response_spread: float = setting(
        0.0, LIGHT, "", "RMS over pixels of their response to light", ge=0, le=0.3
    )
    patch: float = setting(
        0.0, LIGHT, "e-", "Diffuse light on half the array between two reads (mean)", ge=0
    )
    jitter: float = setting(
        0.0, LIGHT, "pixel", "RMS per axis of the positions of stars, frame by frame", ge=0, le=3
    )
    persistence_time: PositiveFloat | None = setting(
        None,
        LIGHT,
        "s",
        "E-folding time of the rate of persistence; None: rates fall as 1/time",
    )
    hot_power: float = setting(
        1.0,
        LIGHT,
        "",
        "Charge of hot pixels grows as this power of time: with 0.7 the first difference is 1.6 "
        "times the second",
        gt=0,
        le=1,
    )

    pixel_settling: float = setting(
        0.0, READOUT, "e-", "What pixels lack just after the reset; negative: have too much"
    )
    settling_spread: float = setting(0.4, READOUT, "of the mean", "RMS of that over pixels", ge=0)
    settling_time: float = setting(3.0, READOUT, "reads", "E-folding time of the decay", gt=0)
    output_drift: float = setting(
        0.0, READOUT, "e-", "RMS of each step of a random walk of each output, per read", ge=0
    )
    pixel_walk: float = setting(
        0.0, READOUT, "e-", "RMS of each step of a random walk of each pixel, per read", ge=0
    )
    pixel_pink: float = setting(0.0, READOUT, "e-", "RMS of the 1/f noise of each pixel", ge=0)
    heavy_tails: bool = setting(
        False, READOUT, "", "Whether the read noise follows Laplace's distribution, not Gauss'"
    )
    flickering_columns: int = setting(
        0, READOUT, "", "Columns whose output transistor has telegraph noise", ge=0
    )
    column_amplitude: PositiveRange = setting(
        (15.0, 60.0), READOUT, "e-", "Difference of its levels, log-uniform"
    )
    interference: float = setting(
        0.0, READOUT, "e-", "Amplitude of a sine in the order of reading, in all outputs", ge=0
    )
    interference_period: float = setting(37.3, READOUT, "pixel", "Its period", gt=0)

    lost_reads: int = setting(0, DATA, "", "Reads of which all values are 0", ge=0)
    lost_rows: int = setting(0, DATA, "", "Rows that are 0 in some reads, a block", ge=0)
    lost_rows_reads: int = setting(2, DATA, "", "In how many reads, drawn one by one", ge=0)
    counts_fall: bool = setting(
        False, DATA, "", "Whether counts fall with charge: 65535 less what they would be"
    )

    @property
    def unsteady(self) -> bool:
        """Whether any setting of the light asks for rates that differ by pixel or by read."""
        asked = (self.light_trend, self.light_oscillation, self.response_spread, self.patch)
        return any(asked) or self.jitter > 0 or self.hot_power != 1
