"""The exposures below a folder: complete results, detectors, live times."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ohana.errors import OhanaError
from ohana.ramp import side_widths
from ohana.results.prediction_files import DETECTIONS, FEATURES, MASK
from ohana.results.run_record import RUN, read_run

#: Pixel pitch of instruments that differ from an HxRG of their size [micron].
PITCHES = {"MIRI": 25.0, "WFI": 10.0}
#: Minimum width of an H4RG [pixel], which has smaller pixels.
H4RG, H4RG_PITCH, H2RG_PITCH = 4096, 10.0, 18.0
MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


class Detector(NamedTuple):
    """A detector, and the part of it that was read: (H, W) pixels from a corner on."""

    telescope: str
    instrument: str
    detector: str
    shape: tuple[int, int]
    corner: tuple[int, int]

    @property
    def label(self) -> str:
        """Name for display.

        Examples
        --------
        >>> Detector("JWST", "NIRCAM", "NRCA1", (64, 64), (0, 4)).label
        'JWST NIRCAM NRCA1 64 x 64 from row 0, column 4'
        """
        names = " ".join(filter(None, self[:3])) or "unknown detector"
        where = f" from row {self.corner[0]}, column {self.corner[1]}" if any(self.corner) else ""
        return f"{names} {self.shape[0]} x {self.shape[1]}{where}"

    @property
    def stem(self) -> str:
        """Stem of the names of its files."""
        return re.sub(r"[^a-z0-9]+", "_", self.label.lower().replace(" x ", "x")).strip("_")


class RecordedHealth(NamedTuple):
    """Health of an exposure, all integrations together; see `ohana.results.health.Health`.

    ``not_searched`` counts reads; numbers are NaN in records that have none.
    """

    rises: float = np.nan
    falls: float = np.nan
    decoys: float = np.nan
    decoys_by_noise: float = np.nan
    not_searched: float = np.nan
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExposureMetadata:
    """An exposure as recorded by its run, without events.

    Attributes
    ----------
    folder : Path
        Folder of its results.
    name : str
        Name of the exposure.
    detector : Detector
        Detector and part of it that was read.
    start : str
        Start [UTC], ISO 8601; empty if unknown.
    times : ndarray of float64, shape (T,)
        Mean time of each read since the reset [s].
    live_time : float
        Time in which events can be detected: first to last frame, all integrations [s].
    integrations : int
        Number of integrations.
    lit : tuple of slice
        Rows and columns inside the reference border.
    pitch : float
        Width of a pixel [micron].
    gain : float or None
        [e-/DN]; None where it was only assumed.
    axes : tuple of int
        Fast and slow axis of the read-out, see `ohana.ramp.DetectorInfo`.
    found_by : str
        Version, settings and network of the search for events.
    health : RecordedHealth
        Steps of pixels, and warnings.
    """

    folder: Path
    name: str
    detector: Detector
    start: str
    times: np.ndarray
    live_time: float
    integrations: int
    lit: tuple[slice, slice]
    pitch: float
    gain: float | None
    axes: tuple[int, int]
    found_by: str
    health: RecordedHealth = RecordedHealth()

    @property
    def mjd(self) -> float:
        """Start as a modified Julian date [d, UTC]; NaN if unknown."""
        if not self.start:
            return np.nan
        since = datetime.fromisoformat(self.start).replace(tzinfo=UTC) - MJD_ZERO
        return since.total_seconds() / 86400

    @property
    def active(self) -> int:
        """Number of pixels that see light."""
        rows, cols = self.lit
        return (rows.stop - rows.start) * (cols.stop - cols.start)

    @property
    def area_time(self) -> float:
        """Area that sees light times live time [cm2 s]."""
        return self.active * (1e-4 * self.pitch) ** 2 * self.live_time

    @property
    def interval(self) -> float:
        """Mean time from read to read [s]."""
        return float(self.times[-1] - self.times[0]) / (len(self.times) - 1)


class Skipped(NamedTuple):
    """A folder that was skipped, and the reason."""

    folder: Path
    reason: str


def find_exposures(
    root: Path, pitch: float | None = None
) -> tuple[list[ExposureMetadata], list[Skipped]]:
    """Find the results of all exposures below a folder, or in it, in order of time.

    Exposures come in order of their begin, those without one after the others by name. Of
    several results of the same input the last run counts.

    Parameters
    ----------
    root : Path
        Folder to search.
    pitch : float, optional
        Width of a pixel [micron]; by instrument and size of the array if absent.

    Raises
    ------
    OhanaError
        There is no such folder.
    """
    if not root.is_dir():
        raise OhanaError(f"{root}: wanted a folder with results of ohana-predict, got none")
    latest: dict[tuple[str, Detector], tuple[str, ExposureMetadata]] = {}
    skipped: list[Skipped] = []
    for folder in _result_folders(root):
        try:
            run = whole_run(folder)
            exposure = exposure_of(folder, run, pitch)
        except OhanaError as error:
            skipped.append(Skipped(folder, str(error).removeprefix(f"{folder}: ")))
            continue
        key, started = (run["input"]["fingerprint"], exposure.detector), run["started"]
        before = latest.get(key)
        if before and before[0] > started:
            skipped.append(Skipped(folder, f"same input as {before[1].folder}: that counts"))
            continue
        if before:
            reason = f"same input as {folder}: that counts"
            skipped.append(Skipped(before[1].folder, reason))
        latest[key] = started, exposure
    found = [exposure for _, exposure in latest.values()]
    found.sort(key=lambda each: (not each.start, each.start, each.name, str(each.folder)))
    return found, skipped


def _result_folders(root: Path) -> Iterator[Path]:
    """Yield the folders that contain a file of a prediction."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        known = {DETECTIONS, MASK, RUN}.intersection(names)
        if known or any(name.endswith(FEATURES) for name in names):
            yield Path(place)


