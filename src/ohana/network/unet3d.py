"""`UNet3D`: class logits of every pixel and read, from windows in space and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import ceil, prod
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from ohana.classes import Label
from ohana.config import setting
from ohana.network.contract import Network3D, Triple
from ohana.network.inputs import CHANNELS
from ohana.network.tuning import TUNING

Count = Annotated[int, Field(strict=True, ge=1)]


@dataclass(frozen=True)
class Architecture:
    """Size of a network, in plain values.

    Attributes
    ----------
    channels, classes : int
        Channels of the input and output.
    widths : tuple of int
        Channels of each level; the first has half the resolution of the input.
    strides : tuple of (int, int, int)
        Downsampling from each level to the next, along reads, rows and columns.
    detail : int
        Channels at the full resolution.
    """

    channels: int = len(CHANNELS)
    classes: int = len(Label)
    widths: tuple[int, ...] = (24, 48)
    strides: tuple[Triple, ...] = ((2, 2, 2),)
    detail: int = 8

    def __post_init__(self) -> None:
        if min(self.channels, self.detail, *self.widths, 1) < 1 or self.classes < 2:
            raise ValueError(
                "architecture: wanted channels, widths and detail >= 1 and classes >= 2, "
                f"got {self}"
            )
        if not self.widths:
            raise ValueError("widths: wanted at least one level, got none")
        if len(self.strides) != len(self.widths) - 1:
            raise ValueError(
                f"strides: wanted one fewer than widths ({len(self.widths) - 1}), "
                f"got {len(self.strides)}"
            )
        if any(len(s) != 3 or min(s) < 1 for s in self.strides):
            raise ValueError(f"strides: wanted triples of numbers >= 1, got {self.strides}")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, from which ``Architecture(**values)`` makes an equal one."""
        return asdict(self)


