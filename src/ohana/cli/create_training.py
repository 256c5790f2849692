"""`ohana-create-training`: simulate exposures for training, or store reviewed ones."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from ohana.cli.common import FAILED, OK, Parser, positive, report_error, run, whole
from ohana.cli.progress import show_progress

log = logging.getLogger("ohana")

DESCRIPTION = """\
Simulate exposures with cosmic rays, telegraph noise and snowballs, cut them into patches and
store them with the labels of every pixel and read. Or store an exposure of your own whose
detections you have reviewed in the page of ohana-report: reviewed detections become labels, all
other pixels are ignored."""

EPILOG = """\
Written to the output folder of the settings:
  training.zarr/   exposures to train on, one group for each
  test.zarr/       exposures set aside (test_fraction)
  settings.json    what decides the contents

Existing exposures are kept: an interrupted run continues where it stopped, and further indices
add to the set. Several runs may work on one set at the same time.

With --verdicts, --output is the training set; give it to ohana-train, best together with a
simulated one, in its setting `data`. Each further exposure of the same shape adds to it.

Examples:
  ohana-create-training --config configs/small.yaml --start_index 0 --end_index 0
  ohana-create-training --config creator.yaml --start_index 0 --end_index 9 --workers 4
  ohana-create-training --prediction results --verdicts dark_verdicts.json --output judged_data

Exit code: 0 all done, 1 an exposure failed, 2 wrong usage."""

#: Options of either kind of exposure; the first three of simulated ones are needed.
SIMULATED = ("config", "start_index", "end_index", "seed", "workers", "scheduler")
JUDGED = ("prediction", "verdicts", "output")


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-create-training", description=DESCRIPTION, epilog=EPILOG)
    simulated = options.add_argument_group("simulated exposures")
    simulated.add_argument("--config", metavar="FILE", help="YAML file with settings")
    simulated.add_argument("--start_index", type=whole, metavar="I", help="first index to make")
    simulated.add_argument("--end_index", type=whole, metavar="J", help="last index to make")
    simulated.add_argument(
        "--seed", type=whole, metavar="N", help="of all random numbers (default: as configured)"
    )
    simulated.add_argument(
        "--workers", type=positive, metavar="N", help="processes (default: one for each core)"
    )
    simulated.add_argument(
        "--scheduler", metavar="ADDRESS", help="dask scheduler of a cluster: tcp://HOST:PORT"
    )
    reviewed = options.add_argument_group("a reviewed exposure")
    reviewed.add_argument("--prediction", metavar="DIR", help="output folder of ohana-predict")
    reviewed.add_argument("--verdicts", metavar="FILE", help="verdicts exported from its page")
    reviewed.add_argument("--output", metavar="DIR", help="training set to add the exposure to")
    options.add_common()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parser()
    arguments = options.parse_args(argv)
    wrong = wrong_usage(arguments)
    if wrong:
        options.error(wrong)
    return run(_store_judged if arguments.verdicts else _create, arguments)


def wrong_usage(arguments: argparse.Namespace) -> str | None:
    """Describe options that exclude each other; None if there are none."""
    reviewed = any(getattr(arguments, name) is not None for name in JUDGED)
    wanted, others = (JUDGED, SIMULATED) if reviewed else (SIMULATED[:3], JUDGED)
    missing = [f"--{name}" for name in wanted if getattr(arguments, name) is None]
    if missing:
        return f"the following arguments are required: {', '.join(missing)}"
    alien = [f"--{name}" for name in others if getattr(arguments, name) is not None]
    if alien:
        return f"{', '.join(alien)}: only for simulated exposures, not with --verdicts"
    if reviewed:
        return None
    if arguments.start_index > arguments.end_index:
        return "--start_index must not exceed --end_index"
    if arguments.scheduler and arguments.workers:
        return "--workers starts processes here, --scheduler has its own: give one of them"
    return None


def _store_judged(arguments: argparse.Namespace) -> int:
    from ohana.training_sets.judged import store_judged

    for path in store_judged(arguments.prediction, arguments.verdicts, arguments.output):
        print(path)
    return OK


def _create(arguments: argparse.Namespace) -> int:
    from ohana.config_file import load_settings
    from ohana.training_sets.config import CreatorConfig
    from ohana.training_sets.creator import DataSetCreator

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
