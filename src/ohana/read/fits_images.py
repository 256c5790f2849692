"""The images of a FITS file: their positions in the file, and the reads they form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits

from ohana.errors import OhanaError
from ohana.ramp import Planes
from ohana.read.detector import number, text
from ohana.read.unpack import Scratch, spool

#: Block size of FITS: headers and data are padded to multiples of it [byte].
BLOCK = 2880

#: BITPIX -> type as stored.
TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class Image(NamedTuple):
    """One image of a FITS file.

    Attributes
    ----------
    name, version : str, int
        ``EXTNAME`` in capitals ("" if there is none) and ``EXTVER``.
    position : int
        Place in the file, 0 for the primary.
    header : mapping
        Its header.
    shape : tuple of int
        Of the array, rows and columns last; () without data.
    dtype : numpy.dtype
        As stored.
    offset : int or None
        First byte of the data; None if they are compressed or a constant.
    constant : float or None
        Value of all pixels of an image without data (``PIXVALUE``, a convention of HST).
    """

    name: str
    version: int
    position: int
    header: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int | None
    constant: float | None = None

    @property
    def planes(self) -> int:
        """Number of two-dimensional images in it."""
        return math.prod(self.shape[:-2])


class FitsFile(NamedTuple):
    """A FITS file.

    Attributes
    ----------
    source : Path
        What the user gave; named in errors.
    path : Path
        The uncompressed file, if that is another one.
    header : mapping
        Primary header.
    images : tuple of Image
        All images, those without data included, tables left out.
    tables : int
        Number of tables.
    """

    source: Path
    path: Path
    header: Mapping[str, Any]
    images: tuple[Image, ...]
    tables: int

    def named(self, name: str) -> list[Image]:
        """Return the images of this name that have pixels."""
        return [image for image in self.images if image.name == name and image.shape]


def scan(source: Path, path: Path | None = None) -> FitsFile:
    """List the images of a FITS file without reading any pixel.

    Parameters
    ----------
    source : Path
        What the user gave.
    path : Path, optional
        The uncompressed file, if it is another one.

    Raises
    ------
    OhanaError
        If the file is truncated or is no FITS file.
    """
    path = path or source
    try:
        with fits.open(path, memmap=True) as hdus:
            for index, hdu in enumerate(hdus):
                _refuse_truncated(source, path, index, hdu.fileinfo(), _data_bytes(hdu))
            _refuse_cut_header(source, path, len(hdus), hdus[-1].fileinfo())
            images = tuple(_image(index, hdu) for index, hdu in enumerate(hdus) if hdu.is_image)
            return FitsFile(source, path, hdus[0].header, images, len(hdus) - len(images))
    except (OSError, fits.VerifyError, KeyError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OhanaError(f"{source}: damaged or truncated FITS file: {error}") from error


def _data_bytes(hdu: Any) -> int:
    """Return the size of the data without padding; a lower limit for compressed images."""
    if isinstance(hdu, fits.CompImageHDU):
        return hdu.fileinfo()["datSpan"] - (BLOCK - 1)
    header = hdu.header
    sizes = [header.get(f"NAXIS{axis + 1}", 0) for axis in range(header.get("NAXIS", 0))]
    values = math.prod(sizes) if sizes else 0
    groups = header.get("GCOUNT", 1) * (header.get("PCOUNT", 0) + values)
    return abs(header.get("BITPIX", 8)) // 8 * groups


def _refuse_truncated(source: Path, path: Path, index: int, place: dict, size: int) -> None:
    end, there = place["datLoc"] + size, path.stat().st_size
    if end > there:
        raise OhanaError(
            f"{source}: truncated: the data of extension {index} end at byte {end}, "
            f"the file at byte {there}"
        )


def _refuse_cut_header(source: Path, path: Path, count: int, last: dict) -> None:
    """Refuse a file that ends within a header; astropy would silently skip that extension."""
    with open(path, "rb") as file:
        file.seek(last["datLoc"] + last["datSpan"])
        if file.read(8).startswith(b"XTENSION"):
            raise OhanaError(f"{source}: truncated: the header of extension {count} is cut short")


def _image(index: int, hdu: Any) -> Image:
    header = hdu.header
    shape, constant = tuple(hdu.shape), None
    if not shape and (constant := number(header, "PIXVALUE")) is not None:
        shape = (int(number(header, "NPIX2") or 0), int(number(header, "NPIX1") or 0))
    plain = constant is None and not isinstance(hdu, fits.CompImageHDU)
    return Image(
        text(header, "EXTNAME"),
        int(number(header, "EXTVER") or 1),
        index,
        header,
        shape,
        np.dtype(TYPES[int(header["BITPIX"])]),
        hdu.fileinfo()["datLoc"] if plain else None,
        constant,
    )


def planes_of(file: FitsFile, images: Sequence[Image]) -> tuple[Planes, Scratch | None]:
    """Return the two-dimensional planes of some images, in order.

    Plain images are read where they lie; compressed and constant ones are unpacked into a
    temporary file first.

    Raises
    ------
    OhanaError
        If the images differ in shape or type.
    """
    shape = _same(file, images, "shape", lambda image: image.shape[-2:])
    if any(image.offset is None for image in images):
        blocks = ((t, 0, pixels) for t, pixels in enumerate(_pixels(file.path, images)))
        total = sum(image.planes for image in images)
        dtype = np.result_type(*map(_unpacked_type, images))
        return spool(blocks, (total, *shape), dtype, file.source)
    dtype = _same(file, images, "type", lambda image: image.dtype)
    size = math.prod(shape) * dtype.itemsize
    counts = [image.planes for image in images]
    offsets = [
        int(image.offset or 0) + size * np.arange(n, dtype=np.int64)
        for image, n in zip(images, counts, strict=True)
    ]
    zeros = np.repeat([number(image.header, "BZERO") or 0.0 for image in images], counts)
    scales = np.repeat([number(image.header, "BSCALE") or 1.0 for image in images], counts)
    blank = None
    if dtype.kind == "i":
        blank = _same(file, images, "BLANK", lambda image: number(image.header, "BLANK"))
    planes = Planes(
        file.path,
        np.concatenate(offsets),
        shape,
        dtype,
        zero=float(zeros[0]) if np.all(zeros == zeros[0]) else zeros,
        scale=None if np.all(scales == 1) else scales,
        blank=None if blank is None else int(blank),
    )
    return planes, None


def _same(file: FitsFile, images: Sequence[Image], what: str, of: Any) -> Any:
    """Return what all images have in common."""
    first = of(images[0])
    for image in images:
        if of(image) != first:
            raise OhanaError(
                f"{file.source}: mixed reads: wanted the same {what} in all, got {first} in "
                f"extension {images[0].position} and {of(image)} in extension {image.position}"
            )
    return first


def _unpacked_type(image: Image) -> np.dtype:
    """Return the smallest type for the scaled values of an image."""
    kind, bits = image.dtype.kind, 8 * image.dtype.itemsize
    zero, scale = number(image.header, "BZERO") or 0.0, number(image.header, "BSCALE") or 1.0
    if kind != "f" and scale == 1 and number(image.header, "BLANK") is None:
        if zero == 0:
            return image.dtype
        if zero == 2 ** (bits - 1):
            return np.dtype(f"u{bits // 8}")
    return np.dtype(np.float32 if bits <= 16 or image.dtype == ">f4" else np.float64)


def _pixels(path: Path, images: Sequence[Image]) -> Iterator[np.ndarray]:
    """Yield the planes of images, unpacked by astropy, each of shape (1, H, W)."""
    with fits.open(path) as hdus:
        for image in images:
            for place in np.ndindex(image.shape[:-2]):
                if image.constant is None:
                    yield hdus[image.position].section[(*place, ...)][None]
                else:
                    yield np.full((1, *image.shape), image.constant, np.float32)
