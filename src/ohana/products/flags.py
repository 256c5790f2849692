"""Flags of reads and pixels, with the bits of JWST and Roman, from a catalogue.

As in their pipelines a read is flagged JUMP_DET where the step from the read before leads to it,
and SATURATED from where it is full on. Neither has a bit for snowballs: the core becomes
SATURATED, the halo JUMP_DET. Telegraph noise is a property of the pixel: TELEGRAPH in PIXELDQ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ohana.classes import Label, label_of
from ohana.ramp import DO_NOT_USE, SATURATED, Planes
from ohana.results.catalogue import Detection, member_pixels

JUMP_DET = 4
TELEGRAPH = 1 << 15

#: Growth of the footprint of snowballs [pixel]; cosmic rays grow by their four neighbours. Charge
#: below the threshold of a member still biases a slope. Chosen.
HALO_GROWTH = 5
#: Reads flagged after a snowball, while its surroundings still change; fewer where little of the
#: ramp would remain. Chosen.
SNOWBALL_READS = 8


class Jumps(NamedTuple):
    """Reads that begin with a step, one entry for each pixel and read, in order of reads.

    Attributes
    ----------
    read, row, col : ndarray of int, shape (n,)
        First read with the step, and the pixel.
    """

    read: np.ndarray
    row: np.ndarray
    col: np.ndarray

    def between(self, first: int, last: int) -> Jumps:
        """Return the jumps of some reads, the last one not included."""
        some = slice(*np.searchsorted(self.read, [first, last]))
        return Jumps(*(column[some] for column in self))


def join_jumps(parts: Sequence[Jumps], shape: tuple[int, int, int]) -> Jumps:
    """Merge jumps in an array (T, H, W) without duplicates, sorted by read, row and column."""
    none = np.empty(0, np.int64)
    every = [
        np.concatenate(columns) for columns in zip(Jumps(none, none, none), *parts, strict=True)
    ]
    read, row, col = np.unravel_index(np.unique(np.ravel_multi_index(every, shape)), shape)
    return Jumps(read, row, col)


def ray_jumps(events: Sequence[Detection], shape: tuple[int, int, int]) -> Jumps:
    """Return first reads and pixels of charge other than snowballs, with neighbouring pixels.

    Parameters
    ----------
    events : sequence of dict
        Entries of a catalogue.
    shape : tuple of int
        (T, H, W).

    Examples
    --------
    >>> hit = {"type": "cosmic_ray", "first_frame": 3, "pixels": [[0, 0]]}
    >>> ray_jumps([hit], (6, 8, 8))
    Jumps(read=array([3, 3, 3]), row=array([0, 0, 1]), col=array([0, 1, 0]))
    """
    parts = []
    for event in events:
        label = label_of(event["type"])
        adds_charge = label.traits.adds_charge and label != Label.SNOWBALL
        if adds_charge and event["first_frame"]:
            rows, cols = _grown(event, 1, shape[1:])
            parts.append(Jumps(np.full(len(rows), event["first_frame"]), rows, cols))
    return join_jumps(parts, shape)


def snowball_jumps(events: Sequence[Detection], shape: tuple[int, int, int]) -> Jumps:
    """Return reads and pixels in which snowballs arrive and grow; see `ray_jumps`."""
    parts = []
    for event in events:
        if event["type"] == Label.SNOWBALL.key and event["first_frame"]:
            rows, cols = _grown(event, HALO_GROWTH, shape[1:])
            first = event["first_frame"]
            later = min(SNOWBALL_READS, max(first - 1, (shape[0] - 1 - first) // 2))
            reads = range(first, min(first + later + 1, shape[0]))
            parts += [Jumps(np.full(len(rows), read), rows, cols) for read in reads]
    return join_jumps(parts, shape)


def _grown(event: Detection, pixels: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of an event and those around it."""
    rows, cols = member_pixels(event)
    top, left = (max(axis.min() - pixels, 0) for axis in (rows, cols))
    bottom, right = (
        min(axis.max() + pixels + 1, size) for axis, size in zip((rows, cols), shape, strict=True)
    )
    member = np.zeros((bottom - top, right - left), bool)
    member[rows - top, cols - left] = True
    rows, cols = np.nonzero(ndimage.binary_dilation(member, iterations=pixels))
    return rows + top, cols + left


def saturated_from(events: Sequence[Detection], stop: np.ndarray) -> np.ndarray:
    """Return the first saturated read of each pixel, cores of snowballs included: int32 (H, W).

    Parameters
    ----------
    events : sequence of dict
        Entries of a catalogue, of one integration.
    stop : ndarray of int, shape (H, W)
        First saturated read of the ramps; T where there is none.
    """
    full = stop.astype(np.int32)
    for event in events:
        if event["type"] != Label.SNOWBALL.key or event["first_frame"] is None:
            continue
        rows, cols = member_pixels(event)
        centre, radius = event["centroid"], event.get("core_radius") or 0.0
        core = np.hypot(rows - centre[0], cols - centre[1]) <= radius
        rows, cols = rows[core], cols[core]
        full[rows, cols] = np.minimum(full[rows, cols], event["first_frame"])
    return full


def group_flags(
    jumps: Jumps, full: np.ndarray, reads: int, before: Planes | None = None
) -> Iterator[np.ndarray]:
    """Yield the flags of each read, uint8 (H, W), in order of time.

    Parameters
    ----------
    jumps : Jumps
        From `ohana.products.fit.fit_integration`.
    full : ndarray of int, shape (H, W)
        First saturated read of each pixel.
    reads : int
        T.
    before : Planes, optional
        Flags of the input, which are kept.

    Examples
    --------
    >>> jumps = Jumps(np.array([1, 1, 2]), np.array([0, 0, 0]), np.array([0, 1, 0]))
    >>> [flags.tolist() for flags in group_flags(jumps, np.array([[2, 1]]), 3)]
    [[[0, 0]], [[4, 2]], [[2, 2]]]
    """
    for read in range(reads):
        flags = np.zeros(full.shape, np.uint8)
        if before is not None:
            flags[:] = before.select(slice(read, read + 1)).read_stored()[0]
        flags[full <= read] |= SATURATED
        _, row, col = jumps.between(read, read + 1)
        good = flags[row, col] & (DO_NOT_USE | SATURATED) == 0
        flags[row[good], col[good]] |= JUMP_DET
        yield flags


def pixel_flags(events: Sequence[Detection], before: np.ndarray) -> np.ndarray:
    """Return flags of pixels: those from ``before`` (H, W), and TELEGRAPH; uint32 (H, W)."""
    flags = before.astype(np.uint32)
    for event in events:
        if event["type"] == Label.TELEGRAPH_NOISE.key:
            flags[member_pixels(event)] |= TELEGRAPH
    return flags
