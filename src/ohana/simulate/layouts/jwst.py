"""Uncalibrated exposures (level 1b) of JWST: one integration in a ``SCI`` extension.

Like the real ones these files have neither gain nor saturation level in them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from ohana.read.jwst import BORDER, FULL_FRAME, FULL_FRAME_H2RG
from ohana.simulate.config import SimulationConfig
from ohana.simulate.layouts.fits_blocks import (
    EXTENSION,
    NO_TABLE,
    PRIMARY,
    UNSIGNED,
    Card,
    axes,
    header,
    write_cube,
)
from ohana.simulate.layouts.orientation import file_shape

#: As in `ohana.simulate.layouts.cube`.
ONLY: dict[str, tuple[Any, ...]] = {
    "first_interval": (None,),
    "read_pattern": (None,),
    "border": (0, BORDER),
}

#: Read-out patterns by frames averaged and frames dropped.
PATTERNS = {
    "NIRCAM": {
        (1, 0): "RAPID",
        (1, 1): "BRIGHT1",
        (2, 0): "BRIGHT2",
        (2, 3): "SHALLOW2",
        (4, 1): "SHALLOW4",
        (2, 8): "MEDIUM2",
        (8, 2): "MEDIUM8",
        (2, 18): "DEEP2",
        (8, 12): "DEEP8",
    },
    "NIRISS": {(1, 0): "NISRAPID", (4, 0): "NIS"},
    "NIRSPEC": {(1, 0): "NRSRAPID", (4, 0): "NRS"},
    "MIRI": {(1, 0): "FASTR1"},
    "FGS": {(1, 0): "FGSRAPID"},
}
#: Types of exposures without and with light.
TYPES = {
    "NIRCAM": ("NRC_DARK", "NRC_IMAGE"),
    "NIRISS": ("NIS_DARK", "NIS_IMAGE"),
    "NIRSPEC": ("NRS_DARK", "NRS_IMAGE"),
    "MIRI": ("MIR_DARKIMG", "MIR_IMAGE"),
    "FGS": ("FGS_DARK", "FGS_IMAGE"),
}


def write(file: BinaryIO, frames: Iterable[np.ndarray], config: SimulationConfig) -> None:
    """Write the primary header, the header of ``SCI`` (1, T, H, W) and the reads."""
    shape = (1, config.reads, *file_shape(config))
    file.write(header([PRIMARY, *axes(()), *_exposure(config), *_subarray(config)]))
    unit: Card = ("BUNIT", "DN", "raw reads")
    name: Card = ("EXTNAME", "SCI", "")
    file.write(header([EXTENSION, *axes(shape), *NO_TABLE, *UNSIGNED, name, unit]))
    write_cube(file, frames)


def _exposure(config: SimulationConfig) -> list[Card]:
    """Return the cards on instrument and timing."""
    frame, group = config.frame_time, (config.nframes + config.groupgap) * config.frame_time
    # No frames are dropped after the last group.
    integration = config.reads * group - config.groupgap * frame
    pattern = PATTERNS.get(config.instrument, {}).get((config.nframes, config.groupgap), "ANY")
    dark, lit = TYPES.get(config.instrument, ("ANY", "ANY"))
    return [
        ("EXTEND", True, "extensions follow"),
        ("ORIGIN", "ohana simulation", "no real exposure"),
        ("DATAMODL", "Level1bModel", "type of data model"),
        ("TELESCOP", "JWST", "telescope whose files are like this"),
        ("INSTRUME", config.instrument or "ANY", "instrument"),
        ("DETECTOR", config.detector or "ANY", "detector"),
        ("EXP_TYPE", lit if config.sky or config.stars else dark, "type of exposure"),
        ("READPATT", pattern, "read-out pattern"),
        ("NOUTPUTS", config.outputs, "read-out channels along the fast axis"),
        ("NINTS", 1, "integrations"),
        ("NGROUPS", config.reads, "groups of an integration"),
        ("NFRAMES", config.nframes, "frames averaged into a group"),
        ("GROUPGAP", config.groupgap, "frames dropped between groups"),
        ("NSAMPLES", 1, "conversions per pixel"),
        ("TFRAME", frame, "[s] between frames"),
        ("TGROUP", group, "[s] between groups"),
        ("EFFINTTM", integration, "[s] effective time of an integration"),
        ("EFFEXPTM", integration, "[s] effective time of the exposure"),
        ("NRSTSTRT", 1, "resets at the start"),
        ("NRESETS", 1, "resets between integrations"),
        ("ZEROFRAM", False, "zero frame comes along"),
    ]


def _subarray(config: SimulationConfig) -> list[Card]:
    """Return the cards on the place of the array on the detector.

    What is smaller than the detector lies in its corner, where two sides have reference pixels;
    without a border, next to them.
    """
    height, width = file_shape(config)
    columns, rows = FULL_FRAME.get(config.instrument, FULL_FRAME_H2RG)
    start = 1 if config.border else BORDER + 1
    room = (rows - start + 1, columns - start + 1)
    if height > room[0] or width > room[1]:
        raise ValueError(
            f"config: wanted rows, cols and border that fit a detector of {rows} x {columns}, "
            f"got {height} x {width} with border {config.border}"
        )
    full = (height, width) == (rows, columns)
    return [
        ("SUBARRAY", "FULL" if full else "GENERIC", "part of the detector"),
        ("SUBSTRT1", start, "first column on the detector"),
        ("SUBSTRT2", start, "first row on the detector"),
        ("SUBSIZE1", width, "columns"),
        ("SUBSIZE2", height, "rows"),
        ("FASTAXIS", config.fast_axis, "axis along which pixels follow"),
        ("SLOWAXIS", config.slow_axis, "axis along which lines follow"),
    ]
