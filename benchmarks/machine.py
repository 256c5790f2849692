"""The machine and versions of a benchmark: one line for its report."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("ohana", "numpy", "scipy", "numba", "astropy")


def describe() -> str:
    """Return processor, cores and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{processor()}, {cores} cores, Python {platform.python_version()}, {versions}"


def processor() -> str:
    """Return the name of the processor as reported by the system."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
