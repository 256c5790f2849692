"""Settings of a simulated exposure, each with its unit."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import PositiveInt, model_validator

from ohana.config import setting
from ohana.simulate.artefact_settings import ArtefactSettings
from ohana.simulate.event_settings import PositiveRange


class SimulationConfig(ArtefactSettings):
    """Settings of a simulated up-the-ramp exposure.

    Electrons are those collected in a pixel; ``gain`` converts them to DN. Ranges are
    (lowest, highest) of a draw per star, pixel or event. An event count of None means that
    the number is drawn from the rate (or fraction) above it.

    Examples
    --------
    >>> SimulationConfig(reads=20, read_noise=8.0).shape
    (20, 512, 512)
    """

    reads: int = setting(60, "array and read-out", "", "Number of reads", ge=2)
    rows: int = setting(512, "array and read-out", "pixel", "Height of the array", ge=1)
    cols: int = setting(512, "array and read-out", "pixel", "Width of the array", ge=1)
    border: int = setting(
        4, "array and read-out", "pixel", "Width of the reference-pixel border", ge=0
    )
    outputs: int = setting(
        4, "array and read-out", "", "Read-out channels, side by side along rows", ge=1
    )
    frame_time: float = setting(1.4, "array and read-out", "s", "Time of one frame", gt=0)
    nframes: int = setting(1, "array and read-out", "", "Frames averaged into each read", ge=1)
    groupgap: int = setting(0, "array and read-out", "", "Frames dropped between reads", ge=0)
    first_interval: float | None = setting(
        None,
        "array and read-out",
        "s",
        "Time from read 0 to read 1 where it differs from the others",
        gt=0,
    )
    read_pattern: tuple[tuple[PositiveInt, ...], ...] | None = setting(
        None,
        "array and read-out",
        "",
        "Frames averaged into each read, counted from 1, where they are not alike, such as "
        "[[1], [2, 3], [4, 5, 6, 7]]; instead of `nframes` and `groupgap`",
    )
    pixel_pitch: float = setting(18.0, "array and read-out", "micron", "Width of a pixel", gt=0)

    layout: Literal["cube", "jwst", "roman", "wfc3"] = setting(
        "cube", "file", "", "Kind of file: FITS, or ASDF (`roman`)"
    )
    instrument: str = setting("", "file", "", "Name of the instrument in the header")
    detector: str = setting("", "file", "", "Name of the detector in the header")
    fast_axis: int = setting(
        1, "file", "", "Axis along which pixels follow: 1 columns, 2 rows, negative descending"
    )
    slow_axis: int = setting(2, "file", "", "Axis along which lines follow, likewise")

    dark_current: float = setting(0.01, "light and charge", "e-/s per pixel", "Dark current", ge=0)
    sky: float = setting(0.0, "light and charge", "e-/s per pixel", "Sky background", ge=0)
    stars: int = setting(0, "light and charge", "", "Number of stars", ge=0)
    star_flux: PositiveRange = setting(
        (5.0, 2e4), "light and charge", "e-/s", "Flux of a star, log-uniform"
    )
    psf_fwhm: float = setting(1.8, "light and charge", "pixel", "Width of the Moffat profile", gt=0)
    hot_fraction: float = setting(
        0.0, "light and charge", "", "Part of pixels that is hot", ge=0, le=1
    )
    hot_rate: PositiveRange = setting(
        (1.0, 300.0), "light and charge", "e-/s", "Rate of a hot pixel, log-uniform"
    )
    warm_fraction: float = setting(
        0.0, "light and charge", "", "Part of pixels that is warm", ge=0, le=1
    )
    warm_rate: PositiveRange = setting(
        (0.05, 1.0), "light and charge", "e-/s", "Rate of a warm pixel, log-uniform"
    )
    saturating_fraction: float = setting(
        0.0, "light and charge", "", "Part of pixels that fill up during the exposure", ge=0, le=1
    )
    dead_fraction: float = setting(
        0.0, "light and charge", "", "Part of pixels that collects no charge", ge=0, le=1
    )
    stuck_fraction: float = setting(
        0.0, "light and charge", "", "Part of pixels whose raw value never changes", ge=0, le=1
    )
    persistence: int = setting(
        0, "light and charge", "", "Places where a bright source stood in an earlier exposure", ge=0
    )
    persistence_rate: PositiveRange = setting(
        (0.5, 20.0),
        "light and charge",
        "e-/s per pixel",
        "Rate they release at the reset, log-uniform",
    )
    persistence_radius: PositiveRange = setting(
        (2.0, 15.0), "light and charge", "pixel", "Their radius"
    )
    persistence_delay: float = setting(
        300.0,
        "light and charge",
        "s",
        "From the earlier light to the reset; rates fall as 1/time",
        gt=0,
    )
    flash: float = setting(
        0.0, "light and charge", "e-", "Light on the whole array between two reads (mean)", ge=0
    )
    flash_read: int | None = setting(
        None, "light and charge", "", "First read that contains the flash; None: drawn", ge=1
    )
    full_well: float = setting(
        8e4, "light and charge", "e-", "Charge at which a pixel is full", gt=0
    )
    nonlinearity: float = setting(
        0.0,
        "light and charge",
        "",
        "Part of the signal lost at full well (quadratic)",
        ge=0,
        le=0.3,
    )
    ipc: float = setting(
        0.005,
        "light and charge",
        "",
        "Part of a pixel's signal seen in each of 4 neighbours",
        ge=0,
        lt=0.2,
    )

    pedestal: float = setting(1e4, "electronics", "e-", "Mean level of an empty pixel", ge=0)
    pedestal_spread: float = setting(500.0, "electronics", "e-", "Its RMS over pixels", ge=0)
    ktc_noise: float = setting(29.0, "electronics", "e-", "RMS of the reset level", ge=0)
    read_noise: float = setting(10.0, "electronics", "e-", "White noise, RMS of one frame", ge=0)
    read_noise_spread: float = setting(
        0.0, "electronics", "", "RMS over pixels of the logarithm of the read noise", ge=0
    )
    pink_common: float = setting(
        0.0, "electronics", "e-", "RMS of the 1/f noise of all outputs", ge=0
    )
    pink_output: float = setting(
        0.0, "electronics", "e-", "RMS of the 1/f noise of each output", ge=0
    )
    odd_even: float = setting(
        0.0, "electronics", "e-", "RMS of the offset of odd against even columns, per frame", ge=0
    )
    transient: float = setting(
        0.0, "electronics", "e-", "Offset just after the reset, which decays (mean)", ge=0
    )
    transient_time: float = setting(5.0, "electronics", "s", "E-folding time of that decay", gt=0)
    transient_spread: float = setting(
        0.3, "electronics", "of the mean", "Its RMS over outputs, and again over pixels", ge=0
    )
    channel_steps: int = setting(
        0, "electronics", "", "Times at which the level of one output jumps, and stays", ge=0
    )
    channel_step: PositiveRange = setting(
        (5.0, 60.0), "electronics", "e-", "Size of jumps, log-uniform"
    )
    gain: float = setting(1.5, "electronics", "e-/DN", "Electrons per DN", gt=0)

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
        self._check_losses()
        if sorted([abs(self.fast_axis), abs(self.slow_axis)]) != [1, 2]:
            raise ValueError(
                "fast_axis, slow_axis: wanted one of +-1 and one of +-2, "
                f"got {self.fast_axis} and {self.slow_axis}"
            )
        if self.read_pattern is not None:
            self._check_pattern(self.read_pattern)
        if self.nframes > 1 and self.read_intervals[0] < self.nframes * self.frame_time:
            raise ValueError(
                f"first_interval: wanted at least {self.nframes} frames of {self.frame_time:g} s, "
                f"got {self.first_interval:g} s"
            )
        for name, value in self:
            if name == "read_pattern" or not isinstance(value, tuple):
                continue
            if not 0 <= value[0] <= value[1]:
                raise ValueError(f"{name}: wanted 0 <= lowest <= highest, got {value}")
        return self

    def _check_losses(self) -> None:
        if self.lost_rows > self.rows:
            raise ValueError(f"lost_rows: wanted at most {self.rows}, got {self.lost_rows}")
        for name in ("lost_reads", "lost_rows_reads"):
            lost = getattr(self, name)
            if lost > self.reads - 2 and (name == "lost_reads" or self.lost_rows):
                raise ValueError(
                    f"{name}: wanted at most {self.reads - 2} of {self.reads}, got {lost}"
                )
        if self.flickering_columns > self.cols:
            raise ValueError(
                f"flickering_columns: wanted at most {self.cols}, got {self.flickering_columns}"
            )

    def _check_pattern(self, pattern: tuple[tuple[int, ...], ...]) -> None:
        if len(pattern) != self.reads:
            raise ValueError(
                f"read_pattern: wanted one entry for each of {self.reads} reads, got {len(pattern)}"
            )
        if self.nframes != 1 or self.groupgap or self.first_interval is not None:
            raise ValueError(
                "read_pattern: wanted no nframes, groupgap or first_interval beside it"
            )
        whole = [frame for group in pattern for frame in group]
        if not all(pattern) or whole != sorted(set(whole)):
            raise ValueError(f"read_pattern: wanted ascending frames, got {pattern}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W)."""
        return self.reads, self.rows, self.cols

    @property
    def active_shape(self) -> tuple[int, int]:
        """Height and width of the light-sensitive part."""
        return self.rows - 2 * self.border, self.cols - 2 * self.border

    @property
    def averaged(self) -> np.ndarray:
        """Frames averaged into each read, int (T,)."""
        if self.read_pattern is None:
            return np.full(self.reads, self.nframes)
        return np.array([len(group) for group in self.read_pattern])

    @property
    def first_frames(self) -> np.ndarray:
        """First frame of each read, int (T,), counted from 0 without dropped frames."""
        return np.cumsum(self.averaged) - self.averaged

    @property
    def read_intervals(self) -> np.ndarray:
        """Time from each read to the next [s], shape (T - 1,)."""
        if self.read_pattern is not None:
            return np.diff(self.read_times)
        intervals = np.full(self.reads - 1, (self.nframes + self.groupgap) * self.frame_time)
        if self.first_interval is not None:
            intervals[0] = self.first_interval
        return intervals

    @property
    def frame_times(self) -> np.ndarray:
        """Time of each averaged frame since the reset [s], read by read."""
        if self.read_pattern is not None:
            return self.frame_time * np.concatenate(self.read_pattern)
        intervals = self.read_intervals
        # The first read comes as soon after the reset as any read after another.
        first = min(self.frame_time, intervals[0])
        starts = first + np.cumsum([0.0, *intervals])
        return (starts[:, None] + self.frame_time * np.arange(self.nframes)).ravel()

    @property
    def read_times(self) -> np.ndarray:
        """Mean time of each read since the reset [s], shape (T,)."""
        return np.add.reduceat(self.frame_times, self.first_frames) / self.averaged

    @property
    def exposure_time(self) -> float:
        """Time from the first to the last read [s]."""
        return float(self.read_intervals.sum())

    @property
    def collecting_time(self) -> float:
        """Time from the first frame to the last, in which charge and events come [s]."""
        return float(self.frame_times[-1] - self.frame_times[0])

    @property
    def saturation(self) -> float:
        """Raw value from which on a pixel counts as full [DN].

        That is 3 % below what a full pixel shows among empty neighbours, for spread and noise.
        """
        signal = 0.97 * self.full_well * (1 - self.nonlinearity) * (1 - 4 * self.ipc)
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
        others += self.averaged.mean() * self.gain**2 / 12
        return np.sqrt(np.asarray(white, np.float64) ** 2 + others)
