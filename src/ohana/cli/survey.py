"""`ohana-predict` for many exposures at once."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohana.cli.common import FAILED, OK, Parser, positive
from ohana.cli.progress import show_progress
from ohana.log_file import FILE_ONLY, writing_log

if TYPE_CHECKING:
    from ohana.predictor import Predictor

log = logging.getLogger("ohana")


def add_survey(options: Parser) -> None:
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
        "--redo", action="store_true", help="also exposures whose results are there as wanted"
    )


def is_survey(arguments: argparse.Namespace) -> bool:
    """Tell whether each exposure has a folder of its own, with a manifest of all."""
    if len(arguments.input) > 1 or arguments.workers or arguments.scheduler:
        return True
    from ohana.survey.inputs import is_pattern

    return is_pattern(arguments.input[0])


def predict_many(
    predictor: Predictor, output: Path, options: dict[str, Any], arguments: argparse.Namespace
) -> int:
    """Find the events of many exposures; returns the exit code."""
    from ohana.survey.run import Means, run_survey

    means = Means(arguments.workers, arguments.scheduler, arguments.redo)
    with writing_log(output), show_progress(arguments.quiet, unit="exposures") as progress:
        survey = run_survey(arguments.input, output, predictor, options, means, progress)
        log.log(FILE_ONLY, str(survey))
    print(survey, flush=True)
    if survey.failed:
        log.error(
            f"{len(survey.failed)} of {survey.exposures} exposures failed: run again for these"
        )
    if survey.incomplete:
        log.warning(
            f"{len(survey.incomplete)} of {survey.exposures} exposures have results, but not all "
            "that was to be made of them: run again for these"
        )
    return FAILED if survey.failed or survey.incomplete else OK
