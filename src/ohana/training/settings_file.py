"""The file of `ohana-train --config`: settings of a training, or of `ohana-create-training`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from ohana.config_file import keys_of, parse_settings, read_text
from ohana.errors import OhanaError
from ohana.training.config import TrainConfig
from ohana.training_sets.config import CreatorConfig

log = logging.getLogger("ohana")

_CREATOR = CreatorConfig.model_fields.keys() - TrainConfig.model_fields.keys()
_TRAINING = TrainConfig.model_fields.keys() - CreatorConfig.model_fields.keys()


def load_training(source: str | Path) -> TrainConfig:
    """Read the settings of a training from a YAML file.

    Parameters
    ----------
    source : str or Path
        Settings of a training; or those of `ohana-create-training`, whose ``output_dir`` is then
        used with the default settings of a training. The keys decide between the two.

    Raises
    ------
    OhanaError
        The file cannot be read, some settings are wrong, or the keys are those of both or neither.
    """
    text, name = read_text(source), str(source)
    if not _is_creators(keys_of(text, name), name):
        config = parse_settings(text, name, TrainConfig)
        log.info(f"{name}: settings of a training")
        return config
    data = parse_settings(text, name, CreatorConfig).output_dir
    log.info(
        f"{name}: settings of ohana-create-training: learning from {data}, all else by default"
    )
    return TrainConfig(data=(data,))


def _is_creators(keys: Iterable[str], name: str) -> bool:
    """Return whether keys are those of `CreatorConfig`; otherwise they are of `TrainConfig`."""
    creators = [key for key in keys if key in _CREATOR]
    training = [key for key in keys if key in _TRAINING]
    if bool(creators) != bool(training):
        return bool(creators)
    if creators:
        raise OhanaError(
            f"{name}: wanted settings of either a training or ohana-create-training, got both: "
            f"{', '.join(training)} and {', '.join(creators)}"
        )
    raise OhanaError(
        f"{name}: wanted settings of a training, such as data, or of ohana-create-training, such "
        f"as image_shape, got {', '.join(keys) or 'no keys'}"
    )
