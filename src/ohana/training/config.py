"""Settings of a training: data, network, learning and devices."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from ohana.config import setting
from ohana.network.networks import TRAINED_SETTINGS

Count = Annotated[int, Field(strict=True, ge=1)]

#: Settings of place, speed and length of a training, which do not affect how it learns; they may
#: change when a training resumes.
MAY_CHANGE = {"data", "output_dir", "epochs", "patience", "workers", "device", "num_nodes"}


class TrainConfig(TRAINED_SETTINGS):
    """Settings of `ohana.training.train.train`, all optional; unknown names and values are refused.

    Examples
    --------
    >>> TrainConfig(data="training_data_small").data
    ('training_data_small',)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: tuple[str, ...] = setting(
        ("./data/processed",),
        "data",
        "",
        "Folder of a training set, or a list of them",
        min_length=1,
    )
    val_split: Annotated[float, Field(strict=True, gt=0, lt=1)] = setting(
        0.2, "data", "", "Fraction of the exposures for validation, never trained on"
    )
    window: Annotated[int, Field(strict=True, ge=4)] = setting(
        64, "data", "reads", "Reads of a sample; a shorter ramp gives all it has, and more pixels"
    )
    crop: Annotated[int, Field(strict=True, ge=8)] = setting(
        64, "data", "px", "Height and width of a sample; a smaller array is taken whole"
    )
    samples_per_epoch: Count = setting(1000, "data", "", "Training samples of an epoch")
    validation_samples: Count = setting(
        200, "data", "", "Validation samples, the same after every epoch"
    )
    augment: bool = setting(
        True,
        "data",
        "",
        "Flip and transpose samples, turn telegraph noise upside down, add noise",
        strict=True,
    )

    epochs: Count = setting(20, "learning", "", "Epochs of `samples_per_epoch` samples")
    batch_size: Count = setting(2, "learning", "", "Samples of a step, on each device")
    lr: Annotated[float, Field(strict=True, gt=0, le=1)] = setting(
        1e-4, "learning", "", "Learning rate; it rises to this and falls to zero as a cosine"
    )
    weight_decay: Annotated[float, Field(strict=True, ge=0, lt=1)] = setting(
        0.01, "learning", "", "Weight decay of AdamW"
    )
    ema_decay: Annotated[float, Field(strict=True, ge=0, lt=1)] = setting(
        0.999,
        "learning",
        "",
        "Fraction of the averaged weights that a step keeps; the average is validated and saved",
    )
    patience: Count = setting(
        10, "learning", "epochs", "Training ends after so many epochs without a better score"
    )
    seed: Annotated[int, Field(strict=True, ge=0)] = setting(
        0, "learning", "", "Of the split, the samples and the first weights"
    )

    output_dir: str = setting(
        "./trained_models", "running", "", "Folder for the network and its history", min_length=1
    )
    device: str = setting(
        "auto", "running", "", "auto, cpu, cuda for all GPUs, cuda:0 or cuda:0,2 for some"
    )
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = setting(
        "auto", "running", "", "Arithmetic; auto is bf16-mixed on a GPU that has it, 32 on a CPU"
    )
    num_nodes: Count = setting(1, "running", "", "Machines that train together")
    workers: Annotated[int, Field(strict=True, ge=0, le=1024)] = setting(
        2, "running", "", "Processes that prepare samples, on each device; 0: none of their own"
    )

    @field_validator("data", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        """Take the name of one folder for a list of one, and each folder once."""
        folders = (value,) if isinstance(value, str) else value
        if not isinstance(folders, list | tuple) or not all(isinstance(f, str) for f in folders):
            raise ValueError("wanted the name of a folder, or a list of names")
        return tuple(dict.fromkeys(folders))

    @field_validator("precision", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if value == 32 and not isinstance(value, bool) else value

    @field_validator("device")
    @classmethod
    def _known(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+(,\d+)*)?", value):
            raise ValueError("wanted auto, cpu, cuda, cuda:0, or cuda:0,2")
        return value

    def learning(self) -> dict[str, Any]:
        """Return the settings that affect how the network learns, as plain values."""
        return self.model_dump(mode="json", exclude=MAY_CHANGE)

    def decisive(self) -> dict[str, Any]:
        """Return the settings that determine the trained network, for given exposures."""
        return self.learning() | {"epochs": self.epochs, "patience": self.patience}

    def fingerprint(self) -> str:
        """Return a hash of the settings that determine the trained network."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()[:16]
