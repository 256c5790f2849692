"""`ohana-predict` as a user meets it: spellings, messages, exit codes."""

import subprocess
import sys
import time

import pytest

from ohana.cli.predict import main
from ohana.cli.progress import show_progress
from ohana.errors import OhanaError
from ohana.events import Event
from ohana.predictor import Predictor
from ohana.results.catalogue import write_catalogue
from ohana.simulate import Truth, preset
from ohana.utils.formatting import columns


class Outcome(str):
    """A summary of which the text alone counts."""

    failed: dict[str, str] = {}


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Replace the search by a record of what it was asked; `bad*` inputs fail."""
    made = []
    monkeypatch.chdir(tmp_path)

    def predict(self, path, output_dir, *, processed, progress, **options):
        made.append((path.name, str(output_dir), processed, self.config))
        if path.name.startswith("bad"):
            raise OhanaError(f"{path}: wanted a ramp, got nonsense")
        if path.name.startswith("bug"):
            raise RuntimeError("two\nlines")
        progress("searching", 0, 1)
        progress("searching", 1, 1)
        return Outcome(f"summary of {path.name}")

    monkeypatch.setattr(Predictor, "predict", predict)
    return made


def test_one_input_goes_into_the_output_folder(calls, capsys):
    assert main(["--input", "dark.fits"]) == 0
    assert calls[0][:3] == ("dark.fits", "prediction_outputs", True)
    out, err = capsys.readouterr()
    assert out == "summary of dark.fits\n"
    assert err == "searching: done in 0.0 s\n"


@pytest.mark.parametrize("flag", ["--no-processed", "--no_processed"])
def test_both_spellings(calls, flag):
    assert main(["--input=dark.fits", flag, "--threads", "3"]) == 0
    assert calls[0][2] is False
    assert calls[0][3].threads == 3


def test_settings_come_from_a_file_or_a_preset(calls, tmp_path):
    path = tmp_path / "my_settings.yaml"
    path.write_text("sigma_threshold: 7")
    assert main(["--input", "x.npy", f"--config={path}"]) == 0
    assert main(["--input", "x.npy", "--config", "sensitive"]) == 0
    assert [call[3].sigma_threshold for call in calls] == [7, 5]
    assert [call[3].cosmic_ray_min_step for call in calls] == [25, 0]


def test_one_failed_exposure_is_one_line(calls, capsys):
    assert main(["--input", "bad.fits"]) == 1
    assert capsys.readouterr().err == "error: bad.fits: wanted a ramp, got nonsense\n"


def test_traceback_only_with_debug(calls, capsys):
    assert main(["--input", "bug.fits"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert main(["--input", "bug.fits", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_quiet_says_nothing_but_what_is_wrong(calls, capsys):
    assert main(["--input", "x.npy", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["--input", "bad.npy", "--quiet"]) == 1
    assert capsys.readouterr() == ("", "error: bad.npy: wanted a ramp, got nonsense\n")


def test_interrupt_ends_with_130(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def predict(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "predict", predict)
    assert main(["--input", "x.npy"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_mistakes_in_settings_are_listed_before_any_work(calls, tmp_path, capsys):
    path = tmp_path / "my.yaml"
    path.write_text("sigma: 5\nmax_steps: 0\n")
    assert main(["--input", "x.npy", "--config", str(path)]) == 1
    assert not calls
    assert capsys.readouterr().err.splitlines() == [
        f"error: {path}:1: sigma: unknown key",
        f"error: {path}:2: max_steps: wanted at least 1, got 0",
    ]


def test_a_model_that_is_none_is_told_before_any_work(calls, capsys):
    assert main(["--input", "x.npy", "--model", "net.pth"]) == 1
    assert capsys.readouterr().err.startswith("error: net.pth: wanted a model file, got")
    assert not calls


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "--input is missing (or try --demo)"),
        (["--demo", "--input", "x"], "--demo makes its own input"),
        (["--input"], "expected at least one argument"),
        (["--input", "x", "--thraeds", "2"], "unrecognized arguments: --thraeds 2"),
        (["--input", "x", "--threads", "0"], "wanted a whole number of at least 1, got '0'"),
        (["--inp", "x"], "unrecognized arguments: --inp x"),
    ],
)
def test_wrong_usage_ends_with_2(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_predictor_takes_settings_in_any_form(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("sigma_threshold: 7")
    assert Predictor(config=path).config.sigma_threshold == 7
    assert Predictor(config=Predictor(config=path).config).config.sigma_threshold == 7
    with pytest.raises(OhanaError, match=r"net\.pth: wanted a model file, got"):
        Predictor(tmp_path / "net.pth")


def test_progress_lines_only_when_a_stage_ends(caplog):
    caplog.set_level("INFO", "ohana")
    with show_progress() as report:
        for done in range(4):
            report("reading", done, 3)
    assert caplog.messages == ["reading: done in 0.0 s"]


def test_table_is_aligned():
    assert columns([("a", "n"), ("long name", "10")]) == "a           n\nlong name  10"


def test_help_is_quick_and_needs_no_kernels():
    code = (
        "import sys\nfrom ohana.cli.predict import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'numba', 'scipy', 'astropy', 'rich', 'pydantic'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    # Half a second is the aim; a busy machine gets some more.
    assert time.perf_counter() - started < 2
    assert result.returncode == 0, result.stderr
    assert "--no-processed" in result.stdout
    assert "prediction_mask.npy" in result.stdout


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("ohana-predict 0.")


def test_demo_compares_what_was_found_with_the_truth(monkeypatch, tmp_path, capsys):
    """A search that knows the truth but for one cosmic ray."""
    small = preset(
        "demo", reads=20, rows=64, cols=64, cosmic_rays=4, telegraph_pixels=0, snowballs=0
    )
    monkeypatch.setattr("ohana.cli.demo.preset", lambda name: small)

    def predict(self, path, output_dir, *, progress, **options):
        truth = Truth.load(output_dir / "demo_truth.json")
        events = [
            Event(e.label, e.rows, e.cols, e.reads, e.amplitude, e.snr, e.first_frame, 0.9)
            for e in truth.events[1:]
        ]
        write_catalogue(output_dir / "detections.json", events)
        return Outcome(f"summary of {path.name}")

    monkeypatch.setattr(Predictor, "predict", predict)
    assert main(["--demo", "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "summary of demo.fits"
    heading = "class injected detectable found complete detections real"
    assert " ".join(lines[2].split()) == heading
    assert lines[3].split() == ["cosmic", "ray", "4", "4", "3", "75.0%", "3", "3"]
    assert lines[4].split() == ["telegraph", "noise", "0", "0", "0", "-", "0", "0"]
    names = [line.split()[0].rpartition("/")[2] for line in lines[10:]]
    assert names == ["demo.fits", "demo_truth.json", "detections.json", "ohana.log"]


def test_a_reader_that_goes_away_is_no_news():
    code = (
        "import argparse; from ohana.cli.common import run\n"
        "def command(arguments):\n    print('x' * 10**6, flush=True)\n"
        "raise SystemExit(run(command, argparse.Namespace(quiet=0, verbose=0, debug=0)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