class UNetSettings(BaseModel):
    """Settings of a training that determine the size of this network."""

    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = setting(
        Architecture().widths, "network", "", "Channels of each level, from fine to coarse"
    )
    strides: tuple[tuple[Count, Count, Count], ...] = setting(
        Architecture().strides,
        "network",
        "",
        "Reads, rows and columns that each level after the first makes one of",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> UNetSettings:
        if len(self.strides) != len(self.widths) - 1:
            raise ValueError(
                f"strides: wanted one fewer than widths ({len(self.widths) - 1}), "
                f"got {len(self.strides)}"
            )
        return self

    def architecture(self) -> Architecture:
        """Return the size of the network."""
        return Architecture(widths=self.widths, strides=self.strides)


#: Voxels that the first level combines, along each axis.
FOLD: Triple = (2, 2, 2)
#: Voxels whose logits are computed together; larger blocks would allocate memory each time.
PIECE = 1_000_000
#: Approximate number of arrays of the size of the first level's output in memory at once.
ARRAYS = 4


class UNet3D(Network3D):
    """A 3-D U-Net that classifies every pixel in every read.

    The first convolution folds 2 x 2 x 2 voxels into the channels of one, and a transposed
    convolution unfolds them at the end: on CPUs, few voxels of many channels take a fraction of
    the time of many voxels of few. Each level has one convolution on the way down and one on the
    way up, where the features of the way down are added (Chaurasia & Culurciello 2017,
    arXiv:1707.03718). The unfolded features are added to those of a 3 x 3 convolution of the read
    itself, and a last convolution gives the logits.

    Parameters
    ----------
    architecture : Architecture
        Size of the network.

    Examples
    --------
    >>> net = UNet3D(Architecture(widths=(4, 8), strides=((2, 2, 2),)))
    >>> net(torch.zeros(1, 7, 5, 9, 11)).shape
    torch.Size([1, 4, 5, 9, 11])
    """

    def __init__(self, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.architecture = architecture or Architecture()
        widths, strides = self.architecture.widths, self.architecture.strides
        self.fold = _block(nn.Conv3d(self.architecture.channels, widths[0], FOLD, FOLD))
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.grow, self.up = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            self.down.append(_block(nn.Conv3d(width, width, 3, padding=1)))
            if level < len(strides):
                below, stride = widths[level + 1], strides[level]
                self.shrink.append(_block(nn.Conv3d(width, below, stride, stride)))
                self.grow.append(nn.ConvTranspose3d(below, width, stride, stride))
                self.up.append(_block(nn.Conv3d(width, width, 3, padding=1)))
        detail, classes = self.architecture.detail, self.architecture.classes
        self.unfold = nn.ConvTranspose3d(widths[0], detail, FOLD, FOLD)
        self.look = nn.Conv3d(self.architecture.channels, detail, (1, 3, 3), padding=(0, 1, 1))
        self.decide = nn.Conv3d(detail, classes, 1)
        background = self.decide.bias[Label.BACKGROUND]  # type: ignore[index]
        nn.init.constant_(background, TUNING.background_log_odds)

    @property
    def stride(self) -> Triple:
        """Period of the network's grid along reads, rows and columns [voxels]."""
        steps = (FOLD, *self.architecture.strides)
        return prod(s[0] for s in steps), prod(s[1] for s in steps), prod(s[2] for s in steps)

    @property
    def bytes_per_voxel(self) -> float:
        """Approximate memory of inference per voxel of the input [bytes]."""
        first_level = self.architecture.widths[0] / prod(FOLD)
        return 4 * self.architecture.channels + ARRAYS * 4 * first_level

    @property
    def context(self) -> Triple:
        """Reach of an output voxel along each axis, rounded up to multiples of `stride`."""
        reach = [self._reach(axis) for axis in range(3)]
        t, y, x = (ceil(far / step) * step for far, step in zip(reach, self.stride, strict=True))
        return t, y, x

    def _reach(self, axis: int) -> int:
        """Return the number of voxels before a cell of the grid that affect it."""
        reach, scale = 0, FOLD[axis]
        scales = [scale]
        for stride in self.architecture.strides:
            scale *= stride[axis]
            scales.append(scale)
        # Down and up, each convolution reaches one neighbour; coarser cells begin further out.
        low = 0
        for cell in [*scales, *scales[-2::-1]]:
            low = -(-reach // cell) * cell
            reach = low + cell
        return reach

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes, T, H, W) of an input (N, channels, T, H, W)."""
        if x.ndim != 5 or x.shape[1] != self.architecture.channels or x.shape[2] < TUNING.min_reads:
            raise ValueError(
                f"x: wanted (N, {self.architecture.channels}, T >= {TUNING.min_reads}, H, W), "
                f"got {tuple(x.shape)}"
            )
        size = x.shape[2:]
        missing = [-n % step for n, step in zip(size, self.stride, strict=True)]
        if any(missing):
            # Zeros: nothing in the padding is usable.
            t, y, z = missing
            x = functional.pad(x, (0, z, 0, y, 0, t))
        x = x.contiguous(memory_format=torch.channels_last_3d)
        return self._classes(x, self._deep(x))[:, :, : size[0], : size[1], : size[2]]

    def logits(self, x: Tensor, kept: tuple[slice, slice, slice]) -> Iterator[tuple[slice, Tensor]]:
        """Yield successive reads of a part of a window with their logits."""
        deep = self._deep(x)
        times, rows, cols = kept
        row_cells, kept_rows = _cells_around(rows, FOLD[1])
        col_cells, kept_cols = _cells_around(cols, FOLD[2])
        area = (row_cells.stop - row_cells.start) * (col_cells.stop - col_cells.start) * prod(FOLD)
        count = max(PIECE // area, 1) * FOLD[0]
        for start in range(times.start, times.stop, count):
            reads = slice(start, min(start + count, times.stop))
            first = start // FOLD[0]
            cells = slice(first, first + count // FOLD[0]), row_cells, col_cells
            voxels = [slice(c.start * n, c.stop * n) for c, n in zip(cells, FOLD, strict=True)]
            logits = self._classes(x[:, :, *voxels], deep[:, :, *cells])[0]
            yield reads, logits[:, : reads.stop - start, kept_rows, kept_cols]

    def _deep(self, x: Tensor) -> Tensor:
        """Return the features of the first level (N, widths[0], T/2, H/2, W/2).

        The sides of the input (N, channels, T, H, W) are multiples of `stride`.
        """
        x = self.fold(x)
        skipped = []
        for down, shrink in zip(self.down, self.shrink, strict=False):
            x = down(x)
            skipped.append(x)
            x = shrink(x)
        x = self.down[-1](x)
        for grow, up in zip(reversed(self.grow), reversed(self.up), strict=True):
            x = up(grow(x).add_(skipped.pop()))
        return x

    def _classes(self, x: Tensor, deep: Tensor) -> Tensor:
        """Return logits (N, classes, T, H, W) from an input and the features of the first level.

        Reads are independent here, so a part of them gives the same result in less memory.
        """
        n, _, t, h, w = x.shape
        detail = self.architecture.detail
        # Both biases at once; 2-D convolutions of reads take half the time of a flat 3-D one.
        bias = self.look.bias + self.unfold.bias  # type: ignore[operator]
        reads = x.transpose(1, 2).flatten(0, 1)
        near = functional.conv2d(reads, self.look.weight[:, :, 0], bias, padding=1)
        near = near.permute(0, 2, 3, 1).reshape(n, t // 2, 2, h // 2, 2, w // 2, 2, detail)
        # The transposed convolution as one matrix product.
        unfold = self.unfold.weight.permute(0, 2, 3, 4, 1).flatten(1)
        far = (deep.permute(0, 2, 3, 4, 1) @ unfold).unflatten(-1, (*FOLD, detail))
        near = functional.relu_(near.add_(far.permute(0, 1, 4, 2, 5, 3, 6, 7)))
        near = near.reshape(n * t, h, w, detail).permute(0, 3, 1, 2)
        logits = functional.conv2d(near, self.decide.weight[:, :, 0], self.decide.bias)
        return logits.unflatten(0, (n, t)).transpose(1, 2)

    def for_inference(self) -> UNet3D:
        """Return a copy for inference with the normalisations folded into the convolutions."""
        copy = UNet3D(self.architecture).eval()
        copy.load_state_dict(self.state_dict())
        for module in copy.modules():
            if isinstance(module, nn.Sequential):
                convolution, norm = module[0], module[1]
                assert isinstance(convolution, nn.Conv3d)
                assert isinstance(norm, nn.BatchNorm3d)
                module[0] = torch.nn.utils.fusion.fuse_conv_bn_eval(convolution, norm)
                module[1] = nn.Identity()
        return copy


def _block(convolution: nn.Conv3d) -> nn.Sequential:
    return nn.Sequential(
        convolution, nn.BatchNorm3d(convolution.out_channels), nn.ReLU(inplace=True)
    )


def _cells_around(part: slice, step: int) -> tuple[slice, slice]:
    """Return the cells of the folded grid around a part of an axis, and the part within them.

    Logits depend on adjacent pixels. At the end of the array there may be no further cell.
    """
    first = max(part.start // step - 1, 0)
    start, stop = part.start - first * step, part.stop - first * step
    return slice(first, -(-part.stop // step) + 1), slice(start, stop)
