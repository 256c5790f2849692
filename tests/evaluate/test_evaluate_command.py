"""`ohana-evaluate` from files to files: results, plots, messages, exit codes."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from matplotlib.figure import Figure

from ohana import Predictor, Truth, evaluate_prediction, save_evaluation
from ohana.cli.evaluate import main
from ohana.errors import OhanaError
from ohana.evaluate import evaluate
from ohana.evaluate.comparison import flags_of
from ohana.evaluate.truth import plots
from ohana.evaluate.truth.plots import evaluation_figure
from ohana.evaluate.truth.report import as_plain
from ohana.results.catalogue import read_catalogue
from ohana.simulate import SimulationConfig, preset, simulate_to_fits


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Simulate an exposure with some of everything, its truth, and a prediction."""
    folder = tmp_path_factory.mktemp("made")
    config = preset(
        "demo",
        reads=16,
        rows=96,
        cols=96,
        cosmic_rays=25,
        telegraph_pixels=12,
        snowballs=1,
        stars=3,
    )
    truth = simulate_to_fits(config, np.random.default_rng(5), folder / "x.fits")
    truth.save(folder / "truth.json")
    Predictor().predict(folder / "x.fits", folder / "out", processed=False)
    return folder


@pytest.fixture
def plain_page(monkeypatch):
    """Spare tests of other things the seconds that the page of plots takes."""
    monkeypatch.setattr(plots, "evaluation_figure", lambda evaluation: Figure())


