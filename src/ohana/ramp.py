"""A ramp on disk, read in row blocks: where its reads are stored, and its detector."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from ohana.errors import OhanaError

#: Row blocks start at multiples of this number of rows, so that statistics pooled over tiles do
#: not depend on how an exposure is divided into blocks.
TILE_ROWS = 16
#: Bits of the flags of a read (JWST and Roman) that make it unusable.
DO_NOT_USE, SATURATED = 1, 2
#: What a mission may say of a pixel that is used all the same: bits of `Ramp.suspect`, from 1.
SUSPECT = ("dead", "hot", "warm", "unstable", "telegraph", "slow", "unreliable", "other")


@njit(nogil=True, cache=True)
def _from_big_endian(stored: np.ndarray, out: np.ndarray, scale: float, zero: float) -> None:
    """Write ``scale * value + zero`` of big-endian signed 16-bit values, given as uint16."""
    for row in range(stored.shape[0]):
        for col in range(stored.shape[1]):
            bits = stored[row, col]
            value = np.int16(np.uint16((bits >> 8) | (bits << 8)))
            out[row, col] = value * scale + zero


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
    zero : float or ndarray of float64, shape (T,)
        Added to each stored value, after ``scale`` (``BZERO``).
    scale : ndarray of float64, shape (T,), optional
        Multiplies each stored value, read by read (``BSCALE``; counts per rate).
    blank : int, optional
        Stored value that means no data (``BLANK``); becomes NaN.
    """

    path: Path
    offsets: np.ndarray
    shape: tuple[int, int]
    dtype: np.dtype
    zero: float | np.ndarray = 0.0
    scale: np.ndarray | None = None
    blank: int | None = None

    def __len__(self) -> int:
        return len(self.offsets)

    def select(self, reads: slice | np.ndarray) -> Planes:
        """Return the planes of some reads."""
        zero = self.zero[reads] if isinstance(self.zero, np.ndarray) else self.zero
        scale = None if self.scale is None else self.scale[reads]
        return replace(self, offsets=self.offsets[reads], zero=zero, scale=scale)

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as float32 (T, rows, cols).

        What is infinite, or the file declares blank, is NaN.

        Parameters
        ----------
        rows, cols : slice
            Window, with a positive step.

        Raises
        ------
        OhanaError
            If the file has become shorter or cannot be read.
        """
        out = np.empty((len(self), *_window_shape(self.shape, rows, cols)), np.float32)
        zeros = np.broadcast_to(np.asarray(self.zero, np.float64), len(self))
        scales = np.ones(len(self)) if self.scale is None else self.scale
        plain = self.scale is None and not np.any(zeros)
        for t, stored in enumerate(self._windows(rows, cols)):
            if self.dtype == ">i2":
                _from_big_endian(stored.view(np.uint16), out[t], scales[t], zeros[t])
            elif plain:
                out[t] = stored
            else:
                # In double precision, or 32-bit integers would lose their last digits.
                out[t] = stored.astype(np.float64) * scales[t] + zeros[t]
            if self.dtype.kind == "f":
                out[t][np.isinf(out[t])] = np.nan
            if self.blank is not None:
                out[t][stored == self.blank] = np.nan
        return out

    def read_stored(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as stored, for flags: (T, rows, cols)."""
        shape = (len(self), *_window_shape(self.shape, rows, cols))
        out = np.empty(shape, self.dtype.newbyteorder("="))
        for t, stored in enumerate(self._windows(rows, cols)):
            out[t] = stored
        return out

    def _windows(self, rows: slice, cols: slice) -> Iterator[np.ndarray]:
        """Yield a window of each image as stored, always in the same buffer.

        Reading a few rows into a buffer that stays in the cache is faster than a memory map and
        leaves no pages behind; a truncated file is an error, not a crash.
        """
        height, width = self.shape
        first, last, step = rows.indices(height)
        buffer = np.empty((max(last - first, 0), width), self.dtype)
        window = buffer[::step, cols]
        if not window.size:
            return
        into = buffer.view(np.uint8).data.cast("B")
        start = first * width * self.dtype.itemsize
        try:
            with open(self.path, "rb", buffering=0) as file:
                for offset in self.offsets:
                    file.seek(int(offset) + start)
                    if _fill(file, into) < len(into):
                        raise OhanaError(f"{self.path}: has become shorter while being read")
                    yield window
        except OSError as error:
            raise OhanaError(f"{self.path}: cannot be read: {error.strerror}") from error


