"""`ohana-create-training`: make simulated exposures with known truth to train on."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from ohana.cli.common import FAILED, OK, Parser, positive, report_error, run, whole
from ohana.cli.progress import show_progress

log = logging.getLogger("ohana")

DESCRIPTION = """\
Simulate exposures with cosmic rays, telegraph noise and snowballs, cut them into patches and
store them with the labels of every pixel and read."""

EPILOG = """\
Written to the output folder of the settings:
  training.zarr/   exposures to train on, one group for each
  test.zarr/       exposures set aside (test_fraction)
  settings.json    what decides the contents

Exposures that are there already stay as they are: an interrupted run goes on where it was, and
other indices add to the set. Several runs may work on one set at the same time.

Examples:
  ohana-create-training --config configs/small.yaml --start_index 0 --end_index 0
  ohana-create-training --config creator.yaml --start_index 0 --end_index 9 --workers 4

Exit code: 0 all done, 1 an exposure failed, 2 wrong usage."""


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-create-training", description=DESCRIPTION, epilog=EPILOG)
    options.add_argument("--config", required=True, metavar="FILE", help="YAML file with settings")
    options.add_argument(
        "--start_index", required=True, type=whole, metavar="I", help="first index to make"
    )
    options.add_argument(
        "--end_index", required=True, type=whole, metavar="J", help="last index to make"
    )
    options.add_argument(
        "--seed", type=whole, metavar="N", help="of all random numbers (default: as configured)"
    )
    options.add_argument(
        "--workers", type=positive, metavar="N", help="processes (default: one for each core)"
    )
    options.add_argument(
        "--scheduler", metavar="ADDRESS", help="dask scheduler of a cluster: tcp://HOST:PORT"
    )
    options.add_common()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parser()
    arguments = options.parse_args(argv)
    if arguments.start_index > arguments.end_index:
        options.error("--start_index must not exceed --end_index")
    if arguments.scheduler and arguments.workers:
        options.error("--workers starts processes here, --scheduler has its own: give one of them")
    return run(_create, arguments)


def _create(arguments: argparse.Namespace) -> int:
    from ohana.config_file import load_settings
    from ohana.training.config import CreatorConfig
    from ohana.training.creator import DataSetCreator

    config = load_settings(arguments.config, CreatorConfig)
    changes = {"seed": arguments.seed, "workers": arguments.workers}
    config = config.model_copy(update={k: v for k, v in changes.items() if v is not None})
    with show_progress(arguments.quiet, unit="pixel-reads") as progress:
        done = DataSetCreator(config).create(
            arguments.start_index,
            arguments.end_index,
            scheduler=arguments.scheduler,
            progress=progress,
        )
    for name, error in sorted(done.failed.items()):
        report_error(error, arguments.debug, name)
    elsewhere = f", {done.elsewhere} being made by another process" if done.elsewhere else ""
    print(f"{config.output_dir}: {done.made} exposures made, {done.found} there before{elsewhere}")
    if done.failed:
        log.error(f"{len(done.failed)} exposures failed: run again to make them")
    return FAILED if done.failed else OK


if __name__ == "__main__":
    raise SystemExit(main())
