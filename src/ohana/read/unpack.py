"""Temporary files for formats that cannot be read in place: compressed, chunked or scattered."""

from __future__ import annotations

import errno
import gzip
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ohana.errors import OhanaError
from ohana.ramp import Planes

#: Size of the pieces in which a file is copied [byte].
COPY_BYTES = 1 << 22
#: Size of the pieces in which an array is unpacked, if its chunks allow [byte].
BLOCK_BYTES = 1 << 27

#: Error numbers of a full disk, a quota and a file size limit.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Scratch:
    """A temporary folder that is removed with the last reference to it.

    Like `tempfile.TemporaryDirectory`, without a warning when the last reference goes; the
    environment variable ``TMPDIR`` says where.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ohana-"))
        self._removal = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@contextmanager
def _naming_full_disk(folder: Path, source: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OhanaError(
            f"{folder.parent}: wanted room to unpack {source.name}, got: {error.strerror}; "
            "set TMPDIR to a larger place"
        ) from error


def spool(
    blocks: Iterable[tuple[int, int, np.ndarray]],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    source: Path,
) -> tuple[Planes, Scratch]:
    """Write the reads of a ramp one after another into a temporary file.

    Parameters
    ----------
    blocks : iterable of (first read, first row, ndarray)
        Parts of the cube, each of shape (reads, rows, W), that together fill it.
    shape : tuple of int
        (T, H, W) of the cube.
    dtype : numpy.dtype
        Type to write.
    source : Path
        Named when the disk is full.

    Returns
    -------
    Planes
        The reads in the temporary file.
    Scratch
        Folder of that file; keep it as long as the planes are needed.
    """
    reads, height, width = shape
    scratch = Scratch()
    path = scratch.path / "reads"
    dtype = dtype.newbyteorder("=")
    with _naming_full_disk(scratch.path, source), open(path, "wb") as file:
        for read, row, block in blocks:
            for t, image in enumerate(block, read):
                file.seek((t * height + row) * width * dtype.itemsize)
                file.write(np.ascontiguousarray(image, dtype).data)
    offsets = np.arange(reads, dtype=np.int64) * (height * width * dtype.itemsize)
    return Planes(path, offsets, (height, width), dtype), scratch


def unpack_gzip(source: Path) -> tuple[Path, Scratch]:
    """Decompress a file into a temporary one.

    Raises
    ------
    OhanaError
        If the file is damaged or cut short, or the disk is full.
    """
    try:
        with gzip.open(source, "rb") as packed:
            pieces = iter(lambda: packed.read(COPY_BYTES), b"")
            return unpack(pieces, source, source.name.removesuffix(".gz"))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OhanaError(f"{source}: damaged or truncated gzip file: {error}") from error


def unpack(pieces: Iterable[bytes], source: Path, name: str) -> tuple[Path, Scratch]:
    """Write decompressed pieces into a temporary file.

    Parameters
    ----------
    pieces : iterable of bytes
        What was compressed.
    source : Path
        Named when the disk is full.
    name : str
        Name of the temporary file.
    """
    scratch = Scratch()
    path = scratch.path / name
    with _naming_full_disk(scratch.path, source), open(path, "wb") as plain:
        for piece in pieces:
            plain.write(piece)
    return path, scratch


def chunk_blocks(
    array: Any, shape: Sequence[int], chunks: Sequence[int] | None
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the blocks for `spool` of a chunked array, each chunk unpacked only once.

    Parameters
    ----------
    array : array-like
        What slices are taken from: of HDF5 or zarr.
    shape : sequence of int
        (T, H, W) or (N, T, H, W).
    chunks : sequence of int, optional
        Of the same length; what is unpacked together.
    """
    *lead, reads, height, width = shape
    *_, chunk_reads, chunk_rows, _ = chunks or (1, 1, width)
    line = width * array.dtype.itemsize
    rows = height
    if chunk_reads * height * line > BLOCK_BYTES:
        rows = max(BLOCK_BYTES // (chunk_reads * line * chunk_rows), 1) * chunk_rows
    for place in np.ndindex(*lead):
        before = place[0] * reads if place else 0
        for t in range(0, reads, chunk_reads):
            for row in range(0, height, rows):
                window = slice(t, t + chunk_reads), slice(row, row + rows)
                yield before + t, row, array[(*place, *window)]
