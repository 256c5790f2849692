"""`ohana-evaluate`: how complete and how pure detections are."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ohana.cli.common import OK, Parser, positive, run, whole
from ohana.cli.progress import show_progress

if TYPE_CHECKING:
    from ohana.evaluate import Evaluation

log = logging.getLogger("ohana")

DESCRIPTION = """\
Measure how complete and how pure detections are: against the truth of a simulated exposure, with
events of known charge added to an exposure of your own, or with your own verdicts from the page
of ohana-report."""

EPILOG = """\
Written to the output folder:
  --truth      evaluation.json, evaluation.png: completeness and purity of each class against
               S/N, amplitude, first read and count rate; confusion of classes; overlap of
               footprints; first reads; reliability of the confidences
  --inject     recovery.json, recovery.png: charge at which 50 % and 90 % are recovered, by class,
               output and part of the ramp; false alarms in time-reversed ramps
  --compare    comparison.json, comparison.png: the same pixels with other codes at equal false
               alarms (needs stcal)
  --verdicts   review.json: purity of the reviewed detections, by class and by confidence;
               confusion of classes
Intervals are 68 % unless noted otherwise.

Examples:
  ohana-predict --demo
  ohana-evaluate --truth demo_output/demo_truth.json --prediction demo_output
  ohana-evaluate --input dark.fits --inject --events 1000 --output recovery
  ohana-evaluate --truth demo_output/demo_truth.json --prediction demo_output \\
      --input demo_output/demo.fits --compare stcal,likelihood
  ohana-evaluate --prediction results --verdicts dark_verdicts.json

Exit code: 0 done, 1 failed, 2 wrong usage."""


#: Detectable events and detections from which on a warning is given if none match. Chosen.
MISMATCH = 10


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-evaluate", description=DESCRIPTION, epilog=EPILOG)
    known = options.add_argument_group("against a known truth")
    known.add_argument("--truth", metavar="FILE", help="truth written by the simulator")
    known.add_argument("--prediction", metavar="DIR", help="output folder of ohana-predict")
    known.add_argument(
        "--threshold", type=sigma, metavar="S", help="of detection [sigma] (default: 5)"
    )
    known.add_argument(
        "--compare",
        metavar="CODES",
        help="other codes on the exposure of --input, as in stcal,likelihood",
    )
    review = options.add_argument_group("by eye")
    review.add_argument(
        "--verdicts",
        metavar="FILE",
        help="verdicts on --prediction, exported from the page of ohana-report",
    )
    added = options.add_argument_group("by events added to an exposure")
    added.add_argument("--inject", action="store_true", help="add events to --input, find them")
    added.add_argument(
        "--events", type=positive, metavar="N", help="events of each class (default: 400)"
    )
    added.add_argument("--seed", type=whole, metavar="S", help="makes a run repeatable")
    added.add_argument(
        "--model",
        metavar="FILE",
        help="network to use besides the rules: a model file, or pretrained",
    )
    options.add_argument("--input", metavar="PATH", help="exposure for --inject or --compare")
    options.add_argument("--config", metavar="FILE", help="settings of detection, or a preset")
    options.add_argument(
        "--integration",
        type=whole,
        default=0,
        metavar="I",
        help="integration (default: 0)",
    )
    options.add_argument(
        "--output",
        metavar="DIR",
        help="where results go (default: --prediction, or evaluation_outputs)",
    )
    options.add_common()
    return options


def sigma(text: str) -> float:
    """Read a threshold from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 100:
        raise argparse.ArgumentTypeError(f"wanted a number between 0 and 100, got {text!r}")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = parser()
    arguments = options.parse_args(argv)
    wrong = wrong_usage(arguments)
    if wrong:
        options.error(wrong)
    if arguments.verdicts:
        return run(_judged, arguments)
    return run(_injected if arguments.inject else _against_truth, arguments)


