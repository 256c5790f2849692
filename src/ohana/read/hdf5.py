"""HDF5 files: a data set of reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Planes, Ramp
from ohana.read.integrations import ramps_of, require_reads
from ohana.read.named_array import attributes, pick_array, require_cube
from ohana.read.unpack import Scratch, chunk_blocks, spool


def read_hdf5(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read a data set (T, H, W) or (N, T, H, W); attributes serve as header.

    The data set is the one that ``config.dataset`` names, else ``data``, else the only one of
    three or four dimensions. Contiguous data are read where they lie, others are unpacked.

    Raises
    ------
    OhanaError
        If there is no such data set, or it does not hold numbers.
    """
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            dataset = _find(path, file, config.dataset)
            require_cube(f"{path}: data set {dataset.name!r}", dataset)
            require_reads(path, dataset.shape[-3])
            headers = [attributes(dataset), attributes(dataset.parent), attributes(file)]
            planes, scratch = _planes(path, dataset)
            counts = dataset.shape[:-2]
    except (RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OhanaError(f"{path}: damaged or truncated HDF5 file: {error}") from error
    return ramps_of(path, planes, counts, headers, config, scratch=scratch)


def _find(path: Path, file: h5py.File, wanted: str | None) -> h5py.Dataset:
    """Return the data set to read."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(visit)
    return pick_array(path, found, wanted, "a data set")


def _planes(path: Path, dataset: h5py.Dataset) -> tuple[Planes, Scratch | None]:
    """Return all images of a data set, in their order."""
    *lead, height, width = dataset.shape
    total = int(np.prod(lead))
    start = dataset.id.get_offset()
    if start is None or dataset.chunks or dataset.external:
        blocks = chunk_blocks(dataset, dataset.shape, dataset.chunks)
        return spool(blocks, (total, height, width), dataset.dtype, path)
    size = height * width * dataset.dtype.itemsize
    if start + total * size > path.stat().st_size:
        raise OhanaError(f"{path}: truncated: data set {dataset.name!r} ends after the file")
    offsets = start + size * np.arange(total, dtype=np.int64)
    return Planes(path, offsets, (height, width), dataset.dtype), None
