"""The pieces of a FITS file of unsigned 16-bit images that is written as its frames come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import numpy as np
from astropy.io.fits import Header

from ohana.read.fits_images import BLOCK

#: Keyword, value and comment.
Card = tuple[str, Any, str]

PRIMARY: Card = ("SIMPLE", True, "conforms to FITS")
EXTENSION: Card = ("XTENSION", "IMAGE", "image extension")
NO_TABLE: list[Card] = [("PCOUNT", 0, "no parameters"), ("GCOUNT", 1, "one group")]
UNSIGNED: list[Card] = [
    ("BSCALE", 1, "scale of stored values"),
    ("BZERO", 32768, "zero of unsigned integers"),
]


def axes(shape: Sequence[int], bits: int = 16) -> list[Card]:
    """Return the cards of an array with a shape; the last axis is the first of FITS.

    Examples
    --------
    >>> [card[:2] for card in axes((10, 64, 32))]
    [('BITPIX', 16), ('NAXIS', 3), ('NAXIS1', 32), ('NAXIS2', 64), ('NAXIS3', 10)]
    """
    cards: list[Card] = [("BITPIX", bits, "bits per value"), ("NAXIS", len(shape), "axes")]
    names = ("columns", "rows", "reads", "integrations")
    for axis, length in enumerate(reversed(shape)):
        cards.append((f"NAXIS{axis + 1}", length, names[axis]))
    return cards


def header(cards: Sequence[Card]) -> bytes:
    """Return a header, padded to whole blocks."""
    return Header(cards).tostring().encode("ascii")


def stored(frame: np.ndarray) -> bytes:
    """Return a uint16 image as FITS has it: signed, its zero moved, the high byte first."""
    return (frame ^ np.uint16(0x8000)).astype(">u2").tobytes()


def padding(size: int) -> bytes:
    """Return what fills data of a size in bytes up to whole blocks."""
    return b"\0" * (-size % BLOCK)


def write_cube(file: BinaryIO, frames: Iterable[np.ndarray]) -> None:
    """Write images one after another as the data of one header."""
    for frame in frames:
        file.write(stored(frame))
    file.write(padding(file.tell()))
