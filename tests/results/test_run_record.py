"""The record of a run: what is in it, and that it is there only beside whole results."""

import json
import shutil

import numpy as np
import pytest

import ohana.pipeline
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.pipeline import predict
from ohana.results.run_record import RUN, input_of, read_run, write_run
from ohana.utils.progress import Stopwatch


@pytest.fixture
def done(tmp_path):
    """Folders of an input and of its results, the summary of the run, and its record."""
    rng = np.random.default_rng(1)
    cube = 1000 + np.cumsum(rng.normal(1, 2, (12, 16, 32)), 0).astype(np.float32)
    cube[6:, 8, 8] += 500
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / "dark.npy", cube)
    config = DetectorConfig(border=0, threads=1, sigma_threshold=6)
    summary = predict(folder / "dark.npy", tmp_path / "out", config)
    return folder, tmp_path / "out", summary, read_run(tmp_path / "out")


def test_what_is_recorded(done):
    folder, out, summary, record = done
    assert record["exposure"] == "dark"
    assert record["input"]["path"] == str((folder / "dark.npy").resolve())
    assert record["input"]["relative"] == "../in/dark.npy"
    assert record["shape"] == [12, 16, 32]
    assert record["times"] == list(range(1, 13))
    assert record["frames"] is None
    assert record["integrations"] == [
        {
            "integration": 0,
            "features": "dark_temporal.npz",
            "processed": "dark_processed.npy",
            "quality": None,
        }
    ]
    assert record["config"]["sigma_threshold"] == 6
    assert record["config"].keys() == DetectorConfig.model_fields.keys()
    assert record["network"] is None
    assert record["inference"] is None
    assert record["versions"].keys() >= {"ohana", "python", "numpy", "numba"}
    assert "torch" not in record["versions"]
    assert record["notices"] == list(summary.notices)
    assert [item["events"] for item in record["classes"]] == [1, 0, 0]
    assert record["classes"][1]["amplitude"] is None
    assert record["facts"]["saturation"] is None  # infinite
    for name, size in record["files"].items():
        assert (out / name).stat().st_size == size
    names = {"dark_processed.npy", "dark_temporal.npz", "prediction_mask.npy", "detections.json"}
    assert record["files"].keys() == names


def test_stages_add_up(done):
    *_, summary, record = done
    stages = list(record["seconds"])
    wanted = ["reading", "compiling", "reference", "steps", "events", "writing", "total"]
    assert stages == wanted
    assert summary.seconds == pytest.approx(sum(summary.stages.values()))
    assert record["seconds"]["total"] == pytest.approx(summary.seconds, rel=1e-3)


def test_plain_json(done):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    text = (done[1] / RUN).read_text("utf-8")
    assert json.loads(text, parse_constant=refuse)["format"] == "ohana-run-1"
    with pytest.raises(ValueError, match="JSON compliant"):
        write_run(done[1], {"noise": np.nan})
    assert (done[1] / RUN).read_text("utf-8") == text


def test_without_the_cube(done, tmp_path):
    predict(done[0] / "dark.npy", tmp_path / "bare", DetectorConfig(border=0), processed=False)
    [part] = read_run(tmp_path / "bare")["integrations"]
    assert part["processed"] is None


def test_a_run_that_is_cut_off_leaves_none(done, monkeypatch):
    folder, out, *_ = done

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ohana.pipeline, "write_catalogue", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(folder / "dark.npy", out, DetectorConfig(border=0))
    assert read_run(out) == {}


def test_an_input_that_is_none_leaves_earlier_results_alone(done):
    with pytest.raises(OhanaError, match="no such file"):
        predict(done[0] / "drak.npy", done[1], DetectorConfig())
    assert read_run(done[1]) == done[3]


def test_the_input_is_found_again(done, tmp_path):
    folder, out, _, record = done
    assert input_of(out, record) == (folder / "dark.npy").resolve()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(folder, moved / "in")
    with pytest.raises(OhanaError, match=r"in/dark.npy: the input of .*out is no longer there"):
        input_of(out, record)
    shutil.move(out, moved / "out")
    assert input_of(moved / "out", record) == moved / "out/../in/dark.npy"
    with open(moved / "in/dark.npy", "ab") as file:
        file.write(b"x")
    with pytest.raises(OhanaError, match=r"dark.npy: has changed since the run in .*out"):
        input_of(moved / "out", record)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", r"run.json: wanted the record of a run, got no JSON"),
        ("[]", r"run.json: wanted the record of a run \(ohana-run-1\), got list"),
        ('{"format": "x"}', r"run.json: wanted the record of a run \(ohana-run-1\), got x"),
        ("{}", r"run.json: wanted the record of a run \(ohana-run-1\), got None"),
    ],
)
def test_no_record(tmp_path, text, message):
    (tmp_path / RUN).write_text(text)
    with pytest.raises(OhanaError, match=message):
        read_run(tmp_path)


def test_no_file(tmp_path):
    assert read_run(tmp_path) == {}
    (tmp_path / RUN).mkdir()
    with pytest.raises(OhanaError, match=r"run.json: cannot read record: Is a directory"):
        read_run(tmp_path)
    with pytest.raises(OhanaError, match=r"run.json: cannot be removed"):
        ohana.pipeline.remove_run(tmp_path)


def test_stages_that_come_again_add_up(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 7.0, 15.0])
    monkeypatch.setattr("ohana.utils.progress.time.perf_counter", lambda: next(now))
    clock = Stopwatch()
    for stage in ("steps", "events", "steps"):
        clock(stage, 0, 1)
        clock(stage, 1, 1)
    clock.stop()
    assert clock.seconds == {"steps": 2.0 + 8.0, "events": 4.0}


def test_network_is_told_from_others():
    torch = pytest.importorskip("torch")
    from ohana.network.calibration import Calibration
    from ohana.network.model_file import Network
    from ohana.network.unet3d import Architecture, UNet3D

    torch.manual_seed(0)
    one, other = (Network(UNet3D(Architecture())) for _ in range(2))
    marks = {
        one.fingerprint(),
        other.fingerprint(),
        Network(one.model, Calibration()).fingerprint(),
    }
    assert len(marks) == 3
    assert Network(one.model, facts={"card": "mine"}).fingerprint() == one.fingerprint()
