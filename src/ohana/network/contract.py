"""The interface of networks for training, model files and inference.

A network converts the channels of `ohana.network.inputs` into logits of the classes, for every
pixel and read. `ohana.network.networks` lists the networks.
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
        Size in plain values (numbers up to 1024, names, and lists of these, as model files hold
        them), with ``channels``, ``classes`` and ``as_dict()``; the only argument of the class,
        optional. A network that `ohana-train` can train also has a pydantic model of the settings
        that determine it, with a method ``architecture()``, as `ohana.network.unet3d.UNetSettings`.
    """

    architecture: Any

    @property
    @abstractmethod
    def stride(self) -> Triple:
        """Period of the network's grid along reads, rows and columns [voxels]."""

    @property
    @abstractmethod
    def context(self) -> Triple:
        """Reach of an output voxel along each axis, rounded up to multiples of `stride`.

        Windows that begin at multiples of the stride and include this margin on each side give
        the same result as the whole.
        """

    @property
    @abstractmethod
    def bytes_per_voxel(self) -> float:
        """Approximate memory of inference per voxel of the input."""

    @abstractmethod
    def logits(self, x: Tensor, kept: Box) -> Iterator[tuple[slice, Tensor]]:
        """Yield successive reads of a part of a window with their logits.

        Parameters
        ----------
        x : Tensor, shape (1, channels, T, H, W)
            Sides are multiples of the stride.
        kept : tuple of slice
            Reads, rows and columns of the logits.

        Yields
        ------
        reads : slice
            Reads of the window.
        logits : Tensor, shape (classes, t, h, w)
            For these reads and the rows and columns kept.
        """

    @abstractmethod
    def for_inference(self) -> Network3D:
        """Return a copy in evaluation mode, optimised for speed."""
