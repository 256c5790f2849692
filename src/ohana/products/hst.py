"""Flags in the form of HST infrared exposures: DQ extensions of each read.

As in its pipeline a cosmic ray stays flagged in all reads after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohana.products.fit import Fitted
from ohana.products.fits_file import copy_unit, write_image, writing_again
from ohana.products.flags import TELEGRAPH, pixel_flags
from ohana.read.fits_images import FitsFile
from ohana.read.hst import SATURATED
from ohana.results.catalogue import Detection

#: Further data quality bits of HST: WFC3 Data Handbook, table 3.3.
UNSTABLE, COSMIC_RAY = 32, 8192


def write_quality(
    path: Path, file: FitsFile, fitted: Fitted, events: Sequence[Detection], run: dict[str, Any]
) -> None:
    """Write a ``_raw`` or ``_ima`` file again, with the flags of all events in DQ.

    Parameters
    ----------
    path : Path
        File to write.
    file : FitsFile
        The input; the first IMSET is the last read.
    fitted : Fitted
        Outcome of its ramps.
    events : sequence of dict
        The catalogue.
    run : dict
        Record of the run.
    """
    versions = sorted((image.version for image in file.named("SCI")), reverse=True)
    read_of = {version: read for read, version in enumerate(versions)}
    telegraph = pixel_flags(events, np.zeros(fitted.full.shape)) & TELEGRAPH > 0
    with writing_again(path, file.path, run) as (out, source, units):
        for unit in units:
            read = read_of.get(unit.ver) if unit.name == "DQ" else None
            if read is None:
                copy_unit(unit, source, out)
                continue
            quality = _before(unit, fitted.full.shape)
            _, row, col = fitted.jumps.between(0, read + 1)
            quality[row, col] |= COSMIC_RAY
            quality[telegraph] |= UNSTABLE
            quality[fitted.full <= read] |= SATURATED
            write_image(out, "DQ", quality.shape, [quality], unit.header)


def _before(unit: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return the flags of a read in the input, int16 (H, W)."""
    if unit.data is None:
        return np.full(shape, unit.header.get("PIXVALUE", 0), np.int16)
    return unit.data.astype(np.int16)
