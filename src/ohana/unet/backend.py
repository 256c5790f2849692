"""Where a network runs, and in which precision: CUDA if it is there, else the processor."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ohana.unet.features import CHANNELS, OF_READS, Seen
from ohana.unet.model import FOLD, Triple, UNet3D

log = logging.getLogger("ohana")

#: Reads, rows and columns.
Part = tuple[slice, slice, slice]


class Engine(NamedTuple):
    """A network ready to run: normalisation folded in, on its device, in its precision.

    Parts of a window are (reads, rows, columns), counted from its corner.
    """

    model: UNet3D
    device: torch.device
    precision: torch.dtype

    def deep(self, seen: Seen, at: Part) -> Tensor:
        """Return what lies deep in the network, at half the resolution, for a part of a window."""
        cells = (-(-(part.stop - part.start) // step) for part, step in zip(at, FOLD, strict=True))
        deep = self.model.deep(self._filled(seen, at, self.model.stride))
        return deep[:, :, *(slice(0, n) for n in cells)]

    def logits(self, seen: Seen, at: Part, deep: Tensor) -> Tensor:
        """Return logits (classes, t, r, c), on the device, of a part and what is deep in it.

        Where the part ends but not the array, pixels at the edge lack their neighbours.
        """
        t, r, c = (part.stop - part.start for part in at)
        return self.model.classes(self._filled(seen, at, FOLD), deep)[0, :, :t, :r, :c]

    def _filled(self, seen: Seen, at: Part, step: Triple) -> Tensor:
        """Return the input (1, C, t, r, c), with nothing added up to multiples of ``step``."""
        size = [part.stop - part.start for part in at]
        full = [n + -n % each for n, each in zip(size, step, strict=True)]
        # Channels last, which convolutions on processors like best.
        x = torch.zeros(*full, len(CHANNELS))
        within = x[: size[0], : size[1], : size[2]].permute(3, 0, 1, 2)
        within[:OF_READS] = torch.from_numpy(seen.reads)[:, *at]
        within[OF_READS:] = torch.from_numpy(seen.pixels)[:, None, *at[1:]]
        return x.permute(3, 0, 1, 2)[None].to(self.device, self.precision)


def prepare(model: UNet3D) -> Engine:
    """Make a network ready to run on the best device there is.

    Parameters
    ----------
    model : UNet3D
        In evaluation mode; stays as it is.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = best_precision(device)
    _tell(device.type, str(precision).removeprefix("torch."))
    ready = model.fused().to(device, precision)
    return Engine(ready.to(memory_format=torch.channels_last_3d), device, precision)  # type: ignore[call-overload]


@lru_cache
def _tell(device: str, precision: str) -> None:
    """Say once where networks run."""
    log.info(f"network on {device}, {precision}")


def best_precision(device: torch.device) -> torch.dtype:
    """Return the fastest precision of a device that keeps the network's opinion.

    A processor multiplies bfloat16 faster than float32 only if it has tiles for it (AMX). With
    vector instructions alone (AVX512-BF16) these convolutions take one and a half times as long
    as in float32, for the time it takes to convert.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return torch.bfloat16 if tiles() else torch.float32


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Let torch use so many threads for a while; as many as there are cores if None."""
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
