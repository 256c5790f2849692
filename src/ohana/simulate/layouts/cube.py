"""A FITS cube of all reads in the primary, as detectors give it on a test bench."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from ohana.simulate.config import SimulationConfig
from ohana.simulate.layouts.fits_blocks import PRIMARY, UNSIGNED, axes, header, write_cube
from ohana.simulate.layouts.orientation import file_shape

#: Values of settings that the layout can represent, if not all.
ONLY: dict[str, tuple[Any, ...]] = {"first_interval": (None,), "read_pattern": (None,)}


def write(file: BinaryIO, frames: Iterable[np.ndarray], config: SimulationConfig) -> None:
    """Write a header with what the computer of a test bench would know, then the reads."""
    full = int(config.saturation)
    file.write(
        header(
            [
                PRIMARY,
                *axes((config.reads, *file_shape(config))),
                *UNSIGNED,
                ("BUNIT", "DN", "raw reads"),
                ("INSTRUME", config.instrument, "instrument"),
                ("DETECTOR", config.detector, "detector"),
                ("GAIN", config.gain, "[e-/DN]"),
                ("RDNOISE", config.read_noise, "[e-] RMS of one frame"),
                (
                    "SATURATE",
                    65535 - full if config.counts_fall else full,
                    "[DN] raw value of a full pixel",
                ),
                ("FRAMTIME", config.frame_time, "[s] time of one frame"),
                ("NFRAMES", config.nframes, "frames averaged into each read"),
                ("GROUPGAP", config.groupgap, "frames dropped between reads"),
                ("EXPTIME", config.exposure_time, "[s] first to last read"),
                ("NOUTPUTS", config.outputs, "read-out channels along the fast axis"),
                ("REFBORD", config.border, "[pixel] width of reference border"),
                ("FASTAXIS", config.fast_axis, "axis along which pixels follow"),
                ("SLOWAXIS", config.slow_axis, "axis along which lines follow"),
                ("ORIGIN", "ohana simulation", "no real exposure"),
            ]
        )
    )
    write_cube(file, frames)
