"""The batch size that fits in memory, for the error message when it is exhausted."""

from __future__ import annotations

import gc
import traceback
from typing import Any

import torch
from torch import Tensor

from ohana.errors import OhanaError
from ohana.network.networks import TRAINED
from ohana.training.learner import loss

#: Parts of error messages about exhausted memory, of GPUs and CPUs.
_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is about exhausted memory.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    True
    """
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)
    )


def too_large(
    error: BaseException,
    architecture: Any,
    sample: Tensor,
    batch_size: int,
    device: torch.device,
    precision: str,
) -> OhanaError:
    """Return an error that names the batch size that fits, for one about memory.

    Parameters
    ----------
    error : BaseException
        The original error; the memory that it holds is freed.
    architecture : object
        Size of the network.
    sample : Tensor, shape (C, T, h, w)
        Input of the network.
    batch_size : int
        Batch size that was too large.
    device : torch.device
        Device of the training.
    precision : str
        Name in Lightning.
    """
    traceback.clear_frames(error.__traceback__)
    fits = batch_size // 2
    while fits and not _fits(architecture, sample, fits, device, precision):
        fits //= 2
    shape = " x ".join(map(str, sample.shape[1:]))
    if fits:
        return OhanaError(
            f"out of memory: batch_size {batch_size} (samples of {shape}) does not fit on "
            f"{device}: {fits} does"
        )
    return OhanaError(
        f"out of memory: not even one sample of {shape} fits on {device}: "
        "wanted a smaller crop or window, or a smaller network"
    )


def _fits(
    architecture: Any, sample: Tensor, size: int, device: torch.device, precision: str
) -> bool:
    """Return whether a training step with this batch size fits."""
    kind = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    try:
        _free()
        model: Any = TRAINED(architecture).to(device)
        model = model.to(memory_format=torch.channels_last_3d)
        optimizer = torch.optim.AdamW(model.parameters())
        x = sample.to(device).expand(size, *sample.shape)
        x = x.contiguous(memory_format=torch.channels_last_3d)
        y = torch.zeros((size, *sample.shape[1:]), dtype=torch.uint8, device=device)
        with torch.autocast(device.type, kind, enabled=precision != "32"):
            value = loss(model(x), y)
        value.backward()
        optimizer.step()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        return False
    return True


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
