"""Training sets hold what was simulated, whoever makes them and however often they are stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.refpix.correction import subtract
from ohana.refpix.fit import ReferencePixelCorrector
from ohana.simulate import exposure_rng, simulate_exposure
from ohana.simulate.truth import TrueEvent, Truth
from ohana.training_sets import claims, creator, exposure, store
from ohana.training_sets import disk_space as disk
from ohana.training_sets.claims import UNFINISHED, claim, publish
from ohana.training_sets.codec import decode, encode
from ohana.training_sets.creator import DataSetCreator
from ohana.training_sets.draws import draw_values, simulation_config
from ohana.training_sets.labels import paint, runs_of
from ohana.training_sets.store import load_reference, patch_corners
from ohana.training_sets.tasks import tasks
from training_sets import make, stored, tiny


def simulate(config, task):
    """The exposure of a task, made at once in memory."""
    draws, rng = exposure_rng(config.seed, task.detector, task.index, task.k).spawn(2)
    values = draw_values(config, task.baseline, draws)
    return simulate_exposure(simulation_config(config, task.gain, values), rng)


def dense_labels(simulated):
    """Labels of all pixels and reads, event by event from the truth."""
    labels = np.zeros(simulated.cube.shape, np.uint8)
    for kind in (Label.COSMIC_RAY, Label.TELEGRAPH_NOISE, Label.SNOWBALL):
        for event in simulated.truth.of(kind):
            steps = event.pixel_steps()
            for row, col, first, snr in zip(
                event.rows, event.cols, event.reads, event.snr, strict=True
            ):
                mine = (steps.row == row) & (steps.col == col) & (steps.snr >= 1)
                begin, end = first, max([first, *steps.read[mine]]) + 1
                if kind == Label.TELEGRAPH_NOISE:
                    begin, end = 0, simulated.stop[row, col]
                if snr >= 1:
                    labels[begin:end, row, col] = kind
    return labels


def files_of(folder):
    """Return the content of each file of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def assert_same_set(one, other):
    first, second = files_of(one), files_of(other)
    assert list(first) == list(second)
    assert first == second


# What is stored


def test_reads_and_labels_are_those_of_the_simulator(tmp_path):
    config = tiny(tmp_path, num_frames=12, num_exposure_events=2, gain_library=[1.0, 2.0])
    DataSetCreator(config).create(0, 0)
    for task, made in zip(tasks(config, 0, 0), stored(tmp_path), strict=True):
        assert task.name == made.name
        simulated = simulate(config, task)
        assert np.array_equal(made.cube, simulated.cube)
        truth = dense_labels(simulated)
        assert set(np.unique(truth)) == {0, 1, 2, 3}
        assert np.array_equal(paint(made.runs, (0, 0), 0, truth.shape), truth)
        assert np.array_equal(paint(made.runs, (7, 11), 3, (5, 20, 13)), truth[3:8, 7:27, 11:24])


def test_patches_reach_every_edge(tmp_path):
    changes = {"image_shape": (37, 50), "patch_size": (16, 24), "overlap": 3, "num_frames": 7}
    (made,) = make(tmp_path, **changes)
    config = tiny(tmp_path, **changes)
    corners = made.group["corners"][...]
    assert corners.max(axis=0).tolist() == [37 - 16, 50 - 24]
    assert np.array_equal(made.cube, simulate(config, tasks(config, 0, 0)[0]).cube)
    assert made.group["patches"].dtype == np.uint16


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.integers(0, min(size) - 1),
            st.integers(size[0], 90),
            st.integers(size[1], 90),
        )
    )
)
def test_patches_cover_the_array_and_share_what_was_asked(numbers):
    size, overlap, *shape = numbers
    corners = patch_corners(tuple(shape), size, overlap)
    covered = np.zeros(shape, bool)
    for row, col in corners:
        covered[row : row + size[0], col : col + size[1]] = True
        assert row + size[0] <= shape[0]
        assert col + size[1] <= shape[1]
    assert covered.all()
    for axis in (0, 1):
        steps = np.diff(np.unique(corners[:, axis]))
        assert steps.max(initial=0) <= size[axis] - overlap


def test_correction_of_a_patch_is_that_of_the_exposure(tmp_path):
    noisy = {"pink_common": 10.0, "odd_even": 5.0, "hot_fraction": 0.01}
    (made,) = make(tmp_path, simulation=noisy, outputs=4)
    whole = ReferencePixelCorrector(border=4, outputs=4).correct(made.cube.astype(np.float32))
    reference = load_reference(made.group)
    for patch, (row, col) in zip(
        made.group["patches"][...], made.group["corners"][...], strict=True
    ):
        rows, cols = slice(row, row + 20), slice(col, col + 20)
        data = patch.astype(np.float32)
        subtract(data, reference, rows, cols)
        assert np.allclose(data, whole[:, rows, cols], atol=1e-3)


