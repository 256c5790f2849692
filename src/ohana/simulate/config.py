"""What a simulated exposure is made of: every setting with its unit."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Range = tuple[float, float]


def _above_zero(value: Range) -> Range:
    if value[0] <= 0:
        raise ValueError(f"wanted 0 < lowest, got {value}")
    return value


#: Limits of what is drawn from a logarithmic distribution or a power law.
PositiveRange = Annotated[Range, AfterValidator(_above_zero)]


class SimulationConfig(BaseModel):
    """Settings of a simulated up-the-ramp exposure.

    Electrons are those that a pixel collects; ``gain`` turns them into DN. Ranges are
    (lowest, highest) of a draw per star, pixel or event. An event count of None means that
    the number is drawn from the rate (or fraction) above it.

    Examples
    --------
    >>> SimulationConfig(reads=20, read_noise=8.0).shape
    (20, 512, 512)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Array and read-out
    reads: int = Field(60, ge=2, description="Number of reads.")
    rows: int = Field(512, ge=1, description="Height of the array [pixel].")
    cols: int = Field(512, ge=1, description="Width of the array [pixel].")
    border: int = Field(4, ge=0, description="Width of the reference-pixel border [pixel].")
    outputs: int = Field(4, ge=1, description="Read-out channels, side by side along rows.")
    frame_time: float = Field(1.4, gt=0, description="Time of one frame [s].")
    nframes: int = Field(1, ge=1, description="Frames averaged into each read.")
    groupgap: int = Field(0, ge=0, description="Frames dropped between reads.")
    first_interval: float | None = Field(
        None, gt=0, description="Time from read 0 to read 1 where it differs from the others [s]."
    )
    pixel_pitch: float = Field(18.0, gt=0, description="Width of a pixel [micron].")

    # File: how the array lies in it, and what it says of itself
    layout: Literal["cube", "jwst", "wfc3"] = Field("cube", description="Kind of FITS file.")
    instrument: str = Field("", description="Name of the instrument in the header.")
    detector: str = Field("", description="Name of the detector in the header.")
    fast_axis: int = Field(
        1, description="Axis along which pixels follow: 1 columns, 2 rows, negative descending."
    )
    slow_axis: int = Field(2, description="Axis along which lines follow, likewise.")

    # Charge: what falls on the pixels and how they hold it
    dark_current: float = Field(0.01, ge=0, description="Dark current [e-/s per pixel].")
    sky: float = Field(0.0, ge=0, description="Sky background [e-/s per pixel].")
    stars: int = Field(0, ge=0, description="Number of stars.")
    star_flux: PositiveRange = Field((5.0, 2e4), description="Flux of a star [e-/s], log-uniform.")
    psf_fwhm: float = Field(1.8, gt=0, description="Width of the Moffat profile [pixel].")
    hot_fraction: float = Field(0.0, ge=0, le=1, description="Part of pixels that is hot.")
    hot_rate: PositiveRange = Field(
        (1.0, 300.0), description="Rate of a hot pixel [e-/s], log-uniform."
    )
    warm_fraction: float = Field(0.0, ge=0, le=1, description="Part of pixels that is warm.")
    warm_rate: PositiveRange = Field(
        (0.05, 1.0), description="Rate of a warm pixel [e-/s], log-uniform."
    )
    saturating_fraction: float = Field(
        0.0, ge=0, le=1, description="Part of pixels that fill up during the exposure."
    )
    dead_fraction: float = Field(
        0.0, ge=0, le=1, description="Part of pixels that collects no charge."
    )
    stuck_fraction: float = Field(
        0.0, ge=0, le=1, description="Part of pixels whose raw value never changes."
    )
    persistence: int = Field(
        0, ge=0, description="Places where a bright source stood in an earlier exposure."
    )
    persistence_rate: PositiveRange = Field(
        (0.5, 20.0), description="Rate they release at the reset [e-/s per pixel], log-uniform."
    )
    persistence_radius: Range = Field((2.0, 15.0), description="Their radius [pixel].")
    persistence_delay: float = Field(
        300.0, gt=0, description="From the earlier light to the reset [s]; rates fall as 1/time."
    )
    flash: float = Field(
        0.0, ge=0, description="Light on the whole array between two reads [e-, mean]."
    )
    flash_read: int | None = Field(
        None, ge=1, description="First read that contains the flash; None: drawn."
    )
    full_well: float = Field(8e4, gt=0, description="Charge at which a pixel is full [e-].")
    nonlinearity: float = Field(
        0.0, ge=0, le=0.3, description="Part of the signal lost at full well (quadratic)."
    )
    ipc: float = Field(
        0.005, ge=0, lt=0.2, description="Part of a pixel's signal seen in each of 4 neighbours."
    )

    # Electronics
    pedestal: float = Field(1e4, ge=0, description="Mean level of an empty pixel [e-].")
    pedestal_spread: float = Field(500.0, ge=0, description="Its RMS over pixels [e-].")
    ktc_noise: float = Field(29.0, ge=0, description="RMS of the reset level [e-].")
    read_noise: float = Field(10.0, ge=0, description="White noise, RMS of one frame [e-].")
    read_noise_spread: float = Field(
        0.0, ge=0, description="RMS over pixels of the logarithm of the read noise."
    )
    pink_common: float = Field(0.0, ge=0, description="RMS of the 1/f noise of all outputs [e-].")
    pink_output: float = Field(0.0, ge=0, description="RMS of the 1/f noise of each output [e-].")
    odd_even: float = Field(
        0.0, ge=0, description="RMS of the offset of odd against even columns, per frame [e-]."
    )
    transient: float = Field(
        0.0, ge=0, description="Offset just after the reset, which decays [e-, mean]."
    )
    transient_time: float = Field(5.0, gt=0, description="E-folding time of that decay [s].")
    transient_spread: float = Field(
        0.3, ge=0, description="Its RMS over outputs, and again over pixels [of the mean]."
    )
    channel_steps: int = Field(
        0, ge=0, description="Times at which the level of one output jumps, and stays."
    )
    channel_step: PositiveRange = Field((5.0, 60.0), description="Size of jumps [e-], log-uniform.")
    gain: float = Field(1.5, gt=0, description="Electrons per DN [e-/DN].")

    # Cosmic rays
    cosmic_ray_rate: float = Field(0.0, ge=0, description="Hits [1/cm2/s].")
    cosmic_rays: int | None = Field(None, ge=0, description="Number of hits.")
    cosmic_ray_charge: float = Field(
        8500.0, gt=0, description="Most probable charge per pixel width of path [e-]."
    )
    cosmic_ray_total: PositiveRange | None = Field(
        None,
        description="Charge of a whole hit [e-], log-uniform; None: it follows from its path.",
    )
    cosmic_ray_length: PositiveRange = Field((0.3, 40.0), description="Projected track [pixel].")
    cosmic_ray_index: float = Field(
        2.5, gt=1, description="Lengths follow a power law of this falling index."
    )
    delta_fraction: float = Field(
        0.05, ge=0, le=1, description="Part of hits with a short side track (delta ray)."
    )
    shower_fraction: float = Field(
        0.0, ge=0, le=1, description="Part of hits that come with others close by (shower)."
    )
    diffusion: float = Field(0.25, gt=0, description="Sigma of the charge's spread [pixel].")

    # Telegraph noise
    telegraph_fraction: float = Field(0.0, ge=0, le=1, description="Part of pixels that has it.")
    telegraph_pixels: int | None = Field(None, ge=0, description="Number of pixels that have it.")
    telegraph_amplitude: PositiveRange = Field(
        (15.0, 400.0), description="Difference of levels [e-], log-uniform."
    )
    telegraph_period: PositiveRange = Field(
        (4.0, 40.0), description="Mean high plus mean low dwell [reads], log-uniform."
    )
    telegraph_duty: Range = Field((0.2, 0.8), description="Mean part of the time spent high.")
    three_level_fraction: float = Field(
        0.15, ge=0, le=1, description="Part of the telegraph pixels that has a third level."
    )
    telegraph_border: bool = Field(
        False, description="Whether reference pixels can have it too, as often as others."
    )

    # Snowballs
    snowball_rate: float = Field(0.0, ge=0, description="Events per s on 2048 x 2048 pixels.")
    snowballs: int | None = Field(None, ge=0, description="Number of events.")
    snowball_radius: PositiveRange = Field((3.0, 10.0), description="Radius of the core [pixel].")
    snowball_core: Range = Field((1.2, 3.0), description="Charge of the core [full wells].")
    snowball_halo: PositiveRange = Field(
        (0.002, 0.008), description="Halo at the rim of the core [full wells], log-uniform."
    )
    snowball_halo_length: PositiveRange = Field(
        (0.3, 1.2), description="E-folding length of the halo [core radii]."
    )
    snowball_growth: float = Field(0.1, ge=0, description="First growth of the core [pixel/read].")
    snowball_ring: float = Field(
        0.2, ge=0, description="Ring around the core, added at the next read [halo at the rim]."
    )
    snowball_release: float = Field(4.0, gt=0, description="E-folding time of both [reads].")
    snowball_afterglow: float = Field(
        0.002,
        ge=0,
        le=0.1,
        description="After-glow in the core [part of its charge, at most of a full well].",
    )
    snowball_afterglow_time: float = Field(
        20.0, gt=0, description="E-folding time of the after-glow [reads]."
    )
    trail_fraction: float = Field(0.1, ge=0, le=1, description="Part of snowballs with a trail.")

    # Awkward places and times
    ends_fraction: float = Field(
        0.0, ge=0, le=1, description="Part of hits moved to the first or last two steps."
    )
    edge_fraction: float = Field(
        0.0, ge=0, le=1, description="Part of snowballs moved to the edge of the array."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> SimulationConfig:
        if 2 * self.border >= min(self.rows, self.cols):
            raise ValueError(
                f"border: wanted less than half of {self.rows} x {self.cols}, got {self.border}"
            )
        if self.cols % self.outputs:
            raise ValueError(
                f"outputs: wanted a divisor of the width {self.cols}, got {self.outputs}"
            )
        if self.flash_read is not None and self.flash_read >= self.reads:
            raise ValueError(
                f"flash_read: wanted a read before {self.reads}, got {self.flash_read}"
            )
        if sorted([abs(self.fast_axis), abs(self.slow_axis)]) != [1, 2]:
            raise ValueError(
                "fast_axis, slow_axis: wanted one of +-1 and one of +-2, "
                f"got {self.fast_axis} and {self.slow_axis}"
            )
        if self.nframes > 1 and self.read_intervals[0] < self.nframes * self.frame_time:
            raise ValueError(
                f"first_interval: wanted at least {self.nframes} frames of {self.frame_time:g} s, "
                f"got {self.first_interval:g} s"
            )
        for name, value in self:
            if isinstance(value, tuple) and not 0 <= value[0] <= value[1]:
                raise ValueError(f"{name}: wanted 0 <= lowest <= highest, got {value}")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W)."""
        return self.reads, self.rows, self.cols

    @property
    def active_shape(self) -> tuple[int, int]:
        """Height and width of the light-sensitive part."""
        return self.rows - 2 * self.border, self.cols - 2 * self.border

    @property
    def read_intervals(self) -> np.ndarray:
        """Time from each read to the next [s], shape (T - 1,)."""
        intervals = np.full(self.reads - 1, (self.nframes + self.groupgap) * self.frame_time)
        if self.first_interval is not None:
            intervals[0] = self.first_interval
        return intervals

    @property
    def frame_times(self) -> np.ndarray:
        """Time since the reset of each frame that goes into a read [s], shape (T, nframes)."""
        starts = self.frame_time + np.cumsum([0.0, *self.read_intervals])
        return starts[:, None] + self.frame_time * np.arange(self.nframes)

    @property
    def read_times(self) -> np.ndarray:
        """Mean time of each read since the reset [s], shape (T,)."""
        return self.frame_times.mean(axis=1)

    @property
    def exposure_time(self) -> float:
        """Time from the first to the last read [s]."""
        return float(self.read_intervals.sum())

    @property
    def saturation(self) -> float:
        """Raw value above which a pixel is full [DN]; 5 % are left for spread and noise."""
        signal = 0.95 * self.full_well * (1 - self.nonlinearity)
        return min((self.pedestal + signal) / self.gain, 65535.0)

    @property
    def bend(self) -> float:
        """Part of the signal that is lost per electron of charge [1/e-]."""
        return self.nonlinearity / self.full_well

    def total_noise(self, white: np.ndarray | float) -> np.ndarray:
        """Return the RMS of one frame [e-] with all that varies in time, given its white part.

        That is what a pixel taken alone shows: 1/f noise, odd-even offsets, digitisation (once
        per read, however many frames it averages).
        """
        others = self.pink_common**2 + self.pink_output**2 + self.odd_even**2 / 4
        others += self.nframes * self.gain**2 / 12
        return np.sqrt(np.asarray(white, np.float64) ** 2 + others)
