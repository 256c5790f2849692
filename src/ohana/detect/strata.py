"""Strata: parts of an exposure in which false events may be more frequent than elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from scipy import stats

from ohana.detect.cosmic_rays import RayCandidates
from ohana.detect.tuning import TUNING
from ohana.events import Event, PixelMaps
from ohana.ramp import SUSPECT


class Place(IntEnum):
    """Strata of pixels; those of single reads follow."""

    ORDINARY = 0
    SUSPECT = 1
    NOISY = 2
    BRIGHT = 3
    LINES = 4


class Members(NamedTuple):
    """Events as far as strata and rates matter, arrays of shape (m,).

    Attributes
    ----------
    significance : ndarray
        Of the most significant pixel [sigma].
    size : ndarray of int
        Pixels.
    read : ndarray of int
        First read.
    row, col : ndarray of int
        Strongest pixel.
    place : ndarray of int
        `Place` of the strongest pixel, ordinary if any clear pixel is.
    """

    significance: np.ndarray
    size: np.ndarray
    read: np.ndarray
    row: np.ndarray
    col: np.ndarray
    place: np.ndarray

    def select(self, which: np.ndarray) -> Members:
        """Return some of the events."""
        return Members(*(column[which] for column in self))


class Strata(NamedTuple):
    """How an exposure is divided.

    Attributes
    ----------
    place : ndarray of uint8, shape (H, W)
        `Place` of each pixel.
    reads : ndarray of int
        Reads with more events than the others can explain: a stratum each.
    rows, cols : ndarray of int
        Rows and columns of the same kind, together the stratum ``LINES``.
    share : ndarray, shape (5 + reads,)
        Pixels and time of each stratum over those of the ordinary one.
    """

    place: np.ndarray
    reads: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    share: np.ndarray

    def backwards(self, reads: int) -> Strata:
        """Return the same for the time-reversed ramps of so many reads."""
        return self._replace(reads=reads - self.reads)

    def of(self, events: Members) -> np.ndarray:
        """Return the stratum of events, shape (m,)."""
        which = events.place.astype(int)
        lines = np.isin(events.row, self.rows) | np.isin(events.col, self.cols)
        which[lines & (which == Place.ORDINARY)] = Place.LINES
        for number, read in enumerate(self.reads):
            which[events.read == read] = len(Place) + number
        return which


def places_of(maps: PixelMaps, suspect: np.ndarray | None) -> np.ndarray:
    """Return the `Place` of each pixel, uint8 (H, W).

    Parameters
    ----------
    maps : PixelMaps
        Per-pixel results.
    suspect : ndarray of uint8, shape (H, W), optional
        See `ohana.ramp.Ramp`.
    """
    place = np.zeros(maps.stop.shape, np.uint8)
    known = np.isfinite(maps.rate) & np.isfinite(maps.noise)
    if known.any():
        rate, noise = (float(np.median(x[known])) for x in (maps.rate, maps.noise))
        # What a rate must exceed to stand out of its own error, within the few reads of one hit.
        usual = max(rate, noise / max(float(np.median(maps.stop[known])), 1.0))
        with np.errstate(invalid="ignore"):
            place[maps.rate > TUNING.bright_pixel * usual] = Place.BRIGHT
            place[maps.noise > TUNING.noisy_pixel * maps.neighbour_noise] = Place.NOISY
    if suspect is not None:
        place[suspect > 0] = Place.SUSPECT
    return place


def members_of(found: RayCandidates, place: np.ndarray, threshold: float) -> Members:
    """Describe candidates; ``threshold`` [sigma] is that of clear pixels."""
    steps, start = found.steps, found.start
    row, col = steps.row[start], steps.col[start]
    return Members(
        found.significance,
        found.size,
        found.first_frame,
        row,
        col,
        _place(steps.row, steps.col, steps.significance, start, place, threshold),
    )


def members_of_events(events: Sequence[Event], place: np.ndarray, threshold: float) -> Members:
    """Describe events that have a first read, see `members_of`."""
    size = np.array([len(event.rows) for event in events], int)
    start = np.cumsum(size) - size
    empty = np.empty(0, np.int32)
    rows, cols, sigma = (
        np.concatenate([empty, *(getattr(event, name) for event in events)])
        for name in ("rows", "cols", "significance")
    )
    rows, cols = rows.astype(int), cols.astype(int)
    best = np.fmax.reduceat(sigma, start) if len(events) else sigma
    read = np.array([event.first_frame for event in events], int)
    where = _place(rows, cols, sigma, start, place, threshold)
    return Members(np.nan_to_num(best), size, read, rows[start], cols[start], where)


def _place(
    row: np.ndarray,
    col: np.ndarray,
    significance: np.ndarray,
    start: np.ndarray,
    place: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Return the place of each event, of whose pixels ``start`` is the first."""
    if not len(start):
        return np.empty(0, np.uint8)
    own = place[row, col]
    ordinary = (own == Place.ORDINARY) & (significance >= threshold)
    return np.where(np.logical_or.reduceat(ordinary, start), Place.ORDINARY, own[start])


