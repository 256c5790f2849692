"""`ohana-predict`: find the events of exposures."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohana import __version__
from ohana.cli.common import FAILED, OK, Parser, add_catalogues, positive, report_error, run
from ohana.cli.outcome import show_summary
from ohana.cli.progress import show_progress
from ohana.utils.log_file import FILE_ONLY, writing_log

if TYPE_CHECKING:
    from ohana.predictor import Predictor
    from ohana.results.summary import Summary

if TYPE_CHECKING:
    from ohana.predictor import Predictor

log = logging.getLogger("ohana")
DESCRIPTION = """\
Find cosmic rays, telegraph noise and snowballs in raw up-the-ramp exposures.

Input is FITS (a cube, one read per extension, JWST _uncal and _ramp, HST WFC3/IR _raw and _ima;
also .fits.gz), ASDF of Roman, Zarr, HDF5, .npy, or a folder of numbered TIFF frames."""
EPILOG = """\
Several exposures, or a pattern in quotes, are processed in parallel. Each has its own sub-folder
of the output folder; manifest.json lists the state of each. Results that are up to date are kept,
so the same command continues after an interruption.

Written to the output folder (or sub-folder) of an exposure:
  prediction_mask.npy        0 nothing, 1 cosmic ray, 2 telegraph noise, 3 snowball
  detections.json            one object for each event
  EXPOSURE_temporal.npz      per-pixel features
  EXPOSURE_processed.npy     reads after reference correction, less the first [DN]
  report.html                with --report: the events in a browser, for inspection and review
  detections.ecsv, .parquet  with --catalogues ecsv,parquet: a table, units in the metadata
  detections.reg             with --catalogues regions: the events as regions for DS9
  EXPOSURE_products.fits     with --products: mask, rates without events and their errors
  EXPOSURE_flagged.fits      with --products, of JWST, HST and ASDF: the input with all flags
  run.json                   input, settings, versions, timings; written when all results are there
  ohana.log                  every message of this and earlier runs into the folder

Examples:
  ohana-predict --demo
  ohana-predict --input dark.fits --output results --report
  ohana-predict --input dark.fits --output results --model pretrained
  ohana-predict --input 'night/*.fits' --output night_events --config sensitive --no-processed

Page, catalogues and products are made from complete results: if one fails, a warning is given and
the results are kept.

