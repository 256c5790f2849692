"""FITS files: what kind they are, and which module reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Ramp
from ohana.read import fits_cube, hst, jwst
from ohana.read.detector import number, text
from ohana.read.fits_images import FitsFile, scan
from ohana.read.unpack import unpack_gzip


def read_fits(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read a FITS file of any kind."""
    return _read(scan(path), config)


def read_gzipped(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read a gzip-compressed FITS file from a decompressed temporary copy."""
    plain, scratch = unpack_gzip(path)
    with open(plain, "rb") as file:
        if (start := file.read(8)) != b"SIMPLE  ":
            raise OhanaError(f"{path}: wanted FITS inside gzip, got {start!r} at its start")
    ramps = _read(scan(path, plain), config)
    return [replace(ramp, scratch=(scratch, ramp.scratch)) for ramp in ramps]


def form_of(file: FitsFile) -> ModuleType:
    """Return the module that reads this kind of file."""
    names = {image.name for image in file.images}
    if {"SCI", "SAMP", "TIME"} <= names:
        return hst
    if text(file.header, "TELESCOP") == "JWST" or "GROUPDQ" in names:
        return jwst
    return fits_cube


def _read(file: FitsFile, config: DetectorConfig) -> list[Ramp]:
    ramps: list[Ramp] = form_of(file).read(file, config)
    wanted, got = number(file.header, "NEXTEND"), len(file.images) + file.tables - 1
    if wanted is None or wanted <= got:
        return ramps
    note = f"the header promises {wanted:.0f} extensions, {got} are there"
    return [replace(ramp, notes=(*ramp.notes, note)) for ramp in ramps]