def _window_shape(shape: tuple[int, int], rows: slice, cols: slice) -> tuple[int, int]:
    """Return the shape of a window of an image."""
    if (rows.step or 1) < 1 or (cols.step or 1) < 1:
        raise ValueError(f"rows, cols: wanted slices with positive steps, got {rows}, {cols}")
    return len(range(shape[0])[rows]), len(range(shape[1])[cols])


def _fill(file: io.RawIOBase, into: memoryview) -> int:
    """Read until the buffer is full or the file ends (one call stops at 2 GiB on Linux)."""
    done = 0
    while done < len(into) and (got := file.readinto(into[done:])):
        done += got
    return done


@dataclass(frozen=True)
class ExposureInfo:
    """Detector and time of an exposure; empty where not known.

    Attributes
    ----------
    telescope, instrument, detector : str
        As in the header, in capitals.
    start : str
        Begin of the exposure [UTC], ISO 8601 with milliseconds and no zone.
    corner : tuple of int
        Row and column on the detector of the first pixel of the array, from 0.
    """

    telescope: str = ""
    instrument: str = ""
    detector: str = ""
    start: str = ""
    corner: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class DetectorInfo:
    """Properties of the detector, and where each is from.

    Attributes
    ----------
    gain : float
        [e-/DN]
    saturation : float
        Raw value from which on a read is saturated [DN]; ``inf`` if there is none.
    frame_time : float
        Time between frames [s].
    read_noise : float or None
        RMS of one frame [DN]. One from a header is only reported: noise is then measured. One
        from the settings is used.
    outputs : int
        Number of read-out channels, side by side along the fast axis.
    border : int
        Width of the reference-pixel border [pixel], the most where sides differ; 0 for none.
    border_sides : tuple of bool or int
        Which sides of the array have that border, in the orientation of the file: the first
        rows, the last rows, the first columns, the last columns. A subarray may lack some. A
        number is the width of a side that has less of it.
    fast_axis, slow_axis : int
        JWST convention: 1 = columns, 2 = rows, negative when read in descending order.
    nframes : int
        Frames averaged into each read; the most where they differ.
    groupgap : int
        Frames dropped between the averaged ones of two reads.
    polarity : str
        "falling" where stored counts fall with light, so that `Ramp.planes` mirrors them.
    read_order : str
        "backward" where the last read is stored first; those of `Ramp.planes` are in order.
    origin : ExposureInfo
        Detector and time of the exposure.
    sources : dict
        Field name -> "header KEY", "config", "default" or "derived ...".
    """

    gain: float = 1.0
    saturation: float = np.inf
    frame_time: float = 1.0
    read_noise: float | None = None
    outputs: int = 1
    border: int = 0
    border_sides: tuple[bool | int, ...] = (True, True, True, True)
    fast_axis: int = 1
    slow_axis: int = 2
    nframes: int = 1
    groupgap: int = 0
    polarity: str = "rising"
    read_order: str = "forward"
    origin: ExposureInfo = ExposureInfo()
    sources: dict[str, str] = field(default_factory=dict)


class ReadQuality(NamedTuple):
    """How the reads of a ramp differ from each other, from the science pixels themselves.

    Attributes
    ----------
    white : ndarray of float64, shape (T,)
        Variance of the white noise of each read over the usual one.
    extra : ndarray of float64, shape (T - 1,)
        Further variance of each difference, in units of the read variance of one frame: added
        light, what differs from pixel to pixel in it, and random walks of all pixels.
    shot : ndarray of float64, shape (T - 1,)
        Shot noise of each difference over the usual one.
    unsearched : ndarray of bool, shape (T,)
        Reads in which steps are not searched: more pixels step than particles could make.
    lost : ndarray of bool, shape (T,)
        Reads between others that no pixel has.
    heavy_tails : bool
        Whether differences fall far below the others much more often than Gaussian noise does.
    """

    white: np.ndarray
    extra: np.ndarray
    shot: np.ndarray
    unsearched: np.ndarray
    lost: np.ndarray
    heavy_tails: bool = False

    @property
    def differs(self) -> bool:
        """Whether any read, or the noise of all, is not as usual."""
        odd = (self.white != 1, self.extra, self.shot != 1, self.unsearched, self.lost)
        return self.heavy_tails or any(bool(part.any()) for part in odd)

    def backwards(self) -> ReadQuality:
        """Return the quality of the reads in reverse order."""
        # A step from read f - 1 to f becomes one to read T - f.
        searched = np.append(self.unsearched[:1], self.unsearched[:0:-1])
        white, extra, shot, lost = (x[::-1] for x in (self.white, self.extra, self.shot, self.lost))
        return ReadQuality(white, extra, shot, searched, lost, self.heavy_tails)


