"""The columns of a catalogue as a table: one row for each event, one type and unit a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ohana.catalog import Detection
from ohana.catalogues.exposures import Exposure
from ohana.errors import OhanaError
from ohana.labels import Label

#: Events as columns: masked where a value is not known or not of the class.
Columns = dict[str, np.ma.MaskedArray]


class Column(NamedTuple):
    """A column: ``kind`` is ``str``, ``int``, ``float`` or ``bool``, ``unit`` as astropy's."""

    name: str
    kind: type
    unit: str
    description: str


#: Of the exposure.
EXPOSURE_COLUMNS = (
    Column("exposure", str, "", "Name of the exposure"),
    Column("detector", str, "", "Telescope, instrument, detector, size of the array"),
    Column("mjd", float, "d", "Begin of the exposure, modified Julian date (UTC)"),
)
#: Of every event.
EVENT_COLUMNS = (
    Column("integration", int, "", "Integration of the exposure, from 0"),
    Column("type", str, "", "cosmic_ray, telegraph_noise or snowball"),
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
        "Of cosmic rays and snowballs: steps of all pixels, where the gain is known",
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
#: Of single classes, by the names of their fields in the catalogue.
CLASS_COLUMNS = (
    Column("saturated", bool, "", "Pixels reached saturation: intensities are lower limits"),
    Column("fit_quality", float, "", "How well the model fits, up to 1"),
    Column("step_amplitude", float, "DN", "Cosmic rays: step summed over the pixels"),
    Column("step_error", float, "DN", "Cosmic rays: standard error of that sum"),
    Column("extended", bool, "", "Cosmic rays: larger than cosmic_ray_max_spatial_extent"),
    Column("n_levels", int, "", "Telegraph noise: number of levels"),
    Column("transitions", int, "", "Telegraph noise: changes of level"),
    Column("low", float, "DN", "Telegraph noise: lowest level"),
    Column("high", float, "DN", "Telegraph noise: highest level"),
    Column("amplitude", float, "DN", "Telegraph noise: distance of these levels"),
    Column("dwell_low", float, "", "Telegraph noise: mean stay in the lowest level, in reads"),
    Column("dwell_high", float, "", "Telegraph noise: mean stay in the highest level, in reads"),
    Column("frequency", float, "", "Telegraph noise: transitions / 2 / reads, in cycles per read"),
    Column("chi2_gain", float, "", "Telegraph noise: chi-squared that the levels take off"),
    Column("core_radius", float, "pix", "Snowballs: radius of the core"),
    Column("halo_radius", float, "pix", "Snowballs: radius at which the halo is lost in the noise"),
    Column("circularity", float, "", "Snowballs: part of core and disk that both share"),
    Column("growth", float, "pix", "Snowballs: growth of the core radius per read"),
    Column("halo_level", float, "DN", "Snowballs: mean step of the brightest ring of the halo"),
    Column("halo_significance", float, "", "Snowballs: of that ring, in sigma"),
    Column("contrast", float, "", "Snowballs: core over halo"),
    Column("trailed", bool, "", "Snowballs: a trail leaves the core"),
    Column("cut_by_edge", bool, "", "Snowballs: the edge of the array cuts the core"),
    Column("rules_confidence", float, "", "With a network: confidence of the rules alone"),
    Column("network_score", float, "", "With a network: its score"),
)  # fmt: skip
COLUMNS = EXPOSURE_COLUMNS + EVENT_COLUMNS + CLASS_COLUMNS

_DTYPES = {str: object, int: np.int64, float: np.float64, bool: np.bool_}


def event_columns(events: Sequence[Detection], exposure: Exposure) -> Columns:
    """Lay the events of an exposure out in columns.

    What is a list in the catalogue, as the pixels of an event, has no column.

    Parameters
    ----------
    events : sequence of dict
        See `ohana.catalog.Detection`.
    exposure : Exposure
        That they were found in.

    Raises
    ------
    OhanaError
        An event is later than the last read.
    """
    of_exposure = {
        "exposure": exposure.name,
        "detector": exposure.detector.label,
        "mjd": exposure.mjd,
    }
    rows = [of_exposure | dict(event) | _placed(event, exposure) for event in events]
    return {
        column.name: masked([row.get(column.name) for row in rows], column.kind)
        for column in COLUMNS
    }


def _placed(event: Detection, exposure: Exposure) -> dict[str, Any]:
    """Return the fields that are lists, each number by itself, and what follows from others."""
    (row, col), (centroid_row, centroid_col) = event["position"], event["centroid"]
    row_start, col_start, row_stop, col_stop = event["bbox"]
    frame, mean = event["first_frame"], event["mean_intensity"]
    known = mean is not None and exposure.gain is not None
    known &= event["type"] != Label.TELEGRAPH_NOISE.key
    if frame is not None and frame >= len(exposure.times):
        reads = len(exposure.times)
        raise OhanaError(
            f"{exposure.folder}: first_frame: wanted one of {reads} reads, got {frame}"
        )
    return {
        "row": row,
        "col": col,
        "centroid_row": centroid_row,
        "centroid_col": centroid_col,
        "row_start": row_start,
        "col_start": col_start,
        "row_stop": row_stop,
        "col_stop": col_stop,
        "time": None if frame is None else float(exposure.times[frame]),
        "charge": round(mean * event["spatial_extent"] * exposure.gain, 3) if known else None,  # type: ignore[operator]
    }


def masked(values: Sequence[Any], kind: type) -> np.ma.MaskedArray:
    """Return values of one kind; None and NaN are masked.

    Examples
    --------
    >>> masked([3, None], int)
    masked_array(data=[3, --],
                 mask=[False,  True],
           fill_value=999999)
    """
    unknown = np.array([value is None or value != value for value in values], bool)
    empty = kind()
    data = [empty if lost else value for value, lost in zip(values, unknown, strict=True)]
    return np.ma.MaskedArray(np.array(data, _DTYPES[kind]), unknown)
