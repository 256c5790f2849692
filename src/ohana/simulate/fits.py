"""Write simulated reads as a FITS cube of unsigned 16-bit integers, read by read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io.fits import Header

from ohana.files import replacing
from ohana.simulate.config import SimulationConfig

if TYPE_CHECKING:
    from ohana.simulate.exposure import Simulated

#: FITS files come in blocks of so many bytes.
BLOCK = 2880


def header(config: SimulationConfig) -> Header:
    """Return the header of a cube: what a detector's control computer would know."""
    reads, rows, cols = config.shape
    cards = [
        ("SIMPLE", True, "conforms to FITS"),
        ("BITPIX", 16, "bits per value"),
        ("NAXIS", 3, "number of axes"),
        ("NAXIS1", cols, "columns"),
        ("NAXIS2", rows, "rows"),
        ("NAXIS3", reads, "reads"),
        ("BSCALE", 1, "scale of stored values"),
        ("BZERO", 32768, "zero of unsigned integers"),
        ("BUNIT", "DN", "raw reads"),
        ("GAIN", config.gain, "[e-/DN]"),
        ("RDNOISE", config.read_noise, "[e-] RMS of one read"),
        ("SATURATE", int(config.saturation), "[DN] raw value of a full pixel"),
        ("FRAMTIME", config.frame_time, "[s] between reads"),
        ("EXPTIME", config.exposure_time, "[s] first to last read"),
        ("NOUTPUTS", config.outputs, "read-out channels along a row"),
        ("REFBORD", config.border, "[pixel] width of reference border"),
        ("FASTAXIS", 1, "columns are read fastest"),
        ("SLOWAXIS", 2, "rows are read one after another"),
        ("ORIGIN", "ohana simulation"),
    ]
    return Header(cards)


def write_frames(path: str | Path, frames: Iterable[np.ndarray], head: Header) -> None:
    """Write a header and uint16 reads to a file that appears only when it is complete."""
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        file.write(head.tostring().encode("ascii"))
        for frame in frames:
            file.write((frame ^ np.uint16(0x8000)).astype(">u2").tobytes())
        file.write(b"\0" * (-file.tell() % BLOCK))


def write_fits(simulated: Simulated, path: str | Path) -> None:
    """Write a simulated exposure as a FITS cube; the truth is written by `Truth.save`."""
    write_frames(path, simulated.cube, header(simulated.config))