def tell_suspects(events: list[Event], suspect: np.ndarray | None) -> list[Event]:
    """Add to events whose strongest pixel is flagged by the mission what it says of the pixel."""
    if suspect is None:
        return events
    told = []
    for event in events:
        bits = int(suspect[event.peak])
        names = [name for bit, name in enumerate(SUSPECT) if bits >> bit & 1]
        extra = event.extra | {"on_suspect_pixel": names} if names else event.extra
        told.append(replace(event, extra=extra))
    return told


def divide(
    rays: Members, decoys: Members, place: np.ndarray, usable: np.ndarray, reads: int
) -> Strata:
    """Divide an exposure into strata.

    Parameters
    ----------
    rays, decoys : Members
        Candidates for cosmic rays, and for their decoys.
    place : ndarray of uint8, shape (H, W)
        `Place` of each pixel.
    usable : ndarray of bool, shape (H, W)
        Pixels that are searched.
    reads : int
        Reads of the ramp.
    """
    height, width = place.shape
    pixels = max(int(usable.sum()), 1)
    crowded = _crowded_reads(rays, decoys, reads, pixels)
    rest = decoys.select((decoys.place == Place.ORDINARY) & ~np.isin(decoys.read, crowded))
    rows, cols = (
        _crowded(np.bincount(line, minlength=n))
        for line, n in ((rest.row, height), (rest.col, width))
    )
    time = 1 / max(reads - 1, 1)
    part = np.bincount(place[usable], minlength=len(Place)) / pixels
    part[Place.LINES] = min(len(rows) / height + len(cols) / width, 0.5)
    part *= 1 - len(crowded) * time
    part[Place.ORDINARY] -= part[Place.LINES]
    share = np.append(part, np.full(len(crowded), time))
    share /= max(part[Place.ORDINARY], TUNING.least_share)
    share[Place.ORDINARY] = 1.0
    return Strata(place, crowded, rows, cols, share)


def _crowded_reads(rays: Members, decoys: Members, reads: int, pixels: int) -> np.ndarray:
    """Return the reads in which too many pixels fall, or in which too many rise for a rain.

    Not even the densest rain of particles is many times denser in one read than in the others.
    """
    falls = _crowded(np.bincount(decoys.read, minlength=reads)[:reads], skip=1)
    events = np.bincount(rays.read, minlength=reads)[:reads]
    covered = np.bincount(rays.read, rays.size, minlength=reads)[:reads]
    usual = float(np.median(events[1:])) if reads > 1 else 0.0
    many = covered > TUNING.crowded_pixels * pixels
    many &= events > TUNING.crowded_events[0] * usual + TUNING.crowded_events[1]
    # Nothing that arrives covers so much of an array at once, as one event or as many.
    many |= covered > TUNING.crowded_array * pixels
    return np.union1d(falls, np.flatnonzero(many))


def _crowded(count: np.ndarray, skip: int = 0) -> np.ndarray:
    """Return the entries whose counts chance does not explain, the first ``skip`` apart.

    Examples
    --------
    >>> _crowded(np.array([0, 1, 9, 0, 1, 0, 1]))
    array([2])
    """
    some = count[skip:]
    if some.sum() < TUNING.crowded_decoys:
        return np.empty(0, int)
    usual = max(float(np.median(some)), TUNING.usual_decoys, some.sum() / (4 * len(some)))
    unlikely = stats.poisson.sf(count - 1, usual) < TUNING.crowded_chance / len(some)
    unlikely[:skip] = False
    return np.flatnonzero(unlikely & (count >= TUNING.crowded_decoys))
