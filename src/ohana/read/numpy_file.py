"""NumPy files: one array of reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Planes, Ramp
from ohana.read.integrations import ramps_of, require_reads
from ohana.read.unpack import spool

#: Size of the pieces in which an array in Fortran order is reordered [byte].
BLOCK_BYTES = 1 << 28


def read_npy(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read an array (T, H, W) or (N, T, H, W) of real numbers; there is no header.

    Nothing is unpickled. An array in Fortran order is rewritten into a temporary file.

    Raises
    ------
    OhanaError
        If the array has another shape or type, or the file is truncated.
    """
    shape, fortran, dtype, start = _header(path)
    if dtype.kind not in "iuf":
        raise OhanaError(f"{path}: wanted an array of real numbers, got {dtype}")
    if len(shape) not in (3, 4):
        raise OhanaError(f"{path}: wanted an array (reads, rows, columns), got shape {shape}")
    require_reads(path, shape[-3])
    end, there = start + math.prod(shape) * dtype.itemsize, path.stat().st_size
    if end > there:
        raise OhanaError(f"{path}: truncated: the data end at byte {end}, the file at {there}")
    *lead, height, width = shape
    total, scratch = math.prod(lead), None
    if fortran:
        planes, scratch = spool(_blocks(path, shape), (total, height, width), dtype, path)
    else:
        offsets = start + height * width * dtype.itemsize * np.arange(total, dtype=np.int64)
        planes = Planes(path, offsets, (height, width), dtype)
    return ramps_of(path, planes, lead, [], config, scratch=scratch)


def _header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return shape, Fortran order, type, and offset of the data [byte]."""
    try:
        with open(path, "rb") as file:
            version = npy.read_magic(file)
            parse = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            return (*parse(file), file.tell())
    except Exception as error:  # the header is parsed as Python, which fails in many ways
        raise OhanaError(f"{path}: damaged .npy file: {error}") from error


def _blocks(path: Path, shape: tuple[int, ...]) -> Iterator[tuple[int, int, np.ndarray]]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    *lead, reads, height, width = shape
    step = max(BLOCK_BYTES // (height * width * array.dtype.itemsize), 1)
    for place in np.ndindex(*lead):
        before = place[0] * reads if place else 0
        for t in range(0, reads, step):
            yield before + t, 0, array[(*place, slice(t, t + step))]