def test_metadata_says_how_an_exposure_was_made(tmp_path):
    config = tiny(tmp_path, seed=5)
    DataSetCreator(config).create(2, 2)
    (made,) = stored(tmp_path)
    assert made.facts["settings_fingerprint"] == config.fingerprint()
    assert [made.facts[name] for name in ("seed", "detector", "index", "k")] == [5, 0, 2, 0]
    assert made.facts["ohana_version"]
    low, high = config.dark_current_range
    assert low <= made.facts["drawn"]["dark_current"] <= high
    truth = simulate(config, tasks(config, 2, 2)[0]).truth
    assert made.facts["simulation"] == truth.config.model_dump(mode="json")
    assert [e["type"] for e in made.events] == [e.label.key for e in truth.events]
    for number, event in enumerate(made.events):
        assert event["pixels"] == (made.runs.event == number).sum()
        assert event["facts"] == json.loads(json.dumps(truth.events[number].facts))


def test_runs_of_a_snowball_end_with_its_last_growth():
    row = np.array([3, 4], np.int32)
    event = TrueEvent(
        Label.SNOWBALL,
        5,
        row,
        row,
        np.array([5, 5], np.int32),
        np.array([900, 40], np.float32),
        np.array([60, 4], np.float32),
    )
    grown = event.repeated.blank(
        np.array([4, 4, 4]), np.array([4, 4, 4]), np.array([5, 6, 9]), np.array([30, 9, 1])
    )
    grown.snr[:] = [3, 1, 0.1]
    event = TrueEvent(**{**vars(event), "repeated": grown})
    runs = runs_of(Truth((12, 8, 8), [event], None), np.full((8, 8), 12))
    assert runs.start.tolist() == [5, 5]
    assert runs.stop.tolist() == [6, 7]


def test_telegraph_noise_lasts_until_the_pixel_is_full(tmp_path):
    dim = {"sky_range": (9000.0, 9000.0), "injection_type": "rtn", "gain_library": [1.0]}
    (made,) = make(tmp_path, num_frames=20, exp_time=20.0, **dim)
    # 9000 e-/s fill 40000 e- at read 4 or 5; the level of full is 5 % lower.
    inside = (made.runs.row > 4) & (made.runs.row < 35)
    assert set(made.runs.start) == {0}
    assert made.runs.stop[inside].max(initial=5) <= 6


@given(arrays(np.uint16, (5, 2, 3)))
def test_coding_of_reads_loses_nothing(reads):
    assert np.array_equal(decode(encode(reads)), reads)
    assert np.array_equal(decode(encode(reads[None]))[0], reads)


def test_zarr_alone_finds_the_filter(tmp_path):
    (made,) = make(tmp_path)
    code = (
        "import zarr, sys; group = zarr.open_group(sys.argv[1], mode='r');"
        "print(group['patches'][0, 0, 5, 6])"
    )
    path = tmp_path / "training.zarr" / made.name
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True
    )
    assert result.stderr == ""
    assert int(result.stdout) == made.cube[0, 5, 6]


# Split


def test_split_is_exact_over_indices_and_does_not_depend_on_them():
    config = tiny("x", test_fraction=0.2, num_exposure_events=3, num_baseline_exposures=1)
    every = tasks(config, 0, 19)
    test = [task for task in every if task.split == "test"]
    assert len(test) == 16
    assert sum(task.baseline for task in test) == 4
    assert tasks(config, 7, 8) == [task for task in every if task.index in (7, 8)]
    assert len({task.k for task in test if not task.baseline}) == 3
    other = tasks(tiny("x", **config.contents() | {"seed": 9, "output_dir": "x"}), 0, 19)
    assert [task.split for task in other] != [task.split for task in every]


# Stopped, repeated, made by several


SIX = {"num_exposure_events": 5, "num_baseline_exposures": 1, "num_frames": 30}


def command(config, first, last):
    """The command that makes a set, with settings in a file beside it."""
    path = Path(config.output_dir + ".yaml")
    path.write_text(json.dumps(config.model_dump(mode="json")))
    start = [sys.executable, "-W", "error", "-m", "ohana.cli.create_training"]
    return [*start, f"--config={path}", f"--start_index={first}", f"--end_index={last}"]


