"""ASDF files: exposures of the Roman Wide Field Instrument (level 1), and cubes of reads.

A resultant of Roman is the mean of some reads, not always as many: ``read_pattern`` lists the
reads in each (Casertano 2022, Roman-STScI-000394; Sanders 2023 for the file format).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Planes, Ramp
from ohana.read.asdf_tree import find, is_array, load_tree, planes_of
from ohana.read.detector import RISING_FORWARD, Found
from ohana.read.fits_cube import not_a_ramp
from ohana.read.integrations import ramps_of, require_reads

#: Names of the reads, Roman's first.
NAMES = ("roman.data", "data")
#: Border [pixel], outputs, read time [s] and gain [e-/DN]: nominal values of the instrument, used
#: where a file has none.
BORDER, OUTPUTS, FRAME_TIME, GAIN = 4, 32, 3.16247, 2.0
DO_NOT_USE = 1

#: Header keys of detector and time, and their places in the metadata.
ORIGIN = {
    "TELESCOP": "meta.telescope",
    "INSTRUME": "meta.instrument.name",
    "DETECTOR": "meta.instrument.detector",
    "DATE-BEG": "meta.exposure.start_time",
}


@dataclass(frozen=True, kw_only=True)
class RestoredPlanes(Planes):
    """Reads with the reference read added back that was subtracted on board.

    Attributes
    ----------
    subtracted : Planes
        One plane: the reference read.
    """

    subtracted: Planes

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as float32 (T, rows, cols)."""
        return super().read(rows, cols) + self.subtracted.read(rows, cols)


def read_asdf(path: Path, config: DetectorConfig) -> list[Ramp]:
    """Read the array ``roman.data`` (T, H, W), or ``data``, or what ``config.dataset`` names.

    ``groupdq`` (or ``resultantdq``) becomes the flags of the reads and ``pixeldq`` bad pixels; a
    ``reference_read`` that was subtracted on board is put back. Uncompressed data are read where
    they lie.

    Raises
    ------
    OhanaError
        If there is no such array, it is no ramp, or its read pattern does not fit.
    """
    tree = load_tree(path)
    name = _name(path, tree, config.dataset)
    node, parent = find(tree, name), find(tree, name.rpartition(".")[0]) or tree
    if len(node["shape"]) != 3:
        raise not_a_ramp(path, f"{name} of shape {tuple(node['shape'])}, as in level 2")
    planes, scratch = planes_of(path, node, name)
    require_reads(path, len(planes))
    planes, base_scratch = _restored(path, planes, parent)
    pattern = _pattern(path, parent, len(planes))
    known = _facts(parent) | ({"nframes": _most(pattern)} if pattern else {})
    default, notes = _defaults(parent, planes.shape), []
    if pattern is None and name.startswith("roman"):
        notes.append("no read pattern: resultants are treated as single, evenly spaced reads")
    headers = [_numbers(parent) | _texts(parent)]
    [ramp] = ramps_of(
        path, planes, (len(planes),), headers, config, default | known, scratch, notes
    )
    if pattern is not None:
        ramp = _with_pattern(ramp, pattern)
    flags, flags_scratch = _flags(path, parent, ramp.shape)
    return [
        replace(
            ramp,
            flags=flags,
            bad_pixels=_bad_pixels(path, parent, planes.shape),
            reference_done=find(parent, "meta.cal_step.refpix") == "COMPLETE",
            scratch=(scratch, base_scratch, flags_scratch),
        )
    ]


def _name(path: Path, tree: Mapping[str, Any], wanted: str | None) -> str:
    """Return the dotted name of the reads."""
    names = NAMES if wanted is None else (wanted.strip("/").replace("/", "."),)
    for name in names:
        if is_array(find(tree, name)):
            return name
    top = tree.get("roman", tree)
    held = ", ".join(sorted(str(key) for key in top)) if isinstance(top, Mapping) else type(top)
    raise OhanaError(f"{path}: wanted an array {' or '.join(names)}, got {held or 'nothing'}")


def _restored(path: Path, planes: Planes, parent: Mapping[str, Any]) -> tuple[Planes, object]:
    """Add back the reference read that was subtracted on board."""
    node = find(parent, "reference_read")
    if not is_array(node):
        return planes, None
    base, scratch = planes_of(path, node, "reference_read")
    if len(base) != 1 or base.shape != planes.shape:
        raise OhanaError(
            f"{path}: mixed shapes: wanted reference_read of {planes.shape}, "
            f"got {tuple(node['shape'])}"
        )
    return RestoredPlanes(**vars(planes), subtracted=base), scratch


