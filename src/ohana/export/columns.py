"""The columns of a catalogue as a table: one row per event, one type and unit per column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ohana.classes import CLASSES, Column
from ohana.errors import OhanaError
from ohana.export.exposure import ExposureMetadata
from ohana.results.catalogue import Detection

#: Events as columns: masked where a value is not known or not of the class.
Columns = dict[str, np.ma.MaskedArray]


#: Columns of the exposure.
EXPOSURE_COLUMNS = (
    Column("exposure", str, "", "Name of the exposure"),
    Column("detector", str, "", "Telescope, instrument, detector, size of the array"),
    Column("mjd", float, "d", "Begin of the exposure, modified Julian date (UTC)"),
)
#: Columns of every event.
EVENT_COLUMNS = (
    Column("integration", int, "", "Integration of the exposure, from 0"),
    Column("type", str, "", " or ".join([", ".join(list(CLASSES)[:-1]), list(CLASSES)[-1]])),
    Column("row", int, "", "Row of the strongest pixel, from 0"),
    Column("col", int, "", "Column of the strongest pixel, from 0"),
    Column("centroid_row", float, "pix", "Mean row, weighted with the amplitudes, from 0"),
    Column("centroid_col", float, "pix", "Mean column, weighted with the amplitudes, from 0"),
    Column("first_frame", int, "", "First read that contains the event, from 0"),
    Column("time", float, "s", "Mean time of that read since the reset"),
    Column("mean_intensity", float, "DN", "Mean step over the pixels, above the ramp"),
    Column("max_intensity", float, "DN", "Step of the strongest pixel, above the ramp"),
    Column(
        "charge",
        float,
        "electron",
        "Of classes that add charge: steps of all pixels, where the gain is known",
    ),
    Column("spatial_extent", int, "", "Number of pixels"),
    Column("confidence", float, "", "Probability to be real and of this class"),
    Column("significance", float, "", "Of the most significant pixel, in sigma"),
    Column("source", str, "", "Found by: rules, unet or both"),
    Column("row_start", int, "", "First row of the bounding box"),
    Column("col_start", int, "", "First column of the bounding box"),
    Column("row_stop", int, "", "Row behind the last one"),
    Column("col_stop", int, "", "Column behind the last one"),
)
#: Columns of single classes, named as their fields in the catalogue.
CLASS_COLUMNS = (
    Column("saturated", bool, "", "Pixels reached saturation: intensities are lower limits"),
    Column("fit_quality", float, "", "How well the model fits, up to 1"),
    *(
        column._replace(description=f"{row.collective.capitalize()}: {column.description}")
        for row in CLASSES.values()
        for column in row.columns
    ),
    Column("rules_confidence", float, "", "With a network: confidence of the rules alone"),
    Column("network_score", float, "", "With a network: its score"),
)  # fmt: skip
COLUMNS = EXPOSURE_COLUMNS + EVENT_COLUMNS + CLASS_COLUMNS

_DTYPES = {str: object, int: np.int64, float: np.float64, bool: np.bool_}


def event_columns(events: Sequence[Detection], exposure: ExposureMetadata) -> Columns:
    """Arrange the events of an exposure in columns.

    Lists in the catalogue, such as the pixels of an event, have no column.

    Parameters
    ----------
    events : sequence of dict
        See `ohana.results.catalogue.Detection`.
    exposure : ExposureMetadata
        Exposure of the events.

    Raises
    ------
    OhanaError
        An event is later than the last read.
    """
    derived = _of_exposure(exposure, len(events)) | _places(events) | _measures(events, exposure)
    present = set().union(*events)
    columns: Columns = {}
    for name, kind, _, _ in COLUMNS:
        if name in derived:
            columns[name] = derived[name]
        elif name in present:
            columns[name] = masked([event.get(name) for event in events], kind)
        else:
            columns[name] = np.ma.masked_all(len(events), _DTYPES[kind])
    return columns


def _of_exposure(exposure: ExposureMetadata, number: int) -> Columns:
    """Repeat the properties of an exposure for each of its events."""
    values: dict[str, Any] = {
        "exposure": exposure.name,
        "detector": exposure.detector.label,
        "mjd": exposure.mjd,
    }
    kinds = {column.name: column.kind for column in EXPOSURE_COLUMNS}
    return {name: masked([value] * number, kinds[name]) for name, value in values.items()}


def _places(events: Sequence[Detection]) -> Columns:
    """Return the elements of list fields, each as a column."""
    lists = {
        "position": ("row", "col"),
        "centroid": ("centroid_row", "centroid_col"),
        "bbox": ("row_start", "col_start", "row_stop", "col_stop"),
    }
    columns: Columns = {}
    for field, names in lists.items():
        values = np.array([event[field] for event in events])  # type: ignore[literal-required]
        values = values.reshape(-1, len(names))
        columns |= dict(zip(names, np.ma.asarray(values.T), strict=True))
    return columns


def _measures(events: Sequence[Detection], exposure: ExposureMetadata) -> Columns:
    """Return derived columns: time and charge."""
    frame = masked([event["first_frame"] for event in events], int)
    late, reads = int(frame.max()) if frame.count() else 0, len(exposure.times)
    if late >= reads:
        wanted = f"wanted one of {reads} reads, got {late}"
        raise OhanaError(f"{exposure.folder}: first_frame: {wanted}")
    times = np.ma.MaskedArray(exposure.times[frame.filled(0)], np.ma.getmaskarray(frame))
    mean = masked([event["mean_intensity"] for event in events], float)
    size = np.array([event["spatial_extent"] for event in events], int)
    no_charge = np.array([not CLASSES[event["type"]].adds_charge for event in events], bool)
    charge = np.ma.round(mean * size * (exposure.gain or np.nan), 3)
    unknown = np.ma.getmaskarray(mean) | no_charge | (exposure.gain is None)
    return {"time": times, "charge": np.ma.MaskedArray(charge.data, unknown)}


def masked(values: Sequence[Any], kind: type) -> np.ma.MaskedArray:
    """Return a column of one type; None and NaN are masked.

    Examples
    --------
    >>> masked([3, None], int)
    masked_array(data=[3, --],
                 mask=[False,  True],
           fill_value=999999)
    """
    if kind is str:
        unknown = np.array([value is None for value in values], bool)
        return np.ma.MaskedArray(np.array(values, object), unknown)
    # None becomes NaN; whole numbers of a catalogue are exact in double precision.
    numbers = np.array(values, np.float64)
    unknown = np.isnan(numbers)
    return np.ma.MaskedArray(np.where(unknown, 0, numbers).astype(_DTYPES[kind]), unknown)
