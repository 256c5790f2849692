"""The results of `ohana-predict` on one exposure, opened again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ohana.classes import label_of
from ohana.errors import OhanaError
from ohana.ramp import ReadQuality
from ohana.rampfit.covariance import DifferenceCovariance, difference_covariance, with_quality
from ohana.results.catalogue import Detection, member_pixels, read_catalogue
from ohana.results.maps import paint
from ohana.results.prediction_files import (
    DETECTIONS,
    MASK,
    Maps,
    Reads,
    StoredReads,
    find_parts,
    load_array,
    open_features,
    open_reads,
    require_fit,
    require_prediction,
)
from ohana.results.run_record import read_run

#: Parts of a ramp whose median slope is the rate of a cube without maps. Chosen.
PARTS = 8


@dataclass(frozen=True)
class Prediction:
    """Events, maps and reads of one exposure.

    Rows, columns, reads and integrations count from 0; step f leads from read f - 1 to read f.

    Attributes
    ----------
    folder : Path or None
        Where it was opened from.
    name : str
        Of the exposure.
    shape : tuple of int
        (T, H, W).
    events : list of dict
        The catalogue, see `ohana.results.catalogue.Detection`.
    mask : ndarray of uint8, shape (H, W)
        `ohana.classes.Label` of each pixel, all integrations together.
    features : tuple of mapping
        For each integration its per-pixel maps by name, see `ohana.events.PixelMaps`. Those of
        a cube without its folder are ``rate``, ``stop`` and ``first_usable`` alone.
    reads : tuple of Reads
        For each integration its reads.
    times : ndarray of float64, shape (T,)
        Mean time of each read [frame times]; its index where it is not known.
    run : dict
        Record of the run (``run.json``); empty if there is none.
    """

    folder: Path | None
    name: str
    shape: tuple[int, int, int]
    events: list[Detection]
    mask: np.ndarray = field(repr=False)
    features: tuple[Mapping[str, np.ndarray], ...] = field(repr=False)
    reads: tuple[Reads, ...] = field(repr=False)
    times: np.ndarray = field(repr=False)
    run: dict[str, Any] = field(repr=False)

    @property
    def maps(self) -> Mapping[str, np.ndarray]:
        """Maps of the first integration."""
        return self.features[0]

    def covariance(self, integration: int = 0) -> DifferenceCovariance:
        """Covariance of the first differences of an integration as in the run [frame times]."""
        same = self.run.get("facts", {}).get("nframes", 1)
        frames = self.run.get("frames")
        alike = difference_covariance(self.times, 1.0, same if frames is None else np.array(frames))
        known = self.run.get("integrations", ())
        quality = known[integration].get("quality") if integration < len(known) else None
        if quality is None:
            return alike
        columns: dict[str, Any] = {
            k: np.array(v) if isinstance(v, list) else v for k, v in quality.items()
        }
        return with_quality(alike, ReadQuality(**columns))

    def ramp(self, y: int, x: int, integration: int = 0) -> np.ndarray:
        """Return all reads of the pixel at row ``y`` and column ``x``, float64 (T,) [DN].

        Read 0 is zero; a read that cannot be used may be NaN, a saturated one is as it was read.

        Raises
        ------
        ValueError
            There is no such pixel or integration.
        """
        reads, height, width = self.shape
        if not (0 <= y < height and 0 <= x < width):
            raise ValueError(f"y, x: wanted a pixel of {height} x {width}, got {y}, {x}")
        pixel = self.cube(slice(reads), slice(y, y + 1), slice(x, x + 1), integration)
        return pixel[:, 0, 0].astype(np.float64)

    def cube(self, reads: slice, rows: slice, cols: slice, integration: int = 0) -> np.ndarray:
        """Return some reads of a window, float32 (reads, rows, cols) [DN], as `ramp` does.

        Slices are cut at the ends of the array.
        """
        if not 0 <= integration < len(self.reads):
            wanted = f"0 to {len(self.reads) - 1}"
            raise ValueError(f"integration: wanted {wanted}, got {integration}")
        window = [
            range(size)[part] for part, size in zip((reads, rows, cols), self.shape, strict=True)
        ]
        if any(part.step != 1 for part in window):
            raise ValueError(f"reads, rows, cols: wanted step 1, got {reads}, {rows}, {cols}")
        data = self.reads[integration].window(*window)
        if 0 in window[0]:
            first = self.features[integration]["first_usable"][rows, cols]
            data[0, first > 0] = np.nan
        return data

    def image(self, integration: int = 0) -> np.ndarray:
        """Return the count rate of each pixel without steps (H, W) [DN per frame time]."""
        return self.features[integration]["rate"]

    def stop(self, y: int, x: int, integration: int = 0) -> int:
        """Return the first saturated read of a pixel; T where there is none."""
        return int(self.features[integration]["stop"][y, x])


def open_prediction(folder: str | Path) -> Prediction:
    """Open an output folder of ``ohana-predict``; reads stay on disk.

    If no corrected cube was written, reads are taken from the input named in ``run.json`` and
    corrected again.

    Parameters
    ----------
    folder : str or Path
        The output folder of one exposure.

    Raises
    ------
    OhanaError
        It holds no prediction, its files are inconsistent, or there are no reads.
    """
    folder = Path(folder)
    require_prediction(folder)
    run = read_run(folder)
    name, parts = find_parts(folder, run)
    features = tuple(open_features(part.features) for part in parts)
    reads, times = open_reads(folder, parts, run, float(features[0]["frame_time"]))
    shape, mask = reads[0].shape, load_array(folder / MASK)
    require_fit(folder / MASK, mask.shape, shape[1:])
    for part, maps, each in zip(parts, features, reads, strict=True):
        require_fit(part.features, maps["stop"].shape, shape[1:])
        require_fit(part.cube or part.features, each.shape, shape)
    events = _in_file(read_catalogue(folder / DETECTIONS), run)
    _require_inside(str(folder / DETECTIONS), events, shape, len(reads))
    return Prediction(folder, name, shape, events, mask, features, reads, times, run)


def _in_file(events: Sequence[Detection], run: dict[str, Any]) -> list[Detection]:
    """Count integrations from the first in the file; a segment may begin with a later one."""
    first = run["integrations"][0]["integration"] if run else 0
    return [event | {"integration": event["integration"] - first} for event in events]


def prediction_of(
    processed: np.ndarray | str | Path,
    detections: Sequence[Detection] | str | Path,
    mask: np.ndarray | None = None,
    name: str | None = None,
) -> Prediction:
    """Make a prediction of a corrected cube and its events.

    Parameters
    ----------
    processed : ndarray, shape (T - 1, H, W), or path of a ``.npy`` file
        Corrected reads 1 to T - 1 [DN]; a file is memory-mapped.
    detections : list of dict, or path of a ``detections.json``
        The events.
    mask : ndarray of uint8, shape (H, W), optional
        Painted from the events if absent.
    name : str, optional
        Of the exposure.

    Raises
    ------
    OhanaError
        A file cannot be read, or an event lies outside the cube.
    ValueError
        The shapes do not fit.

    Examples
    --------
    >>> ramp = 3.0 * np.arange(1, 6)[:, None, None] * np.ones((1, 8, 8))
    >>> prediction = prediction_of(ramp, [])
    >>> prediction.shape, prediction.ramp(2, 5).tolist(), float(prediction.image()[2, 5])
    ((6, 8, 8), [0.0, 3.0, 6.0, 9.0, 12.0, 15.0], 3.0)
    """
    where = str(detections) if isinstance(detections, str | Path) else "detections"
    if name is None:
        name = Path(processed).stem if isinstance(processed, str | Path) else "exposure"
    cube = (
        load_array(Path(processed)) if isinstance(processed, str | Path) else np.asarray(processed)
    )
    if cube.ndim != 3 or len(cube) < 2:
        raise ValueError(f"processed: wanted (T - 1, H, W) with T of 3 or more, got {cube.shape}")
    events = read_catalogue(detections) if isinstance(detections, str | Path) else list(detections)
    reads = StoredReads(cube)
    _require_inside(where, events, reads.shape, 1)
    if mask is None:
        mask = paint(
            [(label_of(event["type"]), member_pixels(event)) for event in events], reads.shape[1:]
        )
    elif mask.shape != reads.shape[1:]:
        raise ValueError(f"mask: wanted shape {reads.shape[1:]}, got {mask.shape}")
    times = np.arange(reads.shape[0], dtype=float)
    maps = (Maps(("rate", "stop", "first_usable"), lambda name: _bare_map(cube, name)),)
    return Prediction(None, name, reads.shape, events, mask, maps, (reads,), times, {})


def _bare_map(cube: np.ndarray, name: str) -> np.ndarray:
    """Compute a map for a cube without its output folder."""
    if name != "rate":
        return np.full(cube.shape[1:], len(cube) + 1 if name == "stop" else 0, np.int32)
    # Only a few parts of a ramp contain a step.
    ends = np.unique(np.linspace(0, len(cube), PARTS + 1).astype(int))
    planes = [cube[end - 1] if end else np.zeros(cube.shape[1:], np.float32) for end in ends]
    slopes = [
        (later - before) / np.float32(reads)
        for before, later, reads in zip(planes, planes[1:], np.diff(ends), strict=False)
    ]
    return np.median(slopes, axis=0).astype(np.float32)


def _require_inside(
    where: str, events: Sequence[Detection], shape: tuple[int, int, int], integrations: int
) -> None:
    """Refuse events outside the exposure."""
    for number, event in enumerate(events):
        height, width = event["bbox"][2:]
        frame, integration = event["first_frame"] or 0, event["integration"]
        if height > shape[1] or width > shape[2] or frame >= shape[0]:
            got = f"bbox {event['bbox']}, first_frame {frame}"
            raise OhanaError(f"{where}: event {number}: wanted one within {shape}, got {got}")
        if integration >= integrations:
            wanted = f"0 to {integrations - 1}"
            raise OhanaError(
                f"{where}: event {number}: integration: wanted {wanted}, got {integration}"
            )
