"""`ohana-report`: the results of a run as a page for the browser."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from ohana.cli.common import FAILED, OK, Parser, report_error, run
from ohana.cli.progress import show_progress

log = logging.getLogger("ohana")

DESCRIPTION = """\
Write the results of ohana-predict as one HTML file, to be opened in any browser: the whole frame
with every event, a table to filter and sort, the ramp and the neighbourhood of each event, and
the details of the run. The file is self-contained: no server, no network.

In the page, events can be reviewed with one key each and the verdicts exported; ohana-evaluate
--verdicts turns them into purities, ohana-create-training --verdicts into labels for training."""

EPILOG = """\
Examples:
  ohana-report results
  ohana-report results --output dark.html --max-size 30
  ohana-report night/*

Exit code: 0 done, 1 a report failed, 2 wrong usage."""

#: Smallest file that holds the frame and some events [MB].
MIN_SIZE = 1.0


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-report", description=DESCRIPTION, epilog=EPILOG)
    options.add_argument(
        "prediction", nargs="+", metavar="PREDICTION_DIR", help="folder that ohana-predict wrote"
    )
    options.add_argument(
        "--output", metavar="FILE", help="the page (default: PREDICTION_DIR/report.html)"
    )
    options.add_argument(
        "--max-size",
        type=megabytes,
        default=15.0,
        metavar="MB",
        help="largest size of the file; with many events it holds the details of the most "
        "significant ones and says what it left out (default: 15)",
    )
    options.add_common()
    return options


def megabytes(text: str) -> float:
    """Read the size of a file from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not MIN_SIZE <= value <= 1e4:
        raise argparse.ArgumentTypeError(f"wanted at least {MIN_SIZE:g} [MB], got {text!r}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parser()
    arguments = options.parse_args(argv)
    if arguments.output and len(arguments.prediction) > 1:
        options.error("--output names one file: with several folders leave it out")
    return run(_report, arguments)


def _report(arguments: argparse.Namespace) -> int:
    failed = 0
    folders = [Path(folder) for folder in arguments.prediction]
    for folder in folders:
        try:
            path = _one_report(folder, arguments)
        except Exception as error:
            report_error(error, arguments.debug)
            failed += 1
        else:
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB", flush=True)
    if failed and len(folders) > 1:
        log.error(f"{failed} of {len(folders)} reports failed")
    return FAILED if failed else OK


def _one_report(folder: Path, arguments: argparse.Namespace) -> Path:
    from ohana.extras import REPORT
    from ohana.report.page.build import write_report
    from ohana.results.prediction import open_prediction

    path = Path(arguments.output or folder / REPORT)
    with show_progress(arguments.quiet) as progress:
        progress(str(folder), 0, 1)
        write_report(open_prediction(folder), path, int(arguments.max_size * 1e6))
        progress(str(folder), 1, 1)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
