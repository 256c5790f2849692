"""`ohana-summarize`: statistics of many exposures."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from ohana.cli.common import FAILED, OK, Parser, add_catalogues, positive, report_error, run
from ohana.cli.progress import show_progress

log = logging.getLogger("ohana")

DESCRIPTION = """\
Sum up the results of ohana-predict below a folder: rates with their intervals, spectra of
amplitudes, trends over time, and pixels with repeated telegraph noise.

Folders with incomplete results are reported and skipped; of several results of one input the
last run counts. Exposures are grouped by detector."""

EPILOG = """\
Written to the output folder:
  summary.html                      everything on one page for the browser
  events.parquet                    every event of every exposure, units in the metadata
  exposures.ecsv, rates.ecsv        rates by exposure, and by detector and class
  spectrum_max_intensity.ecsv       differential spectra of the brightest pixel [DN]
  spectrum_charge.ecsv              and of the charge [e-], where the gain is known
  DETECTOR_telegraph_pixels.ecsv    pixels with telegraph noise in many exposures
  DETECTOR_telegraph_mask.fits      the same as a reference file of type MASK (as for JWST)
  DETECTOR_*.png                    the figures of the page

Examples:
  ohana-summarize night
  ohana-summarize night --output night_summary --repeats 5
  ohana-summarize night --catalogues ecsv,regions

Exit code: 0 done, 1 failed, 2 wrong usage."""


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-summarize", description=DESCRIPTION, epilog=EPILOG)
    options.add_argument("folder", metavar="DIR", help="folder with results, at any depth")
    options.add_argument(
        "--output", metavar="FOLDER", help="where the summary goes (default: DIR/summary)"
    )
    options.add_argument(
        "--pitch",
        type=micron,
        metavar="UM",
        help="width of a pixel [micron] (default: 18, or 10 for arrays of 4096 pixels and for "
        "Roman, 25 for MIRI)",
    )
    options.add_argument(
        "--repeats",
        type=positive,
        metavar="N",
        help="list pixels with telegraph noise in N or more exposures (default: at least 2, "
        "and enough that fewer than 0.1 pixels are expected by chance)",
    )
    add_catalogues(options, "write the catalogue of each exposure beside its results too")
    options.add_common()
    return options


def micron(text: str) -> float:
    """Read the width of a pixel from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 200:
        raise argparse.ArgumentTypeError(f"wanted 1 to 200 [micron], got {text!r}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(_summarize, parser().parse_args(argv))


def _summarize(arguments: argparse.Namespace) -> int:
    from ohana.statistics.summarise import summarize
    from ohana.statistics.summary import summary_text

    with show_progress(arguments.quiet) as progress:
        statistics = summarize(
            arguments.folder,
            arguments.output,
            pitch=arguments.pitch,
            least=arguments.repeats,
            progress=progress,
        )
        failed = 0
        folders = [exposure.folder for exposure in statistics.exposures]
        for number, folder in enumerate(folders if arguments.catalogues else (), 1):
            failed += not _converted(folder, arguments)
            progress("catalogues of exposures", number, len(folders))
    for skipped in statistics.skipped:
        log.warning(f"{skipped.folder}: skipped: {skipped.reason}")
    print(summary_text(statistics), flush=True)
    return FAILED if failed else OK


def _converted(folder: Path, arguments: argparse.Namespace) -> bool:
    """Write the catalogue of one exposure in other formats; returns whether it succeeded."""
    from ohana.export.formats import write_catalogues

    try:
        write_catalogues(folder, arguments.catalogues)
    except Exception as error:
        report_error(error, arguments.debug, str(folder))
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
