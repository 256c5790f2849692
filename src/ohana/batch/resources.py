"""How many processes the cores and memory of a machine allow."""

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

#: Memory of a process: baseline [byte], per pixel of the array (maps, sparse steps) [byte], and
#: float32 copies of a row block per thread. Measured, rounded up.
AT_REST, PER_PIXEL, COPIES = 350e6, 100, 2
#: Additional with a network: torch and its tiles [byte], and per pixel and read [byte].
NETWORK, NETWORK_PER_READ = 1e9, 0.8
#: Fraction of the free memory that is used; chosen.
PART = 0.9
#: Inputs opened, largest file first, until one is an exposure; chosen.
MAX_OPENED = 5


class WorkerPlan(NamedTuple):
    """Processes on this machine, and the threads of each."""

    processes: int
    threads: int


def plan_workers(
    paths: Sequence[Path], config: DetectorConfig, network: bool, asked: int | None
) -> WorkerPlan:
    """Return the number of processes that cores, memory and the number of exposures allow.

    Parameters
    ----------
    paths : sequence of Path
        Inputs; the largest file decides how much memory a process needs.
    config : DetectorConfig
        Settings; ``threads``, if given, are those of each process.
    network : bool
        Whether a network is used besides the rules.
    asked : int, optional
        Processes requested by the user, regardless of memory.
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
    for path in sorted(sizes, key=lambda path: -sizes[path])[:MAX_OPENED]:
        try:
            return open_exposure(path, config)[0].shape
        except OhanaError:
            continue
    return (0, 0, 0)