Exit code: 0 all done, 1 an exposure, or a page, a catalogue or products of one failed, 2 wrong
usage."""


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-predict", description=DESCRIPTION, epilog=EPILOG)
    options.add_argument(
        "--input",
        nargs="+",
        action="extend",
        metavar="PATH",
        help="exposures; also patterns in quotes, as 'night/*.fits'",
    )
    options.add_argument(
        "--output", metavar="FOLDER", help="where results go (default: prediction_outputs)"
    )
    options.add_argument(
        "--config", metavar="FILE", help="YAML file with settings, or a preset: sensitive"
    )
    options.add_argument(
        "--model",
        metavar="FILE",
        help="network to use besides the rules: a file written by ohana-train, or "
        "pretrained for the one that ships with ohana (needs the extra: ohana[unet])",
    )
    options.add_argument(
        "--no-processed", action="store_true", help="do not write EXPOSURE_processed.npy"
    )
    options.add_argument(
        "--report", action="store_true", help="write report.html too; see ohana-report"
    )
    options.add_argument(
        "--products",
        action="store_true",
        help="write flags of reads and pixels and rates without events, as FITS in the form of "
        "the mission, for further pipelines",
    )
    add_catalogues(options, "write the catalogue too")
    options.add_argument(
        "--threads", type=positive, metavar="N", help="threads (default: one for each core)"
    )
    options.add_argument(
        "--demo",
        action="store_true",
        help="simulate a small exposure, find its events and compare them with the truth "
        "(default output: demo_output)",
    )
    add_batch(options)
    options.add_common()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parser()
    arguments = options.parse_args(argv)
    if arguments.demo and arguments.input:
        options.error("--demo makes its own input: leave --input out")
    if not arguments.demo and not arguments.input:
        options.error("--input is missing (or try --demo)")
    if arguments.scheduler and arguments.workers:
        options.error("--workers starts processes here, --scheduler has its own: give one of them")
    return run(_demo if arguments.demo else _predict, arguments)


def _predict(arguments: argparse.Namespace) -> int:
    from ohana.predictor import Predictor

    predictor = Predictor(arguments.model, _settings(arguments))
    output = Path(arguments.output or "prediction_outputs")
    options = _options(arguments)
    if is_batch(arguments):
        return predict_many(predictor, output, options, arguments)
    with writing_log(output):
        try:
            summary = _one_exposure(predictor, Path(arguments.input[0]), output, options, arguments)
        except Exception as error:
            report_error(error, arguments.debug)
            return FAILED
    show_summary(summary)
    return FAILED if summary.failed else OK


def _one_exposure(
    predictor: Predictor,
    path: Path,
    folder: Path,
    options: dict[str, Any],
    arguments: argparse.Namespace,
) -> Summary:
    """Find the events of one exposure, and log the outcome."""
    _log_command()
    with show_progress(arguments.quiet, unit="pixel-reads") as progress:
        summary = predictor.predict(path, folder, **options, progress=progress)
    log.log(FILE_ONLY, str(summary))
    return summary


def _log_command() -> None:
    log.log(FILE_ONLY, f"ohana {__version__}: {shlex.join(sys.argv)}")


def _demo(arguments: argparse.Namespace) -> int:
    from ohana.cli.demo import files_table, run_demo
    from ohana.predictor import Predictor

    predictor = Predictor(arguments.model, _settings(arguments))
    folder = Path(arguments.output or "demo_output")
    with writing_log(folder), show_progress(arguments.quiet, unit="pixel-reads") as progress:
        _log_command()
        summary, scores = run_demo(predictor, folder, _options(arguments), progress)
        log.log(FILE_ONLY, f"{summary}\n\n{scores}")
    show_summary(summary)
    print(f"\n{scores}\n\n{files_table(folder)}", flush=True)
    return FAILED if summary.failed else OK


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the requested results as arguments of `Predictor.predict`."""
    return {
        "processed": not arguments.no_processed,
        "report": arguments.report,
        "catalogues": arguments.catalogues,
        "products": arguments.products,
    }


def _settings(arguments: argparse.Namespace):
    """Return the settings of --config, with --threads."""
    from ohana.config_file import load_config

    config = load_config(arguments.config)
    if arguments.threads is None:
        return config
    return type(config)(**config.model_dump() | {"threads": arguments.threads})


def add_batch(options: Parser) -> None:
    """Add the options for many exposures."""
    group = options.add_argument_group("many exposures")
    group.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes (default: as many as cores and memory suit)",
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="dask scheduler of a cluster: tcp://HOST:PORT"
    )
    group.add_argument(
        "--redo", action="store_true", help="process exposures again whose results are up to date"
    )


def is_batch(arguments: argparse.Namespace) -> bool:
    """Return whether each exposure gets its own folder, with a manifest of all."""
    if len(arguments.input) > 1 or arguments.workers or arguments.scheduler:
        return True
    from ohana.batch.inputs import is_pattern

    return is_pattern(arguments.input[0])


def predict_many(
    predictor: Predictor, output: Path, options: dict[str, Any], arguments: argparse.Namespace
) -> int:
    """Find the events of many exposures; returns the exit code."""
    from ohana.batch.run import Workers, run_batch

    workers = Workers(arguments.workers, arguments.scheduler, arguments.redo)
    with writing_log(output), show_progress(arguments.quiet, unit="exposures") as progress:
        batch = run_batch(arguments.input, output, predictor, options, workers, progress)
        log.log(FILE_ONLY, str(batch))
    print(batch, flush=True)
    if batch.failed:
        log.error(f"{len(batch.failed)} of {batch.exposures} exposures failed: run again for these")
    if batch.incomplete:
        log.warning(
            f"{len(batch.incomplete)} of {batch.exposures} exposures have results, but not all "
            "requested files: run again for these"
        )
    return FAILED if batch.failed or batch.incomplete else OK


if __name__ == "__main__":
    raise SystemExit(main())
