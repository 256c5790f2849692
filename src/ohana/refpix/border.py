"""The reference-pixel border of a ramp, the only pixels read by the correction."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ohana.errors import OhanaError
from ohana.ramp import DO_NOT_USE, SATURATED, Ramp, side_widths
from ohana.raw.missing import find_missing

#: Reads per task of a thread; few, so that all threads finish at about the same time.
READS_PER_TASK = 8


@dataclass(frozen=True)
class Strips:
    """All reads of the four sides of the border, float32 [DN], NaN where not usable.

    Corner pixels are in two strips each.

    Attributes
    ----------
    bottom, top : ndarray, shape (T, b, W)
        First and last ``b`` rows.
    left, right : ndarray, shape (T, H, b)
        First and last ``b`` columns.
    """

    bottom: np.ndarray
    top: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def transposed(self) -> Strips:
        """Return the strips of the array with rows and columns exchanged."""
        strips = (self.left, self.right, self.bottom, self.top)
        return Strips(*(np.ascontiguousarray(strip.swapaxes(1, 2)) for strip in strips))


def border_slices(shape: tuple[int, int], border: int) -> list[tuple[slice, slice]]:
    """Return (rows, cols) of the bottom, top, left and right strip.

    Raises
    ------
    ValueError
        If the border does not leave a pixel in the middle.

    Examples
    --------
    >>> border_slices((8, 6), 2)[1]
    (slice(6, 8, None), slice(0, 6, None))
    """
    height, width = shape
    if not 0 < 2 * border < min(height, width):
        raise ValueError(
            f"border: wanted 1 to {(min(height, width) - 1) // 2} pixels "
            f"for {height} x {width}, got {border}"
        )
    rows, cols = slice(0, height), slice(0, width)
    return [
        (slice(0, border), cols),
        (slice(height - border, height), cols),
        (rows, slice(0, border)),
        (rows, slice(width - border, width)),
    ]


def strips_of(cube: np.ndarray, border: int) -> Strips:
    """Copy the border of a cube (T, H, W) in memory."""
    slices = border_slices(cube.shape[1:], border)
    return Strips(*(np.array(cube[:, rows, cols], np.float32, order="C") for rows, cols in slices))


def border_strips(ramp: Ramp, threads: int | None = None) -> Strips:
    """Read the border of a ramp on disk, leaving out unusable reads and missing sides.

    Parameters
    ----------
    ramp : Ramp
        ``ramp.facts`` says how wide the border is and which sides have it.
    threads : int, optional
        As many as there are cores if absent.

    Raises
    ------
    OhanaError
        If the array is too small for the border, or the file cannot be read.
    """
    try:
        slices = border_slices(ramp.planes.shape, ramp.facts.border)
    except ValueError as error:
        raise OhanaError(f"{ramp.source}: {error}") from None
    shape = np.broadcast_to(np.float32(0), ramp.shape)
    strips = [np.full(shape[:, rows, cols].shape, np.float32("nan")) for rows, cols in slices]
    widths = side_widths(ramp.facts.border, ramp.facts.border_sides)
    present = [side for side in zip(strips, slices, range(4), strict=True) if widths[side[2]]]

    def fill(start: int) -> None:
        some = slice(start, start + READS_PER_TASK)
        for strip, where, side in present:
            strip[some] = _usable(ramp, some, *where)
            rows, cols = beyond(ramp.facts.border, widths[side], side)
            strip[some][:, rows, cols] = np.nan

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(fill, range(0, len(shape), READS_PER_TASK)))
    for strip, (_, cols), _ in present:
        # A few pixels of a row may repeat their values by chance.
        find_missing(strip, ramp.facts.saturation, repeats=cols == slice(0, ramp.shape[2]))
    return Strips(*strips)


def beyond(border: int, width: int, side: int) -> tuple[slice, slice]:
    """Return which rows and columns of a strip lie within the border of a narrower side.

    Examples
    --------
    >>> beyond(4, 3, 0), beyond(4, 3, 1)  # the last of the first rows, the first of the last rows
    ((slice(3, 4, None), slice(None, None, None)), (slice(0, 1, None), slice(None, None, None)))
    """
    light = slice(0, border - width) if side % 2 else slice(width, border)
    return (light, slice(None)) if side < 2 else (slice(None), light)


def _usable(ramp: Ramp, reads: slice, rows: slice, cols: slice) -> np.ndarray:
    """Return some pixels of some reads, NaN where saturated, flagged or known to be bad."""
    data = ramp.planes.select(reads).read(rows, cols)
    data[data >= ramp.facts.saturation] = np.nan
    if ramp.flags is not None:
        flags = ramp.flags.select(reads).read_stored(rows, cols)
        data[(flags & (DO_NOT_USE | SATURATED)) != 0] = np.nan
    if ramp.bad_pixels is not None:
        data[:, ramp.bad_pixels[rows, cols]] = np.nan
    return data


def border_mask(ramp: Ramp, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
    """Return the reference pixels of a window (boolean)."""
    _, height, width = ramp.shape
    border = np.zeros((height, width), bool)
    bottom, top, left, right = side_widths(ramp.facts.border, ramp.facts.border_sides)
    border[:bottom] = True
    border[height - top :] = True
    border[:, :left] = True
    border[:, width - right :] = True
    return border[rows, cols]
