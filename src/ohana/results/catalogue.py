"""The catalogue: events as plain dictionaries, written to and read from ``detections.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ohana.classes import ClassKey
from ohana.errors import OhanaError
from ohana.events import Event
from ohana.utils.files import replacing
from ohana.utils.formatting import json_safe

#: Largest number of pixels listed one by one; larger events list runs along rows. Chosen.
MAX_LISTED_PIXELS = 64

Index = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Pair = Annotated[list[Index], Field(min_length=2, max_length=2)]


@with_config(ConfigDict(extra="allow"))
class Detection(TypedDict):
    """One object of the catalogue; classes add their own fields to these.

    Attributes
    ----------
    type : str
        Name of its class, see `ohana.classes.CLASSES`.
    centroid : [row, col]
        Mean position, weighted with the amplitudes [pixel].
    position : [row, col]
        The strongest pixel.
    first_frame : int or None
        First raw read (from 0) that contains the event; None for telegraph noise.
    mean_intensity, max_intensity : float or None
        Mean and maximum over its pixels of the step above the ramp [DN].
    spatial_extent : int
        Number of pixels.
    confidence : float
        Of the detections at 0.9, nine in ten are real and of this class.
    significance : float or None
        Significance of the most significant pixel [sigma]; compare with ``sigma_threshold``.
    source : str
        ``rules``, ``unet`` or ``both``.
    integration : int
        Integration of the exposure, from 0.
    bbox : [row, col, row, col]
        First row and column, and those behind the last ones.
    pixels : [[row, col], ...], in small events
        Every pixel.
    runs : [[row, col, length], ...], in large events
        Every pixel, as runs along rows.
    """

    type: ClassKey
    centroid: Annotated[list[Finite], Field(min_length=2, max_length=2)]
    position: Pair
    first_frame: Index | None
    mean_intensity: Finite | None
    max_intensity: Finite | None
    spatial_extent: Annotated[int, Field(ge=1)]
    confidence: Annotated[float, Field(ge=0, le=1)]
    significance: Finite | None
    source: Literal["rules", "unet", "both"]
    integration: Index
    bbox: Annotated[list[Index], Field(min_length=4, max_length=4)]
    pixels: NotRequired[list[Pair]]
    runs: NotRequired[list[Annotated[list[Index], Field(min_length=3, max_length=3)]]]


_DETECTIONS = TypeAdapter(list[Detection])


def catalogue(events: Sequence[Event]) -> list[Detection]:
    """Describe events in plain numbers, strings and lists.

    Sorted by integration, first frame (events without one last) and position. What is not
    known (NaN) becomes None.

    Parameters
    ----------
    events : sequence of Event
        In any order, each with at least one pixel.

    Examples
    --------
    >>> from ohana.classes import Label
    >>> rows, amplitude = np.array([4, 4, 5]), np.array([300.0, 100.0, 100.0])
    >>> hit = Event(Label.COSMIC_RAY, rows, rows - 1, rows, amplitude, amplitude / 10, 7, 0.99)
    >>> entry = catalogue([hit])[0]
    >>> entry["centroid"], entry["max_intensity"], entry["bbox"]
    ([4.2, 3.2], 300.0, [4, 3, 6, 5])
    """
    if not events:
        return []
    table = [
        dict(zip(_COLUMNS, values, strict=True)) for values in zip(*_measure(events), strict=True)
    ]
    entries = []
    for event, measured in zip(events, table, strict=True):
        entry: dict[str, Any] = {
            "type": event.label.key,
            **measured,
            "first_frame": None if event.first_frame is None else int(event.first_frame),
            "confidence": round(float(event.confidence), 4),
            "source": event.source,
            "integration": int(event.integration),
            **_members(event),
        }
        extra = {name: json_safe(value) for name, value in event.extra.items()}
        if entry.keys() & extra.keys():
            raise ValueError(f"extra: {entry.keys() & extra.keys()} are fields of every event")
        entries.append(entry | extra)
    return sorted(entries, key=_order)  # type: ignore[return-value, arg-type]


def write_catalogue(path: Path, events: Sequence[Event]) -> list[Detection]:
    """Write events as a JSON list with one event on each line, and return its entries."""
    entries = catalogue(events)
    encode = json.JSONEncoder(allow_nan=False).encode
    lines = ",\n".join(encode(entry) for entry in entries)
    with replacing(path) as temporary:
        temporary.write_text(f"[\n{lines}\n]\n" if entries else "[]\n", "utf-8")
    return entries


def read_catalogue(path: str | Path) -> list[Detection]:
    """Read a catalogue and check every entry.

    Raises
    ------
    OhanaError
        The file cannot be read, or an entry is not as `Detection` says.
    """
    try:
        return _DETECTIONS.validate_json(Path(path).read_bytes(), strict=True)
    except OSError as error:
        raise OhanaError(f"{path}: cannot read catalogue: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise OhanaError(f"{path}: entry {where or 'list'}: {first['msg']}") from None


def member_pixels(entry: Detection) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of all pixels of an entry.

    Examples
    --------
    >>> member_pixels({"runs": [[3, 10, 2], [4, 11, 1]]})
    (array([3, 3, 4]), array([10, 11, 11]))
    """
    if "pixels" in entry:
        rows, cols = np.array(entry["pixels"], np.int64).reshape(-1, 2).T
        return rows, cols
    row, col, length = np.array(entry["runs"], np.int64).reshape(-1, 3).T
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return np.repeat(row, length), np.repeat(col, length) + within


