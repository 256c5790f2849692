"""Train the network: what `ohana-train` does."""

from __future__ import annotations

import json
import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only
from pydantic import ValidationError

from ohana.errors import OhanaError
from ohana.network.model_file import load_network, save_network
from ohana.network.networks import TRAINED
from ohana.training.batch_size import is_out_of_memory, too_large
from ohana.training.checkpoint import prepare_output
from ohana.training.config import TrainConfig
from ohana.training.data_module import TrainingData
from ohana.training.history import Row
from ohana.training.learner import Learner, averaging
from ohana.training.recorder import CHECKPOINT, MODEL, Recorder
from ohana.training.tuning import TUNING
from ohana.training_sets.claims import SETTINGS
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.judged import SOURCE
from ohana.utils.files import make_folder
from ohana.utils.progress import Progress

log = logging.getLogger("ohana")


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    calibration: bool = True,
    progress: Progress | None = None,
) -> list[Row]:
    """Train a network on training sets.

    Parameters
    ----------
    config : TrainConfig
        Settings.
    resume : bool
        Go on with the training in ``config.output_dir``, as if it had never stopped; what was
        learned since the end of its last epoch is learned again. Without one, begin.
    overwrite : bool
        Replace the training in ``config.output_dir``, if there is one.
    calibration : bool
        At the end, simulate exposures and learn from them how sure the network can be.
    progress : callable, optional
        Called with the name of a stage, its parts done and those in all.

    Returns
    -------
    list of dict
        One row for each epoch, as in the history that is written beside the network.

    Raises
    ------
    OhanaError
        Training data are missing or incomplete, the output folder holds another training,
        there is no such device, or memory does not suffice.

    Notes
    -----
    Processes are started to prepare the samples: a script must keep its calls under
    ``if __name__ == "__main__":``.
    """
    with _quiet():
        creators = _creators(config) if calibration else []
        torch.manual_seed(config.seed)
        data = TrainingData(config, progress)
        learner = Learner(TRAINED(config.architecture()), config)
        folder = make_folder(Path(config.output_dir))
        marks = {"settings": config.learning(), "exposures": data.names()}
        recorder = Recorder(folder, marks, _facts(config, data), progress)
        trainer = _trainer(config, [recorder, averaging(config.ema_decay)])
        checkpoint = prepare_output(folder, marks, resume, overwrite)
        _fit(trainer, learner, data, checkpoint)
        if trainer.is_global_zero and creators:
            _calibrate(folder / MODEL, creators, config.seed)
    return recorder.history


def is_main_process() -> bool:
    """Tell whether this is the one of the processes that train together that reports and saves."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _facts(config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """Return what goes with the network."""
    return {
        "window": [config.window, config.crop, config.crop],
        "training": config.fingerprint(),
        "settings": config.decisive(),
        "exposures": {side: sum(map(len, names)) for side, names in data.names().items()},
    }


def _trainer(config: TrainConfig, callbacks: list[Any]) -> Trainer:
    """Return Lightning's trainer for the device of the settings."""
    accelerator, devices = _device(config.device)
    precision: Any = config.precision
    if precision == "auto":
        precision = "32" if accelerator == "cpu" else "16-mixed"
        if accelerator == "gpu" and torch.cuda.is_bf16_supported():
            precision = "bf16-mixed"
    # A job that is started again goes on by --resume, in one way with or without a scheduler.
    plugins: Any = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=config.num_nodes,
        precision=precision,
        max_epochs=config.epochs,
        gradient_clip_val=TUNING.max_gradient,
        callbacks=callbacks,
        plugins=plugins,
        default_root_dir=config.output_dir,
        sync_batchnorm=accelerator == "gpu",
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        benchmark=True,
    )


def _device(name: str) -> tuple[str, Any]:
    """Return Lightning's names for a device."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not gpus):
        return "cpu", 1
    _, _, numbers = name.partition(":")
    wanted = [int(number) for number in numbers.split(",")] if numbers else list(range(gpus))
    missing = [number for number in wanted if number >= gpus]
    if not gpus or missing:
        raise OhanaError(f"device: wanted {name}, but this machine has {gpus or 'no'} GPUs")
    return "gpu", wanted


def _fit(trainer: Trainer, learner: Learner, data: TrainingData, checkpoint: Path | None) -> None:
    """Train; say in our words what went wrong."""
    config = learner.config
    try:
        trainer.fit(learner, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as end:
        if end.code != 1 or not trainer.interrupted:
            raise
        # Lightning ends the process where a user interrupts it, deaf to any further interrupt.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if (Path(config.output_dir) / CHECKPOINT).exists():
            log.info("--resume goes on from the end of the last epoch")
        raise KeyboardInterrupt from None
    except OhanaError as error:
        # One from another process brings its whole traceback along.
        raise OhanaError(str(error).rpartition("OhanaError: ")[2].strip()) from error
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            kind = trainer.precision.removesuffix("-true")
            model, device = learner.model.architecture, trainer.strategy.root_device
            learner.to("cpu")
            raise too_large(error, model, data.one(), config.batch_size, device, kind) from None
        if "DataLoader worker" in str(error):
            raise OhanaError(
                "a process that prepares samples has ended, for lack of memory most likely: "
                f"wanted fewer workers than {config.workers}"
            ) from error
        raise


def _creators(config: TrainConfig) -> list[CreatorConfig]:
    """Return the settings with which the training sets were made, as far as they were simulated."""
    creators = []
    for folder in config.data:
        note = Path(folder) / SETTINGS
        try:
            settings = json.loads(note.read_text("utf-8"))
            if settings.get("source") != SOURCE:
                creators.append(CreatorConfig(**settings))
        except FileNotFoundError:
            raise OhanaError(
                f"{note}: no such file: wanted a training set of ohana-create-training"
            ) from None
        except (OSError, ValueError, TypeError, AttributeError) as error:
            what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise OhanaError(f"{note}: wanted the settings of a training set, got {what}") from None
    if not creators:
        log.warning("no simulated training set: how sure the network can be is not learned")
    return creators


def _calibrate(path: Path, creators: list[CreatorConfig], seed: int) -> None:
    """Learn from fresh exposures how sure the network can be, and keep it with the network."""
    from ohana.training.calibrate import calibrate

    network = load_network(path)
    if network.calibration is None:
        log.info("calibration: fresh exposures are simulated and searched")
        save_network(path, replace(network, calibration=calibrate(network, creators, seed)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Lightning tells its developers from our users."""
    theirs = logging.getLogger("lightning.pytorch"), logging.getLogger("lightning.fabric")
    before = [logger.level for logger in theirs]
    for logger in theirs:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Advice on workers, precision and loggers, and torch's notes on its own internals.
            warnings.filterwarnings("ignore", module=r"(lightning|torch)\b")
            yield
    finally:
        for logger, level in zip(theirs, before, strict=True):
            logger.setLevel(level)
