"""The reads of one integration, a window at a time, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np

from ohana.config import DetectorConfig
from ohana.ramp import Ramp, row_blocks

#: Row blocks of an input that are kept: few, as one of a long exposure is 60 MB.
KEPT_BLOCKS = 4


class Reads(Protocol):
    """Corrected reads (T, H, W) [DN], read 0 at zero; nothing is loaded before it is asked for."""

    shape: tuple[int, int, int]

    def window(self, reads: range, rows: range, cols: range) -> np.ndarray:
        """Return some reads of a window, float32."""


class StoredReads:
    """Reads 1 to T - 1 in an array, mostly a memory-mapped file.

    Examples
    --------
    >>> stored = StoredReads(np.ones((4, 8, 8), np.float32))
    >>> stored.shape, stored.window(range(0, 3), range(2, 3), range(5, 6)).ravel()
    ((5, 8, 8), array([0., 1., 1.], dtype=float32))
    """

    def __init__(self, cube: np.ndarray) -> None:
        self.cube = cube
        self.shape = (len(cube) + 1, *cube.shape[1:])

    def window(self, reads: range, rows: range, cols: range) -> np.ndarray:
        """Return some reads of a window, float32."""
        out = np.zeros((len(reads), len(rows), len(cols)), np.float32)
        zero = int(0 in reads)
        later = slice(max(reads.start - 1, 0), max(reads.stop - 1, 0))
        out[zero:] = self.cube[later, rows.start : rows.stop, cols.start : cols.stop]
        return out


class InputReads:
    """Reads of an input, corrected when they are asked for.

    Whole row blocks are read, and the last few kept: go through many pixels in order of rows.
    """

    def __init__(self, ramp: Ramp, config: DetectorConfig) -> None:
        self.ramp, self.config, self.shape = ramp, config, ramp.shape
        self._block = lru_cache(KEPT_BLOCKS)(self._load)

    def window(self, reads: range, rows: range, cols: range) -> np.ndarray:
        """Return some reads of a window, float32."""
        out = np.empty((len(reads), len(rows), len(cols)), np.float32)
        for block in self._blocks(rows):
            here = range(max(block.start, rows.start), min(block.stop, rows.stop))
            data = self._block(block.start, block.stop)
            part = slice(here.start - block.start, here.stop - block.start)
            into = slice(here.start - rows.start, here.stop - rows.start)
            out[:, into] = data[reads.start : reads.stop, part, cols.start : cols.stop]
        return out

    def _blocks(self, rows: range) -> Iterator[slice]:
        """Give the row blocks that hold some rows."""
        for block in row_blocks(self.shape[1]):
            if block.start < rows.stop and block.stop > rows.start:
                yield block

    def _load(self, start: int, stop: int) -> np.ndarray:
        from ohana.walk import load_block

        return load_block(self._source, slice(start, stop))[0].data

    @cached_property
    def _source(self):
        from ohana.refpix import fit_reference
        from ohana.walk import Source

        return Source(self.ramp, fit_reference(self.ramp, self.config)[0])
