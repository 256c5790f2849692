"""JWST up-the-ramp products: ``_uncal`` and ``_ramp``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Planes, Ramp, suspect_pixels
from ohana.read.detector import RISING_FORWARD, Found, number, text
from ohana.read.fits_cube import not_a_ramp
from ohana.read.fits_images import FitsFile, Image, planes_of
from ohana.read.integrations import ramps_of

DO_NOT_USE = 1
#: Flags of ``PIXELDQ`` on pixels that are used, but whose steps are mostly not real: bits of
#: `jwst.datamodels.dqflags.pixel`.
SUSPECT_FLAGS = {
    1 << 10: "dead",
    1 << 11: "hot",
    1 << 12: "warm",
    1 << 14: "slow",  # RC: charges like a capacitor
    1 << 15: "telegraph",
    1 << 22: "unreliable",  # bias
    1 << 23: "unreliable",  # dark current
    1 << 24: "unreliable",  # slope
    1 << 26: "other",  # open
    1 << 27: "other",  # beside an open one
    1 << 30: "other",
}

#: (columns, rows) of the full detector, reference pixels included [pixel].
FULL_FRAME = {"MIRI": (1032, 1024)}
FULL_FRAME_H2RG = (2048, 2048)
BORDER = 4

#: Mean gains [e-/DN]: the files have none, and shot noise needs no better accuracy.
GAINS = {"NRC": 2.05, "NRCLONG": 1.82, "NIS": 1.61, "NRS1": 1.0, "NRS2": 1.14}


def read(file: FitsFile, config: DetectorConfig) -> list[Ramp]:
    """Read all integrations of ``SCI`` (N, T, H, W).

    ``GROUPDQ`` becomes the flags of the reads, of which DO_NOT_USE and SATURATED count, and
    DO_NOT_USE in ``PIXELDQ`` makes bad pixels. Images keep the orientation of the file;
    ``FASTAXIS`` and ``SLOWAXIS`` give the read-out directions. Integrations of a segment have
    the numbers that ``INTSTART`` gives them, less one.

    Raises
    ------
    OhanaError
        If the product is not an up-the-ramp one, such as ``_rate`` or ``_cal``.
    """
    science = _only(file, "SCI")
    if science is None or len(science.shape) != 4:
        got = f"a SCI extension of shape {science.shape}" if science else "no SCI extension"
        raise not_a_ramp(file.source, f"{got} where _uncal and _ramp have four axes")
    planes, scratch = planes_of(file, [science])
    integrations, reads, *shape = science.shape
    headers = [science.header, file.header]
    default, notes = defaults(file.header, planes.shape)
    first = _first_integration(file, integrations, notes)
    ramps = ramps_of(
        file.source, planes, (integrations, reads), headers, config, default, scratch, notes
    )
    flags, flags_scratch = _flags(file, science)
    bad, suspect = _bad_pixels(file, (shape[0], shape[1]))
    return [
        replace(
            ramp,
            integration=first + i,
            flags=None if flags is None else flags.select(slice(i * reads, (i + 1) * reads)),
            bad_pixels=bad,
            suspect=suspect,
            reference_done=text(file.header, "S_REFPIX") == "COMPLETE",
            scratch=(scratch, flags_scratch),
        )
        for i, ramp in enumerate(ramps)
    ]


def _first_integration(file: FitsFile, integrations: int, notes: list[str]) -> int:
    """Return the number, from 0, of the first integration in a segment of an exposure.

    Long exposures come in several files (``-seg001``, ``-seg002``, ...). Each is read by itself,
    with the numbers that its integrations have in the exposure.
    """
    first, last, count, of = (
        number(file.header, key) for key in ("INTSTART", "INTEND", "EXSEGNUM", "EXSEGTOT")
    )
    if first is None or first < 1 or first != int(first):
        return 0
    if last is not None and last - first + 1 != integrations:
        notes.append(
            f"header INTSTART, INTEND = {first:g}, {last:g} do not fit {integrations} integrations "
            "and are left out"
        )
        return 0
    if count is not None and of is not None and of > 1:
        notes.append(
            f"segment {count:g} of {of:g}: integrations {first - 1:g} to "
            f"{first + integrations - 2:g}, counted from 0"
        )
    return int(first) - 1


def _only(file: FitsFile, name: str) -> Image | None:
    images = file.named(name)
    return images[0] if images else None


def _flags(file: FitsFile, science: Image) -> tuple[Planes | None, object]:
    image = _only(file, "GROUPDQ")
    if image is None:
        return None, None
    if image.shape != science.shape:
        raise OhanaError(
            f"{file.source}: mixed shapes: wanted GROUPDQ like SCI {science.shape}, "
            f"got {image.shape}"
        )
    return planes_of(file, [image])


def _bad_pixels(
    file: FitsFile, shape: tuple[int, int]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the pixels of ``PIXELDQ`` that must not be used, and bits of those suspect."""
    image = _only(file, "PIXELDQ")
    if image is None or image.shape[-2:] != shape:
        return None, None
    planes, _ = planes_of(file, [image])
    # BZERO of unsigned integers is 2**31: it leaves all bits but the highest as they are.
    return pixel_quality(planes.read_stored()[0])