def wrong_usage(arguments: argparse.Namespace) -> str | None:
    """Describe options that exclude each other; None if there are none."""

    def given(*names: str) -> list[str]:
        values = {name: getattr(arguments, name) for name in names}
        # Not `in (None, False)`: a seed may be 0.
        return [f"--{k}" for k, value in values.items() if value is not None and value is not False]

    def missing(*names: str) -> list[str]:
        return [f"--{name}" for name in names if not given(name)]

    if arguments.verdicts:
        others = ("truth", "threshold", "compare", "inject", "events", "seed", "model")
        if alien := given(*others, "input", "config"):
            return f"--verdicts needs --prediction alone: leave {' and '.join(alien)} out"
        return None if arguments.prediction else "--verdicts needs --prediction DIR, which it is on"
    if arguments.inject:
        if alien := given("truth", "prediction", "threshold", "compare"):
            return f"--inject makes its own truth: leave {' and '.join(alien)} out"
        return None if arguments.input else "--inject needs an exposure: --input PATH"
    if alone := given("events", "seed", "model"):
        return f"{' and '.join(alone)} only with --inject"
    if lacking := missing("truth", "prediction"):
        return (
            f"{' and '.join(lacking)} missing: wanted --truth FILE --prediction DIR to compare "
            "with a known truth, --prediction DIR --verdicts FILE for reviewed detections, "
            "or --input PATH --inject to add events to an exposure"
        )
    if arguments.compare:
        return None if arguments.input else "--compare needs the exposure itself: --input PATH"
    if alone := given("input", "config"):
        return f"{' and '.join(alone)} only with --inject or --compare"
    return None


def _against_truth(arguments: argparse.Namespace) -> int:
    from ohana.cli.tables import confusion_table, quality_table, score_table
    from ohana.evaluate import evaluate_prediction, save_evaluation
    from ohana.evaluate.other_codes import requested_codes

    names = requested_codes(arguments.compare) if arguments.compare else []
    folder = Path(arguments.prediction)
    output = Path(arguments.output or folder)
    found = evaluate_prediction(
        arguments.truth, folder, arguments.threshold or 5.0, arguments.integration
    )
    files = save_evaluation(found, output)
    _warn_of_mismatch(found)
    _print(score_table(found), quality_table(found), confusion_table(found), _listed(files))
    if names:
        _compared(arguments, names, output)
    return OK


def _judged(arguments: argparse.Namespace) -> int:
    from ohana.evaluate.review import review, review_tables, save_review
    from ohana.results.verdicts import read_verdicts

    folder = Path(arguments.prediction)
    result = review(*read_verdicts(arguments.verdicts, folder))
    path = save_review(result, Path(arguments.output or folder))
    _print(review_tables(result), _listed([path]))
    return OK


def _warn_of_mismatch(found: Evaluation) -> None:
    """Warn if no detection matches a true event."""
    detectable, detected, real = (
        sum(getattr(score, name) for score in found.classes)
        for name in ("detectable", "detected", "real")
    )
    if min(detectable, detected) >= MISMATCH and not real:
        log.warning(
            f"not one of {detected} detections belongs to one of {detectable} detectable events: "
            "is this the truth of another exposure?"
        )


def _compared(arguments: argparse.Namespace, names: list[str], output: Path) -> None:
    """Run other codes on the same exposure."""
    from ohana.config_file import load_config
    from ohana.evaluate.comparison import comparison_table
    from ohana.evaluate.comparison_report import compare_exposure, save_comparison
    from ohana.simulate.truth import Truth
    from ohana.utils.formatting import columns

    config = load_config(arguments.config)
    if arguments.threshold is not None:
        config = config.model_copy(update={"sigma_threshold": arguments.threshold})
    truth = Truth.load(arguments.truth)
    scores = compare_exposure(
        truth, arguments.prediction, arguments.input, names, config, arguments.integration
    )
    table = columns(list(zip(*comparison_table(scores), strict=True)))
    _print("\n" + table, _listed(save_comparison(scores, output)))


def _injected(arguments: argparse.Namespace) -> int:
    import numpy as np

    from ohana.evaluate.injection.draw_events import InjectionSettings
    from ohana.evaluate.injection.report import save_recovery
    from ohana.evaluate.injection.run import inject_and_recover
    from ohana.evaluate.injection.table import recovery_table
    from ohana.predictor import Predictor

    predictor = Predictor(arguments.model, arguments.config)
    seed = arguments.seed
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
        log.info(f"--seed {seed} repeats this run")
    wanted = {"integration": arguments.integration, "events": arguments.events}
    settings = InjectionSettings(**{k: value for k, value in wanted.items() if value is not None})
    output, rng = Path(arguments.output or "evaluation_outputs"), np.random.default_rng(seed)
    with show_progress(arguments.quiet) as progress:
        recovery = inject_and_recover(
            arguments.input, output, predictor.config, settings, rng, progress, predictor.network
        )
    _print(recovery_table(recovery), _listed(save_recovery(recovery, output)))
    return OK


def _listed(files: Sequence[Path]) -> str:
    return "\n".join(f"  {path}" for path in files)


def _print(*parts: str) -> None:
    print("\n\n".join(parts), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
