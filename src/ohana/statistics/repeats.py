"""Pixels with telegraph noise in several exposures, and the number expected by chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ohana import __version__
from ohana.classes import Column
from ohana.export.exposure import ExposureMetadata
from ohana.products.fits_file import ascii_text
from ohana.statistics.tally import Flickering, Tally
from ohana.utils.files import replacing
from ohana.utils.tuning import SIGMA_OF_MAD

#: Pixels in the list that are expected by chance, at most; chosen.
BY_CHANCE = 0.1
#: Columns of ``..._telegraph_pixels.ecsv``.
PIXELS = (
    Column("row", int, "", "Row, from 0"),
    Column("col", int, "", "Column, from 0"),
    Column("seen", int, "", "Exposures in which it shows telegraph noise"),
    Column("searched", int, "", "Exposures that were searched for it"),
    Column("amplitude", float, "DN", "Distance of the outer levels: median"),
    Column("amplitude_spread", float, "DN", "Its scatter over the exposures (1.48 MAD)"),
    Column("dwell_low", float, "s", "Mean stay in the lowest level: median"),
    Column("dwell_low_spread", float, "s", "Its scatter over the exposures (1.48 MAD)"),
    Column("dwell_high", float, "s", "Mean stay in the highest level: median"),
    Column("dwell_high_spread", float, "s", "Its scatter over the exposures (1.48 MAD)"),
)
#: Bit of telegraph noise in PIXELDQ of JWST and Roman.
TELEGRAPH_BIT = 15
TELEGRAPH = 1 << TELEGRAPH_BIT
#: Telescopes whose detectors are in flight.
IN_FLIGHT = ("JWST", "HST", "ROMAN", "EUCLID")
#: Start of validity of a mask whose exposures have no time.
EVER = "1900-01-01T00:00:00"


class Repeats(NamedTuple):
    """Pixels that show telegraph noise in several exposures.

    Attributes
    ----------
    pixels : list of dict
        A row of `PIXELS` for each pixel of the list, the most frequent first.
    searched : int
        Exposures searched for telegraph noise.
    least : int
        Minimum number of exposures for a pixel to be listed.
    by_chance : float
        Listed pixels expected by chance if detections fell on pixels at random.
    observed, expected : ndarray, shape (searched + 1,)
        Pixels with telegraph noise in exactly 0, 1, 2 ... exposures: found, and expected by
        chance.
    """

    pixels: list[dict[str, Any]]
    searched: int
    least: int
    by_chance: float
    observed: np.ndarray
    expected: np.ndarray


def repeated_pixels(tally: Tally, least: int | None = None) -> Repeats | None:
    """Find the pixels that show telegraph noise in ``least`` or more exposures.

    The number expected by chance follows from a binomial distribution: detections fall on all
    pixels alike, at their mean density, independently in each exposure. The density includes
    the repeated pixels, so the estimate is slightly too high. A pixel counts once per exposure,
    whatever the number of integrations.

    Parameters
    ----------
    tally : Tally
        Of one detector.
    least : int, optional
        Minimum number of exposures; if absent, the smallest of at least two for which fewer
        than 0.1 listed pixels are expected by chance.

    Returns
    -------
    Repeats or None
        None where fewer than two exposures could be searched.
    """
    searched, pixels = tally.searched, int(np.prod(tally.detector.shape))
    if searched < 2:
        return None
    table = np.array([flicker[:3] for flicker in tally.flickering], np.int64).reshape(-1, 3)
    place = table[:, 0] * tally.detector.shape[1] + table[:, 1]
    once = np.unique(np.column_stack([place, table[:, 2]]), axis=0)
    flagged, times = np.unique(once[:, 0], return_counts=True)
    density = len(once) / (searched * pixels)
    number = np.arange(searched + 1)
    at_least = pixels * chance_of(number, searched, density)
    if least is None:
        # Never more than all exposures: a list for two exposures may hold some chance pairs.
        enough = np.flatnonzero((at_least < BY_CHANCE) & (number >= 2))
        least = int(enough[0]) if enough.size else searched
    chosen = flagged[times >= least]
    of_pixel: dict[int, list[Flickering]] = {int(pixel): [] for pixel in chosen}
    for pixel, flicker in zip(place.tolist(), tally.flickering, strict=True):
        if pixel in of_pixel:
            of_pixel[pixel].append(flicker)
    rows = [_row(flickers, searched) for flickers in of_pixel.values()]
    rows.sort(key=lambda row: (-row["seen"], row["row"], row["col"]))
    observed = np.bincount(times, minlength=searched + 1)
    observed[0] = pixels - len(flagged)
    by_chance = float(at_least[least]) if least <= searched else 0.0
    expected = at_least - np.append(at_least[1:], 0.0)
    return Repeats(rows, searched, least, by_chance, observed, expected)


def chance_of(least: np.ndarray, trials: int, probability: float) -> np.ndarray:
    """Return the probability of ``least`` or more successes in a number of trials.

    Examples
    --------
    >>> chance_of(np.array([0, 1, 2]), 2, 0.5)
    array([1.  , 0.75, 0.25])
    """
    below = special.bdtrc(np.maximum(least - 1, 0), trials, probability)
    return np.where(least > 0, below, 1.0)


def _row(pixel: list[Flickering], searched: int) -> dict[str, Any]:
    """Summarise the telegraph noise of one pixel over all exposures."""
    row: dict[str, Any] = {"row": pixel[0].row, "col": pixel[0].col}
    row |= {"seen": len({each.exposure for each in pixel}), "searched": searched}
    for name in ("amplitude", "dwell_low", "dwell_high"):
        values = np.array([getattr(each, name) for each in pixel])
        values = values[np.isfinite(values)]
        if values.size:
            middle = float(np.median(values))
            spread = SIGMA_OF_MAD * float(np.median(np.abs(values - middle)))
            row |= {name: middle, f"{name}_spread": spread}
    return row


def write_reference_mask(
    path: Path, repeats: Repeats, exposures: Sequence[ExposureMetadata]
) -> Path:
    """Write the pixels that repeat as a reference file of type ``MASK``.

    The file has an image ``DQ`` (uint32, 0 or TELEGRAPH) and a table ``DQ_DEF`` that defines
    its bits. Nothing is flagged DO_NOT_USE: whether such a pixel is usable is left to the user
    of the mask.

    Parameters
    ----------
    path : Path
        FITS file to write.
    repeats : Repeats
        The pixels.
    exposures : sequence of ExposureMetadata
        The exposures searched, all of one detector.
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


def _header(repeats: Repeats, exposures: Sequence[ExposureMetadata]) -> Any:
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
