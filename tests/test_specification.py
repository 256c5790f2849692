"""The specification as it is written: its settings, and its example from start to end."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits

from ohana.cli import create_training, predict, train
from ohana.config_file import load_settings
from ohana.training.config import CreatorConfig
from ohana.training.store import split_path
from ohana.training.stored import stored_source
from ohana.unet import train_file
from ohana.unet.train_config import TrainConfig

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "creator_config.yaml"
#: The settings of a training set with the values that are specified, and their units.
SPECIFIED = Path(__file__).parent / "specified" / "creator_config.yaml"
UNITS = {
    "image_shape": "px",
    "num_frames": "reads",
    "patch_size": "px",
    "overlap": "px",
    "gain_library": "e-/DN",
    "exp_time": "s",
    "saturation_dn": "DN",
    "dark_current_range": "e-/s",
    "read_noise_range": "e-",
    "gaussian_noise_range": "e-",
    "cosmic_ray_charge_range": "e-",
    "rtn_offset_range": "e-",
    "rtn_period_range": "reads",
    "snowball_radius_range": "px",
    "snowball_halo_decay_scale_range": "px",
}

KEYS = re.findall(r"^(\w+):", SPECIFIED.read_text(), re.MULTILINE)


def plain(value):
    """Return a value as YAML has it, all numbers as float."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    # To PyYAML 2.0e2 is text.
    return float(value) if re.fullmatch(r"[\d.]+(e\d+)?", str(value)) else value


@pytest.mark.parametrize("key", KEYS)
def test_key_of_a_training_set(key):
    """It is taken as it is written, is the default, has its unit, and ships in the file."""
    specified = plain(yaml.safe_load(SPECIFIED.read_text())[key])
    field = CreatorConfig.model_fields[key]
    assert plain(getattr(load_settings(SPECIFIED, CreatorConfig), key)) == specified
    assert plain(field.default) == specified
    assert field.json_schema_extra["unit"] == UNITS.get(key, "")
    assert plain(yaml.safe_load(CONFIG.read_text())[key]) == specified


def test_shipped_settings_have_the_specified_keys_in_their_order():
    assert len(KEYS) == 25
    assert list(yaml.safe_load(CONFIG.read_text())) == KEYS


SMALL = {
    "image_shape": [64, 96],
    "num_frames": 16,
    "patch_size": [48, 40],
    "cosmic_ray_per_exp_range": [20, 40],
    "snowballs_per_exp_range": [1, 1],
    "rtn_per_exp_range": [10, 20],
}


def small_config(folder):
    """Copy the shipped settings, with a smaller array, fewer reads and fewer events."""
    text = CONFIG.read_text()
    for key, value in SMALL.items():
        text, count = re.subn(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.MULTILINE)
        assert count == 1
    (folder / "configs").mkdir()
    (folder / "configs" / "creator_config.yaml").write_text(text)


def exposure_with_events(data):
    """Return the reads of the first exposure of a training set."""
    source = stored_source(split_path(data, "training") / "18220_SCA-00000-000")
    return source.ramp.planes.read().astype(np.uint16)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Run the three commands of the example in an empty folder; return it."""
    folder = tmp_path_factory.mktemp("example")
    small_config(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Few of the default samples, in this process.
        few = partial(TrainConfig, samples_per_epoch=8, validation_samples=4, workers=0)
        patch.setattr(train_file, "TrainConfig", few)
        config = ["--config", "configs/creator_config.yaml"]
        assert create_training.main([*config, "--start_index", "0", "--end_index", "0"]) == 0
        assert train.main([*config, "--epochs", "1", "--output_dir", "./trained_models"]) == 0
        fits.writeto("my_exposure.fits", exposure_with_events("data/processed"))
        model = ["--model", "trained_models/best_model_unet3d.pth"]
        given = ["--input", "my_exposure.fits", "--output", "prediction_outputs"]
        assert predict.main([*model, *given]) == 0
    return folder


class TestExample:
    def test_training_set(self, example):
        made = split_path(example / "data" / "processed", "training")
        names = sorted(path.name for path in made.iterdir() if path.is_dir())
        # One exposure with events and one without for each gain.
        assert names == [f"{sca}_SCA-00000-00{k}" for sca in (18220, 18248) for k in (0, 1)]
        assert exposure_with_events(example / "data" / "processed").shape == (16, 64, 96)

    def test_training(self, example):
        folder = example / "trained_models"
        assert (folder / "best_model_unet3d.pth").is_file()
        (epoch,) = json.loads((folder / "training_history_unet3d.json").read_text())
        assert epoch["epoch"] == 1
        assert epoch["train_loss"] > 0
        assert epoch["val_loss"] > 0
        assert 0 < epoch["train_accuracy"] <= 1
        assert 0 < epoch["val_accuracy"] <= 1

    def test_processed_cube(self, example):
        cube = np.load(example / "prediction_outputs" / "my_exposure_processed.npy")
        assert cube.dtype == np.float32
        assert cube.shape == (15, 64, 96)

    def test_temporal_features(self, example):
        with np.load(example / "prediction_outputs" / "my_exposure_temporal.npz") as maps:
            for name in ("first_appearance", "persistence_count", "max_intensity"):
                assert maps[name].shape == (64, 96)

    def test_mask(self, example):
        mask = np.load(example / "prediction_outputs" / "prediction_mask.npy")
        assert mask.dtype == np.uint8
        assert mask.shape == (64, 96)
        assert set(np.unique(mask)) == {0, 1, 2, 3}

    def test_detections(self, example):
        found = json.loads((example / "prediction_outputs" / "detections.json").read_text())
        print({t: sum(e["type"] == t for e in found) for t in {e["type"] for e in found}})
        run = json.loads((example / "prediction_outputs" / "run.json").read_text())
        print(json.dumps(run)[:3000])
        assert 0
