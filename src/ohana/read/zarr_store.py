"""Zarr: an array of reads, or a group that holds one; a folder, or a folder in a zip file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Ramp
from ohana.read.integrations import ramps_of, require_reads
from ohana.read.named_array import attributes, pick_array, require_cube
from ohana.read.unpack import chunk_blocks, spool

#: Files that identify a folder as a zarr store (versions 3 and 2).
MARKS = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Return whether a folder is a zarr store."""
    return any((path / mark).exists() for mark in MARKS)


def read_zarr(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read an array (T, H, W) or (N, T, H, W); attributes serve as header.

    In a group the array is the one that ``config.dataset`` names, else ``data``, else the only one
    of three or four dimensions. Chunks are unpacked into a temporary file.

    Raises
    ------
    OhanaError
        If there is no such array, or it does not hold numbers, or cannot be read.
    """
    import zarr  # slow to import
    from zarr.storage import LocalStore, ZipStore

    try:
        store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
        root = zarr.open(store, mode="r")
        array = root if isinstance(root, zarr.Array) else _find(path, root, config.dataset)
        require_cube(f"{path}: array {array.path or '/'!r}", array)
        require_reads(path, array.shape[-3])
        headers = [attributes(array)] + ([] if array is root else [attributes(root)])
        *lead, height, width = array.shape
        blocks = chunk_blocks(array, array.shape, array.shards or array.chunks)
        shape = (int(np.prod(lead)), height, width)
        planes, scratch = spool(blocks, shape, array.dtype, path)
    except OhanaError:
        raise
    except Exception as error:  # of zip, of json, of each codec: any
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OhanaError(f"{path}: cannot be read as zarr: {error!r}") from error
    return ramps_of(path, planes, tuple(lead), headers, config, scratch=scratch)


def _find(path: Path, group: Any, wanted: str | None) -> Any:
    """Return the array of reads of a group."""
    import zarr

    found = {
        name: item for name, item in group.members(max_depth=None) if isinstance(item, zarr.Array)
    }
    return pick_array(path, found, wanted, "an array")
