"""FITS files written one image at a time, without a cube in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits

from ohana import __version__
from ohana.read.fits_images import BLOCK
from ohana.utils.files import replacing

#: Size of the pieces copied [byte]. Chosen.
PIECE = 1 << 24
#: Type of an image -> BITPIX, type as stored, and BZERO.
KINDS = {
    "uint8": (8, "u1", 0),
    "int16": (16, ">i2", 0),
    "uint32": (32, ">i4", 1 << 31),
    "float32": (-32, ">f4", 0),
}
#: Cards of a header that describe its data, and are set by `write_image`.
LAYOUT = ("XTENSION", "SIMPLE", "BITPIX", "PCOUNT", "GCOUNT", "BSCALE", "BZERO", "BLANK",
          "CHECKSUM", "DATASUM", "PIXVALUE", "NPIX1", "NPIX2", "DATAMIN", "DATAMAX")  # fmt: skip


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to, which gets its name when complete."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        yield file


def ascii_text(text: str) -> str:
    r"""Return a text in ASCII, as a header requires.

    Examples
    --------
    >>> print(ascii_text("dark_1"), ascii_text("süd"))
    dark_1 s\xfcd
    """
    return text.encode("unicode_escape").decode("ascii")


def origin(run: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """Return the header cards on the origin of a product.

    Parameters
    ----------
    run : dict
        Record of the run, `ohana.results.run_record`.
    """
    return [
        ("OHANAVER", __version__, "version of ohana"),
        ("OHANACFG", run.get("config_fingerprint", "unknown"), "hash of its settings"),
        ("OHANANET", run.get("network") or "none", "network used besides the rules"),
    ]


@contextmanager
def writing_again(
    path: Path, before: Path, run: dict[str, Any], cards: Iterable[tuple[str, Any, str]] = ()
) -> Iterator[tuple[BinaryIO, BinaryIO, Sequence[Any]]]:
    """Begin a file with the primary header of another one, and yield it for writing.

    Parameters
    ----------
    path, before : Path
        File to write, and the one it is made from.
    run : dict
        Record of the run.
    cards : iterable of (key, value, comment), optional
        Set in the header, besides those of `origin` and the name of the file.

    Yields
    ------
    file, source : binary file
        To write to, and to copy from; see `copy_unit`.
    units : sequence of HDU
        The extensions of ``before``.
    """
    with (
        writing(path) as file,
        open(before, "rb") as source,
        fits.open(before, disable_image_compression=True) as units,
    ):
        header = units[0].header.copy()
        name = ("FILENAME", ascii_text(path.name), "name of the file")
        for key, value, comment in (*cards, name):
            header[key] = (value, comment)
        header.extend(origin(run), update=True)
        _write_header(file, header)
        yield file, source, units[1:]


def write_primary(file: BinaryIO, cards: Iterable[tuple[str, Any, str]]) -> None:
    """Write the header of a file without a primary image."""
    _write_header(file, fits.PrimaryHDU(header=fits.Header(list(cards))).header)


def write_image(
    file: BinaryIO,
    name: str,
    shape: tuple[int, ...],
    planes: Iterable[np.ndarray],
    header: fits.Header | Iterable[tuple[str, Any, str]] = (),
) -> None:
    """Write an image extension plane by plane.

    Parameters
    ----------
    file : binary file
        At the end of what has been written.
    name : str
        ``EXTNAME``.
    shape : tuple of int
        Of the whole image, rows and columns last.
    planes : iterable of ndarray
        Two-dimensional images of one type, as many as the shape has.
    header : Header or iterable of cards, optional
        Further cards; those on the layout of data are set here.
    """
    first, planes = _peek(planes)
    bits, stored, zero = KINDS[first.dtype.name]
    cards = fits.Header(header, copy=True) if isinstance(header, fits.Header) else fits.Header()
    if not isinstance(header, fits.Header):
        cards.extend(fits.Header(list(header)))
    for key in [*LAYOUT, *(key for key in cards if key.startswith("NAXIS"))]:
        cards.remove(key, ignore_missing=True, remove_all=True)
    head = fits.Header(
        [("XTENSION", "IMAGE", "image extension"), ("BITPIX", bits), ("NAXIS", len(shape))]
        + [(f"NAXIS{axis}", length) for axis, length in enumerate(reversed(shape), 1)]
        + [("PCOUNT", 0), ("GCOUNT", 1)]
        + ([("BSCALE", 1), ("BZERO", zero)] if zero else [])
    )
    cards["EXTNAME"] = name
    head.extend(cards, strip=False)
    _write_header(file, head)
    count = 0
    for plane in planes:
        if plane.shape != shape[-2:] or plane.dtype != first.dtype:
            raise ValueError(f"planes: wanted {first.dtype} {shape[-2:]}, got {plane.dtype}")
        values = plane.astype(np.int64) - zero if zero else plane
        file.write(np.ascontiguousarray(values, stored).data)
        count += 1
    if count != np.prod(shape[:-2], dtype=int):
        raise ValueError(f"planes: wanted as many as {shape} has, got {count}")
    _pad(file)


def copy_unit(hdu: Any, source: BinaryIO, file: BinaryIO) -> None:
    """Copy an extension byte by byte, header and data."""
    place = hdu.fileinfo()
    source.seek(place["hdrLoc"])
    left = place["datLoc"] + place["datSpan"] - place["hdrLoc"]
    while left:
        piece = source.read(min(left, PIECE))
        if not piece:
            raise OSError("the input has become shorter")
        file.write(piece)
        left -= len(piece)
    _pad(file)


def _peek(planes: Iterable[np.ndarray]) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Return the first plane, and all of them."""
    rest = iter(planes)
    first = next(rest)

    def every() -> Iterator[np.ndarray]:
        yield first
        yield from rest

    return first, every()


def _write_header(file: BinaryIO, header: fits.Header) -> None:
    file.write(header.tostring().encode("ascii"))


def _pad(file: BinaryIO) -> None:
    """Pad to a multiple of the block size."""
    file.write(b"\0" * (-file.tell() % BLOCK))
