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
from ohana.utils.progress import Progress, no_progress

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
        Resume the training in ``config.output_dir`` from the end of its last epoch, without a
        difference in the result. If there is none, begin.
    overwrite : bool
        Replace the training in ``config.output_dir``, if there is one.
    calibration : bool
        At the end, fit the calibration of confidences to simulated exposures.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Returns
    -------
    list of dict
        One row per epoch, as in the history file.

    Raises
    ------
    OhanaError
        Training data are missing or incomplete, the output folder holds another training,
        the device does not exist, or memory is insufficient.

    Notes
    -----
    Processes are started to prepare the samples: a script must keep its calls under
    ``if __name__ == "__main__":``.
    """
    with _quiet():
        creators = _creators(config) if calibration else []
        torch.manual_seed(config.seed)
        data = TrainingData(config, progress or no_progress)
        learner = Learner(TRAINED(config.architecture()), config)
        folder = make_folder(Path(config.output_dir))
        identity = {"settings": config.learning(), "exposures": data.names()}
        recorder = Recorder(folder, identity, _facts(config, data), progress or no_progress)
        trainer = _trainer(config, [recorder, averaging(config.ema_decay)])
        checkpoint = prepare_output(folder, identity, resume, overwrite)
        _fit(trainer, learner, data, checkpoint)
        if trainer.is_global_zero and creators:
            _calibrate(folder / MODEL, creators, config.seed)
    return recorder.history


def is_main_process() -> bool:
    """Return whether this process reports and saves, of all that train together."""
    return getattr(rank_zero_only, "rank", 0) == 0


def _facts(config: TrainConfig, data: TrainingData) -> dict[str, Any]:
    """Return the facts for the model file."""
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
    # A restarted job resumes by --resume, with or without a scheduler.
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
    """Run the training; convert errors of Lightning and torch to those of this package."""
    config = learner.config
    try:
        trainer.fit(learner, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as end:
        if end.code != 1 or not trainer.interrupted:
            raise
        # Lightning ends the process on an interrupt and ignores further ones.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if (Path(config.output_dir) / CHECKPOINT).exists():
            log.info("--resume goes on from the end of the last epoch")
        raise KeyboardInterrupt from None
    except OhanaError as error:
        # The message from another process includes its traceback.
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
    """Return the settings of the simulated training sets."""
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
        log.warning("no simulated training set: confidences are not calibrated")
    return creators


def _calibrate(path: Path, creators: list[CreatorConfig], seed: int) -> None:
    """Fit the calibration to new simulated exposures, and add it to the model file."""
    from ohana.training.calibrate import calibrate

    network = load_network(path)
    if network.calibration is None:
        log.info("calibration: fresh exposures are simulated and searched")
        save_network(path, replace(network, calibration=calibrate(network, creators, seed)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress messages of Lightning that are meant for developers."""
    theirs = logging.getLogger("lightning.pytorch"), logging.getLogger("lightning.fabric")
    before = [logger.level for logger in theirs]
    for logger in theirs:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Advice on workers, precision and loggers, and notes on the internals of torch.
            warnings.filterwarnings("ignore", module=r"(lightning|torch)\b")
            yield
    finally:
        for logger, level in zip(theirs, before, strict=True):
            logger.setLevel(level)
