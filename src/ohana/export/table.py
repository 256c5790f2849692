"""Events as tables with units, descriptions and metadata: astropy's, ECSV and Parquet.

A Parquet file keeps unit and description of each column in the metadata of its field, where
pyarrow and polars show them, and again as astropy keeps them, so that `astropy.table.QTable.read`
gives quantities. What is not known is null, not NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ohana import __version__
from ohana.classes import Column, Label
from ohana.export.columns import COLUMNS, Columns, masked
from ohana.export.exposure import ExposureMetadata
from ohana.results.summary import SOURCES
from ohana.utils.files import replacing

if TYPE_CHECKING:
    import pyarrow
    from astropy.table import Table

#: Rows per row group: enough for a negligible overhead. Chosen.
GROUP = 100_000
#: Metadata of every table.
CREATOR = f"ohana {__version__}"


def astropy_table(columns: Columns, spec: Sequence[Column], meta: dict[str, Any]) -> Table:
    """Make a table with units; a column without a single value is left out.

    Parameters
    ----------
    columns : dict of MaskedArray
        By name.
    spec : sequence of Column
        Their units and descriptions, in output order.
    meta : dict
        About the whole table, plain values.
    """
    from astropy.table import Column as Plain
    from astropy.table import MaskedColumn, Table

    table = Table(meta={"creator": CREATOR} | meta)
    for name, kind, unit, description in spec:
        values = columns[name]
        lost = np.ma.getmaskarray(values)
        if lost.size and lost.all():
            continue
        data = values.data.astype(str) if kind is str else values.data
        facts = {"unit": unit or None, "description": description}
        table[name] = MaskedColumn(data, mask=lost, **facts) if lost.any() else Plain(data, **facts)
    return table


def write_ecsv(path: Path, table: Table) -> Path:
    """Write a table as ECSV (enhanced character-separated values), whole or not at all."""
    with replacing(path) as temporary:
        table.write(temporary, format="ascii.ecsv")
    return path


def rows_table(
    rows: Sequence[dict[str, Any]], spec: Sequence[Column], meta: dict[str, Any]
) -> Table:
    """Make a table of rows by name; what a row lacks, None and NaN are masked."""
    columns = {name: masked([row.get(name) for row in rows], kind) for name, kind, _, _ in spec}
    return astropy_table(columns, spec, meta)


def about(exposure: ExposureMetadata) -> dict[str, Any]:
    """Return the metadata of the table of one exposure."""
    telescope, instrument, detector, shape, corner = exposure.detector
    return {
        "exposure": exposure.name,
        "telescope": telescope,
        "instrument": instrument,
        "detector": detector,
        "shape": list(shape),
        "corner": list(corner),
        "start_utc": exposure.start,
        "live_time_s": exposure.live_time,
        "active_pixels": exposure.active,
        "pixel_pitch_um": exposure.pitch,
        "gain_e_per_dn": exposure.gain,
        "found_by": exposure.found_by,
    }


@contextmanager
def writing_parquet(
    path: Path, exposures: Sequence[ExposureMetadata], meta: dict[str, Any]
) -> Iterator[Callable[[Columns], None]]:
    """Yield a function that adds events to a Parquet file, which appears when complete.

    Parameters
    ----------
    path : Path
        The file; an older one is replaced at the end.
    exposures : sequence of ExposureMetadata
        All exposures whose events will be added.
    meta : dict
        About the whole table, plain values.
    """
    import pyarrow as pa
    from pyarrow import parquet

    layout = _schema(exposures, meta)
    waiting: list[pyarrow.RecordBatch] = []
    with (
        replacing(path) as temporary,
        parquet.ParquetWriter(temporary, layout, compression="zstd") as writer,
    ):

        def flush() -> None:
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting, layout))
                waiting.clear()

        def add(columns: Columns) -> None:
            waiting.append(_batch(columns, layout))
            if sum(map(len, waiting)) >= GROUP:
                flush()

        yield add
        flush()


def _schema(exposures: Sequence[ExposureMetadata], meta: dict[str, Any]) -> pyarrow.Schema:
    """Return the types of the columns with their units, and the metadata that astropy stores."""
    import pyarrow as pa
    from astropy.table import Column as Plain
    from astropy.table import Table
    from astropy.table.meta import get_yaml_from_table

    arrow = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}
    numpy = {str: np.str_, int: np.int32, float: np.float64, bool: np.bool_}
    fields, table = [], Table(meta={"creator": CREATOR} | meta)
    for name, kind, unit, description in COLUMNS:
        facts = {"unit": unit, "description": description}
        given = {key: value for key, value in facts.items() if value}
        fields.append(pa.field(name, arrow[kind], metadata=given))
        table[name] = Plain(np.empty(0, numpy[kind]), **given)
    about_table = {"creator": CREATOR} | meta
    about_table |= {f"table::len::{name}": size for name, size in _lengths(exposures).items()}
    about_table["table_meta_yaml"] = "\n".join(get_yaml_from_table(table))
    return pa.schema(fields, {key: str(value) for key, value in about_table.items()})


def _lengths(exposures: Sequence[ExposureMetadata]) -> dict[str, int]:
    """Return the maximum length of the texts in each column, which astropy needs."""
    texts = {
        "exposure": [exposure.name for exposure in exposures],
        "detector": [exposure.detector.label for exposure in exposures],
        "type": [label.key for label in Label],
        "source": list(SOURCES),
    }
    return {name: max(map(len, values), default=1) for name, values in texts.items()}


def _batch(columns: Columns, layout: pyarrow.Schema) -> pyarrow.RecordBatch:
    import pyarrow as pa

    arrays = [
        pa.array(columns[field.name].data, field.type, mask=np.ma.getmaskarray(columns[field.name]))
        for field in layout
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=layout)
