"""The training set on disk: one zarr group per exposure, moved there when complete.

::

    output_dir/
      settings.json        the settings that determine the contents
      training.zarr/       one group per exposure
        NAME/              attributes: all drawn values, seeds, versions
          patches          uint16 (P, T, h, w) raw reads [DN]; float32, corrected, of reviewed
                           exposures
          corners          int32 (P, 2) first row and column of each patch
          reference/       reference-pixel correction, if there is a border
          first_usable, stop   int32 (H, W) of corrected reads: begin and end of ramps
          labels/          one-dimensional columns of `ohana.training_sets.labels.Runs`;
                           attribute `events`: one object per event
      test.zarr/           the same, not for training
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from ohana.refpix.correction import Reference
from ohana.training_sets.claims import own_part, publish
from ohana.training_sets.codec import TimeDelta
from ohana.training_sets.labels import COLUMNS, Runs

#: Version of the layout.
FORMAT = 1
#: Maximum size of a shard [bytes]: few files, each written in one go.
SHARD_BYTES = 2**26
_REFERENCE = ("level", "slope", "common", "weights")


def compressor() -> BloscCodec:
    """Return the lossless compression of all arrays."""
    return BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")


def split_path(output_dir: str | Path, split: str) -> Path:
    """Return the store of a split."""
    return Path(output_dir) / f"{split}.zarr"


def create_store(output_dir: Path, split: str, num_classes: int) -> None:
    """Create the store of a split, if it is missing."""
    target = split_path(output_dir, split)
    if target.exists():
        return
    part = own_part(output_dir, split)
    zarr.create_group(part, attributes={"ohana_format": FORMAT, "num_classes": num_classes})
    publish(part, target)
    shutil.rmtree(part, ignore_errors=True)


def shard_patches(patches: int, window: int, size: tuple[int, int]) -> int:
    """Return the number of patches in a shard."""
    return min(patches, max(SHARD_BYTES // (2 * window * size[0] * size[1]), 1))


def create_patches(
    group: zarr.Group,
    corners: np.ndarray,
    reads: int,
    chunk: tuple[int, int, int],
    dtype: type = np.uint16,
    together: int | None = None,
):
    """Create the array of patches, to be filled shard by shard.

    Parameters
    ----------
    group : zarr.Group
        Of the exposure.
    corners : ndarray of int, shape (P, 2)
        First row and column of each patch.
    reads : int
        Number of reads of the exposure.
    chunk : tuple of int
        Reads, height and width of a chunk.
    dtype : type
        uint16 for raw reads, float32 for corrected ones.
    together : int, optional
        Patches that share a shard.
    """
    save_array(group, "corners", corners)
    return group.create_array(
        "patches",
        shape=(len(corners), reads, *chunk[1:]),
        dtype=dtype,
        chunks=(1, *chunk),
        shards=(together or shard_patches(len(corners), chunk[0], chunk[1:]), *chunk),
        filters=[TimeDelta()] if dtype is np.uint16 else [],
        compressors=[compressor()],
    )


def save_array(group: zarr.Group, name: str, data: np.ndarray) -> None:
    """Store a small array in one chunk."""
    array = group.create_array(
        name,
        shape=data.shape,
        dtype=data.dtype,
        chunks=tuple(max(size, 1) for size in data.shape),
        compressors=[compressor()],
    )
    if data.size:
        array[...] = data


def open_array(group: zarr.Group, name: str) -> zarr.Array:
    """Return an array of a group; KeyError if it is missing."""
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise KeyError(name)
    return array


def load_array(group: zarr.Group, name: str) -> np.ndarray:
    """Read a whole array of a group."""
    return np.asarray(open_array(group, name)[...])


def save_reference(group: zarr.Group, reference: Reference | None) -> None:
    """Store the correction of an exposure, if it has one."""
    if reference is None:
        return
    inner = group.create_group("reference")
    for name in _REFERENCE:
        save_array(inner, name, np.asarray(getattr(reference, name), np.float32))
    inner.attrs.update(
        transposed=reference.transposed, used=int(reference.used), total=int(reference.total)
    )


def load_reference(group: zarr.Group) -> Reference | None:
    """Return the correction of an exposure, None where it has no reference pixels.

    `ohana.refpix.correction.subtract` applies it to a patch as to a whole exposure.
    """
    if "reference" not in group:
        return None
    terms = (load_array(group, f"reference/{name}") for name in _REFERENCE)
    level, slope, common, weights = terms
    facts: Any = group["reference"].attrs
    return Reference(
        level, slope, common, facts["transposed"], weights, facts["used"], facts["total"]
    )


def save_labels(group: zarr.Group, runs: Runs, events: list[dict[str, Any]]) -> None:
    """Store the labels of an exposure and the properties of its events."""
    inner = group.create_group("labels")
    for name, column in zip(COLUMNS, runs, strict=True):
        save_array(inner, name, column)
    inner.attrs["events"] = events


def load_labels(group: zarr.Group) -> Runs:
    """Return the labels of an exposure."""
    # Not through the group `labels`, whose attributes are long.
    return Runs(*(load_array(group, f"labels/{name}") for name in COLUMNS))


def patch_corners(shape: tuple[int, int], size: tuple[int, int], overlap: int) -> np.ndarray:
    """Return the first row and column of each patch, int32 (P, 2).

    Patches share ``overlap`` rows or columns with their neighbours; the last one of a row or
    column is moved back so that it ends at the edge, and shares more.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the array.
    size : tuple of int
        Height and width of a patch [pixel].
    overlap : int
        Minimum overlap of neighbours [pixel].

    Examples
    --------
    >>> patch_corners((8, 10), (8, 8), 2).tolist()
    [[0, 0], [0, 2]]
    """
    if any(not 0 <= overlap < side <= length for side, length in zip(size, shape, strict=True)):
        raise ValueError(
            f"size, overlap: wanted 0 <= overlap < size <= {shape}, got {size}, {overlap}"
        )
    rows, cols = (
        np.append(np.arange(0, length - side, side - overlap), length - side)
        for side, length in zip(size, shape, strict=True)
    )
    return np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.int32)


def cut_patches(reads: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return copies of some patches, shape (P, T, *size), of reads (T, H, W)."""
    high, wide = size
    return np.stack([reads[:, r : r + high, c : c + wide] for r, c in corners])
