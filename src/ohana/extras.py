"""What is made from the results of an exposure: catalogues in other formats, products, the page.

A failure here does not affect the results, which are complete by then.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ohana.errors import one_line_message
from ohana.utils.log_file import FILE_ONLY
from ohana.utils.progress import Progress, no_progress

log = logging.getLogger("ohana")

#: Name of the page for the browser.
REPORT = "report.html"


class Made(NamedTuple):
    """Files written, and kind -> reason for those that failed."""

    files: tuple[Path, ...]
    failed: dict[str, str]


def make_extras(
    folder: Path, into: Path, wanted: Mapping[str, Any], progress: Progress | None = None
) -> Made:
    """Make the requested files from the results in a folder.

    Parameters
    ----------
    folder : Path
        With the results of one exposure.
    into : Path
        Where to write; may be the same.
    wanted : mapping
        Kind of `EXTRAS` -> argument of `ohana.Predictor.predict`; nothing is made for a false one.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.
    """
    progress, files, failed = progress or no_progress, [], {}
    for kind, make in EXTRAS.items():
        if not wanted.get(kind):
            continue
        try:
            files += make(folder, into, wanted[kind], progress)
        except Exception as error:
            log.log(FILE_ONLY, "".join(traceback.format_exception(error)).rstrip())
            failed[kind] = one_line_message(error)
    return Made(tuple(files), failed)


def _catalogues(folder: Path, into: Path, wanted: Sequence[str], progress: Progress) -> list[Path]:
    from ohana.export.formats import write_catalogues

    return write_catalogues(folder, wanted, into)


def _products(folder: Path, into: Path, wanted: bool, progress: Progress) -> list[Path]:
    from ohana.products import write_products
    from ohana.results.prediction import open_prediction

    return write_products(open_prediction(folder), into, progress)


def _report(folder: Path, into: Path, wanted: bool, progress: Progress) -> list[Path]:
    from ohana.report.page.build import write_report  # bokeh: only when wanted
    from ohana.results.prediction import open_prediction

    progress("report", 0, 1)
    # A page of earlier results must not be taken for the page of these.
    (into / REPORT).unlink(missing_ok=True)
    path = write_report(open_prediction(folder), into / REPORT)
    progress("report", 1, 1)
    return [path]


#: Arguments of `ohana.Predictor.predict` that add to the results -> what makes the files.
EXTRAS: dict[str, Callable[[Path, Path, Any, Progress], list[Path]]] = {
    "catalogues": _catalogues,
    "products": _products,
    "report": _report,
}
