"""Where a network runs, and in which precision: CUDA if it is there, else the processor."""

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

#: Parameters of ``mallopt`` (malloc.h of the GNU C library): arrays that may lie on pages of
#: their own, and free memory from which on it is given back.
MMAP_MAX, TRIM_THRESHOLD = -4, -1


class Engine(NamedTuple):
    """A network ready to run: normalisation folded in, on its device, in its precision."""

    model: Network3D
    device: torch.device
    precision: torch.dtype

    def input(self, seen: NetworkInput, reads: slice) -> Tensor:
        """Return the input (1, C, t, R, W) for some reads of a window, on the device.

        Nothing is added up to multiples of the network's stride.
        """
        size = (reads.stop - reads.start, *seen.pixels.shape[1:])
        full = [n + -n % step for n, step in zip(size, self.model.stride, strict=True)]
        # Channels last, which convolutions on processors like best.
        x = torch.zeros(*full, len(CHANNELS))
        within = x[: size[0], : size[1], : size[2]].permute(3, 0, 1, 2)
        within[:OF_READS] = torch.from_numpy(seen.reads)[:, reads]
        within[OF_READS:] = torch.from_numpy(seen.pixels)[:, None]
        return x.permute(3, 0, 1, 2)[None].to(self.device, self.precision)


def for_inference(model: Network3D, precision: str) -> Engine:
    """Make a network ready to run on the best device there is.

    Parameters
    ----------
    model : Network3D
        In evaluation mode; stays as it is.
    precision : str
        ``network_precision`` of the settings.

    Raises
    ------
    OhanaError
        The device does not multiply in this precision.
    """
    device, name = running_on(precision)
    _tell(device, name)
    ready = model.for_inference().to(device, getattr(torch, name))
    ready = ready.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return Engine(ready, torch.device(device), getattr(torch, name))


class Running(NamedTuple):
    """Where networks run, and in which precision."""

    device: str
    precision: str


def running_on(precision: str) -> Running:
    """Say where networks run, and in which precision.

    Parameters
    ----------
    precision : str
        ``network_precision`` of the settings. With ``auto`` processors use float32: what they
        find does then not depend on what they have (only matrix tiles make bfloat16 faster, and
        on these, networks are hardly faster as a whole). GPUs use bfloat16, old ones float16.

    Raises
    ------
    OhanaError
        The device does not multiply in this precision.

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
def _tell(device: str, precision: str) -> None:
    """Say once where networks run."""
    log.info(f"network on {device}, {precision}")


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


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Let the C library keep for a while what is freed, instead of giving it back at once.

    Every window claims the same few hundred megabytes, array by array. Clean pages for them, anew
    from the system each time, take a fifth of all time. For the GNU library; others stay as they
    are.
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
