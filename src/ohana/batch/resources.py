"""How many processes a machine has room for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from dask.system import CPU_COUNT

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import TILE_ROWS
from ohana.read import open_exposure

#: Memory of a process: at rest, for each pixel of the array (maps, sparse steps), and for each
#: thread (copies of a row block in float32). Measured, rounded up.
AT_REST, PER_PIXEL, COPIES = 350e6, 100, 2
#: With a network: torch and its windows, and for each pixel and read.
NETWORK, NETWORK_PER_READ = 1e9, 0.8
#: Part of the free memory that is used.
PART = 0.9
#: Inputs looked at, largest file first, to find one that is an exposure.
LOOKED_AT = 5


class WorkerPlan(NamedTuple):
    """Processes on this machine, and the threads of each."""

    workers: int
    threads: int


def room(
    paths: Sequence[Path], config: DetectorConfig, network: bool, asked: int | None
) -> WorkerPlan:
    """Return how many processes suit the cores and memory of this machine, and the exposures.

    Parameters
    ----------
    paths : sequence of Path
        Inputs; the largest file decides how much memory a process needs.
    config : DetectorConfig
        Settings; ``threads``, if given, are those of each process.
    network : bool
        Whether a network looks too.
    asked : int, optional
        Processes that a user wants, whatever the memory.
    """
    most = max(min(len(paths), asked or CPU_COUNT // (config.threads or 1)), 1)
    if asked is None and most > 1:
        need = memory_of(_largest(paths, config), CPU_COUNT // most, network)
        most = max(min(most, int(PART * psutil.virtual_memory().available / need)), 1)
    return WorkerPlan(most, config.threads or max(CPU_COUNT // most, 1))


def memory_of(shape: tuple[int, int, int], threads: int, network: bool) -> float:
    """Estimate the peak memory of a process [bytes] for exposures of a shape (T, H, W).

    Examples
    --------
    >>> f"{memory_of((450, 2048, 2048), threads=2, network=False) / 1e9:.1f} GB"
    '1.0 GB'
    """
    reads, height, width = shape
    blocks = COPIES * 4.0 * threads * reads * TILE_ROWS * width
    rules = AT_REST + PER_PIXEL * height * width + blocks
    return rules + network * (NETWORK + NETWORK_PER_READ * reads * height * width)


def _largest(paths: Sequence[Path], config: DetectorConfig) -> tuple[int, int, int]:
    """Return the shape of the largest input that is an exposure."""
    sizes = {path: path.stat().st_size for path in paths if path.exists()}
    for path in sorted(sizes, key=lambda path: -sizes[path])[:LOOKED_AT]:
        try:
            return open_exposure(path, config)[0].shape
        except OhanaError:
            continue
    return (0, 0, 0)
