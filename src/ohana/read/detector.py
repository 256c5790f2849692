"""Properties of the detector and their sources: settings, header or default."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import DetectorInfo, ExposureInfo, Planes
from ohana.refpix.readout import FULL_FRAME

#: Name -> value and its source.
Found = dict[str, tuple[Any, str]]
#: Header keys (attributes in HDF5), the most specific first.
KEYS: dict[str, tuple[str, ...]] = {
    "gain": ("GAIN", "EGAIN", "CCDGAIN", "ADCGAIN"),
    "read_noise": ("RDNOISE", "READNOIS", "READ_NOISE", "RON"),
    "saturation": ("SATURATE", "SATURATION", "SATLEVEL"),
    "frame_time": ("TFRAME", "FRAMTIME", "FRMTIME", "FRAME_TIME"),
    "outputs": ("NOUTPUTS", "NOUTPUT", "NAMPS", "OUTPUTS"),
    "border": ("REFBORD", "REFPIX", "NREFPIX", "BORDER"),
    "fast_axis": ("FASTAXIS", "FAST_AXIS"),
    "slow_axis": ("SLOWAXIS", "SLOW_AXIS"),
    "nframes": ("NFRAMES",),
    "groupgap": ("GROUPGAP",),
}
#: Properties that no header gives, where files of an instrument keep to one direction.
RISING_FORWARD = {"polarity": ("rising", "format"), "read_order": ("forward", "format")}
#: Properties that settings can give.
SETTABLE = (
    "gain",
    "read_noise",
    "saturation",
    "frame_time",
    "outputs",
    "border",
    "border_sides",
    "polarity",
    "read_order",
)
WHOLE = {"outputs", "border", "fast_axis", "slow_axis", "nframes", "groupgap"}
#: Width of square arrays that are taken for full frames of an HxRG [pixel], and the width of their
#: reference border [pixel].
FULL_FRAMES = (1024, 2048, 4096)
FULL_FRAME_BORDER = 4
#: Header keys of the start of an exposure, as a modified Julian date and as a date.
MJD_KEYS = ("EXPSTART", "MJD-BEG", "MJD-OBS", "MJD_OBS")
DATE_KEYS = ("DATE-BEG", "DATE-OBS", "DATE_OBS")
#: Header keys of the time of day, for dates without one.
TIME_KEYS = ("TIME-OBS", "UTSTART", "UT")
MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def number(header: Mapping[str, Any], key: str) -> float | None:
    """Return a finite number from a header, None if it is absent or not a number."""
    try:
        value = np.asarray(header[key]).reshape(-1)
        if len(value) != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value[0]):
            return None
        return float(value[0])
    except Exception:  # astropy raises several kinds for a card it cannot parse
        return None


def text(header: Mapping[str, Any], key: str) -> str:
    """Return a string from a header in capitals, stripped; "" if absent."""
    try:
        value = header[key]
    except Exception:  # as above
        return ""
    return (value.decode() if isinstance(value, bytes) else str(value)).strip().upper()


def gather(
    headers: Iterable[Mapping[str, Any]],
    config: DetectorConfig,
    planes: Planes,
    known: Found | None = None,
    default: Found | None = None,
) -> tuple[DetectorInfo, list[str]]:
    """Determine the properties of a detector.

    Parameters
    ----------
    headers : iterable of mapping
        Headers of the file, by descending priority.
    config : DetectorConfig
        Its values override all others.
    planes : Planes
        The reads; their type determines the full scale of the converter.
    known : dict, optional
        Values of the format, which override the header keys.
    default : dict, optional
        Values used where there are no others.

    Returns
    -------
    DetectorInfo
        With the source of every field.
    list of str
        Notices for the user.

    Raises
    ------
    OhanaError
        The border or number of outputs in the settings does not fit the array.
    """
    headers = list(headers)
    notes: list[str] = []
    found = _built_in(planes) | (default or {})
    found |= _from_headers(headers, planes, notes) | (known or {})
    for name in SETTABLE:
        if getattr(config, name) not in (None, "auto"):
            found[name] = (getattr(config, name), "config")
    if config.border_sides is not None:
        found["border"] = (max(config.border_sides), "config")
    _check_geometry(found, planes.shape, notes)
    if found["gain"][1] == "default":
        notes.append("gain unknown: 1 e-/DN is assumed; set `gain` in the configuration")
    values = {name: value for name, (value, _) in found.items()}
    if values["read_noise"] is not None:
        values["read_noise"] /= values["gain"]  # headers and configs have electrons
    sources = {name: source for name, (_, source) in found.items()}
    return DetectorInfo(**values, origin=origin_of(headers), sources=sources), notes


def _built_in(planes: Planes) -> Found:
    height, width = planes.shape
    full = height == width and width in FULL_FRAMES
    border = (FULL_FRAME_BORDER, FULL_FRAME) if full else (0, "default")
    defaults = {name: (getattr(DetectorInfo, name), "default") for name in (*KEYS, *RISING_FORWARD)}
    return defaults | {"saturation": _rail(planes), "border": border}


def _rail(planes: Planes) -> tuple[float, str]:
    """Return the full scale of a 16-bit converter [DN]; other types have none."""
    if planes.dtype.itemsize == 2 and planes.dtype.kind in "iu" and planes.scale is None:
        top = np.iinfo(planes.dtype).max + float(np.max(planes.zero))
        return top, "default (rail of the 16-bit converter)"
    return math.inf, "default (none)"


def _from_headers(headers: list[Mapping[str, Any]], planes: Planes, notes: list[str]) -> Found:
    """Return the usable values of all header keys."""
    found: Found = {}
    for name, keys in KEYS.items():
        candidates = ((number(header, key), key) for key in keys for header in headers)
        for value, key in candidates:
            if value is None:
                continue
            if _usable(name, value):
                found[name] = (int(value) if name in WHOLE else value, f"header {key}")
                break
            notes.append(f"header {key} = {value:g} is not plausible and is ignored")
    axes = [found.get("fast_axis"), found.get("slow_axis")]
    if None in axes or abs(axes[0][0]) == abs(axes[1][0]):  # type: ignore[index]
        found.pop("fast_axis", None)
        found.pop("slow_axis", None)
    if "frame_time" not in found:
        found |= _derived_frame_time(headers, found, len(planes))
    return found


def _usable(name: str, value: float) -> bool:
    if name in WHOLE and value != int(value):
        return False
    if name in ("fast_axis", "slow_axis"):
        return abs(value) in (1, 2)
    return value >= 0 if name in ("border", "groupgap") else value > 0


def _derived_frame_time(headers: list[Mapping[str, Any]], found: Found, reads: int) -> Found:
    """Derive the frame time [s] from the duration of a group or of the exposure."""
    frames = found.get("nframes", (1, ""))[0] + found.get("groupgap", (0, ""))[0]
    for key, count in (("TGROUP", frames), ("EXPTIME", reads), ("EXP_TIME", reads)):
        for header in headers:
            value = number(header, key)
            if value is not None and value > 0:
                return {"frame_time": (value / count, f"derived from header {key}")}
    return {}


def _check_geometry(found: Found, shape: tuple[int, int], notes: list[str]) -> None:
    """Check that border and outputs fit the array; ignore header values that do not."""
    fast = shape[1] if abs(found["fast_axis"][0]) == 1 else shape[0]
    for name, fits, what in (
        ("border", 2 * found["border"][0] < min(shape), f"leave pixels in {shape[0]} x {shape[1]}"),
        ("outputs", fast % found["outputs"][0] == 0, f"divide the {fast} pixels of a line"),
    ):
        value, source = found[name]
        if fits:
            continue
        if source == "config":
            raise OhanaError(f"config: {name}: wanted a number that can {what}, got {value}")
        notes.append(f"{name} = {value} ({source}) does not {what} and is ignored")
        found[name] = (getattr(DetectorInfo, name), "default")


def read_times(reads: int, facts: DetectorInfo) -> np.ndarray:
    """Return the mean time of each read since the reset [s], shape (T,).

    A read is the mean of ``facts.nframes`` frames; ``facts.groupgap`` frames are dropped after it.

    Examples
    --------
    >>> read_times(3, DetectorInfo(frame_time=10.0, nframes=4, groupgap=1))
    array([ 25.,  75., 125.])
    """
    group = (facts.nframes + facts.groupgap) * facts.frame_time
    return (facts.nframes + 1) / 2 * facts.frame_time + group * np.arange(reads)


def origin_of(headers: Iterable[Mapping[str, Any]]) -> ExposureInfo:
    """Determine the origin of an exposure; fields that no header gives are empty.

    Parameters
    ----------
    headers : iterable of mapping
        Headers of the file, by descending priority.

    Examples
    --------
    >>> origin_of([{"DETECTOR": "nrca1 ", "DATE-OBS": "2024-02-29", "TIME-OBS": "12:30:00.5"}])
    ExposureInfo(telescope='', instrument='', detector='NRCA1', start='2024-02-29T12:30:00.500', \
corner=(0, 0))
    >>> origin_of([{"EXPSTART": 60369.25, "SUBSTRT1": 5, "SUBSTRT2": 9}]).start
    '2024-02-29T06:00:00.000'
    """
    headers = list(headers)

    def first(key: str) -> str:
        return next((found for header in headers if (found := text(header, key))), "")

    def corner(key: str) -> int:
        values = (number(header, key) for header in headers)
        return max(int(next((value for value in values if value is not None), 1)) - 1, 0)

    days = (number(header, key) for key in MJD_KEYS for header in headers)
    date = next((value for value in days if value is not None and value > 0), None)
    texts = (first(key) for key in DATE_KEYS)
    time = next((found for key in TIME_KEYS if ":" in (found := first(key))), "")
    begin = _of_days(date) if date is not None else _of_text(next(filter(None, texts), ""), time)
    return ExposureInfo(
        telescope=first("TELESCOP"),
        instrument=first("INSTRUME"),
        detector=first("DETECTOR"),
        start=begin.isoformat(timespec="milliseconds") if begin else "",
        corner=(corner("SUBSTRT2"), corner("SUBSTRT1")),
    )


def _of_days(days: float) -> datetime | None:
    """Return the time of a modified Julian date."""
    try:
        # In double precision a present-day date is good to a microsecond only.
        seconds = round(86400 * days, 3)
        return (MJD_ZERO + timedelta(seconds=seconds)).replace(tzinfo=None)
    except OverflowError:
        return None


def _of_text(date: str, time: str) -> datetime | None:
    """Return the time of a FITS date, which is UTC unless it has a time zone."""
    try:
        begin = datetime.fromisoformat(date if "T" in date or not time else f"{date}T{time}")
    except ValueError:
        return None
    return begin.astimezone(UTC).replace(tzinfo=None) if begin.tzinfo else begin
