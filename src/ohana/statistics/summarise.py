"""Statistics of many exposures: tables of events, rates, spectra and repeated telegraph noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ohana.errors import OhanaError
from ohana.export.columns import event_columns
from ohana.export.exposure import ExposureMetadata, Skipped, find_exposures
from ohana.export.table import rows_table, write_ecsv, writing_parquet
from ohana.results.catalogue import read_catalogue
from ohana.results.prediction_files import DETECTIONS
from ohana.statistics.rates import (
    RATES,
    exposure_columns,
    exposure_rows,
    rate_rows,
    spectrum_columns,
    spectrum_rows,
)
from ohana.statistics.repeats import PIXELS, repeated_pixels, write_reference_mask
from ohana.statistics.summary import Statistics
from ohana.statistics.tally import SPECTRA, Tally
from ohana.utils.files import make_folder
from ohana.utils.progress import Progress, no_progress

#: Files for all detectors together.
EVENTS, EXPOSURES_FILE, RATES_FILE = (
    "events.parquet",
    "exposures.ecsv",
    "rates.ecsv",
)
#: Exposures whose warnings are told one by one.
MOST_WARNED = 5
#: Files for one detector.
OF_DETECTOR = re.compile(
    r".+_\d+x\d+(_from_row_\d+_column_\d+)?"
    r"_(trends\.png|spectra\.png|telegraph\.png|telegraph_pixels\.ecsv|telegraph_mask\.fits)"
)


def summarize(
    root: str | Path,
    output: str | Path | None = None,
    *,
    pitch: float | None = None,
    least: int | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Sum up the predictions below a folder, one exposure in memory at a time.

    Writes all events as one Parquet file, tables of exposures, rates and spectra, for each
    detector the list of pixels with repeated telegraph noise, a reference mask of these and
    figures, and a page with all of it. Each file is replaced as a whole, so a run can be
    repeated when exposures are added.

    Parameters
    ----------
    root : str or Path
        Folder with the results of ``ohana-predict`` in it, at any depth.
    output : str or Path, optional
        Folder for the files; ``summary`` in ``root`` if absent.
    pitch : float, optional
        Width of a pixel [micron]; by instrument and size of the array if absent.
    least : int, optional
        Exposures in which a pixel must show telegraph noise to be listed.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Raises
    ------
    OhanaError
        There are no whole results, or a file cannot be written.
    """
    root, progress = Path(root), progress or no_progress
    progress("finding results", 0, 1)
    exposures, skipped = find_exposures(root, pitch)
    progress("finding results", 1, 1)
    if not exposures:
        first = f"; {skipped[0].folder}: {skipped[0].reason}" if skipped else ""
        raise OhanaError(f"{root}: wanted results of ohana-predict, got none that are whole{first}")
    folder = make_folder(Path(output) if output else root / "summary")
    statistics = Statistics(root, skipped=skipped)
    statistics.tallies = _tally_all(folder / EVENTS, exposures, statistics, progress)
    if not statistics.tallies:
        raise OhanaError(f"{root}: not one catalogue could be read")
    statistics.repeats = [repeated_pixels(tally, least) for tally in statistics.tallies]
    statistics.notices = list(_notices(statistics))
    statistics.files += [folder / EVENTS, *_write_tables(statistics, folder)]
    progress("pictures", 0, 1)
    from ohana.statistics.page import write_page  # matplotlib

    statistics.files += write_page(statistics, folder)
    _remove_leftovers(folder, statistics.files)
    progress("pictures", 1, 1)
    return statistics


def _tally_all(
    path: Path, exposures: list[ExposureMetadata], statistics: Statistics, progress: Progress
) -> list[Tally]:
    """Read one catalogue after another into the tallies and the table of all events."""
    tallies: dict[tuple, Tally] = {}
    meta = {"content": "events of many exposures", "exposures": len(exposures)}
    with writing_parquet(path, exposures, meta) as add:
        for number, exposure in enumerate(exposures):
            progress("catalogues", number, len(exposures))
            try:
                events = read_catalogue(exposure.folder / DETECTIONS)
                columns = event_columns(events, exposure)
            except OhanaError as error:
                statistics.skipped.append(Skipped(exposure.folder, str(error)))
                continue
            tallies.setdefault(exposure.detector, Tally(exposure.detector)).add(exposure, columns)
            add(columns)
    progress("catalogues", len(exposures), len(exposures))
    return [tallies[detector] for detector in sorted(tallies)]


def _notices(statistics: Statistics) -> Iterator[str]:
    """Yield notices on what is missing, or makes rates hard to compare."""
    if statistics.skipped:
        number = len(statistics.skipped)
        yield f"skipped: {number} folders with incomplete or duplicate results"
    ways = {exposure.found_by for exposure in statistics.exposures}
    if len(ways) > 1:
        yield f"exposures were searched in {len(ways)} ways (version, settings, network), " + (
            "so rates may not be comparable; see found_by in exposures.ecsv"
        )
    for tally, repeats in zip(statistics.tallies, statistics.repeats, strict=True):
        name, number = tally.detector.label, len(tally.exposures)
        warned = [exposure for exposure in tally.exposures if exposure.health.warnings]
        for exposure in warned[:MOST_WARNED]:
            yield f"{exposure.name}: {exposure.health.warnings[0]}"
        if len(warned) > MOST_WARNED:
            yield f"{name}: warnings on {len(warned) - MOST_WARNED} more, see exposures.ecsv"
        timeless = sum(not exposure.start for exposure in tally.exposures)
        if timeless:
            yield f"{name}: {timeless} of {number} exposures have no start time: ordered by name"
        guessed = sum(exposure.gain is None for exposure in tally.exposures)
        if guessed:
            without = f"{guessed} of {number} exposures have no known gain"
            yield f"{name}: {without}: not in the spectra of charge"
        if repeats is None:
            yield f"{name}: repeated telegraph noise needs at least two exposures with enough reads"


def _remove_leftovers(folder: Path, files: list[Path]) -> None:
    """Remove the files of an earlier summary on detectors that are no longer present."""
    for path in folder.iterdir():
        if OF_DETECTOR.fullmatch(path.name) and path not in files:
            path.unlink(missing_ok=True)


def _write_tables(statistics: Statistics, folder: Path) -> list[Path]:
    """Write all tables and masks."""
    tallies = statistics.tallies
    tables = {
        EXPOSURES_FILE: (
            exposure_columns(),
            [row for tally in tallies for row in exposure_rows(tally, statistics.root)],
        ),
        RATES_FILE: (RATES, [row for tally in tallies for row in rate_rows(tally)]),
    }
    for column in SPECTRA:
        rows = [row for tally in tallies for row in spectrum_rows(tally, column)]
        tables[f"spectrum_{column}.ecsv"] = spectrum_columns(column), rows
    files = [
        write_ecsv(folder / name, rows_table(rows, spec, {}))
        for name, (spec, rows) in tables.items()
    ]
    for tally, repeats in zip(tallies, statistics.repeats, strict=True):
        if repeats is None:
            continue
        stem = tally.detector.stem
        meta = {
            "detector": tally.detector.label,
            "seen_in_at_least": repeats.least,
            "expected_by_chance": repeats.by_chance,
        }
        table = rows_table(repeats.pixels, PIXELS, meta)
        files.append(write_ecsv(folder / f"{stem}_telegraph_pixels.ecsv", table))
        mask = folder / f"{stem}_telegraph_mask.fits"
        files.append(write_reference_mask(mask, repeats, tally.exposures))
    return files
