"""Windows of an exposure in space and time that leave no seams, within bounds of memory."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from ohana.network.contract import Network3D
from ohana.network.inputs import OF_READS

Triple = tuple[int, int, int]

#: Memory for reads, features and network of the windows at work [bytes]. Larger windows have
#: less around them that is worked on twice; a process needs about 1 GB besides.
MAX_BYTES = 1_300_000_000
#: Share of the network's work that is done again where parts overlap in time.
DEEP = 0.5


class Span(NamedTuple):
    """Part of an axis: what is kept of it, and what that takes with all around."""

    kept: slice
    whole: slice

    @property
    def inside(self) -> slice:
        """Where in ``whole`` the part lies that is kept."""
        first = self.kept.start - self.whole.start
        return slice(first, first + self.kept.stop - self.kept.start)


class Tiling(NamedTuple):
    """An exposure in parts: every combination of reads, rows and columns is a window."""

    times: list[Span]
    rows: list[Span]
    cols: list[Span]


def spans(length: int, side: int, context: int) -> list[Span]:
    """Cut an axis into parts of ``side``, each with ``context`` more where there is any.

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
    """One way to cut an axis: its parts, the longest of them, and all of them together."""

    parts: list[Span]
    longest: int
    worked: int


def tile(shape: Triple, model: Network3D, most_bytes: int = MAX_BYTES) -> Tiling:
    """Cut an exposure so that least is worked on twice, within a bound of memory.

    Parameters
    ----------
    shape : tuple of int
        (T, H, W).
    model : Network3D
        Its ``stride`` and ``context`` decide where windows begin and what they carry.
    most_bytes : int
        For reads, features and network; the smallest windows possible may take more.

    Returns
    -------
    Tiling
        Corners are multiples of the stride of the network.
    """
    reads = shape[0]

    def judge(axes: tuple[_Axis, ...]) -> tuple[float, float]:
        time, rows, cols = axes
        pixel = 4 * reads * (1 + OF_READS) + model.bytes_per_voxel * time.longest
        excess = pixel * rows.longest * cols.longest - most_bytes
        again = DEEP * time.worked + (1 - DEEP) * reads
        return max(excess, 0), again * rows.worked * cols.worked

    ways = [_ways(*axis) for axis in zip(shape, model.stride, model.context, strict=True)]
    return Tiling(*(axis.parts for axis in min(product(*ways), key=judge)))


def _ways(length: int, stride: int, context: int) -> list[_Axis]:
    """Return the ways to cut an axis into parts of about the same length."""
    cells = -(-length // stride)
    sides = {-(-cells // parts) * stride for parts in range(1, cells + 1)}
    cuts = [spans(length, side, context) for side in sorted(sides, reverse=True)]
    sizes = [[span.whole.stop - span.whole.start for span in parts] for parts in cuts]
    return [_Axis(parts, max(size), sum(size)) for parts, size in zip(cuts, sizes, strict=True)]
