"""Steps and per-pixel maps of the rules for a training set, computed once and kept beside it.

The input of the network depends on them, and computing them takes longer than an epoch of
training. They take a few bytes per pixel.
"""

from __future__ import annotations

import os
import zipfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ohana import __version__
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.events import PixelMaps, Steps
from ohana.utils.files import replacing
from ohana.utils.progress import Progress, no_progress

#: Stages whose settings affect steps and maps.
STAGES = ("reading", "detector", "reference", "steps", "telegraph noise")
#: Version of the content: a new one replaces the kept files.
VERSION = f"2 {__version__} {DetectorConfig().fingerprint(STAGES)}"


#: Name of the stage in progress reports.
STAGE = "rules search the exposures"


class Prepared(NamedTuple):
    """Steps and per-pixel maps of a whole exposure."""

    steps: Steps
    maps: PixelMaps


def cache_rule_maps(
    store: Path, names: list[str], workers: int | None = None, progress: Progress = no_progress
) -> None:
    """Search exposures for steps by the rules and keep the results, unless they are there.

    Parameters
    ----------
    store : Path
        Such as ``training.zarr``.
    names : list of str
        Exposures in it.
    workers : int, optional
        Processes; one per core if absent.
    progress : callable, optional
        Called with the name of the stage, exposures done and exposures in all.

    Raises
    ------
    OhanaError
        An exposure is incomplete.
    """
    left = [name for name in names if not _is_kept(_place(store, name))]
    done = len(names) - len(left)
    progress(STAGE, done, len(names))
    if not left:
        return
    processes = min(workers or os.cpu_count() or 1, len(left))
    with ExitStack() as stack:
        each: Any = map
        if processes > 1:
            # Forked processes would inherit the threads of torch and zarr.
            pool = ProcessPoolExecutor(processes, get_context("spawn"))
            each = stack.enter_context(pool).map
        for _ in each(_prepare, [store] * len(left), left):
            done += 1
            progress(STAGE, done, len(names))


def load_prepared(store: Path, name: str) -> Prepared:
    """Return the steps and maps that `cache_rule_maps` has kept of an exposure."""
    with np.load(_place(store, name), allow_pickle=False) as file:
        steps = Steps(*(file[f"step_{column}"] for column in Steps._fields))
        maps = PixelMaps(**{field.name: file[field.name] for field in fields(PixelMaps)})
    return Prepared(steps, maps)


def _place(store: Path, name: str) -> Path:
    return store.with_suffix(".rules") / f"{name}.npz"


def _is_kept(path: Path) -> bool:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return str(file["version"]) == VERSION
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return False


def _prepare(store: Path, name: str) -> None:
    """Run the per-pixel stages on an exposure, in a process of its own."""
    from ohana.pipeline import search_pixels
    from ohana.training_sets.stored_exposure import stored_source

    try:
        source = stored_source(store / name)
        found = search_pixels(source, DetectorConfig(threads=1), None, no_progress)
    except (KeyError, OSError, ValueError) as error:
        raise OhanaError(f"{store / name}: incomplete exposure: {error}") from error
    arrays = {field.name: getattr(found.maps, field.name) for field in fields(found.maps)}
    arrays |= {f"step_{column}": values for column, values in found.steps._asdict().items()}
    path = _place(store, name)
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, version=np.str_(VERSION), **arrays)
