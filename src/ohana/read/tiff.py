"""TIFF frames: a folder with one read per file, or one file with a read per page."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Ramp
from ohana.read.integrations import ramps_of, require_reads
from ohana.read.unpack import spool

ENDINGS = (".tif", ".tiff")

# Its warnings either become errors here or do not matter.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_folder(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read a folder of numbered frames, in natural order: frame 2 before frame 10.

    Of frames with several detectors side by side (``config.detectors_side_by_side``) the one
    with ``config.detector_index`` is used.

    Raises
    ------
    OhanaError
        If there are no frames, or they differ in shape or type, or one cannot be read.
    """
    inside = sorted(path.iterdir(), key=natural)
    frames = [file for file in inside if file.suffix.lower() in ENDINGS and file.name[0] != "."]
    if not frames:
        other = f"{len(inside)} other files" if inside else "an empty folder"
        raise OhanaError(f"{path}: wanted a folder of TIFF frames, got {other}")
    return _read(path, frames, len(frames), config, _gap_notes(frames))


def read_file(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read a TIFF file with one read per page."""
    with _opened(path) as tiff:
        pages = len(tiff.pages)
    return _read(path, [path], pages, config, [])


def natural(path: Path) -> list[object]:
    """Return a key that sorts numbers in names by value.

    Examples
    --------
    >>> [p.name for p in sorted([Path("f10.tif"), Path("F9.tif")], key=natural)]
    ['F9.tif', 'f10.tif']
    """
    parts = re.split(r"(\d+)", path.name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def _gap_notes(frames: list[Path]) -> list[str]:
    """Return a notice if the numbers of frames are not consecutive."""
    numbers = [int(found[-1]) for file in frames if (found := re.findall(r"\d+", file.stem))]
    for before, after in zip(numbers, numbers[1:], strict=False):
        if len(numbers) == len(frames) and after != before + 1:
            return [f"frame {after} follows frame {before}: taken as evenly spaced all the same"]
    return []


def _read(
    source: Path, files: list[Path], reads: int, config: DetectorConfig, notes: list[str]
) -> list[Ramp]:
    require_reads(source, reads)
    frames = _frames(files, config)
    first = next(frames)
    shape = (reads, *first.shape)

    def blocks() -> Iterator[tuple[int, int, np.ndarray]]:
        yield 0, 0, first[None]
        yield from ((t, 0, frame[None]) for t, frame in enumerate(frames, 1))

    planes, scratch = spool(blocks(), shape, first.dtype, source)
    return ramps_of(source, planes, (reads,), [], config, scratch=scratch, notes=notes)


def _frames(files: list[Path], config: DetectorConfig) -> Iterator[np.ndarray]:
    """Yield the part of each page that belongs to the detector."""
    kind: tuple[Any, ...] | None = None
    for file in files:
        with _opened(file) as tiff:
            if len(files) > 1 and len(tiff.pages) != 1:
                raise OhanaError(f"{file}: wanted one frame in each file, got {len(tiff.pages)}")
            for page in tiff.pages:
                frame = _pixels(file, page)
                kind = kind or (frame.shape, frame.dtype)
                if (frame.shape, frame.dtype) != kind:
                    raise OhanaError(
                        f"{file}: mixed frames: wanted {kind[1]} of shape {kind[0]} as in the "
                        f"first, got {frame.dtype} of shape {frame.shape}"
                    )
                yield _detector(file, frame, config)


def _opened(file: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(file)
    except (tifffile.TiffFileError, ValueError) as error:
        raise OhanaError(f"{file}: cannot be read as TIFF: {error}") from error


def _pixels(file: Path, page: Any) -> np.ndarray:
    try:
        frame = np.asarray(page.asarray())
    except Exception as error:  # what a damaged page raises depends on its compression
        raise OhanaError(f"{file}: cannot be read as TIFF: {error}") from error
    if frame.ndim != 2 or frame.dtype.kind not in "iuf":
        raise OhanaError(
            f"{file}: wanted a grey frame (rows, columns), got {frame.dtype} of shape {frame.shape}"
        )
    return frame


def _detector(file: Path, frame: np.ndarray, config: DetectorConfig) -> np.ndarray:
    """Cut out one of the detectors side by side."""
    count = config.detectors_side_by_side
    width = frame.shape[1] // count
    if width * count != frame.shape[1]:
        raise OhanaError(
            f"{file}: wanted {count} detectors side by side, got {frame.shape[1]} columns"
        )
    return frame[:, config.detector_index * width :][:, :width]
