"""The specification as it is written: its settings, and its example from start to end."""

import ast
import json
import re
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from astropy.io import fits

from ohana.classes import Label, label_of
from ohana.cli import create_training, predict, train
from ohana.config_file import load_settings
from ohana.results.catalogue import member_pixels, read_catalogue
from ohana.training import settings_file as train_file
from ohana.training.config import TrainConfig
from ohana.training.train import _device
from ohana.training.train import train as train_network
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.store import split_path
from ohana.training_sets.stored_exposure import stored_source
from training_sets import make

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

#: Classes as they are in masks.
IDS = {"cosmic_ray": 1, "telegraph_noise": 2, "snowball": 3}

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
        assert (
            train.main(
                [*config, "--epochs", "1", "--no_calibration", "--output_dir", "./trained_models"]
            )
            == 0
        )
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
        """Each pixel has the id of its event, the higher one where events overlap."""
        folder = example / "prediction_outputs"
        mask, painted = np.load(folder / "prediction_mask.npy"), np.zeros((64, 96), np.uint8)
        for name, number in IDS.items():
            for event in read_catalogue(folder / "detections.json"):
                if event["type"] == name:
                    painted[member_pixels(event)] = number
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, painted)
        assert mask.any()

    def test_detections(self, example):
        found = json.loads((example / "prediction_outputs" / "detections.json").read_text())
        assert found
        for event in found:
            assert event["type"] in IDS
            assert all(0 <= at < size for at, size in zip(event["centroid"], (64, 96), strict=True))
            assert event["first_frame"] is None or 0 < event["first_frame"] < 16
            assert event["max_intensity"] >= event["mean_intensity"] > 0
            assert event["spatial_extent"] == len(member_pixels(event)[0])
            if event["type"] == "cosmic_ray":
                assert {"step_amplitude", "fit_quality"} <= event.keys()

    def test_trained_network_took_part(self, example):
        run = json.loads((example / "prediction_outputs" / "run.json").read_text())
        assert any("rules and network" in notice for notice in run["notices"])


def test_one_detector_suffices(tmp_path, caplog):
    """One exposure to learn from, the one with events, and one to be judged by."""
    few = {"gain_library": [1.0], "num_exposure_events": 1, "num_baseline_exposures": 1}
    assert len(make(tmp_path / "set", **few)) == 2
    config = TrainConfig(
        data=(str(tmp_path / "set"),),
        output_dir=str(tmp_path / "out"),
        **{"epochs": 1, "samples_per_epoch": 2, "validation_samples": 2, "workers": 0},
        **{"widths": (4,), "strides": (), "crop": 16, "device": "cpu"},
    )
    (epoch,) = train_network(config, calibration=False)
    assert epoch["score"] is None  # nothing to find in the exposure that judges
    assert 0 < epoch["val_accuracy"] <= 1
    assert "only one exposure with events" in caplog.text


def test_class_ids():
    assert {label.key: int(label) for label in Label} == {"background": 0} | IDS
    assert label_of("rtn") == Label.TELEGRAPH_NOISE


COMMANDS = {
    "ohana-create-training": create_training,
    "ohana-train": train,
    "ohana-predict": predict,
}


def test_commands():
    installed = {point.name: point.value for point in entry_points(group="console_scripts")}
    for name, module in COMMANDS.items():
        assert installed[name] == f"{module.__name__}:main"
        assert module.parser().prog == name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ohana-create-training", ["config", "start_index", "end_index"]),
        ("ohana-train", ["config", "epochs", "batch_size", "lr", "val_split", "output_dir"]),
        ("ohana-predict", ["model", "input", "output"]),
    ],
)
def test_options(name, options):
    values = {"start_index": "0", "end_index": "0", "epochs": "20", "batch_size": "2"}
    values |= {"lr": "1e-4", "val_split": "0.2"}
    given = [f"--{option}={values.get(option, 'x')}" for option in options]
    parsed = vars(COMMANDS[name].parser().parse_args(given))
    assert all(parsed[option] not in (None, []) for option in options)


def test_defaults_of_a_training():
    config = TrainConfig()
    assert (config.epochs, config.batch_size, config.lr, config.val_split) == (20, 2, 1e-4, 0.2)
    assert config.output_dir == "./trained_models"
    assert config.data == (CreatorConfig().output_dir,) == ("./data/processed",)


def test_gpu_is_used_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for there, wanted in ((True, ("gpu", [0])), (False, ("cpu", 1))):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert _device(TrainConfig().device) == wanted


def test_npy_is_an_exposure_too(example, tmp_path):
    """And without a model the rules alone look at it."""
    np.save(tmp_path / "e.npy", exposure_with_events(example / "data" / "processed"))
    given = ["--input", str(tmp_path / "e.npy"), "--output", str(tmp_path / "out"), "--quiet"]
    assert predict.main(given) == 0
    found = read_catalogue(tmp_path / "out" / "detections.json")
    assert {event["source"] for event in found} == {"rules"}
    assert (tmp_path / "out" / "e_processed.npy").is_file()


TABLE = (ROOT / "docs" / "specification.md").read_text()


def test_every_row_of_the_table_names_a_test():
    rows = [row for row in TABLE.splitlines() if row.startswith("| ")]
    assert len(rows) > 40
    for row in rows:
        assert row.startswith("| statement |") or "`test_" in row.split("|")[2], row


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(test_\w+\.py::[\w:]+)`", TABLE))))
def test_tests_of_the_table_exist(named):
    file, *place = named.split("::")
    (path,) = (ROOT / "tests").rglob(file)
    body = ast.parse(path.read_text()).body
    for name in place:
        (found,) = [item for item in body if getattr(item, "name", None) == name]
        body = found.body
