"""Device and precision of inference: CUDA if available, else the CPU."""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ohana.errors import OhanaError
from ohana.network.contract import Network3D
from ohana.network.inputs import CHANNELS, OF_READS, NetworkInput

log = logging.getLogger("ohana")

#: Parameters of ``mallopt`` (malloc.h of the GNU C library): number of arrays on pages of their
#: own, and free memory beyond which it is returned to the system.
MMAP_MAX, TRIM_THRESHOLD = -4, -1


class Engine(NamedTuple):
    """A network for inference, on its device and in its precision."""

    model: Network3D
    device: torch.device
    precision: torch.dtype

    def input(self, features: NetworkInput, reads: slice) -> Tensor:
        """Return the input (1, C, t, R, W) for some reads of a window, on the device.

        Sides are padded with zeros to multiples of the network's stride.
        """
        size = (reads.stop - reads.start, *features.pixels.shape[1:])
        full = [n + -n % step for n, step in zip(size, self.model.stride, strict=True)]
        # Channels last: the fastest layout for convolutions on CPUs.
        x = torch.zeros(*full, len(CHANNELS))
        within = x[: size[0], : size[1], : size[2]].permute(3, 0, 1, 2)
        within[:OF_READS] = torch.from_numpy(features.reads)[:, reads]
        within[OF_READS:] = torch.from_numpy(features.pixels)[:, None]
        return x.permute(3, 0, 1, 2)[None].to(self.device, self.precision)


def for_inference(model: Network3D, precision: str) -> Engine:
    """Prepare a network for inference on the best available device.

    Parameters
    ----------
    model : Network3D
        In evaluation mode; unchanged.
    precision : str
        ``network_precision`` of the settings.

    Raises
    ------
    OhanaError
        The device does not support this precision.
    """
    device, name = running_on(precision)
    _log_device(device, name)
    ready = model.for_inference().to(device, getattr(torch, name))
    ready = ready.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return Engine(ready, torch.device(device), getattr(torch, name))


class Running(NamedTuple):
    """Device and precision of inference."""

    device: str
    precision: str


def running_on(precision: str) -> Running:
    """Return the device and precision of inference.

    Parameters
    ----------
    precision : str
        ``network_precision`` of the settings. ``auto`` is float32 on CPUs, where results then do
        not depend on the model (bfloat16 is hardly faster, even with matrix instructions); on
        GPUs it is bfloat16, or float16 on old ones.

    Raises
    ------
    OhanaError
        The device does not support this precision.

    Examples
    --------
    >>> running_on("float32").precision
    'float32'
    """
    known = ["float32", "bfloat16"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        known = ["float16", "float32"]
        if torch.cuda.is_bf16_supported(including_emulation=False):
            known.insert(0, "bfloat16")
    if precision not in ("auto", *known):
        wanted = ", ".join(("auto", *known))
        raise OhanaError(f"network_precision: wanted one of {wanted} on {device}, got {precision}")
    return Running(device, known[0] if precision == "auto" else precision)


@lru_cache
def _log_device(device: str, precision: str) -> None:
    """Log device and precision, once."""
    log.info(f"network on {device}, {precision}")


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Limit the threads of torch in this context; no limit if None."""
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Let the C library keep freed memory in this context instead of returning it at once.

    Every window allocates the same few hundred megabytes; fresh pages from the system would take
    a fifth of the run time. Only for the GNU library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    give_back = ctypes.CDLL(None).malloc_trim
    give_back(0)
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        for name, default in ((MMAP_MAX, 65536), (TRIM_THRESHOLD, 2**17)):
            mallopt(name, default)
        give_back(0)
