"""Training of the network: what it writes, that it can be interrupted, what it refuses."""

import json
import shutil

import numpy as np
import pytest
import torch
import zarr

from ohana.errors import OhanaError
from ohana.network.calibration import Calibration
from ohana.network.model_file import load_network
from ohana.network.unet3d import Architecture
from ohana.training import batch_size as memory
from ohana.training import learner, recorder
from ohana.training.config import TrainConfig
from ohana.training.data_module import DistributedBatchSampler, TrainingData
from ohana.training.history import HISTORY, PLOT, best_row, scores
from ohana.training.recorder import CHECKPOINT, MODEL
from ohana.training.samples import Batches
from ohana.training.split import split_exposures
from ohana.training.train import train
from ohana.training_sets.creator import DataSetCreator
from ohana.training_sets.labels import IGNORE
from ohana.training_sets.store import split_path
from training_sets import make, tiny

#: So small that an epoch takes a moment.
SMALL = {
    "widths": (4, 8),
    "strides": ((2, 2, 2),),
    "window": 8,
    "crop": 16,
    "samples_per_epoch": 8,
    "validation_samples": 4,
    "epochs": 3,
    "lr": 1e-2,
    "ema_decay": 0.9,
    "workers": 0,
    "device": "cpu",
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Make two tiny training sets, of 8 and of 12 reads, with and without events."""
    folders = []
    for reads, seed in ((8, 0), (12, 1)):
        folder = tmp_path_factory.mktemp(f"reads{reads}")
        count = {"num_exposure_events": 3, "num_baseline_exposures": 2}
        config = tiny(folder, num_frames=reads, seed=seed, **count)
        assert not DataSetCreator(config).create(0, 0).failed
        folders.append(str(folder))
    return folders


def settings(sets, folder, **changes):
    return TrainConfig(**SMALL | {"data": sets, "output_dir": str(folder)} | changes)


def run(sets, folder, *, resume=False, overwrite=False, progress=None, **changes):
    config = settings(sets, folder, **changes)
    return train(config, resume=resume, overwrite=overwrite, calibration=False, progress=progress)


@pytest.fixture(scope="module")
def whole(sets, tmp_path_factory):
    """Train without a break; return the folder and the history."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(sets, folder)


def timeless(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def assert_same(first, second, path=""):
    """Compare what two checkpoints hold, bit by bit, but for the time it took."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first.keys() - {"seconds"}:
            assert_same(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), path
        for i, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{path}/{i}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    else:
        assert first == second, path


def load(path):
    return torch.load(path, weights_only=True)


KILLED = RuntimeError("killed")


def break_off(monkeypatch, step, error=KILLED):
    """Let training end in the middle of an epoch."""

    def end(self, trainer, *_):
        if trainer.global_step == step:
            raise error

    monkeypatch.setattr(recorder.Recorder, "on_train_batch_end", end)


class TestWhatIsWritten:
    def test_history(self, whole):
        folder, history = whole
        assert json.loads((folder / HISTORY).read_text()) == history
        assert [row["epoch"] for row in history] == [1, 2, 3]
        assert set(history[0]) == {
            *("epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy"),
            *("precision", "recall", "f1", "score", "learning_rate", "seconds"),
        }
        classes = ["background", "cosmic_ray", "telegraph_noise", "snowball"]
        assert all(list(history[0][name]) == classes for name in ("precision", "recall", "f1"))
        assert all(0 < row[name] < 3 for row in history for name in ("train_loss", "val_loss"))
        assert history[0]["learning_rate"] > history[-1]["learning_rate"] > 0

    def test_plot(self, whole):
        assert (whole[0] / PLOT).read_bytes().startswith(b"\x89PNG")

    def test_nothing_else(self, whole):
        names = {path.name for path in whole[0].iterdir()}
        assert names == {MODEL, HISTORY, PLOT, CHECKPOINT}

    def test_model_is_that_of_the_best_epoch(self, whole):
        folder, history = whole
        network = load_network(folder / MODEL)
        assert network.facts["scores"] == best_row(history)
        assert network.facts["window"] == [8, 16, 16]
        assert network.facts["exposures"] == {"training": 6, "validation": 4}
        assert network.facts["training"] == settings(["x"], "elsewhere").fingerprint()

    def test_weights_of_the_model_are_averages(self, sets, tmp_path):
        run(sets, tmp_path, epochs=1)
        kept, model = load(tmp_path / CHECKPOINT), load(tmp_path / MODEL)["state_dict"]
        averaged = {k.removeprefix("model."): v for k, v in kept["state_dict"].items()}
        assert_same(model, averaged)
        last = kept["current_model_state"]["model.fold.0.weight"]
        assert not torch.equal(model["fold.0.weight"], last)

    def test_same_again_with_processes_of_their_own(self, whole, sets, tmp_path):
        again = run(sets, tmp_path, workers=2)
        assert timeless(again) == timeless(whole[1])

    def test_progress(self, whole, sets, tmp_path):
        told = []
        run(sets, tmp_path, epochs=2, progress=lambda *what: told.append(what))
        rules, training = ([t[1:] for t in told if t[0].startswith(n)] for n in ("rules", "train"))
        assert rules == [(5, 10), (10, 10)]
        assert training == [(n, 12) for n in range(1, 13)]


class TestResume:
    def test_killed_in_an_epoch(self, whole, sets, tmp_path, monkeypatch):
        with monkeypatch.context() as patch:
            break_off(patch, 6)
            with pytest.raises(RuntimeError, match="killed"):
                run(sets, tmp_path)
        assert len(json.loads((tmp_path / HISTORY).read_text())) == 1
        assert timeless(run(sets, tmp_path, resume=True)) == timeless(whole[1])
        assert_same(load(whole[0] / CHECKPOINT), load(tmp_path / CHECKPOINT))
        assert_same(load(whole[0] / MODEL), load(tmp_path / MODEL))

    def test_killed_before_its_checkpoint_was_written(self, whole, sets, tmp_path, monkeypatch):
        original = recorder.Recorder.on_train_epoch_end

        def fail(self, trainer, learner):
            if trainer.current_epoch == 1:
                raise RuntimeError("killed")
            original(self, trainer, learner)

        with monkeypatch.context() as patch:
            patch.setattr(recorder.Recorder, "on_train_epoch_end", fail)
            with pytest.raises(RuntimeError, match="killed"):
                run(sets, tmp_path)
        assert len(json.loads((tmp_path / HISTORY).read_text())) == 2
        assert timeless(run(sets, tmp_path, resume=True)) == timeless(whole[1])
        assert_same(load(whole[0] / CHECKPOINT), load(tmp_path / CHECKPOINT))

    def test_interrupted(self, whole, sets, tmp_path, monkeypatch):
        with monkeypatch.context() as patch:
            break_off(patch, 6, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                run(sets, tmp_path)
        # With processes of their own the samples are asked for early.
        assert timeless(run(sets, tmp_path, resume=True, workers=1)) == timeless(whole[1])

    def test_longer_than_planned(self, whole, sets, tmp_path):
        shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
        assert timeless(run(sets, tmp_path, resume=True)) == timeless(whole[1])
        longer = run(sets, tmp_path, resume=True, epochs=4)
        assert [row["epoch"] for row in longer] == [1, 2, 3, 4]

    def test_nothing_to_go_on_from(self, sets, tmp_path, caplog):
        caplog.set_level("INFO", "ohana")
        assert len(run(sets, tmp_path, resume=True, epochs=1)) == 1
        assert f"{tmp_path}: no last.ckpt to go on from" in caplog.text

    def test_other_settings_are_refused(self, whole, sets):
        with pytest.raises(OhanaError, match=r"last.ckpt: .* \(batch_size was 2, now 4; lr was"):
            run(sets, whole[0], resume=True, batch_size=4, lr=0.1)
        with pytest.raises(OhanaError, match="last.ckpt: .* the training set has changed"):
            run(sets[:1], whole[0], resume=True)

    @pytest.mark.parametrize("content", [b"nonsense", {"state_dict": {}}, {"ohana_training": 3}])
    def test_foreign_checkpoints_are_refused(self, sets, tmp_path, content):
        path = tmp_path / CHECKPOINT
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
        with pytest.raises(OhanaError, match="last.ckpt: wanted a checkpoint that ohana-train"):
            run(sets, tmp_path, resume=True)

    def test_malicious_checkpoint_is_not_executed(self, sets, tmp_path):
        torch.save({"ohana_training": _Bomb(tmp_path / "hit")}, tmp_path / CHECKPOINT)
        with pytest.raises(OhanaError, match="wanted a checkpoint that ohana-train has written"):
            run(sets, tmp_path, resume=True)
        assert not (tmp_path / "hit").exists()

    def test_other_format(self, sets, tmp_path):
        marks = {"format": 0, "settings": {}, "exposures": {}}
        torch.save({"ohana_training": marks}, tmp_path / CHECKPOINT)
        with pytest.raises(OhanaError, match="wanted a checkpoint of format 1, got 0"):
            run(sets, tmp_path, resume=True)


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return self.path.touch, ()


class TestOutputFolder:
    def test_another_training_is_not_overwritten(self, sets, tmp_path):
        (tmp_path / MODEL).write_text("precious")
        with pytest.raises(OhanaError, match="holds another training .* --overwrite replaces it"):
            run(sets, tmp_path)
        with pytest.raises(OhanaError, match="wanted last.ckpt to go on from, got best_model"):
            run(sets, tmp_path, resume=True)
        assert (tmp_path / MODEL).read_text() == "precious"
        run(sets, tmp_path, overwrite=True, epochs=1)
        assert load_network(tmp_path / MODEL).facts["scores"]["epoch"] == 1

    def test_cannot_be_made(self, sets, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OhanaError, match="file: cannot make this folder"):
            run(sets, tmp_path / "file")


class TestEnd:
    def test_early(self, sets, tmp_path, monkeypatch):
        worse = iter([0.5, 0.4, 0.3, 0.2, 0.1])
        original = recorder.scores

        def judge(confusion, names):
            # The first of both tables is that of what was learned from.
            judge.calls += 1
            better = {} if judge.calls % 2 else {"score": next(worse)}
            return original(confusion, names) | better

        judge.calls = 1
        monkeypatch.setattr(recorder, "scores", judge)
        assert len(run(sets, tmp_path, epochs=5, patience=2)) == 3
        assert len(run(sets, tmp_path, epochs=5, patience=2, resume=True)) == 3
        assert load_network(tmp_path / MODEL).facts["scores"]["epoch"] == 1

    def test_calibration_goes_with_the_network(self, sets, tmp_path, monkeypatch):
        import ohana.training.calibrate as module

        asked = []

        def calibrate(network, creators, seed):
            asked.append((network.facts["scores"]["epoch"], [c.num_frames for c in creators], seed))
            return Calibration()

        monkeypatch.setattr(module, "calibrate", calibrate)
        train(settings(sets, tmp_path, epochs=1, seed=4))
        train(settings(sets, tmp_path, epochs=1, seed=4), resume=True)
        assert asked == [(1, [8, 12], 4)]
        assert load_network(tmp_path / MODEL).calibration == Calibration()

    def test_loss_without_bounds(self, sets, tmp_path, monkeypatch):
        monkeypatch.setattr(learner, "loss", lambda logits, y: logits.mean() * np.nan)
        with pytest.raises(OhanaError, match=r"epoch 1: the loss .* lower lr than 0.01"):
            run(sets, tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestMemory:
    def test_says_which_batch_size_fits(self, sets, tmp_path, monkeypatch):
        real = memory.loss

        def limited(logits, y):
            if len(y) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
            return real(logits, y)

        monkeypatch.setattr(learner, "loss", limited)
        monkeypatch.setattr(memory, "loss", limited)
        with pytest.raises(OhanaError, match=r"batch_size 8 \(.*\) does not fit on cpu: 2 does"):
            run(sets, tmp_path, batch_size=8, samples_per_epoch=16)

    def test_not_even_one(self, monkeypatch):
        def never(*_):
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

        monkeypatch.setattr(memory, "loss", never)
        where = Architecture(widths=(4,), strides=()), torch.zeros(7, 8, 16, 16), 4
        error = memory.too_large(MemoryError(), *where, torch.device("cpu"), "32")
        assert str(error).startswith("out of memory: not even one sample of 8 x 16 x 16 fits on")

    def test_other_errors_stay(self, monkeypatch):
        def other(*_):
            raise RuntimeError("other")

        monkeypatch.setattr(memory, "loss", other)
        where = Architecture(widths=(4,), strides=()), torch.zeros(7, 8, 16, 16), 4
        with pytest.raises(RuntimeError, match="other"):
            memory.too_large(MemoryError(), *where, torch.device("cpu"), "bf16-mixed")


class TestData:
    def test_split_has_both_kinds_of_every_set_on_both_sides(self, sets):
        training, validation = split_exposures(sets, 0.4, 0)
        for parts, count in ((training, (2, 1)), (validation, (1, 1))):
            assert [str(part.folder) for part in parts] == sets
            for part in parts:
                store = split_path(part.folder, "training")
                flags = [zarr.open_group(store / n, mode="r").attrs["baseline"] for n in part.names]
                assert (flags.count(False), flags.count(True)) == count
        every = [(p.folder, name) for p in training + validation for name in p.names]
        assert len(set(every)) == len(every) == 10
        assert split_exposures(sets, 0.4, 0) == (training, validation)
        assert any(split_exposures(sets, 0.4, seed) != (training, validation) for seed in (1, 2))

    def test_split_of_few(self, tmp_path):
        make(tmp_path / "two", num_exposure_events=1, num_baseline_exposures=1)
        training, validation = split_exposures([tmp_path / "two"], 0.2, 0)
        assert [part.names for part in training] == [["detector_0-00000-000"]]  # with events
        assert [part.names for part in validation] == [["detector_0-00000-001"]]
        make(tmp_path / "other", num_exposure_events=1, num_baseline_exposures=1)
        sets = [tmp_path / "two", tmp_path / "other"]
        training, validation = split_exposures(sets, 0.2, 0)
        for parts in (training, validation):
            kinds = sorted(name[-3:] for part in parts for name in part.names)
            assert kinds == ["000", "001"]  # one with events, one without
        make(tmp_path / "one")
        with pytest.raises(OhanaError, match="one: wanted at least 2 exposures, .* got 1"):
            split_exposures([tmp_path / "one"], 0.2, 0)

    def test_batches_are_dealt_out(self, sets, monkeypatch):
        data = TrainingData(settings(sets, "x"))
        dealt = data.train_dataloader().sampler
        dealt.set_epoch(3)
        whole = list(dealt)
        assert [epoch for epoch, _ in whole] == [3] * 4
        monkeypatch.setattr("ohana.training.data_module.distributed.is_initialized", lambda: True)
        monkeypatch.setattr("ohana.training.data_module.distributed.get_world_size", lambda: 3)
        for fixed, shares in ((False, (1, 1, 1)), (True, (2, 1, 1))):
            parts = []
            for rank in range(3):
                monkeypatch.setattr(
                    "ohana.training.data_module.distributed.get_rank", lambda r=rank: r
                )
                own = DistributedBatchSampler(Batches(dealt.batches.samples, 2), fixed)
                parts.append(list(own))
                assert len(own) == len(parts[-1]) == shares[rank]
            dealt_out = [batch for part in parts for batch in part]
            assert all(batch in whole for batch in dealt_out)
            assert len({str(batch) for batch in dealt_out}) == sum(shares)

    def test_other_classes(self, sets, tmp_path):
        make(tmp_path / "two", num_exposure_events=2, num_baseline_exposures=0)
        group = zarr.open_group(tmp_path / "two" / "training.zarr")
        group.attrs["num_classes"] = 2
        with pytest.raises(OhanaError, match="two: wanted labels of 4 classes, got 2"):
            run([sets[0], str(tmp_path / "two")], tmp_path / "out")

    def test_missing(self, tmp_path):
        with pytest.raises(OhanaError, match=r"none/training.zarr: no training set"):
            run([str(tmp_path / "none")], tmp_path / "out")
        with pytest.raises(OhanaError, match=r"none/settings.json: no such file"):
            train(settings([str(tmp_path / "none")], tmp_path / "out"))

    @pytest.mark.parametrize("lost", ["zarr.json", "labels", "patches/zarr.json"])
    def test_half_written(self, tmp_path, lost):
        made = make(tmp_path / "set", num_exposure_events=3)
        for exposure in made:
            path = tmp_path / "set" / "training.zarr" / exposure.name / lost
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with pytest.raises(OhanaError, match=r"incomplete"):
            run([str(tmp_path / "set")], tmp_path / "out")
        assert not (tmp_path / "out" / MODEL).exists()

    @pytest.mark.parametrize("workers", [0, 1])
    def test_lost_during_training(self, tmp_path, workers):
        made = make(tmp_path / "set", num_exposure_events=3)
        run([str(tmp_path / "set")], tmp_path / "out", epochs=1)
        for exposure in made:
            path = tmp_path / "set" / "training.zarr" / exposure.name / "labels"
            shutil.rmtree(path)
        from ohana.training.samples import _kept

        _kept.clear()
        changes = {"epochs": 2, "workers": workers, "resume": True}
        with pytest.raises(OhanaError) as caught:
            run([str(tmp_path / "set")], tmp_path / "out", **changes)
        assert len(str(caught.value).splitlines()) == 1
        assert "training.zarr: incomplete exposure: cannot read" in str(caught.value)

    def test_broken_settings(self, sets, tmp_path):
        shutil.copytree(sets[0], tmp_path / "set")
        (tmp_path / "set" / "settings.json").write_text('{"num_frames": 1}')
        with pytest.raises(OhanaError, match="settings.json: wanted the settings of a training"):
            train(settings([str(tmp_path / "set")], tmp_path / "out"))


def test_no_such_device(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OhanaError, match="device: wanted cuda:1, but this machine has no GPUs"):
        run(sets, tmp_path, device="cuda:1")


def test_scores_by_hand():
    """Ten events in all: 6 found; 2 of class 2 taken for class 1; class 3 is not there."""
    confusion = np.array([[80, 4, 1, 0], [2, 6, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]])
    found = scores(confusion, ["none", "a", "b", "c"])
    assert found["accuracy"] == pytest.approx(86 / 95, abs=1e-6)
    assert found["precision"] == {"none": 0.97561, "a": 0.5, "b": 0.0, "c": None}
    assert found["recall"] == {"none": 0.941176, "a": 0.75, "b": 0.0, "c": None}
    assert found["f1"] == {"none": 0.958084, "a": 0.6, "b": 0.0, "c": None}
    assert found["score"] == 0.3
    assert scores(np.diag([5, 0]), ["none", "a"])["score"] is None


def test_tally_leaves_out_what_does_not_count():
    tally = learner.Tally(2)
    logits = torch.zeros(1, 2, 1, 1, 3)
    logits[0, 1, 0, 0, 2] = 1.0
    labels = torch.tensor([[[[0, IGNORE, 1]]]], dtype=torch.uint8)
    tally.add(logits, labels, torch.tensor(0.5))
    tally.add(-logits, labels, torch.tensor(1.0))
    confusion, loss = tally.result(lambda sums, reduce_op: sums)
    assert confusion.tolist() == [[2, 0], [1, 1]]
    assert loss == 0.75


def test_average_forgets_the_beginning():
    average = learner.averaging(0.5)._kwargs["avg_fn"]
    zero, one = torch.zeros(()), torch.ones(())
    assert float(average(zero, one, torch.tensor(1))) == pytest.approx(1 - 2 / 11)
    assert float(average(zero, one, torch.tensor(100))) == 0.5
