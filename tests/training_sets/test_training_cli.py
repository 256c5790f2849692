"""The command that makes training sets: options, messages, exit codes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ohana.cli.create_training import main
from ohana.cli.progress import _lines
from ohana.errors import OhanaError
from ohana.training_sets import exposure
from training_sets import tiny


@pytest.fixture
def settings(tmp_path):
    """Make a settings file for a tiny set in ``tmp_path / "set"``."""

    def write(**changes):
        path = tmp_path / "my.yaml"
        config = tiny(tmp_path / "set", **changes)
        path.write_text(json.dumps(config.model_dump(mode="json")))
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
        [sys.executable, "-m", "ohana.cli.create_training", "--help"],
        capture_output=True,
        text=True,
    )
    assert time.perf_counter() - started < 2  # a third of that when the machine is idle
    assert result.returncode == 0
    for word in ("--start_index", "--scheduler", "training.zarr", "small.yaml", "Exit code"):
        assert word in result.stdout


def test_makes_a_set_and_adds_to_it(settings, tmp_path, capsys):
    file = settings(num_exposure_events=2)
    assert main(["--config", file, "--start_index", "0", "--end_index", "0"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'set'}: 2 exposures made, 0 there before\n"
    lines = err.splitlines()
    assert lines[0] == "2 exposures, 0 of them there already"
    assert lines[1].startswith("2 exposures need about ")
    assert lines[2].startswith("simulating: done in ")
    assert lines[2].endswith(" million pixel-reads/s")
    assert main(["--config", file, "--start-index=0", "--end-index=1"]) == 0
    out, _ = capsys.readouterr()
    assert out == f"{tmp_path / 'set'}: 2 exposures made, 2 there before\n"
    assert main(["--config", file, "--start_index", "0", "--end_index", "1", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_seed_and_workers_come_before_the_settings(settings, tmp_path):
    options = ["--seed", "7", "--workers", "1", "--quiet"]
    file = settings(workers=3)
    assert main(["--config", file, "--start_index", "0", "--end_index", "0", *options]) == 0
    assert json.loads((tmp_path / "set" / "settings.json").read_text())["seed"] == 7


def test_failed_exposures_are_reported_at_the_end(settings, monkeypatch, capsys):
    def fail(config, task, folder, on_reads):
        raise OhanaError("no luck") if task.k else ValueError("odd\nshape")

    monkeypatch.setattr(exposure, "write_exposure", fail)
    arguments = ["--config", settings(num_exposure_events=2), "--start_index=0", "--end_index=0"]
    assert main([*arguments, "--quiet"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: detector_0-00000-000: unexpected ValueError: odd shape (--debug shows where)",
        "error: detector_0-00000-001: no luck",
        "error: 2 exposures failed: run again to make them",
    ]


def test_mistakes_of_the_settings_are_told(tmp_path, capsys):
    file = tmp_path / "bad.yaml"
    file.write_text("num_frames: 1\nover_lap: 3\n")
    assert main(["--config", str(file), "--start_index", "0", "--end_index", "0"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: {file}:1: num_frames: wanted at least 2, got 1",
        f"error: {file}:2: over_lap: unknown key, did you mean overlap?",
    ]
    assert main(["--config", "none.yaml", "--start_index", "0", "--end_index", "0"]) == 1
    assert capsys.readouterr().err == "error: none.yaml: no such settings file\n"


def test_folder_that_cannot_be_made(settings, tmp_path, capsys):
    file = settings()
    (tmp_path / "set").write_text("in the way")
    assert main(["--config", file, "--start_index", "0", "--end_index", "0"]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'set'}: cannot make this folder: File exists\n"
    )


def test_wrong_usage(capsys):
    indices = ["--start_index", "3", "--end_index", "2"]
    assert "--config" in usage_error(indices, capsys)
    given = ["--config", "x.yaml"]
    assert "--start_index must not exceed --end_index" in usage_error(given + indices, capsys)
    assert "wanted a whole number of at least 0, got '-1'" in usage_error(
        [*given, "--start_index=-1", "--end_index=2"], capsys
    )
    both = [*given, "--start_index=0", "--end_index=0", "--workers=2", "--scheduler=tcp://a:1"]
    assert "--scheduler has its own" in usage_error(both, capsys)


def test_interrupt_ends_in_order(settings, tmp_path):
    """Ctrl-C in a terminal goes to all processes of the group."""
    file = settings(num_exposure_events=200, num_frames=30, workers=2)
    command = [sys.executable, "-W", "error", "-m", "ohana.cli.create_training"]
    process = subprocess.Popen(
        [*command, "--config", file, "--start_index", "0", "--end_index", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("set/training.zarr/d*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[2:] == ["error: interrupted"]


def test_long_stages_say_now_and_then_how_far_they_are(monkeypatch, caplog):
    clock = iter([0.0, 10.0, 40.0, 50.0, 80.0])
    monkeypatch.setattr("ohana.cli.progress.time.perf_counter", lambda: next(clock))
    caplog.set_level("INFO", "ohana")
    report = _lines("pixel-reads")
    for done in (0, 10, 40, 50, 80):
        report("simulating", done * 1_000_000, 80_000_000)
    assert caplog.messages == [
        "simulating: 50%, 1 million pixel-reads/s, 1 min left",
        "simulating: done in 80.0 s, 1 million pixel-reads/s",
    ]