def test_killed_run_goes_on_and_gives_the_same(tmp_path):
    config = tiny(tmp_path / "killed", **SIX)
    process = subprocess.Popen(command(config, 0, 0), stderr=subprocess.PIPE)
    unfinished = tmp_path / "killed" / UNFINISHED
    deadline = time.monotonic() + 60
    while not list(unfinished.glob("*-002.part-*/patches/c")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = {
        made.name: os.stat(tmp_path / "killed/training.zarr" / made.name).st_mtime_ns
        for made in stored(tmp_path / "killed")
    }
    assert 2 <= len(finished) < 6
    done = DataSetCreator(config).create(0, 0)
    assert (done.made, done.found) == (6 - len(finished), len(finished))
    assert not list(unfinished.iterdir())
    for name, when in finished.items():
        assert os.stat(tmp_path / "killed/training.zarr" / name).st_mtime_ns == when
    make(tmp_path / "whole", **SIX)
    assert_same_set(tmp_path / "killed", tmp_path / "whole")


def test_two_runs_on_overlapping_indices_make_one_set(tmp_path):
    two = {"num_exposure_events": 2}
    config = tiny(tmp_path / "two", **two)
    both = [
        subprocess.Popen(command(config, *r), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for r in ((0, 1), (1, 2))
    ]
    said = [process.communicate()[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    made = sum(int(text.split(": ")[1].split()[0]) for text in said)
    assert made == 6
    make(tmp_path / "one", last_index=2, **two)
    assert_same_set(tmp_path / "two", tmp_path / "one")


def test_any_number_of_workers_makes_the_same(tmp_path):
    make(tmp_path / "one", **SIX)
    make(tmp_path / "two", **SIX, workers=2)
    assert_same_set(tmp_path / "one", tmp_path / "two")


def test_workers_of_a_scheduler_make_the_same(tmp_path):
    distributed = pytest.importorskip("distributed")
    make(tmp_path / "one")
    with distributed.LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as cluster:
        done = DataSetCreator(tiny(tmp_path / "far")).create(
            0, 0, scheduler=cluster.scheduler_address
        )
    assert done.made == 1
    assert_same_set(tmp_path / "one", tmp_path / "far")


def test_scheduler_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("ohana.utils.workers.SCHEDULER_TIMEOUT", 0.3)
    with pytest.raises(OhanaError, match="scheduler tcp://127.0.0.1:1: cannot connect"):
        DataSetCreator(tiny(tmp_path)).create(0, 0, scheduler="tcp://127.0.0.1:1")


def test_indices_add_to_a_set(tmp_path):
    assert len(make(tmp_path, last_index=0)) == 1
    before = files_of(tmp_path)
    assert len(make(tmp_path, last_index=2)) == 3
    assert before.items() <= files_of(tmp_path).items()
    again = DataSetCreator(tiny(tmp_path)).create(0, 2)
    assert (again.made, again.found) == (0, 3)


def test_claim_is_held_by_one_and_ends_with_it(tmp_path):
    with claim(tmp_path, "a") as part, claim(tmp_path, "a") as second, claim(tmp_path, "b") as b:
        assert part is not None
        assert second is None
        assert b is not None
    left = tmp_path / UNFINISHED / "a.part-elsewhere-1"
    left.mkdir()
    with claim(tmp_path, "a") as part:
        assert not left.exists()
    assert not list((tmp_path / UNFINISHED).iterdir())


def test_lock_of_a_file_that_is_gone_is_no_claim(tmp_path, monkeypatch):
    folder = tmp_path / UNFINISHED
    flock = claims.fcntl.flock

    def late(file, how):
        # The holder finishes, and another process claims the exposure, just before this lock.
        (folder / "a.lock").unlink()
        (folder / "a.lock").touch()
        (folder / "a.part-elsewhere-1").mkdir()
        flock(file, how)

    monkeypatch.setattr(claims.fcntl, "flock", late)
    with claim(tmp_path, "a") as part:
        assert part is None
    assert sorted(path.name for path in folder.iterdir()) == ["a.lock", "a.part-elsewhere-1"]


def test_without_locks_the_first_to_finish_wins(tmp_path, monkeypatch):
    def refuse(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(claims.fcntl, "flock", refuse)
    with claim(tmp_path, "a") as part:
        part.mkdir()
        (part / "x").write_text("late")
        target = tmp_path / "store" / "a"
        target.mkdir(parents=True)
        (target / "x").write_text("early")
        publish(part, target)
    assert (target / "x").read_text() == "early"


def test_store_made_at_the_same_time_stays(tmp_path, monkeypatch):
    target = tmp_path / "training.zarr"
    create_group = store.zarr.create_group

    def slow(part, **settings):
        create_group(part, **settings)
        if not target.exists():  # another process was quicker
            create_group(target, attributes={"num_classes": 2})

    monkeypatch.setattr(store.zarr, "create_group", slow)
    store.create_store(tmp_path, "training", 4)
    assert dict(zarr.open_group(target, mode="r").attrs) == {"num_classes": 2}
    assert not list((tmp_path / UNFINISHED).iterdir())


def test_exposure_made_elsewhere_is_left_to_it(tmp_path):
    config = tiny(tmp_path)
    with claim(tmp_path, "detector_0-00000-000"):
        done = DataSetCreator(config).create(0, 0)
    assert (done.made, done.elsewhere) == (0, 1)


# What can go wrong


def test_other_settings_are_refused(tmp_path):
    make(tmp_path)
    with pytest.raises(OhanaError) as caught:
        make(tmp_path, overlap=2, seed=1)
    assert str(caught.value) == (
        f"{tmp_path}: holds a training set made with other settings "
        "(overlap was 0, now 2; seed was 0, now 1): choose another output_dir, or remove it"
    )
    assert len(make(tmp_path, workers=2)) == 1  # may differ


def test_broken_note_of_settings(tmp_path):
    (tmp_path / "settings.json").write_text("[")
    with pytest.raises(OhanaError, match=r"settings.json: wanted the settings of a training set"):
        make(tmp_path)


def test_one_failure_does_not_stop_the_others(tmp_path, monkeypatch):
    config = tiny(tmp_path, num_exposure_events=3)
    write = exposure.write_exposure

    def fail_once(config, task, folder, on_reads):
        write(config, task, folder, on_reads)
        if task.k == 1:
            raise OhanaError("no luck")

    monkeypatch.setattr(exposure, "write_exposure", fail_once)
    done = DataSetCreator(config).create(0, 0)
    assert done.made == 2
    assert {name: str(error) for name, error in done.failed.items()} == {
        "detector_0-00000-001": "no luck"
    }
    assert len(stored(tmp_path)) == 2
    assert not list((tmp_path / UNFINISHED).iterdir())
    monkeypatch.undo()
    assert DataSetCreator(config).create(0, 0).made == 1


def test_room_is_checked_first(tmp_path, monkeypatch):
    config = tiny(tmp_path, num_exposure_events=10)
    room = disk.disk_space_of_exposure(config)
    # 4 patches x 8 reads x 20 x 20 px, the reference terms, a label for every pixel.
    assert room.most == 4 * 8 * 400 * 2 + 4 * 8 * 120 + 40 * 40 * 21
    free = 10 * (room.likely + room.most) / 2

    def usage(path):
        return SimpleNamespace(free=free)

    monkeypatch.setattr(disk.shutil, "disk_usage", usage)
    assert disk.check_disk_space(config, 10).endswith("GB are free: may not be enough")
    free = 9.9 * room.likely
    with pytest.raises(OhanaError) as caught:
        DataSetCreator(config).create(0, 0)
    numbers = f"{10 * room.likely / 1e9:.3g} GB, {10 * room.most / 1e9:.3g} GB at most"
    assert str(caught.value) == (
        f"{tmp_path}: disk too small: 10 exposures need about {numbers}; {free / 1e9:.3g} GB "
        "are free"
    )
    assert not (tmp_path / "settings.json").exists()


def test_estimate_of_room_is_near_what_it_takes(tmp_path):
    plain = {"image_shape": (128, 128), "patch_size": 64, "num_frames": 32, "window": 16}
    changes = plain | {"read_noise_range": (12.0, 12.0), "gaussian_noise_range": (0.0, 0.0)}
    (made,) = make(tmp_path, **changes)
    taken = sum(len(content) for content in files_of(tmp_path / "training.zarr").values())
    room = disk.disk_space_of_exposure(tiny(tmp_path, **changes))
    assert room.likely == pytest.approx(taken, rel=0.25)
    assert taken < room.most


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (2, 1)])
def test_indices_must_be_in_order(tmp_path, first, last):
    with pytest.raises(OhanaError, match=f"wanted 0 <= start_index .*, got {first} and {last}"):
        DataSetCreator(tiny(tmp_path)).create(first, last)


def test_progress_counts_pixel_reads(tmp_path):
    told = []
    config = tiny(tmp_path, num_exposure_events=2)
    DataSetCreator(config).create(0, 0, progress=lambda *what: told.append(what))
    assert [done for _, done, _ in told] == [0, 6400, 12800, 19200, 25600]
    assert {(stage, total) for stage, _, total in told} == {("simulating", 25600)}


def test_settings_may_come_from_a_file(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("num_frames: 9\n")
    assert creator.DataSetCreator(path).config.num_frames == 9
    assert creator.DataSetCreator().config.num_frames == 450
