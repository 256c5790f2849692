"""A ramp on disk that can be walked in row blocks: where its reads lie and what is known of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: Row blocks start at multiples of this, so that statistics pooled over tiles do not
#: depend on how an exposure is cut into blocks.
TILE_ROWS = 16


@dataclass(frozen=True)
class Planes:
    """Uncompressed images of one shape and type at known offsets of a file.

    Attributes
    ----------
    path : Path
        File that holds the images.
    offsets : ndarray of int64, shape (T,)
        First byte of each image, in the order of the reads.
    shape : tuple of int
        (H, W) of one image.
    dtype : numpy.dtype
        Type as stored, byte order included (``>i2``, ``<f4``, ...).
    zero : float
        Added to each stored value (``BZERO``).
    scale : ndarray of float64, shape (T,), optional
        Multiplies each stored value, read by read (``BSCALE``; counts per rate).
    """

    path: Path
    offsets: np.ndarray
    shape: tuple[int, int]
    dtype: np.dtype
    zero: float = 0.0
    scale: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as float32 (T, rows, cols).

        The map is made anew in each call, so that pages it touched do not pile up
        in memory while an exposure is walked.
        """
        first = int(self.offsets.min())
        height, width = self.shape
        size = height * width * self.dtype.itemsize
        raw = np.memmap(self.path, np.uint8, "r", first, int(self.offsets.max()) - first + size)
        shape = np.broadcast_to(np.int8(0), self.shape)[rows, cols].shape
        out = np.empty((len(self), *shape), np.float32)
        for t, offset in enumerate(self.offsets - first):
            plane = raw[offset : offset + size].view(self.dtype).reshape(self.shape)[rows, cols]
            out[t] = plane
            if self.scale is not None:
                out[t] *= self.scale[t]
        if self.zero:
            out += np.float32(self.zero)
        return out


@dataclass(frozen=True)
class Facts:
    """What is known of the detector, and from where.

    Attributes
    ----------
    gain : float
        [e-/DN]
    saturation : float
        Raw value from which a read counts as saturated [DN]; ``inf`` if there is none.
    frame_time : float
        Time between frames [s].
    read_noise : float or None
        RMS of one frame [DN] if the header gives one; the noise used is always measured.
    outputs : int
        Number of read-out channels, side by side along the fast axis.
    border : int
        Width of the reference-pixel border [pixel]; 0 for none.
    fast_axis, slow_axis : int
        JWST convention: 1 = columns, 2 = rows, negative when read in descending order.
    nframes : int
        Frames averaged into each read.
    groupgap : int
        Frames dropped between the averaged ones of two reads.
    sources : dict
        Field name -> "header KEY", "config", "default" or "derived ...".
    """

    gain: float = 1.0
    saturation: float = np.inf
    frame_time: float = 1.0
    read_noise: float | None = None
    outputs: int = 1
    border: int = 0
    fast_axis: int = 1
    slow_axis: int = 2
    nframes: int = 1
    groupgap: int = 0
    sources: dict[str, str] = field(default_factory=dict)


class Block(NamedTuple):
    """Part of a ramp in memory.

    ``data`` is float32 (T, rows, cols) [DN], NaN where a read is flagged or not finite;
    ``stop`` is int32 (rows, cols), the first saturated read (T where none is): reads from
    there on must not be used.
    """

    data: np.ndarray
    stop: np.ndarray


@dataclass(frozen=True)
class Ramp:
    """One integration of an exposure.

    Attributes
    ----------
    name : str
        Exposure name: the file name without its endings.
    source : Path
        What the user gave.
    planes : Planes
        The reads, in time order, in the orientation of the file.
    times : ndarray of float64, shape (T,)
        Mean time of each read [s], ascending.
    facts : Facts
        What is known of the detector.
    flags : Planes, optional
        Group flags (JWST GROUPDQ bits), same shape as ``planes``.
    bad_pixels : ndarray of bool, shape (H, W), optional
        Pixels that must not be used at all.
    integration : int
        Index in the file.
    reference_done : bool
        The file says that reference pixels have been subtracted already.
    notes : tuple of str
        Notices for the user.
    scratch : TemporaryDirectory, optional
        Holds the planes of formats that cannot be mapped; removed with the ramp.
    """

    name: str
    source: Path
    planes: Planes
    times: np.ndarray
    facts: Facts = field(default_factory=Facts)
    flags: Planes | None = None
    bad_pixels: np.ndarray | None = None
    integration: int = 0
    reference_done: bool = False
    notes: tuple[str, ...] = ()
    scratch: tempfile.TemporaryDirectory | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W)."""
        return (len(self.planes), *self.planes.shape)


def row_blocks(height: int, rows: int = TILE_ROWS) -> Iterator[slice]:
    """Cut ``height`` rows into blocks that start at multiples of ``TILE_ROWS``.

    Examples
    --------
    >>> [(b.start, b.stop) for b in row_blocks(40)]
    [(0, 16), (16, 32), (32, 40)]
    """
    if rows % TILE_ROWS:
        raise ValueError(f"rows: wanted a multiple of {TILE_ROWS}, got {rows}")
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))
