"""ohana: find and classify transient anomalies in up-the-ramp data of HxRG detectors.

Names are imported when they are first used, so that ``import ohana`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Public name -> module that defines it.
_EXPORTS = {
    "DataSetCreator": "training_sets.creator",
    "DetectorConfig": "config",
    "OhanaDataset": "training.dataset",
    "Predictor": "predictor",
    "Preprocessor": "preprocess",
    "ReferencePixelCorrector": "refpix.fit",
    "ResultVisualizer": "report.visualizer",
    "UNet3D": "network.unet3d",
    "Summary": "results.summary",
    "open_exposure": "read",
    "find_anomalies": "arrays",
    "Event": "events",
    "Label": "classes",
    "OhanaError": "errors",
    "load_config": "config_file",
    "parse_config": "config_file",
    "paint_mask": "results.maps",
    "catalogue": "results.catalogue",
    "read_catalogue": "results.catalogue",
    "write_catalogue": "results.catalogue",
    "Truth": "simulate.truth",
    "summarize": "statistics.summarise",
    "write_catalogues": "export.formats",
    "evaluate_prediction": "evaluate",
    "save_evaluation": "evaluate",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'ohana' has no attribute {name!r}")
    try:
        return getattr(import_module(f"ohana.{_EXPORTS[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(f"ohana.{name} needs PyTorch: pip install 'ohana[unet]'") from error


def __dir__() -> list[str]:
    return sorted(__all__)


def _keep_compiled_code_somewhere() -> None:
    """Give numba a folder where neither the package nor the user's cache can be written to.

    Without one, importing a compiled kernel fails. It is removed at exit, because a lasting
    folder that others can write to could be filled with code by them.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    while not os.path.exists(cache) and cache != os.path.dirname(cache):
        cache = os.path.dirname(cache)
    if any(os.access(place, os.W_OK) for place in (os.path.dirname(__file__), cache)):
        return
    import atexit
    import shutil
    import tempfile

    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="ohana-")
    atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)


if "NUMBA_CACHE_DIR" not in os.environ:
    _keep_compiled_code_somewhere()