_COLUMNS = (
    "centroid",
    "position",
    "mean_intensity",
    "max_intensity",
    "spatial_extent",
    "significance",
    "bbox",
)


def _measure(events: Sequence[Event]) -> list[list[Any]]:
    """Return the fields of `_COLUMNS`, each for all events at once."""
    size = np.array([len(event.rows) for event in events])
    if not size.all():
        raise ValueError("events: wanted at least one pixel in each, got an event without")
    rows, cols, amplitude, significance = (
        np.concatenate([getattr(event, name) for event in events])
        for name in ("rows", "cols", "amplitude", "significance")
    )
    owner = np.repeat(np.arange(len(events)), size)
    start = np.cumsum(size) - size
    known = np.isfinite(amplitude)
    # Weights are never all zero: plain mean where no amplitude is known and positive.
    weight = np.where(known & (amplitude > 0), amplitude, 0).astype(float)
    weight += np.repeat(np.add.reduceat(weight, start) == 0, size)
    total = np.add.reduceat(weight, start)
    centroid = [np.add.reduceat(weight * axis, start) / total for axis in (rows, cols)]
    # The strongest pixel; among equals the lowest row, then column.
    order = np.lexsort((cols, rows, -np.where(known, amplitude, -np.inf), owner))
    peak = order[start]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(known, amplitude, 0.0), start) / np.add.reduceat(
            known.astype(float), start
        )
    best = np.fmax.reduceat(significance, start)
    box = [np.minimum.reduceat(axis, start) for axis in (rows, cols)]
    box += [np.maximum.reduceat(axis, start) + 1 for axis in (rows, cols)]
    return [
        np.round(centroid, 3).T.tolist(),
        np.column_stack([rows[peak], cols[peak]]).tolist(),
        _rounded(mean),
        _rounded(amplitude[peak]),
        size.tolist(),
        _rounded(best),
        np.column_stack(box).tolist(),
    ]


def _rounded(values: np.ndarray) -> list[float | None]:
    """Return floats to 0.001, None where not finite."""
    return [x if math.isfinite(x) else None for x in np.round(values.astype(float), 3).tolist()]


def _members(event: Event) -> dict[str, list[list[int]]]:
    """List the pixels of an event in row order, or their runs along rows if they are many."""
    order = np.lexsort((event.cols, event.rows))
    rows, cols = event.rows[order], event.cols[order]
    if len(rows) <= MAX_LISTED_PIXELS:
        return {"pixels": np.column_stack([rows, cols]).tolist()}
    first = np.flatnonzero(np.append(True, (np.diff(rows) != 0) | (np.diff(cols) != 1)))
    length = np.diff(np.append(first, len(rows)))
    return {"runs": np.column_stack([rows[first], cols[first], length]).tolist()}


def _order(entry: Detection) -> tuple[Any, ...]:
    frame = entry["first_frame"]
    return entry["integration"], frame is None, frame or 0, entry["position"], entry["type"]
