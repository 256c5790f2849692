"""The files of a prediction: finding them, checking their shapes, access to reads."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Ramp, row_blocks
from ohana.read import open_exposure
from ohana.results.run_record import RUN, input_of

MASK, DETECTIONS = "prediction_mask.npy", "detections.json"
#: Endings of the files of per-pixel maps, and of corrected reads.
FEATURES, CUBE = "_temporal.npz", "_processed.npy"
#: Names of the integrations of an exposure with several.
_SEVERAL = re.compile(r"(.+)_int\d+")
#: Row blocks of an input kept in memory: few, as one of a long exposure has 60 MB. Chosen.
KEPT_BLOCKS = 4


class Maps(Mapping[str, np.ndarray]):
    """Per-pixel maps (H, W) by name, each loaded or computed on first access."""

    def __init__(self, names: Sequence[str], load: Callable[[str], np.ndarray]) -> None:
        self._names, self._load = tuple(names), load
        self._kept: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._kept:
            self._kept[name] = self._load(name)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def require_prediction(folder: Path) -> None:
    """Refuse a folder that is not an output folder; name output folders inside it."""
    missing = [name for name in (DETECTIONS, MASK) if not (folder / name).is_file()]
    if not missing:
        return
    inside = sorted(path.parent.name for path in folder.glob(f"*/{DETECTIONS}"))
    hint = f"; there is one in {', '.join(inside[:5])}" if inside else ""
    got = f"no {missing[0]}" if folder.is_dir() else "no such folder"
    raise OhanaError(f"{folder}: wanted a folder that ohana-predict has written, got {got}{hint}")


class ResultFiles(NamedTuple):
    """Files of one integration; the cube of corrected reads may not have been written."""

    features: Path
    cube: Path | None


def find_parts(folder: Path, run: dict[str, Any]) -> tuple[str, list[ResultFiles]]:
    """Find the name of the exposure, and the files of its integrations."""
    if run:
        return run["exposure"], [
            ResultFiles(
                folder / part["features"], folder / part["processed"] if part["processed"] else None
            )
            for part in run["integrations"]
        ]
    # Without a record: the files in the folder.
    stems = sorted(path.name.removesuffix(FEATURES) for path in folder.glob(f"*{FEATURES}"))
    if not stems:
        raise OhanaError(f"{folder}: wanted EXPOSURE{FEATURES}, got none")
    several = [_SEVERAL.fullmatch(stem) for stem in stems]
    names = {part[1] if part else stem for part, stem in zip(several, stems, strict=True)}
    if len(names) > 1:
        raise OhanaError(f"{folder}: wanted one exposure, got {', '.join(sorted(names))}")
    stems.sort(key=lambda stem: (len(stem), stem))
    return names.pop(), [
        ResultFiles(folder / f"{stem}{FEATURES}", folder / f"{stem}{CUBE}") for stem in stems
    ]


def open_features(path: Path) -> Maps:
    """Open per-pixel maps; each is read on first access."""

    def load(name: str) -> np.ndarray:
        with _opened_maps(path) as file:
            return file[name]

    with _opened_maps(path) as file:
        names = file.files
    for name in ("rate", "stop", "first_usable", "frame_time"):
        if name not in names:
            raise OhanaError(f"{path}: wanted a map {name!r}, got {', '.join(sorted(names))}")
    return Maps(names, load)


@contextmanager
def _opened_maps(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """Open a file of maps; any fault on opening or reading becomes one error."""
    try:
        # Opened here, because numpy does not close a damaged file.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            yield file
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise OhanaError(f"{path}: cannot be read: {error}") from None


def load_array(path: Path) -> np.ndarray:
    """Memory-map an array."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise OhanaError(f"{path}: cannot be read: {error}") from None


def open_reads(
    folder: Path, parts: list[ResultFiles], run: dict[str, Any], frame_time: float
) -> tuple[tuple[Reads, ...], np.ndarray]:
    """Open the corrected cubes, or else the input; also returns the times [frame times]."""
    cubes = [part.cube for part in parts if part.cube is not None and part.cube.exists()]
    if len(cubes) == len(parts):
        reads: tuple[Reads, ...] = tuple(StoredReads(load_array(path)) for path in cubes)
        known = np.asarray(run.get("times") or (), float) / frame_time
        return reads, known if len(known) else np.arange(float(reads[0].shape[0]))
    if not run:
        raise OhanaError(f"{parts[0].cube}: no such file, and no {RUN} that names the input")
    source, config = input_of(folder, run), DetectorConfig(**run["config"])
    ramps = open_exposure(source, config)
    if len(ramps) != len(parts):
        raise OhanaError(f"{source}: wanted {len(parts)} integrations, got {len(ramps)}")
    return tuple(InputReads(ramp, config) for ramp in ramps), ramps[0].times / frame_time


def require_fit(path: Path, got: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse an array of another exposure."""
    if got != wanted:
        raise OhanaError(f"{path}: wanted shape {wanted} as the other files have, got {got}")


class Reads(Protocol):
    """Corrected reads (T, H, W) [DN], read 0 at zero, loaded on access."""

    shape: tuple[int, int, int]

    def window(self, reads: range, rows: range, cols: range) -> np.ndarray:
        """Return some reads of a window, float32."""


class StoredReads:
    """Reads 1 to T - 1 in an array, mostly a memory-mapped file.

    Examples
    --------
    >>> stored = StoredReads(np.ones((4, 8, 8), np.float32))
    >>> stored.shape, stored.window(range(0, 3), range(2, 3), range(5, 6)).ravel()
    ((5, 8, 8), array([0., 1., 1.], dtype=float32))
    """

    def __init__(self, cube: np.ndarray) -> None:
        self.cube = cube
        self.shape = (len(cube) + 1, *cube.shape[1:])

    def window(self, reads: range, rows: range, cols: range) -> np.ndarray:
        """Return some reads of a window, float32."""
        out = np.zeros((len(reads), len(rows), len(cols)), np.float32)
        zero = int(0 in reads)
        later = slice(max(reads.start - 1, 0), max(reads.stop - 1, 0))
        out[zero:] = self.cube[later, rows.start : rows.stop, cols.start : cols.stop]
        return out


class InputReads:
    """Reads of an input, corrected on access.

    Whole row blocks are read and the last few kept, so access is fastest in order of rows.
    """

    def __init__(self, ramp: Ramp, config: DetectorConfig) -> None:
        self.ramp, self.config, self.shape = ramp, config, ramp.shape
        self._block = lru_cache(KEPT_BLOCKS)(self._load)

    def window(self, reads: range, rows: range, cols: range) -> np.ndarray:
        """Return some reads of a window, float32."""
        out = np.empty((len(reads), len(rows), len(cols)), np.float32)
        for block in self._blocks(rows):
            here = range(max(block.start, rows.start), min(block.stop, rows.stop))
            data = self._block(block.start, block.stop)
            part = slice(here.start - block.start, here.stop - block.start)
            into = slice(here.start - rows.start, here.stop - rows.start)
            out[:, into] = data[reads.start : reads.stop, part, cols.start : cols.stop]
        return out

    def _blocks(self, rows: range) -> Iterator[slice]:
        """Yield the row blocks that contain some rows."""
        for block in row_blocks(self.shape[1]):
            if block.start < rows.stop and block.stop > rows.start:
                yield block

    def _load(self, start: int, stop: int) -> np.ndarray:
        from ohana.correction.load import load_block

        return load_block(self._source, slice(start, stop))[0].data

    @cached_property
    def _source(self):
        from ohana.correction.fit import corrected_ramp

        return corrected_ramp(self.ramp, self.config)[0]
