"""Events of two lists that share pixels at about the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Members:
    """Pixels of a list of ``size`` events, sorted by pixel: number, event and first read of each.

    First reads are NaN for telegraph noise, which is present at all times. ``order`` is the index
    of each entry in the concatenated pixel lists of the events.
    """

    size: int
    order: np.ndarray
    pixel: np.ndarray
    event: np.ndarray
    read: np.ndarray

    @classmethod
    def gather(
        cls, events: Sequence[tuple[np.ndarray, np.ndarray, int | None]], width: int
    ) -> Members:
        """Collect events given as (rows, cols, first read) on an array of some width."""
        sizes = [len(rows) for rows, _, _ in events]
        frames = np.array([np.nan if frame is None else frame for _, _, frame in events], float)
        parts = [np.int64(width) * rows + cols for rows, cols, _ in events]
        pixel = np.concatenate([np.empty(0, np.int64), *parts])
        order = np.argsort(pixel, kind="stable")
        event = np.repeat(np.arange(len(events)), sizes)[order]
        return cls(len(events), order, pixel[order], event, frames[event])

    def select(self, which: np.ndarray) -> Members:
        """Return the entries of a boolean array; events keep their numbers."""
        return Members(
            self.size, self.order[which], self.pixel[which], self.event[which], self.read[which]
        )

    def shared(self, other: Members) -> tuple[np.ndarray, np.ndarray]:
        """Return all pairs of entries, own and the other's, of the same pixel."""
        low = np.searchsorted(other.pixel, self.pixel, "left")
        count = np.searchsorted(other.pixel, self.pixel, "right") - low
        mine = np.repeat(np.arange(len(self.pixel)), count)
        within = np.arange(len(mine)) - np.repeat(np.cumsum(count) - count, count)
        return mine, np.repeat(low, count) + within

    def lag(self, other: Members) -> np.ndarray:
        """Return, for each entry, the reads by which the other's nearest first read is later.

        Negative if it is earlier, 0 where either is telegraph noise, inf where the other has no
        event in this pixel.
        """
        mine, theirs = self.shared(other)
        late = np.nan_to_num(other.read[theirs] - self.read[mine])
        return nearest(late, mine, len(self.pixel))

    def gap(self, other: Members) -> np.ndarray:
        """Return, for each entry, the distance to the other's nearest first read; inf if none."""
        return np.abs(self.lag(other))

    def alone(self) -> np.ndarray:
        """Return which entries are of pixels that belong to one event only."""
        pixel, count = np.unique(self.pixel, return_counts=True)
        return count[np.searchsorted(pixel, self.pixel)] == 1

    def matches(
        self, other: Members, tolerance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pairs of events that share a pixel at about the same time.

        Parameters
        ----------
        other : Members
            Events on the same array.
        tolerance : ndarray, shape (size,)
            Largest difference of first reads, for each own event [reads].

        Returns
        -------
        own, others : ndarray of int
            Events of each pair, without repetition.
        pixels : ndarray of int
            Number of pixels that the two share.
        """
        mine, theirs = self.shared(other)
        late = np.nan_to_num(other.read[theirs] - self.read[mine])
        near = np.abs(late) <= tolerance[self.event[mine]]
        pairs = self.event[mine[near]] * other.size + other.event[theirs[near]]
        pairs, pixels = np.unique(pairs, return_counts=True)
        own, others = np.divmod(pairs, max(other.size, 1))
        return own, others, pixels


def nearest(late: np.ndarray, owner: np.ndarray, size: int) -> np.ndarray:
    """Return the smallest lag of each of ``size`` owners, inf for those without any.

    Examples
    --------
    >>> nearest(np.array([5, -1, 1, 2]), np.array([0, 0, 0, 2]), 3)  # of -1 and 1 the later
    array([ 1., inf,  2.])
    """
    smallest_last = np.lexsort((late, -np.abs(late)))
    out = np.full(size, np.inf)
    out[owner[smallest_last]] = late[smallest_last]
    return out
