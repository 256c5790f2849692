"""Many exposures by many processes, which are interrupted and killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import distributed
import pytest
from surveys import results_of, twice_or_end, write_exposures

from ohana.batch.run import Workers, run_batch
from ohana.errors import OhanaError
from ohana.utils.workers import by_dask

BROKEN = [3, 7]


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Write exposures, some broken, and find their events one after another."""
    folder = tmp_path_factory.mktemp("batch")
    pattern = write_exposures(folder / "night", 14, BROKEN)
    batch = run_batch([pattern], folder / "out", workers=Workers(processes=1))
    assert len(batch.failed) == len(BROKEN)
    return folder


def start(night, output):
    """Start the command in processes of a group of their own."""
    command = [sys.executable, "-W", "error", "-m", "ohana.cli.predict", "--workers", "2"]
    return subprocess.Popen(
        [*command, "--input", str(night / "night/*.npy"), "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_work(output, process):
    """Wait until a worker is in the middle of an exposure that is not the first one.

    Returns its process number.
    """
    before = len(list(output.glob("*/run.json")))
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        parts = [path.name for path in output.glob(".*.part-*")]
        if parts and len(list(output.glob("*/run.json"))) > before:
            return int(parts[0].rpartition("-")[2])
        time.sleep(0.002)
    raise AssertionError(process.communicate())


def manifest(output):
    return json.loads((output / "manifest.json").read_text())


def test_whatever_is_killed_the_results_are_those_of_an_undisturbed_run(night, tmp_path):
    """Ctrl-C of all, kill -9 of the command, then of a worker: each run goes on."""
    process = start(night, tmp_path)
    wait_for_work(tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in err
    assert manifest(tmp_path)["run"] == "interrupted"
    assert not list(tmp_path.glob(".*"))

    process = start(night, tmp_path)
    wait_for_work(tmp_path, process)
    process.kill()
    process.communicate()
    assert (tmp_path / ".ohana-lock.json").exists()

    process = start(night, tmp_path)
    os.kill(wait_for_work(tmp_path, process), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"{len(BROKEN)} failed" in out
    assert len([line for line in err.splitlines() if line.startswith("error: dark_")]) == 2
    counted = manifest(tmp_path)
    assert counted["run"] == "finished"
    assert counted["exposures_by_status"] == {"done": 12, "failed": 2, "waiting": 0}
    assert not list(tmp_path.glob(".*"))
    assert results_of(tmp_path) == results_of(night / "out")


def test_workers_of_a_scheduler_do_the_same(night, tmp_path):
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        workers = Workers(scheduler=cluster.scheduler_address)
        inputs = [night / f"night/dark_0{i}.npy" for i in (0, 1, 2, 3)]
        batch = run_batch(inputs, tmp_path, workers=workers)
    assert list(batch.failed) == ["dark_03"]
    assert results_of(tmp_path).items() <= results_of(night / "out").items()


def test_scheduler_that_does_not_answer(night, tmp_path, monkeypatch):
    monkeypatch.setattr("ohana.utils.workers.SCHEDULER_TIMEOUT", 0.3)
    with pytest.raises(OhanaError, match="scheduler tcp://127.0.0.1:1: cannot connect"):
        run_batch(
            [night / "night/dark_00.npy"], tmp_path, workers=Workers(scheduler="tcp://127.0.0.1:1")
        )
    assert manifest(tmp_path)["run"] == "interrupted"


def test_scheduler_without_workers_is_told(tmp_path, caplog):
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as cluster:
        results = by_dask(twice_or_end, [1], cluster.scheduler_address, 1)
        threading.Timer(0.5, cluster.scale, [1]).start()
        assert list(results) == [(1, 2)]
    assert f"{cluster.scheduler_address}: has no workers yet, waiting" in caplog.text


def test_task_that_ends_every_worker_is_given_up():
    done = dict(by_dask(twice_or_end, [1, 2, 0], None, 1))
    assert (done[1], done[2]) == (2, 4)
    assert isinstance(done[0], distributed.KilledWorker)
