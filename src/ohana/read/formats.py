"""Table of the file formats: how each is recognised, and which function reads it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple


class Format(NamedTuple):
    """A file format.

    Attributes
    ----------
    name : str
        For messages.
    magic : tuple of bytes
        First bytes of its files, any of these. They decide, not the ending.
    endings : tuple of str
        Endings that the name of an exposure does not include.
    reader : str
        Module of this folder and function, imported when needed: the libraries load slowly. It
        takes a path and a `DetectorConfig` and returns a list of `ohana.ramp.Ramp`.
    """

    name: str
    magic: tuple[bytes, ...]
    endings: tuple[str, ...]
    reader: str

    def load_reader(self) -> Callable:
        """Import the function that reads the format."""
        module, function = self.reader.split(":")
        return getattr(import_module(f"ohana.read.{module}"), function)


#: Of formats that begin with the same bytes, the first one is asked.
FORMATS = (
    Format("FITS", (b"SIMPLE  ",), (".fits", ".fit", ".fts", ".fz"), "fits:read_fits"),
    Format("gzip", (b"\x1f\x8b",), (".gz",), "fits:read_gzipped"),
    Format("HDF5", (b"\x89HDF\r\n\x1a\n",), (".h5", ".hdf5", ".hdf", ".he5"), "hdf5:read_hdf5"),
    Format(".npy", (b"\x93NUMPY",), (".npy",), "numpy_file:read_npy"),
    Format("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), (".tif", ".tiff"), "tiff:read_file"),
    Format("ASDF", (b"#ASDF",), (".asdf",), "roman:read_asdf"),
    Format("zip", (b"PK\x03\x04",), (".zip",), "zarr_store:read_zarr"),
    # A zarr store is a folder, or a zip file with such a folder in it.
    Format("zarr", (), (".zarr",), "zarr_store:read_zarr"),
)

#: File ending -> format.
ENDINGS = {ending: each for each in FORMATS for ending in each.endings}
