"""Which events of two lists lie on the same pixels, at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Members:
    """Pixels of a list of ``size`` events, sorted by pixel: number, event and first read of each.

    First reads are -1 for telegraph noise. ``order`` says which entry of the events' own lists,
    one after another, each came from.
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
        frames = np.array([-1 if frame is None else frame for _, _, frame in events], np.int64)
        parts = [np.int64(width) * rows + cols for rows, cols, _ in events]
        pixel = np.concatenate([np.empty(0, np.int64), *parts])
        order = np.argsort(pixel, kind="stable")
        event = np.repeat(np.arange(len(events)), sizes)[order]
        return cls(len(events), order, pixel[order], event, frames[event])

    def shared(self, other: Members) -> tuple[np.ndarray, np.ndarray]:
        """Return all pairs of entries, own and the other's, that are of the same pixel."""
        low = np.searchsorted(other.pixel, self.pixel, "left")
        count = np.searchsorted(other.pixel, self.pixel, "right") - low
        mine = np.repeat(np.arange(len(self.pixel)), count)
        within = np.arange(len(mine)) - np.repeat(np.cumsum(count) - count, count)
        return mine, np.repeat(low, count) + within

    def gap(self, other: Members) -> np.ndarray:
        """Return how far the nearest first read of the other's is, for each entry; inf if none."""
        mine, theirs = self.shared(other)
        gap = np.full(len(self.pixel), np.inf)
        np.minimum.at(gap, mine, np.abs(self.read[mine] - other.read[theirs]))
        return gap

    def matches(self, other: Members, tolerance: np.ndarray) -> np.ndarray:
        """Return pairs of events (own, other's), int (2, n), each once.

        Those that share a pixel and whose first reads differ by no more than ``tolerance``,
        given for each own event.
        """
        mine, theirs = self.shared(other)
        gap = np.abs(self.read[mine] - other.read[theirs])
        near = gap <= tolerance[self.event[mine]]
        pairs = np.stack([self.event[mine[near]], other.event[theirs[near]]])
        return np.unique(pairs, axis=1)