def pixel_quality(flags: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the pixels that must not be used, and bits of those suspect; None without any.

    Parameters
    ----------
    flags : ndarray of int, shape (H, W)
        With the bits of ``PIXELDQ``.

    Returns
    -------
    bad : ndarray of bool, shape (H, W), or None
    suspect : ndarray of uint8, shape (H, W), or None
        Bits of `ohana.ramp.SUSPECT`.

    Examples
    --------
    >>> pixel_quality(np.array([[0, 1, 2048]]))
    (array([[False,  True, False]]), array([[0, 0, 2]], dtype=uint8))
    """
    bad = (flags & DO_NOT_USE).astype(bool)
    return bad if bad.any() else None, suspect_pixels(flags, SUSPECT_FLAGS)


def defaults(header: Mapping[str, Any], shape: tuple[int, int]) -> tuple[Found, list[str]]:
    """Return border, outputs and gain from the instrument and the position of a subarray."""
    instrument, detector = text(header, "INSTRUME"), text(header, "DETECTOR")
    height, width = shape
    found: Found = {
        **RISING_FORWARD,
        "fast_axis": (1, "default (JWST)"),
        "slow_axis": (2, "default (JWST)"),
    }
    notes = []
    key = "NRCLONG" if detector in ("NRCALONG", "NRCBLONG") else detector
    gain = GAINS.get(key) or GAINS.get(key[:3])
    if gain:
        found["gain"] = (gain, f"default ({detector})")
    columns, rows = FULL_FRAME.get(instrument, FULL_FRAME_H2RG)
    sizes = number(header, "SUBSIZE1") or width, number(header, "SUBSIZE2") or height
    first_col = int(number(header, "SUBSTRT1") or 1)
    first_row = int(number(header, "SUBSTRT2") or 1)
    sides = (
        first_row == 1,
        first_row + height - 1 == rows,
        first_col == 1,
        first_col + width - 1 == columns,
    )
    if instrument == "MIRI":
        sides = (False, False, *sides[2:])
        found["outputs"] = (1, "default (MIRI)")
        notes.append("MIRI: four outputs interleaved by column are treated as one")
    elif sizes == (columns, rows):
        found["outputs"] = (4, "default (JWST full frame)")
    if sizes != (width, height):
        notes.append("reference pixels lie between the others (IRS2, stripes): no border is used")
        sides = (False,) * 4
    if any(sides):
        found["border"] = (BORDER, "default (JWST)")
        found["border_sides"] = (sides, "header SUBSTRT1, SUBSTRT2")
    else:
        found["border"] = (0, "default (JWST, no reference pixels here)")
    return found, notes
