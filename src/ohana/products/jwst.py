"""Flags in the form of JWST: a ``_ramp`` file with GROUPDQ and PIXELDQ.

Reads stay as they are in the input, so that any later step of its pipeline can go on from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits

from ohana.products.fit import Fitted
from ohana.products.fits_file import copy_unit, write_image, writing_again
from ohana.products.flags import group_flags, pixel_flags
from ohana.ramp import Ramp
from ohana.read.fits_images import FitsFile, planes_of
from ohana.results.catalogue import Detection

#: Extensions that are replaced.
FLAGS = ("PIXELDQ", "GROUPDQ")
#: Cards that are set in the primary header.
CARDS = (
    ("DATAMODL", "RampModel", "type of data model"),
    ("S_JUMP", "COMPLETE", "jump detection (by ohana)"),
)


def write_ramp(
    path: Path,
    file: FitsFile,
    ramps: Sequence[Ramp],
    fitted: Sequence[Fitted],
    events: Sequence[Detection],
    run: dict[str, Any],
) -> None:
    """Write the reads of an ``_uncal`` or ``_ramp`` file with the flags of all events.

    Parameters
    ----------
    path : Path
        File to write.
    file : FitsFile
        The input; its images keep their orientation.
    ramps, fitted : sequence of Ramp, sequence of Fitted
        One for each integration.
    events : sequence of dict
        The catalogue of all integrations.
    run : dict
        Record of the run.
    """
    with writing_again(path, file.path, run, CARDS) as (out, source, units):
        for unit in units:
            if unit.name == "SCI":
                _write_science(out, unit.header, ramps)
                _write_flags(out, file, ramps, fitted, events)
            elif unit.name not in FLAGS:
                copy_unit(unit, source, out)


def _write_science(out: BinaryIO, header: fits.Header, ramps: Sequence[Ramp]) -> None:
    """Write all reads as they are in the input, as float32."""
    reads = (
        ramp.planes.select(slice(read, read + 1)).read()[0]
        for ramp in ramps
        for read in range(ramp.shape[0])
    )
    write_image(out, "SCI", (len(ramps), *ramps[0].shape), reads, header)


def _write_flags(
    out: BinaryIO,
    file: FitsFile,
    ramps: Sequence[Ramp],
    fitted: Sequence[Fitted],
    events: Sequence[Detection],
) -> None:
    """Write PIXELDQ and GROUPDQ, the flags of the input included."""
    shape = ramps[0].shape
    images = file.named("PIXELDQ")
    before = np.zeros(shape[1:], np.uint32)
    if images and images[0].shape == shape[1:]:
        planes, _ = planes_of(file, images[:1])
        # As integers: float32 has too few bits.
        before = planes.read_stored()[0].astype(np.int64) + int(planes.zero)
    write_image(out, "PIXELDQ", shape[1:], [pixel_flags(events, before)])
    write_image(out, "GROUPDQ", (len(ramps), *shape), all_group_flags(ramps, fitted))


def all_group_flags(ramps: Sequence[Ramp], fitted: Sequence[Fitted]) -> Iterator[np.ndarray]:
    """Yield the flags of all reads of all integrations, uint8 (H, W)."""
    for ramp, fit in zip(ramps, fitted, strict=True):
        yield from group_flags(fit.jumps, fit.full, ramp.shape[0], ramp.flags)