@pytest.fixture
def copy(made, tmp_path, plain_page):
    """A copy of all that may be changed."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def command(folder, *more):
    truth, prediction = str(folder / "truth.json"), str(folder / "out")
    return main(["--truth", truth, "--prediction", prediction, *map(str, more)])


# What is written


def test_tables_and_files(made, tmp_path, capsys):
    assert command(made, "--output", tmp_path / "new") == 0
    out, err = capsys.readouterr()
    assert err == ""
    for text in (
        "cosmic ray ",
        "detectable",
        "calibration",
        "nothing (false)",
        "true \\ detected as",
    ):
        assert text in out
    assert out.splitlines()[-2:] == [
        f"  {tmp_path / 'new' / name}" for name in ("evaluation.json", "evaluation.png")
    ]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "evaluation.json",
        "evaluation.png",
    ]
    assert (tmp_path / "new" / "evaluation.png").read_bytes()[:4] == b"\x89PNG"


def test_default_output_is_the_prediction(copy):
    assert command(copy) == 0
    assert (copy / "out" / "evaluation.json").exists()


def nothing_but_plain(value):
    if isinstance(value, dict):
        return all(isinstance(k, str) and nothing_but_plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(nothing_but_plain, value))
    return value is None or isinstance(value, int | float | str | bool)


PART = {"count", "found", "fraction", "low", "high"}
BIN = PART | {"from", "to", "few", "expected"}


def test_json(made, tmp_path, plain_page):
    command(made, "--output", tmp_path, "--threshold", "6")

    def refuse(name):
        raise AssertionError(name)

    content = json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=refuse)
    assert set(content) == {
        "ohana", "shape", "area_cm2", "time_s", "integration", "threshold_sigma", "classes",
        "event_confusion", "pixel_confusion", "noise_limits",
    }  # fmt: skip
    assert content["shape"] == [16, 96, 96]
    assert content["threshold_sigma"] == 6
    assert content["area_cm2"] == pytest.approx(88**2 * 18e-4**2)
    assert list(content["classes"]) == ["cosmic_ray", "telegraph_noise", "snowball"]
    for one in content["classes"].values():
        assert set(one) == {
            "injected", "completeness", "purity", "of_other_class", "false", "split", "merged",
            "rates", "completeness_against", "purity_against", "reliability", "dating",
            "footprint_iou",
        }  # fmt: skip
        assert set(one["completeness"]) == set(one["purity"]) == PART
        for against in (one["completeness_against"], one["purity_against"]):
            assert set(against) == {"snr", "amplitude", "read", "rate"}
            assert all(set(each) == BIN for bins in against.values() for each in bins)
        assert sum(one["footprint_iou"]["histogram"]) == one["footprint_iou"]["count"]
    rays = content["classes"]["cosmic_ray"]
    assert rays["injected"] == 25
    assert rays["rates"]["injected_per_cm2_s"] == pytest.approx(
        25 / content["area_cm2"] / content["time_s"], rel=1e-4
    )
    assert sum(each["count"] for each in rays["completeness_against"]["rate"]) > 0
    assert np.sum(content["pixel_confusion"]["counts"]) == 88**2
    assert content["noise_limits"]["cosmic_ray_pixels"][-1]["to"] is None


def test_python_gives_the_same(made, tmp_path, plain_page):
    command(made, "--output", tmp_path / "a")
    found = evaluate_prediction(made / "truth.json", made / "out")
    save_evaluation(found, tmp_path / "b")
    a, b = ((tmp_path / name / "evaluation.json").read_bytes() for name in "ab")
    assert a == b
    truth = Truth.load(made / "truth.json")
    bare = evaluate(truth, read_catalogue(made / "out" / "detections.json"))
    assert bare.classes[0].found == found.classes[0].found
    assert bare.classes[0].complete["rate"] == []


def test_nothing_at_all_is_plain_too():
    config = SimulationConfig(reads=4, rows=16, cols=16, outputs=1)
    plain = as_plain(evaluate(Truth(config.shape, [], config), []))
    assert nothing_but_plain(plain)
    assert plain["classes"]["snowball"]["completeness"] == {
        "count": 0, "found": 0, "fraction": None, "low": None, "high": None,
    }  # fmt: skip
    json.dumps(plain, allow_nan=False)


# Plots


@pytest.mark.parametrize("empty", [False, True])
def test_figure(made, monkeypatch, empty):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *_: pytest.fail("a window was asked for"))
    truth = Truth.load(made / "truth.json")
    if empty:
        truth = Truth(truth.shape, [], truth.config)
    detections = [] if empty else read_catalogue(made / "out" / "detections.json")
    figure = evaluation_figure(evaluate(truth, detections))
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    against = ("amplitude", "position in the ramp", "count rate")
    assert titles == [
        *(f"completeness against {name}" for name in ("S/N", *against)),
        *(f"purity against {name}" for name in ("significance", *against)),
        "events: what is taken for what [number, % of row]",
        "overlap of footprints",
        "reliability of confidences",
        "dates of events above S/N 8",
    ]
    labels = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert len(labels) == 12
    assert sum("[DN" in label for label in labels) == 4
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts.count("nothing to show") == (11 if empty else 2)
    assert plt.get_fignums() == []


# Folders that are not what they should be


def failure(folder, capsys, *more):
    assert command(folder, *more) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_prediction_that_is_not_there(copy, capsys):
    shutil.rmtree(copy / "out")
    assert "out: wanted a folder that ohana-predict has written, got nothing" in failure(
        copy, capsys
    )
    (copy / "out").write_text("")
    assert "ohana-predict has written, got a file" in failure(copy, capsys)


def test_folder_above_the_prediction(copy, capsys):
    (copy / "out").rename(copy / "night")
    (copy / "out").mkdir()
    (copy / "night").rename(copy / "out" / "night")
    err = failure(copy, capsys)
    assert "got no detections.json; there are some in its folders night" in err


def test_prediction_of_another_exposure(copy, capsys):
    np.save(copy / "out" / "prediction_mask.npy", np.zeros((32, 48), np.uint8))
    assert "prediction_mask.npy: wanted 96 x 96 pixels as in the truth, got 32 x 48" in failure(
        copy, capsys
    )


def test_truth_of_another_exposure_of_the_same_shape(copy, capsys):
    truth = Truth.load(copy / "truth.json")
    config = truth.config.model_copy(update={"telegraph_pixels": 0, "snowballs": 0})
    other = simulate_to_fits(config, np.random.default_rng(77), copy / "other.fits")
    other.save(copy / "truth.json")
    assert command(copy) == 0
    said = capsys.readouterr().err
    assert "warning: not one of" in said
    assert "is this the truth of another exposure?" in said


def test_prediction_of_fewer_reads(copy, capsys):
    truth = Truth.load(copy / "truth.json")
    longer = truth.config.model_copy(update={"reads": 20})
    Truth((20, 96, 96), [], longer).save(copy / "truth.json")
    assert "x_temporal.npz: wanted 20 x 96 x 96 reads and pixels as in the truth" in failure(
        copy, capsys
    )


def test_mask_of_another_run(copy, capsys):
    (copy / "out" / "detections.json").write_text("[]")
    err = failure(copy, capsys)
    assert "prediction_mask.npy: does not show the events of detections.json" in err


def test_damaged_files(copy, capsys):
    (copy / "out" / "prediction_mask.npy").write_bytes(b"nonsense")
    assert "prediction_mask.npy: cannot read mask" in failure(copy, capsys)
    (copy / "out" / "detections.json").write_text("[{}]")
    assert "detections.json: entry" in failure(copy, capsys)
    (copy / "truth.json").write_text("{}")
    assert "truth.json: wanted a truth written by ohana" in failure(copy, capsys)


def test_detections_after_the_last_read(copy, capsys):
    path = copy / "out" / "detections.json"
    entries = json.loads(path.read_text())
    entries[0]["first_frame"] = 99
    path.write_text(json.dumps(entries))
    assert "detections.json: entry 0: wanted pixels and first_frame within 16 reads" in failure(
        copy, capsys
    )


def test_without_features_and_mask(copy, capsys):
    (copy / "out" / "x_temporal.npz").unlink()
    (copy / "out" / "prediction_mask.npy").unlink()
    assert command(copy) == 0
    err = capsys.readouterr().err
    assert "wanted one EXPOSURE_temporal.npz, got none: count rates left out" in err
    assert "prediction_mask.npy: not there, so the shape of the exposure is not checked" in err
    shutil.copy(copy / "truth.json", copy / "out" / "x_temporal.npz")
    assert command(copy) == 0
    err = capsys.readouterr().err
    assert "x_temporal.npz: cannot be read: " in err
    assert ": count rates left out" in err


def test_one_of_several_integrations(copy, capsys):
    assert "out: wanted integration 1, got [0]" in failure(copy, capsys, "--integration", "1")
    out = copy / "out"
    entries = json.loads((out / "detections.json").read_text())
    more = [entry | {"integration": 1} for entry in entries if entry["type"] == "cosmic_ray"]
    (out / "detections.json").write_text(json.dumps(entries + more))
    shutil.copy(out / "x_temporal.npz", out / "x_int1_temporal.npz")
    (out / "x_temporal.npz").rename(out / "x_int0_temporal.npz")
    first, second = (evaluate_prediction(copy / "truth.json", out, integration=k) for k in (0, 1))
    first, second = (as_plain(each)["classes"] for each in (first, second))
    assert first["cosmic_ray"] == second["cosmic_ray"]
    assert first["telegraph_noise"]["purity"]["count"] > 0
    assert [second[kind]["purity"]["count"] for kind in ("telegraph_noise", "snowball")] == [0, 0]
    with pytest.raises(OhanaError, match=r"wanted integration 2, got \[0, 1\]"):
        evaluate_prediction(copy / "truth.json", out, integration=2)


# Usage


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "--truth and --prediction missing: wanted --truth FILE --prediction DIR to compare"),
        ("--truth t.json", "--prediction missing: wanted --truth FILE --prediction DIR"),
        ("--inject", "--inject needs an exposure: --input PATH"),
        ("--inject --input x --truth t", "--inject makes its own truth: leave --truth out"),
        ("--inject --input x --compare stcal", "leave --compare out"),
        ("--truth t --prediction p --events 9 --seed 0", "--events and --seed only with --inject"),
        ("--truth t --prediction p --model m", "--model only with --inject"),
        ("--truth t --prediction p --input x", "--input only with --inject or --compare"),
        ("--truth t --prediction p --compare stcal", "--compare needs the exposure itself"),
        ("--threshold 0", "wanted a number between 0 and 100, got '0'"),
        ("--threshold high", "wanted a number between 0 and 100, got 'high'"),
        ("--integration -1", "integration"),
        ("--seed x", "wanted a whole number of at least 0, got 'x'"),
        ("--events 0", "wanted a whole number of at least 1, got '0'"),
    ],
)
def test_wrong_usage(arguments, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments.split())
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_help_is_quick_and_shows_examples():
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ohana.cli.evaluate", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert time.perf_counter() - start < 5
    assert "ohana-evaluate --truth demo_output/demo_truth.json" in result.stdout
    loaded = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert not loaded & {"numpy", "numba", "matplotlib", "pydantic", "rich"}


# By events added, and beside other codes


@pytest.mark.parametrize("seed", [["--seed", "7"], []])
def test_inject_hands_everything_on(monkeypatch, tmp_path, capsys, seed):
    asked, rooms = [], "ohana.evaluate.injection"

    def inject(path, output, config, settings, rng, progress, network):
        assert network is None
        asked.append((path, output, config, settings, rng))
        return "recovery"

    monkeypatch.setattr(f"{rooms}.run.inject_and_recover", inject)
    monkeypatch.setattr(f"{rooms}.table.recovery_table", lambda made: f"table of {made}")
    saved = "recovery.json"
    monkeypatch.setattr(f"{rooms}.report.save_recovery", lambda made, output: [output / saved])
    options = ["--inject", "--input", "x.fits", "--events", "30", "--integration", "2"]
    options += ["--config", "sensitive", "--output", str(tmp_path), *seed]
    assert main(options) == 0
    out, err = capsys.readouterr()
    assert out == f"table of recovery\n\n  {tmp_path / 'recovery.json'}\n"
    path, output, config, settings, rng = asked[0]
    assert (path, output, config.cosmic_ray_min_step) == ("x.fits", tmp_path, 0)
    assert (settings.events, settings.integration) == (30, 2)
    told = int(seed[1]) if seed else int(err.split("--seed ")[1].split()[0])
    assert rng.random() == np.random.default_rng(told).random()


def test_a_model_that_is_not_there(capsys):
    assert main(["--inject", "--input", "x.fits", "--model", "m.pth"]) == 1
    assert "m.pth: wanted a model file, got No such file" in capsys.readouterr().err


def flag_as_ohana(made):
    """Replace a code's search by what ohana has found."""
    ours = flags_of(read_catalogue(made / "out" / "detections.json"))

    def flag(source, noise, code, threshold, use=None):
        assert noise.shape == source.ramp.shape[1:]
        keep = np.ones(len(ours.row), bool) if use is None else use[ours.row, ours.col]
        return type(ours)(*(column[keep] for column in ours))

    return flag


