"""Temporary files for formats that cannot be read in place: compressed, chunked or scattered."""

from __future__ import annotations

import errno
import gzip
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ohana.errors import OhanaError
from ohana.ramp import Planes

#: Bytes that are held in memory while a file is copied.
COPY_BYTES = 1 << 22

#: What a full disk, a quota or a limit on file sizes looks like.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Scratch:
    """A temporary folder that goes when nothing refers to it any more.

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
    scratch = Scratch()
    path = scratch.path / source.name.removesuffix(".gz")
    try:
        with (
            _naming_full_disk(scratch.path, source),
            gzip.open(source, "rb") as packed,
            open(path, "wb") as plain,
        ):
            shutil.copyfileobj(packed, plain, COPY_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OhanaError(f"{source}: damaged or truncated gzip file: {error}") from error
    return path, scratch
