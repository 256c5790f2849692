"""Arrays in memory, or memory-mapped ones, as a ramp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohana.ramp import Planes

#: Takes the place of the file name in messages.
NAME = Path("data")


@dataclass(frozen=True, kw_only=True)
class ArrayPlanes(Planes):
    """Images of an array; windows are copied when they are read.

    Attributes
    ----------
    array : ndarray, shape (T, H, W)
        The images; ``offsets`` are indices into it.
    """

    array: np.ndarray

    def _windows(self, rows: slice, cols: slice) -> Iterator[np.ndarray]:
        for read in self.offsets:
            yield np.asarray(self.array[read, rows, cols])


def planes_of_array(array: np.ndarray) -> ArrayPlanes:
    """Return the images of an array (T, H, W) of any real numbers.

    Examples
    --------
    >>> planes = planes_of_array(np.arange(24.0).reshape(2, 3, 4))
    >>> len(planes), planes.shape, planes.read(slice(1, 2), slice(0, 2)).tolist()
    (2, (3, 4), [[[4.0, 5.0]], [[16.0, 17.0]]])
    """
    return ArrayPlanes(
        path=NAME,
        offsets=np.arange(len(array)),
        shape=array.shape[1:],
        dtype=array.dtype,
        array=array,
    )
