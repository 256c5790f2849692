"""`ohana-report` and `ohana-predict --report` as a user meets them."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from ohana.cli import predict
from ohana.cli.report import main
from ohana.predictor import Predictor


@pytest.fixture(scope="module")
def exposure(tmp_path_factory):
    """Write a small exposure with one cosmic ray."""
    rng = np.random.default_rng(1)
    cube = 1000 + np.cumsum(rng.normal(1, 2, (12, 32, 32)), 0).astype(np.float32)
    cube[6:, 18, 18] += 500
    path = tmp_path_factory.mktemp("input") / "dark.npy"
    np.save(path, cube)
    return path


@pytest.fixture(scope="module")
def made(exposure, tmp_path_factory):
    """Give the folder of its results."""
    folder = tmp_path_factory.mktemp("out")
    Predictor().predict(exposure, folder)
    return folder


@pytest.fixture
def results(made, tmp_path):
    return shutil.copytree(made, tmp_path / "results")


def is_page(path):
    text = path.read_text("utf-8").lower()
    return text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")


def test_beside_the_results(results, capsys):
    assert main([str(results)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{results}/report.html  ")
    assert err == f"{results}: done in {err.split()[-2]} s\n"
    assert is_page(results / "report.html")


def test_elsewhere(results, tmp_path, capsys):
    assert main([str(results), "--output", str(tmp_path / "dark.html"), "--quiet"]) == 0
    assert is_page(tmp_path / "dark.html")
    assert not (results / "report.html").exists()
    assert capsys.readouterr() == ("", "")


def test_largest_size(results, tmp_path, monkeypatch):
    asked = []

    def write_report(prediction, path, max_bytes):
        asked.append((prediction.name, max_bytes))
        path.write_text("page")
        return path

    monkeypatch.setattr("ohana.report.page.build.write_report", write_report)
    assert main([str(results), "--max_size", "2.5"]) == 0
    assert main([str(results)]) == 0
    assert asked == [("dark", 2_500_000), ("dark", 15_000_000)]


def test_a_folder_that_is_no_prediction_does_not_stop_the_others(results, tmp_path, capsys):
    assert main([str(tmp_path / "none"), str(results)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{results}/report.html")
    assert err.splitlines()[0].startswith(f"error: {tmp_path / 'none'}: wanted a folder that")
    assert err.splitlines()[-1] == "error: 1 of 2 reports failed"


def test_one_folder_that_is_no_prediction(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_place_that_cannot_be_written(results, tmp_path, capsys):
    assert main([str(results), "--output", str(tmp_path / "no" / "dark.html")]) == 1
    assert "dark.html: cannot write: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: PREDICTION_DIR"),
        (["a", "b", "--output", "x.html"], "--output names one file: with several folders"),
        (["a", "--max-size", "0.5"], "wanted at least 1 [MB], got '0.5'"),
        (["a", "--max-size", "big"], "wanted at least 1 [MB], got 'big'"),
    ],
)
def test_wrong_usage(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_predict_writes_it_too(exposure, tmp_path, capsys):
    argv = ["--input", str(exposure), "--output", str(tmp_path / "out"), "--report"]
    assert predict.main(argv) == 0
    assert is_page(tmp_path / "out" / "report.html")
    assert f"  {tmp_path / 'out' / 'report.html'}\n" in capsys.readouterr().out


def test_what_a_plain_prediction_does_not_import(exposure, tmp_path):
    code = (
        "import sys\nfrom ohana.cli.predict import main\n"
        f"assert main(['--input', {str(exposure)!r}, '--output', {str(tmp_path)!r}]) == 0\n"
        "heavy = {'torch', 'lightning', 'bokeh', 'matplotlib', 'dask'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
