"""The command that trains: options, messages, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ohana.cli import train as command
from ohana.cli.train import main
from ohana.errors import OhanaError
from ohana.network.model_file import load_network
from ohana.training.config import TrainConfig
from ohana.training.history import HISTORY, PLOT
from ohana.training.recorder import CHECKPOINT, MODEL
from ohana.training.settings_file import load_training
from ohana.training_sets.creator import DataSetCreator
from training_sets import tiny

SMALL = {
    "widths": [4],
    "strides": [],
    "window": 8,
    "crop": 16,
    "samples_per_epoch": 4,
    "validation_samples": 4,
    "epochs": 2,
    "workers": 0,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    config = tiny(folder, num_exposure_events=3, num_baseline_exposures=2)
    assert not DataSetCreator(config).create(0, 0).failed
    return folder


@pytest.fixture
def settings(data, tmp_path):
    """Make a settings file for a training of moments into ``tmp_path / "out"``."""

    def write(**changes):
        path = tmp_path / "my.yaml"
        values = SMALL | {"data": str(data), "output_dir": str(tmp_path / "out")} | changes
        path.write_text(json.dumps(values))
        return str(path)

    return write


def usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_help_is_quick_and_says_what_is_written():
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-m", "ohana.cli.train", "--help"], capture_output=True, text=True
    )
    assert time.perf_counter() - started < 2  # a third of that when the machine is idle
    assert result.returncode == 0
    for word in ("--batch_size", "--resume", MODEL, HISTORY, PLOT, CHECKPOINT, "train.yaml"):
        assert word in result.stdout


def test_trains_and_goes_on(settings, tmp_path, capsys):
    file, model = settings(), tmp_path / "out" / MODEL
    assert main(["--config", file, "--no-calibration"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{model}: the best of 2 epochs, number ")
    assert ", mean F1 of the events 0." in out
    lines = err.splitlines()
    assert lines[0] == f"{file}: settings of a training"
    assert lines[1].startswith("rules search the exposures: done in ")
    assert [line.split(":")[0] for line in lines[2:]] == ["epoch 1/2", "training", "epoch 2/2"]
    assert main(["--config", file, "--resume", "--epochs=3", "--no_calibration"]) == 0
    assert capsys.readouterr().out.startswith(f"{model}: the best of 3 epochs")
    assert main(["--config", file, "--resume", "--epochs=4", "--no_calibration", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_options_come_before_the_settings(settings, tmp_path):
    options = {
        "epochs": "1",
        "batch-size": "1",
        "lr": "1e-3",
        "val-split": "0.4",
        "output-dir": str(tmp_path / "elsewhere"),
        "precision": "bf16-mixed",
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    assert main(["--config", settings(lr=1e-2), *given, "--no_calibration", "--quiet"]) == 0
    found = load_network(tmp_path / "elsewhere" / MODEL).facts["settings"]
    wanted = {"epochs": 1, "batch_size": 1, "lr": 1e-3, "val_split": 0.4, "precision": "bf16-mixed"}
    assert found | wanted == found


def written(folder, text):
    (folder / "some.yaml").write_text(text)
    return str(folder / "some.yaml")


def test_takes_the_file_of_the_training_set(tmp_path, caplog):
    caplog.set_level("INFO", "ohana")
    file = written(
        tmp_path,
        "output_dir: some/where\nimage_shape: [64, 64]\noutputs: 1\n"
        "patch_size: 64\nseed: 3\nwindow: 8\nworkers: 1",
    )
    assert load_training(file) == TrainConfig(data=("some/where",))
    assert caplog.messages == [
        f"{file}: settings of ohana-create-training: learning from some/where, all else by default"
    ]


def test_takes_the_file_of_a_training(tmp_path, caplog):
    caplog.set_level("INFO", "ohana")
    file = written(tmp_path, "data: some/where\nseed: 3")
    assert load_training(file) == TrainConfig(data=("some/where",), seed=3)
    assert caplog.messages == [f"{file}: settings of a training"]


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (
            "num_frames: 9\nepochs: 3\nseed: 1\noverlap: 3\nlr: 1.0e-3",
            "wanted settings of either a training or ohana-create-training, got both: "
            "epochs, lr and num_frames, overlap",
        ),
        *(
            (
                text,
                "wanted settings of a training, such as data, or of ohana-create-training, "
                f"such as image_shape, got {keys}",
            )
            for text, keys in (("output_dir: x\nepoch: 3", "output_dir, epoch"), ("", "no keys"))
        ),
    ],
)
def test_file_must_be_of_one_kind(text, got, tmp_path):
    file = written(tmp_path, text)
    with pytest.raises(OhanaError) as caught:
        load_training(file)
    assert str(caught.value) == f"{file}: {got}"


def test_another_training_is_not_overwritten(settings, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MODEL).write_text("precious")
    assert main(["--config", settings(), "--no_calibration", "--quiet"]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'out'}: holds another training ({MODEL}): --resume goes on with it, "
        "--overwrite replaces it, or choose another output_dir\n"
    )
    assert main(["--config", settings(), "--no_calibration", "--quiet", "--overwrite"]) == 0


def test_mistakes_are_told(settings, tmp_path, capsys):
    assert main(["--config", settings(epochs=0, widht=3)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: {tmp_path / 'my.yaml'}:1: epochs: wanted at least 1, got 0",
        f"error: {tmp_path / 'my.yaml'}:1: widht: unknown key, did you mean widths?",
    ]
    assert main(["--config", settings(), "--val_split", "1", "--device", "gpu", "--quiet"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: --val_split: wanted less than 1, got 1.0",
        "error: --device: wanted auto, cpu, cuda, cuda:0, or cuda:0,2, got 'gpu'",
    ]
    assert main(["--config", "none.yaml"]) == 1
    assert capsys.readouterr().err == "error: none.yaml: no such settings file\n"


def test_wrong_usage(capsys):
    assert "--config" in usage_error([], capsys)
    given = ["--config", "x.yaml"]
    assert "at least 1, got '0'" in usage_error([*given, "--epochs=0"], capsys)
    assert "invalid choice" in usage_error([*given, "--precision=64"], capsys)
    assert "not allowed with" in usage_error([*given, "--resume", "--overwrite"], capsys)


def test_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "lightning" else name)
    assert main(["--config", "x.yaml"]) == 1
    assert capsys.readouterr().err == (
        'error: ohana-train needs lightning: pip install "ohana[train]"\n'
    )


def test_interrupt_ends_in_order_and_can_be_resumed(settings, tmp_path):
    file = settings(epochs=1000, patience=1000, workers=1)
    arguments = ["-m", "ohana.cli.train", "--config", file, "--no_calibration"]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-2:] == [
        "--resume goes on from the end of the last epoch",
        "error: interrupted",
    ]
    done = len(json.loads((tmp_path / "out" / HISTORY).read_text()))
    options = ["--resume", "--quiet", f"--epochs={done + 1}", "--no_calibration"]
    assert main(["--config", file, *options]) == 0
    assert len(json.loads((tmp_path / "out" / HISTORY).read_text())) == done + 1
