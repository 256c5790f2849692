"""Bad-pixel reference masks in the layout of JWST's ``MASK`` reference files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohana import __version__
from ohana.catalogues.exposures import Exposure
from ohana.catalogues.repeats import Repeats
from ohana.files import replacing
from ohana.products.fits_out import ascii_text

#: Bit of telegraph noise in the data quality of JWST and Roman pixels.
TELEGRAPH_BIT = 15
TELEGRAPH = 1 << TELEGRAPH_BIT
#: Telescopes whose detectors are in flight.
IN_FLIGHT = ("JWST", "HST", "ROMAN", "EUCLID")
#: From when on a mask holds whose exposures have no time.
EVER = "1900-01-01T00:00:00"


def write_reference_mask(path: Path, repeats: Repeats, exposures: Sequence[Exposure]) -> Path:
    """Write the pixels that repeat as a reference file of type ``MASK``.

    The file has an image ``DQ`` (uint32, 0 or TELEGRAPH) and a table ``DQ_DEF`` that says what
    its bits mean. Nothing is flagged DO_NOT_USE: whether such a pixel is good enough is left to
    who uses the mask.

    Parameters
    ----------
    path : Path
        FITS file to write.
    repeats : Repeats
        The pixels.
    exposures : sequence of Exposure
        That they were found in, all of one detector.
    """
    from astropy.io import fits

    quality = np.zeros(exposures[0].detector.shape, np.uint32)
    for pixel in repeats.pixels:
        quality[pixel["row"], pixel["col"]] |= TELEGRAPH
    text = "Shows telegraph noise again and again"
    definition = np.array(
        [(TELEGRAPH_BIT, TELEGRAPH, "TELEGRAPH", text)],
        [("BIT", np.int32), ("VALUE", np.uint32), ("NAME", "U40"), ("DESCRIPTION", "U80")],
    )
    file = fits.HDUList(
        [
            fits.PrimaryHDU(header=_header(repeats, exposures)),
            fits.ImageHDU(quality, name="DQ"),
            fits.BinTableHDU(definition, name="DQ_DEF"),
        ]
    )
    with replacing(path) as temporary:
        file.writeto(temporary)
    return path


def _header(repeats: Repeats, exposures: Sequence[Exposure]) -> Any:
    """Return the keywords of a reference file."""
    from astropy.io import fits

    detector = exposures[0].detector
    begins = sorted(exposure.start for exposure in exposures if exposure.start)
    pedigree = "GROUND"
    if begins and detector.telescope in IN_FLIGHT:
        pedigree = f"INFLIGHT {begins[0][:10]} {begins[-1][:10]}"
    height, width = detector.shape
    cards = [
        ("DATAMODL", "MaskModel", "Type of data model"),
        ("REFTYPE", "MASK", "Type of reference file"),
        ("TELESCOP", ascii_text(detector.telescope), "Telescope"),
        ("INSTRUME", ascii_text(detector.instrument), "Instrument"),
        ("DETECTOR", ascii_text(detector.detector), "Detector"),
        ("PEDIGREE", pedigree, "Source of the data"),
        ("DESCRIP", "Pixels with telegraph noise in many exposures", "Description"),
        ("AUTHOR", f"ohana {__version__}", "Program that made this file"),
        ("USEAFTER", begins[0][:19] if begins else EVER, "Use from this date on (UTC)"),
        ("SUBSTRT1", detector.corner[1] + 1, "First column on the detector"),
        ("SUBSTRT2", detector.corner[0] + 1, "First row on the detector"),
        ("SUBSIZE1", width, "Columns"),
        ("SUBSIZE2", height, "Rows"),
        ("FASTAXIS", exposures[0].axes[0], "Axis along which pixels follow"),
        ("SLOWAXIS", exposures[0].axes[1], "Axis along which lines follow"),
        ("NEXPOSUR", repeats.searched, "Exposures searched"),
        ("NREPEAT", repeats.least, "Exposures in which a flagged pixel flickers"),
        ("NPIXELS", len(repeats.pixels), "Pixels flagged"),
        ("NCHANCE", float(f"{repeats.by_chance:.3g}"), "Of them expected by chance"),
    ]
    header = fits.Header([card for card in cards if card[1] != ""])
    names = [ascii_text(exposure.name) for exposure in exposures]
    header.add_history(f"{len(names)} exposures from {names[0]} to {names[-1]}")
    return header
