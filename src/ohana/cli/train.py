"""`ohana-train`: train the network on a training set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohana.cli.common import OK, Parser, positive, run
from ohana.cli.progress import show_progress
from ohana.errors import OhanaError

if TYPE_CHECKING:
    from ohana.training.config import TrainConfig

DESCRIPTION = """\
Train the 3-D U-Net on the exposures of ohana-create-training. Some exposures are set aside for
validation; the network with the best validation score is kept.

The settings are those of a training, or those of ohana-create-training: then the network is
trained on its output_dir, with default settings."""

EPILOG = """\
Written to the output folder:
  best_model_unet3d.pth         the best network so far, for ohana-predict --model
  training_history_unet3d.json  losses, accuracy, precision, recall, F1 and more of each epoch
  training_history_unet3d.png   a plot of it
  last.ckpt                     checkpoint for --resume

An interruption loses at most the current epoch.

Examples:
  ohana-train --config configs/train.yaml
  ohana-train --config configs/creator_config.yaml --epochs 20 --batch_size 2
  ohana-train --config train.yaml --epochs 40 --batch_size 8 --device cuda:0 --output_dir night
  ohana-train --config train.yaml --epochs 60 --output_dir night --resume

Exit code: 0 all done, 1 training failed, 2 wrong usage, 130 interrupted."""

#: Options that take the place of a setting of the same name.
SETTINGS = (
    "epochs",
    "batch_size",
    "lr",
    "val_split",
    "output_dir",
    "device",
    "precision",
    "num_nodes",
)


def parser() -> Parser:
    """Return the options of the command."""
    options = Parser(prog="ohana-train", description=DESCRIPTION, epilog=EPILOG)
    options.add_argument(
        "--config",
        required=True,
        metavar="FILE",
        help="YAML file with settings, of a training or of ohana-create-training",
    )
    group = options.add_argument_group("instead of what the settings say")
    group.add_argument(
        "--epochs", type=positive, metavar="N", help="epochs to train for (default: 20)"
    )
    group.add_argument(
        "--batch_size",
        type=positive,
        metavar="N",
        help="samples of a step, on each device (default: 2)",
    )
    group.add_argument(
        "--lr", type=float, metavar="RATE", help="highest learning rate (default: 1e-4)"
    )
    group.add_argument(
        "--val_split",
        type=float,
        metavar="PART",
        help="fraction of exposures for validation (default: 0.2)",
    )
    group.add_argument(
        "--output_dir",
        metavar="FOLDER",
        help="folder for what is written (default: ./trained_models)",
    )
    group.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, cuda:0, or cuda:0,2")
    group.add_argument(
        "--precision", choices=("auto", "32", "bf16-mixed", "16-mixed"), help="arithmetic"
    )
    group.add_argument("--num_nodes", type=positive, metavar="N", help="machines that train")
    there = options.add_mutually_exclusive_group()
    there.add_argument(
        "--resume", action="store_true", help="go on with the training in the output folder"
    )
    there.add_argument(
        "--overwrite", action="store_true", help="replace the training in the output folder"
    )
    options.add_argument(
        "--no_calibration",
        action="store_true",
        help="skip the simulations at the end that calibrate the confidence",
    )
    options.add_common()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(_train, parser().parse_args(argv))


def _train(arguments: argparse.Namespace) -> int:
    missing = [name for name in ("torch", "lightning", "safetensors") if find_spec(name) is None]
    if missing:
        raise OhanaError(f'ohana-train needs {missing[0]}: pip install "ohana[train]"')
    from ohana.training.settings_file import load_training

    given = {name: getattr(arguments, name) for name in SETTINGS}
    changes = {name: value for name, value in given.items() if value is not None}
    config = _changed(load_training(arguments.config), changes)

    from ohana.training.history import best_row
    from ohana.training.train import is_main_process, train

    with show_progress(arguments.quiet) as progress:
        history = train(
            config,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            calibration=not arguments.no_calibration,
            progress=progress,
        )
    if not is_main_process():
        return OK
    best = best_row(history)
    score = "" if best["score"] is None else f", mean F1 of the events {best['score']:.3f}"
    model = Path(config.output_dir) / "best_model_unet3d.pth"
    print(f"{model}: the best of {len(history)} epochs, number {best['epoch']}{score}")
    return OK


def _changed(config: TrainConfig, changes: dict[str, Any]) -> TrainConfig:
    """Return settings with some changed by options, and checked again."""
    from pydantic import ValidationError

    from ohana.config_file import plain_message

    try:
        return type(config)(**(config.model_dump() | changes))
    except ValidationError as error:
        lines = [f"--{detail['loc'][0]}: {plain_message(detail)}" for detail in error.errors()]
        raise OhanaError("\n".join(lines)) from None


if __name__ == "__main__":
    raise SystemExit(main())
