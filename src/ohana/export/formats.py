"""The catalogue of one exposure in other formats, beside ``detections.json``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ohana.errors import OhanaError

#: Format -> its file beside ``detections.json``.
FORMATS = {
    "ecsv": "detections.ecsv",
    "parquet": "detections.parquet",
    "regions": "detections.reg",
}


def wanted_formats(names: str) -> list[str]:
    """Parse names of formats, as in ``ecsv,regions``.

    Raises
    ------
    ValueError
        A name is unknown.

    Examples
    --------
    >>> wanted_formats("regions, ecsv")
    ['ecsv', 'regions']
    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if not wanted or wanted - FORMATS.keys():
        raise ValueError(f"wanted some of {','.join(FORMATS)}, got {names!r}")
    return [name for name in FORMATS if name in wanted]


def remove_catalogues(folder: Path) -> None:
    """Remove the files of earlier results before new ones are written."""
    for name in FORMATS.values():
        try:
            (Path(folder) / name).unlink(missing_ok=True)
        except OSError as error:
            raise OhanaError(f"{folder}/{name}: cannot be removed: {error.strerror}") from error


def write_catalogues(
    folder: str | Path, formats: Iterable[str], into: Path | None = None
) -> list[Path]:
    """Write the catalogue of a prediction in other formats, from ``detections.json``.

    Parameters
    ----------
    folder : str or Path
        That ``ohana-predict`` has written; ``run.json`` must be there.
    formats : iterable of str
        Some of `FORMATS`.
    into : Path, optional
        Where to write; beside the prediction if absent.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OhanaError
        The results are incomplete, or a file cannot be written.
    """
    from ohana.export.columns import COLUMNS, event_columns
    from ohana.export.exposure import exposure_of, whole_run
    from ohana.export.regions import write_regions
    from ohana.export.table import about, astropy_table, write_ecsv, writing_parquet
    from ohana.results.catalogue import read_catalogue
    from ohana.results.prediction_files import DETECTIONS

    folder = Path(folder)
    exposure = exposure_of(folder, whole_run(folder))
    events = read_catalogue(folder / DETECTIONS)
    columns, files = event_columns(events, exposure), []
    for name in formats:
        files.append((folder if into is None else into) / FORMATS[name])
        if name == "ecsv":
            write_ecsv(files[-1], astropy_table(columns, COLUMNS, about(exposure)))
        elif name == "parquet":
            with writing_parquet(files[-1], [exposure], about(exposure)) as add:
                add(columns)
        else:
            write_regions(files[-1], events)
    return files
