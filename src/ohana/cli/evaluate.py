"""`ohana-evaluate`: how complete and how pure detections are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ohana.cli.common import OK, Parser, run

DESCRIPTION = """\
Measure completeness, false alarms and confidences against a known truth."""

EPILOG = """\
Written to the output folder:
  evaluation.json    all numbers: completeness and purity of each class against S/N, amplitude,
                     first read and count rate; what is taken for what; overlap of footprints;
                     first reads; reliability of the confidences; intervals are 68 %
  evaluation.png     the same as one page of plots

Examples:
  ohana-predict --demo
  ohana-evaluate --truth demo_output/demo_truth.json --prediction demo_output

Exit code: 0 done, 1 failed, 2 wrong usage."""


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-evaluate", description=DESCRIPTION, epilog=EPILOG)
    known = options.add_argument_group("against the truth of a simulated exposure")
    known.add_argument("--truth", metavar="FILE", help="truth that the simulator has written")
    known.add_argument("--prediction", metavar="DIR", help="what ohana-predict has written")
    known.add_argument(
        "--integration", type=index, metavar="I", help="the one the truth is of (default: 0)"
    )
    known.add_argument(
        "--threshold",
        type=sigma,
        metavar="S",
        help="taken for what could be detected [sigma] (default: 5)",
    )
    options.add_argument("--output", metavar="DIR", help="where results go (default: --prediction)")
    options.add_common()
    return options


def index(text: str) -> int:
    """Read a number of at least 0 from the command line."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wanted a whole number of at least 0, got {text!r}")
    return int(text)


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
    if not (arguments.truth and arguments.prediction):
        missing = [f"--{n}" for n in ("truth", "prediction") if not getattr(arguments, n)]
        options.error(
            f"{' and '.join(missing)} missing: --truth FILE --prediction DIR go together, to "
            "compare detections with a known truth"
        )
    return run(_against_truth, arguments)


def _against_truth(arguments: argparse.Namespace) -> int:
    from ohana.cli.scores import confusion_table, quality_table, score_table
    from ohana.evaluate import evaluate_prediction, save_evaluation

    folder = Path(arguments.prediction)
    found = evaluate_prediction(
        arguments.truth, folder, arguments.threshold or 5.0, arguments.integration or 0
    )
    files = save_evaluation(found, arguments.output or folder)
    tables = [score_table(found), quality_table(found), confusion_table(found)]
    print("\n\n".join([*tables, "\n".join(f"  {path}" for path in files)]), flush=True)
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