def side_widths(border: int, sides: Sequence[bool | int]) -> tuple[int, ...]:
    """Return the widths of the border at the first rows, last rows, first and last columns [pixel].

    Parameters
    ----------
    border, sides
        ``border`` and ``border_sides`` of `DetectorInfo`.

    Examples
    --------
    >>> side_widths(4, (True, False, 2, True))
    (4, 0, 2, 4)
    """
    return tuple(border if side is True else min(int(side), border) for side in sides)


class RampBlock(NamedTuple):
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
        Path given by the user.
    planes : Planes
        The reads, in time order, in the orientation of the file.
    times : ndarray of float64, shape (T,)
        Mean time of each read [s], ascending.
    facts : DetectorInfo
        Properties of the detector.
    flags : Planes, optional
        Flags of each read, same shape as ``planes``, with the bits of JWST's GROUPDQ, of which
        DO_NOT_USE (1) and SATURATED (2) matter; see `Planes.read_stored`.
    bad_pixels : ndarray of bool, shape (H, W), optional
        Pixels that are never used.
    integration : int
        Index in the file.
    reference_done : bool
        Whether reference pixels have been subtracted already, according to the file.
    notes : tuple of str
        Notices for the user.
    scratch : object, optional
        Keeps the temporary folder with the planes of formats that cannot be read in place;
        the folder is removed with the last ramp that needs it.
    frames : ndarray of int, shape (T,), optional
        Frames averaged into each read, where they differ; ``facts.nframes`` is then the most.
    read_noise : ndarray of float, shape (H, W), optional
        Noise of one frame where it is known, NaN where it is to be measured [DN].
    quality : ReadQuality, optional
        How the reads differ, where they do.
    resets : tuple of int
        Reads that follow a reset within the ramp, ascending; they are not used.
    suspect : ndarray of uint8, shape (H, W), optional
        What the mission says against pixels that are used all the same: bits of `SUSPECT`.
    """

    name: str
    source: Path
    planes: Planes
    times: np.ndarray
    facts: DetectorInfo = field(default_factory=DetectorInfo)
    flags: Planes | None = None
    bad_pixels: np.ndarray | None = None
    integration: int = 0
    reference_done: bool = False
    notes: tuple[str, ...] = ()
    scratch: object | None = field(default=None, repr=False)
    frames: np.ndarray | None = None
    read_noise: np.ndarray | None = None
    quality: ReadQuality | None = None
    resets: tuple[int, ...] = ()
    suspect: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W)."""
        return (len(self.planes), *self.planes.shape)

    @property
    def averaged(self) -> np.ndarray:
        """Frames averaged into each read, int (T,)."""
        same = np.full(len(self.times), self.facts.nframes)
        return same if self.frames is None else self.frames


def suspect_pixels(flags: np.ndarray, meaning: Mapping[int, str]) -> np.ndarray | None:
    """Translate the flags of a mission into the bits of `SUSPECT`; None where no pixel has any.

    Parameters
    ----------
    flags : ndarray of int, shape (H, W)
        Flags of the mission.
    meaning : mapping
        Value of a flag -> entry of `SUSPECT`.

    Examples
    --------
    >>> suspect_pixels(np.array([[0, 16, 48]]), {16: "hot", 32: "unstable"})
    array([[ 0,  2, 10]], dtype=uint8)
    """
    out, flags = np.zeros(flags.shape, np.uint8), flags.astype(np.int64)
    for value, name in meaning.items():
        out[(flags & value) != 0] |= 1 << SUSPECT.index(name)
    return out if out.any() else None


def row_blocks(height: int, rows: int = TILE_ROWS) -> Iterator[slice]:
    """Divide ``height`` rows into blocks that start at multiples of ``TILE_ROWS``.

    Examples
    --------
    >>> [(b.start, b.stop) for b in row_blocks(40)]
    [(0, 16), (16, 32), (32, 40)]
    """
    if rows % TILE_ROWS:
        raise ValueError(f"rows: wanted a multiple of {TILE_ROWS}, got {rows}")
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))
