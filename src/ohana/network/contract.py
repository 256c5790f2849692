"""What a network must offer: training, model files and inference know it by this alone.

A network turns the channels of `ohana.network.inputs` into log-odds of the classes, for every
pixel and read. Those that there are stand in `ohana.network.networks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

#: Numbers of reads, rows and columns.
Triple = tuple[int, int, int]
#: Some reads, rows and columns of a window.
Box = tuple[slice, slice, slice]


class Network3D(nn.Module, ABC):
    """A network; calling it gives logits (N, classes, T, H, W) of (N, channels, T, H, W).

    Attributes
    ----------
    architecture : dataclass
        Its size in plain values, with ``channels``, ``classes`` and ``as_dict()``. The class can
        be called with it, or without anything for its usual size.
    """

    architecture: Any

    @property
    @abstractmethod
    def stride(self) -> Triple:
        """Voxels along reads, rows and columns in which the network's grid repeats."""

    @property
    @abstractmethod
    def context(self) -> Triple:
        """How far away an output voxel can see, rounded up to `stride`.

        Windows whose corners are multiples of the stride and that have so much more on each
        side give the same result as the whole.
        """

    @property
    @abstractmethod
    def bytes_per_voxel(self) -> float:
        """Memory that inference takes for each voxel of the input, about."""

    @abstractmethod
    def logits(self, x: Tensor, kept: Box) -> Iterator[tuple[slice, Tensor]]:
        """Yield some reads after the other of a part of a window, and their logits.

        Parameters
        ----------
        x : Tensor, shape (1, channels, T, H, W)
            Sides are multiples of the stride.
        kept : tuple of slice
            Reads, rows and columns of which logits are wanted.

        Yields
        ------
        reads : slice
            Reads of the window.
        logits : Tensor, shape (classes, t, h, w)
            Of these reads and of the rows and columns kept.
        """

    @abstractmethod
    def for_inference(self) -> Network3D:
        """Return a copy, in evaluation mode, that infers as fast as it can."""