def _pattern(path: Path, parent: Mapping[str, Any], reads: int) -> list[list[int]] | None:
    """Return the reads averaged into each resultant, counted from 1."""
    given = find(parent, "meta.exposure.read_pattern")
    if given is None:
        return None
    try:
        pattern = [[int(read) for read in np.atleast_1d(group)] for group in given]
    except (TypeError, ValueError):
        raise OhanaError(f"{path}: read_pattern: wanted lists of reads, got {given!r}") from None
    if len(pattern) != reads:
        raise OhanaError(
            f"{path}: read_pattern: wanted one entry for each of {reads} resultants, "
            f"got {len(pattern)}"
        )
    whole = [read for group in pattern for read in group]
    if (
        not all(pattern)
        or whole != sorted(set(whole))
        or any(group[-1] - group[0] != len(group) - 1 for group in pattern)
    ):
        raise OhanaError(
            f"{path}: read_pattern: wanted ascending reads, those of a resultant in a row, "
            f"got {pattern}"
        )
    return pattern


def _most(pattern: list[list[int]]) -> tuple[int, str]:
    return max(map(len, pattern)), "meta.exposure.read_pattern"


def _with_pattern(ramp: Ramp, pattern: list[list[int]]) -> Ramp:
    """Return the ramp with the times of its resultants."""
    sizes = np.array([len(group) for group in pattern])
    times = np.array([np.mean(group) for group in pattern]) * ramp.facts.frame_time
    return replace(ramp, times=times, frames=None if np.all(sizes == sizes[0]) else sizes)


def _facts(parent: Mapping[str, Any]) -> Found:
    """Return the detector properties in the metadata of Roman."""
    try:
        time = float(find(parent, "meta.exposure.frame_time"))
    except (TypeError, ValueError):
        return {}
    return {"frame_time": (time, "meta.exposure.frame_time")} if 0 < time < np.inf else {}


def _numbers(parent: Mapping[str, Any]) -> dict[str, Any]:
    """Return scalar values beside the reads and in their metadata, as a header."""
    header: dict[str, Any] = {}
    for group in (find(parent, "meta"), parent):
        for key, value in group.items() if isinstance(group, Mapping) else ():
            try:
                header[str(key).upper()] = float(value)
            except (TypeError, ValueError):
                continue
    return header


def _texts(parent: Mapping[str, Any]) -> dict[str, str]:
    """Return detector and time from the metadata, as a header."""
    header = {}
    for key, name in ORIGIN.items():
        value = find(parent, name)
        # Times can come with their format.
        value = value.get("value") if isinstance(value, Mapping) else value
        if value is not None:
            header[key] = str(value)
    return header


def _defaults(parent: Mapping[str, Any], shape: tuple[int, int]) -> Found:
    """Return nominal properties of the detectors of the Wide Field Instrument."""
    if find(parent, "meta.exposure") is None and find(parent, "amp33") is None:
        return {}
    found: Found = {
        **RISING_FORWARD,
        "gain": (GAIN, "default (WFI, nominal)"),
        "frame_time": (FRAME_TIME, "default (WFI)"),
    }
    # Level 1 has the border; in later ramps it may have been cut off.
    raw = find(parent, "amp33") is not None or shape == (4096, 4096)
    found["border"] = (BORDER if raw else 0, "default (WFI)")
    if shape[1] % OUTPUTS == 0:
        found["outputs"] = (OUTPUTS, "default (WFI)")
    return found


def _flags(
    path: Path, parent: Mapping[str, Any], shape: tuple[int, int, int]
) -> tuple[Planes | None, object]:
    for name in ("groupdq", "resultantdq"):
        node = find(parent, name)
        if is_array(node):
            if tuple(node["shape"]) != shape:
                raise OhanaError(
                    f"{path}: mixed shapes: wanted {name} of {shape}, got {tuple(node['shape'])}"
                )
            return planes_of(path, node, name)
    return None, None


def _bad_pixels(path: Path, parent: Mapping[str, Any], shape: tuple[int, int]) -> np.ndarray | None:
    node = find(parent, "pixeldq")
    if not is_array(node) or tuple(node["shape"]) != shape:
        return None
    planes, _ = planes_of(path, node, "pixeldq")
    bad = (planes.read_stored()[0] & DO_NOT_USE).astype(bool)
    return bad if bad.any() else None