def whole_run(folder: Path) -> dict[str, Any]:
    """Return the record of a run; refuse incomplete results."""
    run, path = read_run(folder), folder / DETECTIONS
    if not run:
        raise OhanaError(f"{folder}: no {RUN}: the run did not finish")
    if not path.is_file():
        raise OhanaError(f"{folder}: no {DETECTIONS}")
    if run["files"].get(DETECTIONS) != path.stat().st_size:
        raise OhanaError(f"{folder}: {DETECTIONS} does not match {RUN}")
    return run


def exposure_of(folder: Path, run: dict[str, Any], pitch: float | None = None) -> ExposureMetadata:
    """Describe an exposure from the record of its run.

    Raises
    ------
    OhanaError
        The record lacks a field.
    """
    try:
        facts = run["facts"]
        origin = facts.get("origin") or {}  # records of earlier versions have none
        _, *shape = run["shape"]
        telescope, instrument, name = (
            origin.get(key, "") for key in ("telescope", "instrument", "detector")
        )
        height, width = shape
        config = run["config"]
        if config["detectors_side_by_side"] > 1:  # the header describes only one of them
            name = f"{name} {config['detector_index']}".strip()
        row, col = origin.get("corner", (0, 0))
        detector = Detector(telescope, instrument, name, (height, width), (row, col))
        times = np.array(run["times"], np.float64)
        integrations = len(run["integrations"])
        # Times are means over the frames of a read: the outermost frames lie outside them.
        frames = run.get("frames") or [facts["nframes"]]
        outside = (frames[0] + frames[-1] - 2) / 2 * facts["frame_time"]
        live = times[-1] - times[0] + outside
        return ExposureMetadata(
            folder=folder,
            name=run["exposure"],
            detector=detector,
            start=origin.get("start", ""),
            times=times,
            live_time=float(live) * integrations,
            integrations=integrations,
            lit=_lit(height, width, facts),
            pitch=pitch or pixel_pitch(detector),
            gain=None if facts["sources"].get("gain", "default") == "default" else facts["gain"],
            axes=(facts["fast_axis"], facts["slow_axis"]),
            found_by=" ".join(
                (run["versions"]["ohana"], run["config_fingerprint"], run["network"] or "rules")
            ),
            health=_health(run.get("health") or ()),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise OhanaError(f"{folder}: {RUN} has a missing or invalid field: {error!r}") from None


def _health(entries: Sequence[dict[str, Any]]) -> RecordedHealth:
    if not entries:
        return RecordedHealth()
    rises, falls, decoys, by_noise = (
        float(sum(each[name] or 0 for each in entries))
        for name in ("rises", "falls", "decoys", "decoys_by_noise")
    )
    left_out = float(sum(len(each["not_searched"]) for each in entries))
    warnings = dict.fromkeys(warning for each in entries for warning in each["warnings"])
    return RecordedHealth(rises, falls, decoys, by_noise, left_out, tuple(warnings))


def _lit(height: int, width: int, facts: dict[str, Any]) -> tuple[slice, slice]:
    bottom, top, left, right = side_widths(facts["border"], facts["border_sides"])
    return slice(bottom, height - top), slice(left, width - right)


def pixel_pitch(detector: Detector) -> float:
    """Return the usual width of the pixels of a detector [micron].

    Examples
    --------
    >>> pixel_pitch(Detector("", "", "", (4096, 4096), (0, 0)))
    10.0
    """
    usual = H4RG_PITCH if max(detector.shape) >= H4RG else H2RG_PITCH
    return PITCHES.get(detector.instrument, usual)
