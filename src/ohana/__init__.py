"""ohana: find and classify transient anomalies in up-the-ramp data of HxRG detectors.

Names are imported when they are first used, so that ``import ohana`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Public name -> module that defines it.
_EXPORTS = {
    "DetectorConfig": "config",
    "Event": "events",
    "Label": "labels",
    "OhanaError": "errors",
    "load_config": "config_file",
    "parse_config": "config_file",
    "paint_mask": "mask",
    "catalogue": "catalog",
    "read_catalogue": "catalog",
    "write_catalogue": "catalog",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ohana' has no attribute {name!r}")
    return getattr(import_module(f"ohana.{_EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