def test_compare_with_another_code(made, tmp_path, plain_page, monkeypatch, capsys):
    from ohana.evaluate import comparison, other_codes

    monkeypatch.setattr(comparison, "flag_ramp", flag_as_ohana(made))
    monkeypatch.setattr(other_codes, "find_spec", lambda name: True)
    options = ["--input", made / "x.fits", "--compare", "stcal", "--output", tmp_path]
    assert command(made, *options) == 0
    out = capsys.readouterr().out
    assert "two-point (JWST jump)" in out
    ours, theirs = json.loads((tmp_path / "comparison.json").read_text())
    assert (ours["code"], theirs["code"]) == ("ohana", "stcal")
    assert ours["pixels"] == theirs["pixels"]
    assert ours["false_per_million"] == theirs["false_per_million"]
    assert (tmp_path / "comparison.png").exists()


def test_compare_that_cannot_be(copy, capsys, monkeypatch):
    from ohana.evaluate import other_codes

    exposure = ["--input", copy / "x.fits"]
    assert "wanted some of stcal, likelihood, got 'x'" in failure(
        copy, capsys, *exposure, "--compare", "x"
    )
    monkeypatch.setattr(other_codes, "find_spec", lambda name: None)
    err = failure(copy, capsys, *exposure, "--compare", "stcal")
    assert "needs the package stcal" in err
    monkeypatch.setattr(other_codes, "find_spec", lambda name: True)
    np.save(copy / "y.npy", np.zeros((5, 96, 96), np.uint16))
    assert command(copy, "--input", copy / "y.npy", "--compare", "stcal") == 1
    assert "y.npy: wanted 16 x 96 x 96 reads and pixels as in the truth" in capsys.readouterr().err
    (copy / "out" / "x_temporal.npz").unlink()
    assert command(copy, *exposure, "--compare", "stcal") == 1
    assert "wanted EXPOSURE_temporal.npz, which holds the noise" in capsys.readouterr().err
