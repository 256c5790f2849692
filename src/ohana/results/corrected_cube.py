"""The corrected cube on disk (``<exposure>_processed.npy``), and when it can be reused."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import ohana
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Planes, Ramp
from ohana.read.zarr_store import is_zarr
from ohana.utils.files import replacing

#: Stages whose settings determine the corrected cube.
STAGES = ("reading", "detector", "reference")
#: Size of each of the samples of an input or cube [byte]. Chosen.
SAMPLE = 1 << 16


def fingerprint(ramp: Ramp, config: DetectorConfig) -> str:
    """Identify the corrected cube of a ramp: input, integration, settings and version.

    An input counts as unchanged if path, size, modification time and samples of its bytes are.
    """
    digest = hashlib.blake2b(digest_size=16)
    settings = config.fingerprint(STAGES)
    digest.update(f"{ohana.__version__} {settings} {ramp.integration} {ramp.shape}".encode())
    for file in _files(ramp.source):
        digest.update(f"{file.resolve()} {file.stat().st_mtime_ns}".encode())
        digest.update(_sample(file))
    return digest.hexdigest()


def input_fingerprint(source: Path) -> str:
    """Identify an input by size and samples of its bytes, regardless of its path."""
    digest = hashlib.blake2b(digest_size=16)
    for file in _files(source):
        digest.update(_sample(file))
    return digest.hexdigest()


def _files(source: Path) -> list[Path]:
    """Return the files of an input, which may be a folder."""
    if not source.is_dir():
        return [source]
    # A folder of frames may contain results in sub-folders; a zarr store has its chunks there.
    inside = source.rglob("*") if is_zarr(source) else source.iterdir()
    return sorted(filter(Path.is_file, inside))


def mark_of(cube: Path, made_of: str) -> str:
    """Combine the fingerprint of a corrected cube with samples of its bytes."""
    return hashlib.blake2b(made_of.encode() + _sample(cube), digest_size=16).hexdigest()


def _sample(file: Path) -> bytes:
    """Return the size of a file and some of its bytes."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        parts = [b"%d" % size]
        for place in np.linspace(0, max(size - SAMPLE, 0), 8).astype(int):
            stream.seek(int(place))
            parts.append(stream.read(SAMPLE))
    return b" ".join(parts)


class Processed:
    """Rows of a corrected cube, written by any thread in any order."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        cube = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        self.offset, self.shape = cube.offset, shape
        del cube
        self.file = os.open(path, os.O_WRONLY)

    def write(self, data: np.ndarray, rows: slice) -> None:
        """Write reads 1 to T - 1 of some rows from float32 ``data`` (T, rows, W)."""
        plane = self.shape[1] * self.shape[2]
        for t, part in enumerate(data[1:]):
            start = self.offset + 4 * (t * plane + rows.start * self.shape[2])
            left = np.ascontiguousarray(part).data.cast("B")
            while left:
                done = os.pwrite(self.file, left, start)
                left, start = left[done:], start + done


@contextmanager
def writing_processed(path: Path, shape: tuple[int, int, int]) -> Iterator[Processed]:
    """Yield a writer for the corrected cube (T - 1, H, W), which gets its name when complete."""
    needed, there = 4 * int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if needed > there:
        raise OhanaError(
            f"{path}: needs {needed / 1e9:.1f} GB of disk, {there / 1e9:.1f} GB are free; "
            "use --no-processed to skip it"
        )
    with replacing(path) as temporary:
        cube = Processed(temporary, shape)
        try:
            yield cube
        finally:
            os.close(cube.file)


def open_processed(path: Path, shape: tuple[int, int, int]) -> Planes | None:
    """Return the reads of a corrected cube (T - 1, H, W), None if shape or type are wrong."""
    try:
        cube = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    if cube.shape != shape or cube.dtype != np.float32 or not cube.flags.c_contiguous:
        return None
    offsets = cube.offset + 4 * shape[1] * shape[2] * np.arange(shape[0], dtype=np.int64)
    return Planes(path, offsets, shape[1:], cube.dtype)
