"""Seamless windows of an exposure in space and time, in bounded memory."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from ohana.network.contract import Network3D
from ohana.network.inputs import OF_READS

Triple = tuple[int, int, int]

#: Memory for reads, features and network of a window [bytes], in addition to about 1 GB of the
#: process. Larger windows have less overlap.
MAX_BYTES = 1_300_000_000
#: Fraction of the network's work that is repeated where windows overlap in time.
REPEATED = 0.5


class Span(NamedTuple):
    """Part of an axis: the part to keep, and the whole with its context."""

    kept: slice
    whole: slice

    @property
    def inside(self) -> slice:
        """Position of the kept part within ``whole``."""
        first = self.kept.start - self.whole.start
        return slice(first, first + self.kept.stop - self.kept.start)


class Tiling(NamedTuple):
    """Parts of an exposure: each combination of reads, rows and columns is a window."""

    times: list[Span]
    rows: list[Span]
    cols: list[Span]


def spans(length: int, side: int, context: int) -> list[Span]:
    """Cut an axis into parts of length ``side``, with ``context`` on each side within the axis.

    Examples
    --------
    >>> [(span.whole.start, span.kept.start, span.kept.stop) for span in spans(20, 8, 4)]
    [(0, 0, 8), (4, 8, 16), (12, 16, 20)]
    """
    kept = [slice(start, min(start + side, length)) for start in range(0, length, side)]
    return [
        Span(part, slice(max(part.start - context, 0), min(part.stop + context, length)))
        for part in kept
    ]


class _Axis(NamedTuple):
    """One way to cut an axis: its parts, their maximum and their total length."""

    parts: list[Span]
    longest: int
    total: int


def tile(shape: Triple, model: Network3D, most_bytes: int = MAX_BYTES) -> Tiling:
    """Cut an exposure with the least overlap that memory allows.

    Parameters
    ----------
    shape : tuple of int
        (T, H, W).
    model : Network3D
        Its ``stride`` and ``context`` decide where windows begin and their margins.
    most_bytes : int
        For reads, features and network; the smallest possible windows may take more.

    Returns
    -------
    Tiling
        Corners are multiples of the stride of the network.
    """
    reads = shape[0]

    def cost(axes: tuple[_Axis, ...]) -> tuple[float, float]:
        time, rows, cols = axes
        pixel = 4 * reads * (1 + OF_READS) + model.bytes_per_voxel * time.longest
        excess = pixel * rows.longest * cols.longest - most_bytes
        work = REPEATED * time.total + (1 - REPEATED) * reads
        return max(excess, 0), work * rows.total * cols.total

    ways = [_ways(*axis) for axis in zip(shape, model.stride, model.context, strict=True)]
    return Tiling(*(axis.parts for axis in min(product(*ways), key=cost)))


def _ways(length: int, stride: int, context: int) -> list[_Axis]:
    """Return the ways to cut an axis into parts of nearly equal length."""
    cells = -(-length // stride)
    sides = {-(-cells // parts) * stride for parts in range(1, cells + 1)}
    cuts = [spans(length, side, context) for side in sorted(sides, reverse=True)]
    sizes = [[span.whole.stop - span.whole.start for span in parts] for parts in cuts]
    return [_Axis(parts, max(size), sum(size)) for parts, size in zip(cuts, sizes, strict=True)]
