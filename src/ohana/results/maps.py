"""The per-pixel maps on disk: ``<exposure>_temporal.npz``."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from ohana.classes import MASK_PRIORITY, Label
from ohana.events import Event, PixelMaps
from ohana.utils.files import replacing

#: Bits of mantissa kept in float maps: one part in 8000, below their uncertainty.
BITS = 12


def write_features(path: Path, maps: PixelMaps, fingerprint: str, frame_time: float) -> None:
    """Write the maps, the frame time [s] and the mark of the corrected cube.

    Floats keep ``BITS`` bits of their mantissa; the fast level of compression then takes a
    fraction of the time and space, and loses nothing that was measured.
    """
    arrays = {field.name: getattr(maps, field.name) for field in fields(maps)}
    arrays |= {"frame_time": np.float64(frame_time), "fingerprint": np.str_(fingerprint)}
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, values in arrays.items():
            values = np.asarray(values)
            if values.dtype == np.float32:
                values = _rounded(values)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Round float32 values to ``BITS`` bits of mantissa."""
    drop = 23 - BITS
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = ((bits + np.uint32(1 << (drop - 1))) >> drop << drop).view(np.float32)
    return np.where(np.isfinite(values), rounded, values)


def read_features(path: Path) -> tuple[dict[str, np.ndarray], str] | None:
    """Read maps and fingerprint; None if the file is missing, damaged or has other maps."""
    try:
        # Opened here, because numpy does not close a damaged file.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        known = all(field.name in arrays for field in fields(PixelMaps))
        return (arrays, str(arrays["fingerprint"])) if known else None
    except Exception:  # a damaged zip can raise nearly anything
        return None


def paint_mask(events: Sequence[Event], shape: tuple[int, int]) -> np.ndarray:
    """Mark the pixels of all events with their class.

    Parameters
    ----------
    events : sequence of Event
        In any order.
    shape : tuple of int
        (H, W) of the detector.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        `ohana.classes.Label` of each pixel, 0 for background. Where classes overlap, a snowball
        covers telegraph noise and telegraph noise covers a cosmic ray.

    Examples
    --------
    >>> from ohana.classes import Label
    >>> def pixel(label, col):
    ...     zero = np.zeros(1, np.int32)
    ...     return Event(label, zero, zero + col, zero, zero, zero, 0, 1.0)
    >>> paint_mask([pixel(Label.SNOWBALL, 1), pixel(Label.COSMIC_RAY, 1)], (1, 3))
    array([[0, 3, 0]], dtype=uint8)
    """
    return paint([(event.label, (event.rows, event.cols)) for event in events], shape)


def paint(
    members: Sequence[tuple[Label, tuple[np.ndarray, np.ndarray]]], shape: tuple[int, int]
) -> np.ndarray:
    """Mark rows and columns with their classes by mask priority; see `paint_mask`."""
    mask = np.zeros(shape, np.uint8)
    for label, pixels in sorted(members, key=lambda each: MASK_PRIORITY.index(each[0])):
        mask[pixels] = label
    return mask


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask as ``.npy``, whole or not at all."""
    with replacing(path) as temporary:
        np.save(temporary, mask, allow_pickle=False)
