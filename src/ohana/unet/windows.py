"""Windows of an exposure in space and time that leave no seams, within bounds of memory."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ohana.unet.features import CHANNELS
from ohana.unet.model import FOLD, UNet3D

Triple = tuple[int, int, int]

#: Memory for reads, features and network of the windows at work [bytes]. Larger windows have
#: less around them that is worked on twice; a process needs about 1 GB besides.
MOST_BYTES = 2_200_000_000
#: Arrays as large as the output of the first level that are there at once, about.
ARRAYS = 4


class Span(NamedTuple):
    """Part of an axis: what is kept of it, and what that takes with all around."""

    kept: slice
    whole: slice

    @property
    def inside(self) -> slice:
        """Where in ``whole`` the part lies that is kept."""
        first = self.kept.start - self.whole.start
        return slice(first, first + self.kept.stop - self.kept.start)


class Cut(NamedTuple):
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


def cut(shape: Triple, model: UNet3D, most_bytes: int = MOST_BYTES) -> Cut:
    """Cut an exposure so that least is worked on twice, within a bound of memory.

    Parameters
    ----------
    shape : tuple of int
        (T, H, W).
    model : UNet3D
        Its ``stride`` and ``context`` decide where windows begin and what they carry.
    most_bytes : int
        For reads, features and network; the smallest windows possible may take more.

    Returns
    -------
    Cut
        Corners are multiples of the stride of the network.
    """
    (t, y, x), (dt, dy, dx) = model.context, model.stride
    inner = ARRAYS * 4 * model.architecture.widths[0] / prod(FOLD)
    found: list[tuple[int, Cut]] = []
    for side in range(dy, max(shape[1:]) + dy, dy):
        rows, cols = spans(shape[1], side, y), spans(shape[2], -(-side // dx) * dx, x)
        tall, wide = _longest(rows), _longest(cols)
        # Reads of all columns are in memory, the features of one window.
        fixed = 4 * shape[0] * tall * (shape[2] + len(CHANNELS) * wide)
        room = int((most_bytes - fixed) / (inner * tall * wide))
        reads = shape[0] if room >= shape[0] else (room - 2 * t) // dt * dt
        if reads < dt and found:
            break
        choice = Cut(spans(shape[0], max(reads, dt), t), rows, cols)
        found.append((prod(sum(map(_length, axis)) for axis in choice), choice))
    return min(found, key=lambda one: one[0])[1]


def _length(span: Span) -> int:
    return span.whole.stop - span.whole.start


def _longest(axis: list[Span]) -> int:
    return max(map(_length, axis))
