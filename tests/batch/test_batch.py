"""Many exposures: inputs, what is redone, what is written, and who may write."""

import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from surveys import results_of, write_exposures

from ohana import DetectorConfig, OhanaError, Predictor
from ohana.batch import job as worker
from ohana.batch import lock
from ohana.batch.folders import Request
from ohana.batch.inputs import InputExposure, expand
from ohana.batch.job import Job, find_in
from ohana.batch.lock import LOCK, locked
from ohana.batch.manifest import Manifest, read_manifest
from ohana.batch.resources import memory_of, plan_workers
from ohana.batch.run import Workers, run_batch
from ohana.cli.predict import main
from ohana.report.page import build as page
from ohana.results.prediction import open_prediction

HERE = Workers(processes=1)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Write three exposures and one that is none, and find their events."""
    folder = tmp_path_factory.mktemp("batch")
    pattern = write_exposures(folder / "night", 4, corrupt=[2])
    batch = run_batch([pattern], folder / "out", workers=HERE)
    assert (batch.done, batch.current, list(batch.failed)) == (3, 0, ["dark_02"])
    return folder


@pytest.fixture
def copy(night, tmp_path):
    """Give a copy of it that a test may change; times of change stay, so cubes are used again."""
    return shutil.copytree(night, tmp_path / "copy")


def again(folder, config=None, redo=False, **options):
    """Run once more; returns the names of the exposures whose results are new."""
    output = folder / "out"
    before = {path.parent.name: path.stat().st_mtime_ns for path in output.glob("*/run.json")}
    workers = HERE._replace(redo=redo)
    run_batch([folder / "night/*.npy"], output, Predictor(config=config), options, workers)
    after = {path.parent.name: path.stat().st_mtime_ns for path in output.glob("*/run.json")}
    return sorted(name for name in after if after[name] != before.get(name))


# Inputs


def test_patterns_are_expanded_and_each_input_counts_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.fits", "a.fits", "c.npy", "deep/er/d.fits", "x[1].fits"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = expand(["c.npy", "*.fits", "a.fits", tmp_path / "a.fits", "deep/**/*.fits"])
    assert [item.name for item in found] == ["c", "a", "b", "x[1]", "d"]
    assert all(item.path.is_absolute() for item in found)
    assert expand(["x[1].fits"]) == [InputExposure("x[1]", tmp_path / "x[1].fits")]
    with pytest.raises(OhanaError, match=r"night/\*\.fits: no file matches this pattern"):
        expand(["night/*.fits"])


def test_inputs_of_one_name_are_refused():
    with pytest.raises(OhanaError, match=r"b/x\.h5: a/x\.fits would write to the same folder x"):
        expand(["a/x.fits", "b/x.h5"])


# Results


def test_each_exposure_is_as_if_it_were_alone(night, tmp_path):
    Predictor().predict(night / "night/dark_01.npy", tmp_path / "dark_01")
    of_survey, alone = results_of(night / "out"), results_of(tmp_path)
    assert alone
    assert alone.items() <= of_survey.items()
    prediction = open_prediction(night / "out/dark_01")
    assert len(prediction.events) == 1
    assert prediction.run["files"].keys() == {name.split("/")[1] for name in alone}
    assert (night / "out/dark_01" / prediction.run["input"]["relative"]).exists()


def test_manifest_tells_what_became_of_each(night):
    contents = json.loads((night / "out/manifest.json").read_text())
    assert contents["run"] == "finished"
    assert contents["exposures_by_status"] == {"done": 3, "failed": 1, "waiting": 0}
    one = contents["exposures"]["dark_00"]
    assert one["input"] == str(night / "night/dark_00.npy")
    assert one["events"] == {"cosmic_ray": 1, "telegraph_noise": 0, "snowball": 0}
    record = json.loads((night / "out/dark_00/run.json").read_text())
    assert one["fingerprint"] == record["input"]["fingerprint"]
    assert one["config"] == record["config_fingerprint"]
    assert (one["network"], one["ohana"]) == (None, record["versions"]["ohana"])
    assert one["seconds"] == record["seconds"]["total"]
    bad = contents["exposures"]["dark_02"]
    assert bad["status"] == "failed"
    assert bad["error"].startswith(f"{night}/night/dark_02.npy: ")
    assert "Traceback" in (night / "out/dark_02/ohana.log").read_text()
    with pytest.raises(OhanaError, match="got no detections.json"):
        open_prediction(night / "out/dark_02")


def test_nothing_is_left_beside_the_results(night):
    assert {path.name for path in (night / "out").iterdir()} == {
        *(f"dark_0{i}" for i in range(4)),
        "manifest.json",
    }


def test_exposures_of_other_runs_stay_in_the_manifest(copy):
    run_batch([copy / "night/dark_03.npy"], copy / "out", workers=HERE)
    assert sorted(read_manifest(copy / "out").entries) == [f"dark_0{i}" for i in range(4)]


# What is redone


def test_only_what_is_missing_or_failed_is_done_again(copy):
    assert again(copy) == []
    shutil.rmtree(copy / "out/dark_00")
    (copy / "out/manifest.json").unlink()
    write_exposures(copy / "night", 3)  # the broken one too; the same bytes as before else
    before = (copy / "out/dark_01/run.json").stat().st_mtime_ns
    assert again(copy) == ["dark_00", "dark_02"]
    assert (copy / "out/dark_01/run.json").stat().st_mtime_ns == before
    entries = read_manifest(copy / "out").entries
    assert {entry["status"] for entry in entries.values()} == {"done"}
    assert entries["dark_01"]["events"]["cosmic_ray"] == 1


def test_what_has_changed_is_done_again(copy):
    cube = np.load(copy / "night/dark_01.npy")
    cube[3:, 4, 4] += 300
    np.save(copy / "night/dark_01.npy", cube)
    assert again(copy) == ["dark_01"]
    record = json.loads((copy / "out/dark_00/run.json").read_text())
    changed = record | {"versions": record["versions"] | {"ohana": "0.0.9"}}
    (copy / "out/dark_00/run.json").write_text(json.dumps(changed))
    assert again(copy) == ["dark_00"]
    (copy / "out/dark_00/run.json").write_text(json.dumps(record | {"network": "other"}))
    (copy / "out/dark_01/run.json").write_text("{}")
    (copy / "out/dark_03/prediction_mask.npy").unlink()
    assert again(copy) == ["dark_00", "dark_01", "dark_03"]


def test_other_settings_and_redo_do_all_again(copy):
    every = ["dark_00", "dark_01", "dark_03"]
    assert again(copy, DetectorConfig(threads=1)) == []  # changes no result
    assert again(copy, DetectorConfig(sigma_threshold=6)) == every
    assert again(copy, DetectorConfig(sigma_threshold=7)) == every
    assert _used_again(copy / "out/dark_00") == 1  # the first were those of the other folder
    assert again(copy, DetectorConfig(sigma_threshold=7), redo=True) == every
    assert _used_again(copy / "out/dark_00") == 1


def _used_again(folder):
    return (folder / "ohana.log").read_text().count("_processed.npy: used again")


def test_more_results_than_before_are_made_fewer_are_there(copy):
    page = copy / "out/dark_00/report.html"
    assert again(copy, report=True) == ["dark_00", "dark_01", "dark_03"]
    assert page.exists()
    assert again(copy, processed=False) == []
    (copy / "out/dark_00/dark_00_processed.npy").unlink()
    assert again(copy, processed=False) == []
    assert again(copy) == ["dark_00"]
    assert not page.exists()  # it showed the results before


def test_catalogues_and_products_too(copy):
    every = ["dark_00", "dark_01", "dark_03"]
    assert again(copy, catalogues=["ecsv"], products=True) == every
    names = {path.name for path in (copy / "out/dark_00").iterdir()}
    assert {"detections.ecsv", "dark_00_products.fits"} <= names
    assert again(copy, catalogues=["ecsv"]) == []
    assert again(copy, catalogues=["ecsv", "regions"]) == every


def pages_fail(monkeypatch, sometimes=lambda folder: True):
    right = page.write_report

    def failing(prediction, path):
        if sometimes(prediction.folder):
            raise ArithmeticError("no ink\nleft")
        return right(prediction, path)

    monkeypatch.setattr(page, "write_report", failing)


def test_page_that_fails_costs_no_results(night, tmp_path, monkeypatch, caplog, capsys):
    pages_fail(monkeypatch, lambda folder: folder.name == "dark_01")
    pattern, out = str(night / "night/dark_0[01].npy"), tmp_path / "out"
    command = ["--input", pattern, "--output", str(out), "--workers", "1", "--report"]
    assert main([*command, "--catalogues", "ecsv"]) == 1
    err = capsys.readouterr().err
    assert "warning: dark_01: no report: unexpected ArithmeticError: no ink left\n" in err
    assert "1 of 2 exposures have results, but not all requested files" in err
    entries = read_manifest(out).entries
    assert [entry["status"] for entry in entries.values()] == ["done", "done"]
    assert entries["dark_01"]["failed"] == {"report": "unexpected ArithmeticError: no ink left"}
    assert "failed" not in entries["dark_00"]
    assert (out / "dark_00/report.html").exists()
    assert not (out / "dark_01/report.html").exists()
    assert (out / "dark_01/detections.ecsv").exists()
    assert open_prediction(out / "dark_01").events
    assert "Traceback" in (out / "dark_01/ohana.log").read_text()
    # Once more: that page alone, of the results that are there.
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*.n*")}
    monkeypatch.undo()
    assert main([*command, "--catalogues", "ecsv"]) == 0
    assert (out / "dark_01/report.html").exists()
    assert before == {path: path.stat().st_mtime_ns for path in out.glob("*/*.n*")}
    assert "failed" not in read_manifest(out).entries["dark_01"]


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        ("products", "ohana.products.write_products"),
        ("catalogues", "ohana.export.formats.write_catalogues"),
    ],
)
def test_results_are_published_before_anything_is_made_of_them(copy, monkeypatch, kind, broken):
    """As if the machine went off while products or catalogues are written."""
    folder = copy / "out/dark_00"

    def fail(*_, **__):
        assert open_prediction(folder).run["files"]
        raise KeyboardInterrupt

    shutil.rmtree(folder)
    monkeypatch.setattr(broken, fail)
    with pytest.raises(KeyboardInterrupt):
        again(copy, **{kind: ["ecsv"]})
    assert open_prediction(folder).events
    assert not list((copy / "out").glob(".*"))
    monkeypatch.undo()
    assert "dark_00" in again(copy, **{kind: ["ecsv"]})


def test_page_of_one_that_fails_costs_no_results(night, tmp_path, monkeypatch, capsys):
    (tmp_path / "report.html").write_text("of earlier results")
    pages_fail(monkeypatch)
    path = night / "night/dark_00.npy"
    command = ["--input", str(path), "--output", str(tmp_path), "--catalogues", "regions"]
    assert main([*command, "--report"]) == 1
    out, err = capsys.readouterr()
    assert f"warning: {tmp_path}: no report: unexpected ArithmeticError: no ink left\n" in err
    assert "detections.reg" in out
    assert not (tmp_path / "report.html").exists()
    assert open_prediction(tmp_path).events
    summary = Predictor().predict(path, tmp_path, report=True)
    assert summary.failed == {"report": "unexpected ArithmeticError: no ink left"}


def test_files_of_the_user_stay(copy):
    (copy / "out/dark_00/verdicts.json").write_text("mine")
    again(copy, redo=True)
    assert (copy / "out/dark_00/verdicts.json").read_text() == "mine"


# What goes wrong


def test_interrupted_moves_leave_nothing_that_looks_complete(copy, monkeypatch):
    """Whatever the number of files that are in their place when the process ends."""
    moves = []
    replace = os.replace

    def stop(source, target):
        if "out/dark_00/" in str(target):
            if len(moves) == stop.after:
                raise KeyboardInterrupt
            moves.append(target)
        replace(source, target)

    monkeypatch.setattr("ohana.batch.folders.os.replace", stop)
    for stop.after in range(4):
        moves.clear()
        with pytest.raises(KeyboardInterrupt):
            again(copy, redo=True)
        if stop.after < 3:
            with pytest.raises(OhanaError, match="wanted a folder that ohana-predict has written"):
                open_prediction(copy / "out/dark_00")
        contents = json.loads((copy / "out/manifest.json").read_text())
        assert contents["run"] == "interrupted"
        assert contents["exposures"]["dark_00"]["status"] == "waiting"
        assert not list((copy / "out").glob(".*"))
    monkeypatch.undo()
    assert "dark_00" in again(copy)


def test_run_of_one_that_is_cut_off_leaves_no_catalogue(night, tmp_path, monkeypatch):
    path = night / "night/dark_00.npy"
    Predictor().predict(path, tmp_path)

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ohana.pipeline.find_events", fail)
    with pytest.raises(KeyboardInterrupt):
        Predictor().predict(path, tmp_path)
    with pytest.raises(OhanaError, match="got no detections.json"):
        open_prediction(tmp_path)


def test_leftovers_are_removed(copy):
    (copy / "out/.dark_00.part-elsewhere-17").mkdir()
    again(copy)
    assert not list((copy / "out").glob(".*"))


def test_missing_input_and_a_file_in_the_way(copy):
    (copy / "out/new").write_text("in the way")
    shutil.copy(copy / "night/dark_00.npy", copy / "night/new.npy")
    inputs = [copy / "night/gone.npy", copy / "night/new.npy"]
    batch = run_batch(inputs, copy / "out", workers=HERE)
    assert batch.failed == {
        "gone": f"{copy}/night/gone.npy: cannot be read: No such file or directory",
        "new": f"{copy}/out/new: cannot make this folder: File exists",
    }


def test_worker_that_differs_refuses(night, tmp_path):
    item = InputExposure("dark_00", night / "night/dark_00.npy")
    wanted = Request(DetectorConfig(), None, {}, version="9.9")
    assert (
        "version of ohana: this worker has"
        in find_in(Job(tmp_path, None, wanted, ""), item)["error"]
    )
    wanted = Request(DetectorConfig(), "0123", {})
    assert find_in(Job(tmp_path, None, wanted, ""), item)["error"] == (
        "network: this worker has None, wanted 0123"
    )


def test_results_for_a_run_that_is_over_are_dropped(night, tmp_path):
    item = InputExposure("dark_00", night / "night/dark_00.npy")
    with locked(tmp_path):
        late = find_in(Job(tmp_path, None, Request(DetectorConfig(), None, {}), "another"), item)
    assert "the run of this job has ended: results are discarded" in late["error"]
    assert [path.name for path in (tmp_path / "dark_00").iterdir()] == ["ohana.log"]


def test_model_is_loaded_once_for_all_exposures_of_a_process(night, tmp_path, monkeypatch):
    loaded = []

    class Counted(Predictor):
        def __init__(self, *arguments):
            loaded.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(worker, "Predictor", Counted)
    worker._predictor.cache_clear()
    with locked(tmp_path) as text:
        job = Job(tmp_path, None, Request(DetectorConfig(sigma_threshold=7), None, {}), text)
        for i in (0, 1):
            path = night / f"night/dark_0{i}.npy"
            assert find_in(job, InputExposure(path.stem, path))["status"] == "done"
    assert len(loaded) == 1


# Lock and manifest


def test_second_run_into_a_folder_is_refused(copy):
    with locked(copy / "out"), pytest.raises(OhanaError) as caught:
        again(copy)
    said = str(caught.value)
    assert said.startswith(f"{copy}/out: another run writes to this folder: process {os.getpid()}")
    assert f"on {socket.gethostname()}, since 20" in said
    assert again(copy) == []


def _hold(folder):
    with lock.locked(folder):
        os._exit(9)  # as after kill -9


def test_lock_of_a_process_that_died_is_taken_over(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path,))
    process.start()
    process.join()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path) as text:
        assert json.loads(text)["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_lock_of_a_later_process_of_the_same_number_is_no_lock(tmp_path):
    with locked(tmp_path) as text:
        old = json.loads(text) | {"begun": 17.0}
    (tmp_path / LOCK).write_text(json.dumps(old))
    with locked(tmp_path):
        pass


def test_lock_of_another_host_holds(tmp_path):
    with locked(tmp_path) as text:
        other = json.loads(text) | {"host": "far", "pid": 17, "since": "2026-01-02T03:04:05+00:00"}
    (tmp_path / LOCK).write_text(json.dumps(other))
    wanted = "process 17 on far, since 2026-01-02T03:04:05 UTC; if that process has ended, remove"
    with pytest.raises(OhanaError, match=wanted), locked(tmp_path):
        pass
    (tmp_path / LOCK).write_text("nonsense")
    with pytest.raises(OhanaError, match="wanted the lock of a run"), locked(tmp_path):
        pass


def test_manifest_is_written_at_times_only(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("ohana.batch.manifest.time.monotonic", lambda: clock[0])
    manifest = Manifest(tmp_path)
    manifest.save()
    manifest.entries["dark"] = {"status": "done"}
    manifest.save_now_and_then()
    assert read_manifest(tmp_path).entries == {}
    clock[0] += 2
    manifest.save_now_and_then()
    assert list(read_manifest(tmp_path).entries) == ["dark"]


@pytest.mark.parametrize(
    ("text", "got"), [("no", "Expecting value"), ("[]", "got list"), ("{}", "got None")]
)
def test_what_is_no_manifest_is_refused(tmp_path, text, got):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(OhanaError, match=rf"manifest\.json: wanted the manifest of a run.*{got}"):
        read_manifest(tmp_path)


# Processes


def test_processes_suit_cores_memory_and_exposures(night, monkeypatch):
    paths = sorted((night / "night").iterdir())
    free = 64e9
    monkeypatch.setattr("ohana.batch.resources.CPU_COUNT", 16)
    monkeypatch.setattr(
        "ohana.batch.resources.psutil.virtual_memory", lambda: type("M", (), {"available": free})
    )
    config = DetectorConfig()
    assert plan_workers(paths, config, False, None) == (4, 4)
    assert plan_workers(paths * 8, config, False, None) == (16, 1)
    assert plan_workers(paths * 8, config.model_copy(update={"threads": 8}), False, None) == (2, 8)
    assert plan_workers(paths * 8, config, False, 3) == (3, 5)
    free = 1.2e9  # three at most
    assert plan_workers(paths * 8, config, False, None) == (3, 5)
    assert plan_workers(paths[2:3], config, False, None) == (1, 16)
    with_network = memory_of((450, 2048, 2048), 2, True)
    assert 3.1e9 < with_network < 4.5e9  # 3.1 GB were measured


# The command


def test_command_over_many(night, tmp_path, capsys):
    arguments = ["--input", str(night / "night/*.npy"), "--output", str(tmp_path), "--workers=1"]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{tmp_path}: 3 exposures done, 0 there before, 1 failed, in ")
    lines = err.splitlines()
    assert lines[0] == "4 exposures, 0 of them there already"
    assert lines[1].startswith(f"error: dark_02: {night}/night/dark_02.npy: ")
    assert lines[2].startswith("exposures: done in ")
    assert lines[3:] == ["error: 1 of 4 exposures failed: run again for these"]
    assert "dark_00: 1 cosmic_ray" in (tmp_path / "ohana.log").read_text()
    good = [str(night / f"night/dark_0{i}.npy") for i in (0, 1)]
    assert main(["--input", *good, "--output", str(tmp_path), "--workers=1", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_pattern_with_one_match_has_a_folder_of_its_own(night, tmp_path):
    assert main(["--input", str(night / "night/*_00.npy"), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "dark_00/detections.json").exists()


def test_unexpected_errors_stop_nothing(night, tmp_path, monkeypatch):
    def fail(self, path, output_dir, **_):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(Predictor, "predict", fail)
    assert run_batch([night / "night/*.npy"], tmp_path, workers=HERE).failed["dark_00"] == (
        "unexpected RuntimeError: two lines"
    )


def test_one_input_needs_no_dask(night, tmp_path):
    code = (
        "import sys; from ohana.cli.predict import main\n"
        f"main(['--input', '{night}/night/dark_00.npy', '--output', '{tmp_path}', '--quiet'])\n"
        "assert not {'dask', 'distributed', 'psutil'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_and_scheduler_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        main(["--input", "x", "y", "--workers", "2", "--scheduler", "tcp://a:1"])
    assert "--scheduler has its own" in capsys.readouterr().err
