"""Raw infrared exposures of HST WFC3: an IMSET of five extensions for each read, the last first.

All IMSETs have the same size, so that each read goes to its place in the file as it comes.
Reference: WFC3 Data Handbook, section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from ohana.read.hst import AMPLIFIERS, WFC3_BORDER
from ohana.simulate.config import SimulationConfig
from ohana.simulate.layouts.fits_blocks import (
    EXTENSION,
    NO_TABLE,
    PRIMARY,
    UNSIGNED,
    Card,
    axes,
    header,
    padding,
    stored,
)
from ohana.simulate.layouts.orientation import file_shape

#: As in `ohana.simulate.layouts.cube`. The files do not hold the read-out.
ONLY: dict[str, tuple[Any, ...]] = {
    "border": (WFC3_BORDER,),
    "fast_axis": (1, -1),
    "nframes": (1,),
    "groupgap": (0,),
    "read_pattern": (None,),
}

FULL_FRAME = (1024, 1024)
EXTENSIONS = ("SCI", "ERR", "DQ", "SAMP", "TIME")
#: Steps of the calibration, none of which is done in a raw file.
STEPS = ("DQI", "ZSIG", "ZOFF", "DARK", "BLEV", "NLIN", "FLAT", "CR", "UNIT")


def write(file: BinaryIO, frames: Iterable[np.ndarray], config: SimulationConfig) -> None:
    """Write the primary header, then each read and what belongs to it at its place."""
    primary = header(_primary(config))
    file.write(primary)
    for read, frame in enumerate(frames):
        imset = _imset(read, frame, config)
        file.seek(len(primary) + (config.reads - 1 - read) * len(imset))
        file.write(imset)


def _imset(read: int, frame: np.ndarray, config: SimulationConfig) -> bytes:
    """Return the five extensions of a read."""
    data = stored(frame)
    science = header(_science(read, config))
    return b"".join([science, data, padding(len(data)), *map(header, _constants(read, config))])


def _primary(config: SimulationConfig) -> list[Card]:
    subarray = file_shape(config) != FULL_FRAME
    return [
        PRIMARY,
        *axes(()),
        ("EXTEND", True, "extensions follow"),
        ("ORIGIN", "ohana simulation", "no real exposure"),
        ("NEXTEND", len(EXTENSIONS) * config.reads, "number of extensions"),
        ("FILETYPE", "SCI", "type of data"),
        ("TELESCOP", "HST", "telescope whose files are like this"),
        ("INSTRUME", config.instrument or "WFC3", "instrument"),
        ("DETECTOR", config.detector or "IR", "detector"),
        ("IMAGETYP", "EXT" if config.sky or config.stars else "DARK", "type of exposure"),
        ("OBSMODE", "MULTIACCUM", "operating mode"),
        ("SUBARRAY", subarray, "part of the detector (T) or all of it (F)"),
        ("SAMP_SEQ", _sequence(config), "sequence of reads"),
        ("NSAMP", config.reads, "number of reads"),
        ("SAMPZERO", float(config.read_times[0]), "[s] from the reset to read 0"),
        ("EXPTIME", config.exposure_time, "[s] first to last read"),
        ("CCDAMP", AMPLIFIERS, "amplifiers"),
        ("CCDGAIN", config.gain, "[e-/DN] commanded gain"),
        *((f"ATODGN{name}", 0.0, "[e-/DN] not calibrated") for name in AMPLIFIERS),
        *((f"READNSE{name}", 0.0, "[e-] not calibrated") for name in AMPLIFIERS),
        *((f"{step}CORR", "PERFORM", "") for step in STEPS),
    ]


def _sequence(config: SimulationConfig) -> str:
    """Return the name of the sequence: reads in a row, or sparse after the first interval."""
    return "RAPID" if config.first_interval is None else f"SPARS{config.frame_time:.0f}"


def _science(read: int, config: SimulationConfig) -> list[Card]:
    times = config.read_times - config.read_times[0]
    return [
        EXTENSION,
        *axes(file_shape(config)),
        *NO_TABLE,
        *UNSIGNED,
        *_name("SCI", read, config),
        ("BUNIT", "COUNTS", "raw reads"),
        ("SAMPNUM", read, "number of the read"),
        ("SAMPTIME", float(times[read]), "[s] since read 0"),
        ("DELTATIM", float(times[read] - times[max(read - 1, 0)]), "[s] since the read before"),
    ]


def _constants(read: int, config: SimulationConfig) -> list[list[Card]]:
    """Return the headers of the extensions that have one value for all pixels, and no data."""
    time = float(config.read_times[read] - config.read_times[0])
    rows, cols = file_shape(config)
    facts = {
        "ERR": (-32, "COUNTS", 0.0),
        "DQ": (16, "UNITLESS", 0),
        "SAMP": (16, "SAMPLES", read + 1),
        "TIME": (-32, "SECONDS", time),
    }
    return [
        [
            EXTENSION,
            *axes((), bits),
            *NO_TABLE,
            *_name(name, read, config),
            ("BUNIT", unit, ""),
            ("NPIX1", cols, "columns of constant array"),
            ("NPIX2", rows, "rows of constant array"),
            ("PIXVALUE", value, "value of constant array"),
        ]
        for name, (bits, unit, value) in facts.items()
    ]


def _name(name: str, read: int, config: SimulationConfig) -> list[Card]:
    return [("EXTNAME", name, ""), ("EXTVER", config.reads - read, "IMSET, the last read first")]
