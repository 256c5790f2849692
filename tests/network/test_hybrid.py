"""Prediction with a network: its output made by hand, everything else as in a real run."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from network_outputs import output, output_of, voxels

from ohana import pipeline
from ohana.batch.run import Workers, run_batch
from ohana.classes import Label
from ohana.cli.predict import main
from ohana.config import DetectorConfig
from ohana.correction.fit import corrected_ramp
from ohana.correction.load import CorrectedRamp
from ohana.detect.row_block import Searched
from ohana.errors import OhanaError
from ohana.evaluate.injection.draw_events import InjectionSettings
from ohana.evaluate.injection.run import inject_and_recover
from ohana.events import STEP_TYPES, Steps, join_steps
from ohana.network.calibration import Calibration
from ohana.network.events import network_events
from ohana.network.model_file import Network, save_network
from ohana.network.probabilities import Voxels
from ohana.network.snowball_seeds import find_snowball_seeds
from ohana.network.unet3d import Architecture, UNet3D
from ohana.pipeline import find_events, link_events, outside_snowballs, predict, search_pixels
from ohana.predictor import Predictor
from ohana.read import open_exposure
from ohana.results.catalogue import catalogue, read_catalogue
from ohana.results.maps import read_features
from ohana.results.run_record import read_run
from ohana.simulate import SimulationConfig, simulate_exposure, write_fits

SCENE = SimulationConfig(
    reads=40,
    rows=96,
    cols=128,
    cosmic_rays=15,
    telegraph_pixels=10,
    snowballs=2,
    telegraph_amplitude=(100.0, 200.0),
    telegraph_period=(6.0, 12.0),
    snowball_radius=(4.0, 5.0),
    trail_fraction=0.0,
)
CONFIG = DetectorConfig(threads=1)
NETWORK = SimpleNamespace(fingerprint=lambda: "none", calibration=Calibration())
NOTICE = "events: {} found by rules and network, {} by the rules alone (the network doubts {}), "


def quiet(*_):
    """Show no progress."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """An exposure of all classes, the events of the rules, and an output that knows the truth."""
    folder = tmp_path_factory.mktemp("scene")
    made = simulate_exposure(SCENE, np.random.default_rng(4))
    write_fits(made, folder / "all.fits")
    ramp = open_exposure(folder / "all.fits", CONFIG)[0]
    source = corrected_ramp(ramp, CONFIG)[0]
    searched = search_pixels(source, CONFIG, None, quiet)
    rules, _ = link_events(searched, CONFIG, quiet)
    rules += outside_snowballs(searched.telegraph, rules, searched.maps.stop.shape)
    known = output_of(made.truth, noise=8.0)
    clear = known.voxels.amplitude > 2 * known.voxels.error
    known = known._replace(voxels=known.voxels.select(clear))
    return SimpleNamespace(path=folder / "all.fits", rules=rules, known=known, **searched._asdict())


@pytest.fixture
def says(monkeypatch):
    """Give a way to set what the network says, and count how often it is asked."""
    asked = []

    def set_output(said):
        def look(searched, network, config, progress):
            asked.append(searched.maps)
            return said(searched.maps) if callable(said) else said

        monkeypatch.setattr("ohana.network.inference.run_network", look)
        return asked

    return set_output


def nothing(maps):
    """Say that there is nothing."""
    return output(shape=maps.stop.shape)


def seen(scene, said, rules=None, **changes):
    """Return the events of an output."""
    config = DetectorConfig(**CONFIG.model_dump() | changes)
    rules = scene.rules if rules is None else rules
    searched = Searched(scene.source, scene.steps, scene.maps, scene.telegraph)
    return network_events(said, rules, searched, config)


def only(events, label):
    return [event for event in events if event.label == label]


def contents(folder):
    """Return all that does not depend on when and how fast it was made."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


# What the network sees


@pytest.mark.parametrize("label", list(Label)[1:])
def test_the_network_describes_events_as_the_rules_do(scene, label):
    own, theirs = only(scene.rules, label), only(seen(scene, scene.known, []), label)
    assert len(own) == len(theirs) > 0
    place = {(event.first_frame, int(event.rows[0]), int(event.cols[0])) for event in own}
    for event in theirs:
        assert event.source == "unet"
        assert event.extra.keys() == own[0].extra.keys()
        if label != Label.SNOWBALL:
            assert (event.first_frame, int(event.rows[0]), int(event.cols[0])) in place
    if label == Label.SNOWBALL:
        sizes = [sorted(len(event.rows) for event in some) for some in (own, theirs)]
        np.testing.assert_allclose(*sizes, rtol=0.05)


def test_what_the_rules_have_described_is_not_described_again(scene):
    found = seen(scene, scene.known)
    assert {event.label for event in found} == {Label.COSMIC_RAY}


def test_limits_hold_for_the_network_too(scene):
    none = {
        Label.COSMIC_RAY: {"cosmic_ray_min_intensity": 1e5},
        Label.TELEGRAPH_NOISE: {"rtn_amplitude_range": (290.0, 300.0)},
        Label.SNOWBALL: {"snowball_min_area": 5000},
    }
    for label, change in none.items():
        assert not only(seen(scene, scene.known, [], **change), label)
    assert not only(seen(scene, scene.known, [], min_anomaly_pixels=65), Label.COSMIC_RAY)
    usual, freed = (
        np.concatenate([e.amplitude for e in seen(scene, scene.known, cosmic_ray_min_step=least)])
        for least in (25.0, 0.0)
    )
    assert usual.min() >= 25 > freed.min()
    assert len(freed) > len(usual)


def empty_spot(scene):
    """Return a place without any step, five pixels from the next."""
    taken = np.zeros(scene.maps.stop.shape, bool)
    taken[:8] = taken[-8:] = taken[:, :8] = taken[:, -8:] = True
    for row, col in zip(scene.steps.row, scene.steps.col, strict=True):
        taken[max(row - 5, 0) : row + 6, max(col - 5, 0) : col + 6] = True
    for event in scene.rules:
        taken[event.rows, event.cols] = True
    return np.argwhere(~taken)[0]


def test_a_faint_track_is_one_event_at_its_likeliest_read(scene):
    row, col = empty_spot(scene)
    track = voxels(row, col + np.arange(4), [20, 20, 21, 20], ray=0.15, amplitude=45.0, error=12.0)
    (found,) = seen(scene, output(track, shape=scene.maps.stop.shape))
    assert (len(found.rows), found.first_frame) == (4, 20)
    assert found.confidence == pytest.approx(0.6 / 0.85 / (1 + 0.6 / 0.85), rel=1e-5)
    # One such pixel alone is not enough, nor is anything at other reads.
    for part in (track.select([0]), track._replace(read=np.array([10, 20, 30, 39], np.int32))):
        assert not seen(scene, output(part, shape=scene.maps.stop.shape))
    assert not seen(scene, output(track, shape=scene.maps.stop.shape), cosmic_ray_min_step=46)


def test_each_pixel_counts_once_at_its_likeliest_read(scene):
    row, col = empty_spot(scene)
    some = voxels(row, col, [19, 20, 21], ray=[0.2, 0.3, 0.1], amplitude=[60, 50, 40], error=5)
    (found,) = seen(scene, output(some, shape=scene.maps.stop.shape))
    assert (found.reads.tolist(), found.amplitude.tolist()) == ([20], [50])
    # Any of three reads: 1 - 0.8 * 0.7 * 0.9.
    assert found.confidence == pytest.approx(0.496, rel=1e-5)


def test_a_rise_into_saturation_is_told_and_no_fit_made_up(scene):
    row, col = empty_spot(scene)
    stop = scene.maps.stop.copy()
    stop[row, col] = 20
    full = SimpleNamespace(**vars(scene) | {"maps": replace(scene.maps, stop=stop)})
    for read, saturated in ((20, True), (19, False)):
        one = voxels(row, col, [read], ray=0.5, amplitude=500.0)
        (found,) = seen(full, output(one, shape=stop.shape))
        assert found.extra["saturated"] is saturated
        assert found.extra["fit_quality"] is None


def test_charge_never_falls_and_misses_the_border(scene):
    (row, col), shape = empty_spot(scene), scene.maps.stop.shape
    bright = voxels(row, col, 20, ray=0.9, amplitude=80.0)
    assert len(seen(scene, output(bright, shape=shape))) == 1
    fall = (row, col, 30, -70.0, 5.0, -14.0, False, 1.0)
    steps = join_steps(
        [scene.steps, Steps(*(np.array([v], k) for v, k in zip(fall, STEP_TYPES, strict=True)))]
    )
    assert not seen(SimpleNamespace(**vars(scene) | {"steps": steps}), output(bright, shape=shape))
    border = voxels(2, 50, 20, ray=0.9)
    assert not seen(scene, output(border, shape=shape))


def test_the_wing_of_a_snowball_holds_no_rays(scene):
    ball = only(scene.rules, Label.SNOWBALL)[0]
    where, shape = (ball.rows.max() + 2, int(ball.cols.mean())), scene.maps.stop.shape
    rim = voxels(*where, ball.first_frame + 1, ray=0.9, error=15.0)
    assert not seen(scene, output(rim, shape=shape))
    # Bright ones beside it are, and any on top of it before it comes.
    bright = rim._replace(significance=np.full(1, 20, np.float32))
    assert len(seen(scene, output(bright, shape=shape))) == 1
    top = voxels(int(ball.rows.mean()), int(ball.cols.mean()), ball.first_frame + 1, ray=0.9)
    for since, count in ((0, 0), (-5, 1)):
        moved = top._replace(read=top.read + since, significance=np.full(1, 20, np.float32))
        assert len(seen(scene, output(moved, shape=shape))) == count


def test_landings_are_where_snowballs_begin():
    config, shape = CONFIG, (40, 40)
    rows, cols = (axis.ravel() for axis in np.indices((8, 8)))
    grows = [(rows + 10, cols + 10, read) for read in range(5, 12)]
    later = (rows + 10, cols + 18, 9)
    small = (rows[:4] + 30, cols[:4] + 30, 5)
    every = [voxels(*where, ball=0.9) for where in (*grows, later, small)]
    joined = Voxels(*(np.concatenate(columns) for columns in zip(*every, strict=True)))
    found = find_snowball_seeds(joined, shape, config)
    assert [(each.read, len(each.rows)) for each in found] == [(5, 64), (9, 64)]


# The whole run


def test_rules_and_network_in_one_catalogue(scene, says, tmp_path):
    says(scene.known)
    summary = predict(scene.path, tmp_path, CONFIG, network=NETWORK)
    entries = read_catalogue(tmp_path / "detections.json")
    assert {entry["source"] for entry in entries} == {"both"}
    assert len(entries) == len(scene.rules)
    for entry in entries:
        assert 0 <= entry["rules_confidence"] <= 1
        assert entry["network_score"] > 0
        assert entry["confidence"] >= entry["rules_confidence"] - 1e-3
    assert NOTICE.format(len(entries), 0, 0) + "0 by the network alone" in summary.notices
    extended = sum(entry["spatial_extent"] for entry in entries)
    assert extended > sum(len(event.rows) for event in scene.rules)
    mask = np.load(tmp_path / "prediction_mask.npy")
    assert set(np.unique(mask)) == {0, 1, 2, 3}


def test_nothing_of_the_rules_is_lost_to_a_network_that_sees_nothing(scene, says, tmp_path):
    says(nothing)
    summary = predict(scene.path, tmp_path, CONFIG, network=NETWORK)
    entries = read_catalogue(tmp_path / "detections.json")
    alone = catalogue(scene.rules)
    same = ("type", "position", "first_frame", "bbox", "max_intensity", "spatial_extent")
    assert [[e[k] for k in same] for e in entries] == [[e[k] for k in same] for e in alone]
    assert {entry["source"] for entry in entries} == {"rules"}
    doubted = sum(
        entry["confidence"] < {"snowball": 0.2}.get(entry["type"], 0.5) for entry in entries
    )
    assert NOTICE.format(0, len(entries), doubted) + "0 by the network alone" in summary.notices


def test_what_only_the_network_sees_is_added(scene, says, tmp_path):
    row, col = empty_spot(scene)
    says(output(voxels(row, col + np.arange(3), 20, ray=0.9), shape=scene.maps.stop.shape))
    predict(scene.path, tmp_path, CONFIG, network=NETWORK)
    (entry,) = [e for e in read_catalogue(tmp_path / "detections.json") if e["source"] == "unet"]
    assert (entry["type"], entry["first_frame"], entry["spatial_extent"]) == ("cosmic_ray", 20, 3)
    assert entry["rules_confidence"] is None


def test_without_a_network_nothing_changes(scene, says, tmp_path):
    asked = says(scene.known)
    predict(scene.path, tmp_path / "rules", CONFIG)
    assert not asked
    entries = json.loads((tmp_path / "rules/detections.json").read_text())
    assert entries == json.loads(json.dumps(catalogue(scene.rules)))
    assert all(entry.keys().isdisjoint({"network_score", "rules_confidence"}) for entry in entries)
    predict(scene.path, tmp_path / "both", CONFIG, network=NETWORK)
    predict(scene.path, tmp_path / "again", CONFIG)
    assert contents(tmp_path / "again") == contents(tmp_path / "rules")
    # What is measured is the same in any case.
    both, rules = contents(tmp_path / "both"), contents(tmp_path / "rules")
    assert all(rules[name] == both[name] for name in ("all_processed.npy", "all_temporal.npz"))


def test_the_corrected_cube_is_used_again(scene, says, tmp_path):
    asked = says(scene.known)
    predict(scene.path, tmp_path, CONFIG)
    summary = predict(scene.path, tmp_path, CONFIG, network=NETWORK)
    assert "all_processed.npy: used again" in summary.notices
    first = (tmp_path / "detections.json").read_bytes()
    predict(scene.path, tmp_path / "new", CONFIG, network=NETWORK)
    assert first == (tmp_path / "new/detections.json").read_bytes()
    np.testing.assert_array_equal(asked[0].flicker, asked[1].flicker)


def test_features_without_all_maps_are_made_again(scene, tmp_path):
    predict(scene.path, tmp_path, CONFIG)
    path = tmp_path / "all_temporal.npz"
    arrays, _ = read_features(path)
    fresh = path.read_bytes()
    del arrays["flicker"]
    np.savez(path, **arrays)
    assert read_features(path) is None
    assert "all_processed.npy: used again" not in predict(scene.path, tmp_path, CONFIG).notices
    assert path.read_bytes() == fresh


def test_too_few_reads_for_a_network(says, tmp_path):
    asked = says(nothing)
    np.save(tmp_path / "short.npy", np.random.default_rng(0).normal(1e3, 5, (3, 32, 32)))
    bare = DetectorConfig(gain=1.5, border=0, threads=1)
    summary = predict(tmp_path / "short.npy", tmp_path / "out", bare, network=NETWORK)
    assert "network: needs 4 reads, events by the rules alone" in summary.notices
    assert not asked


def test_with_too_few_reads_unsure_events_are_left_out_as_without_a_network(says, tmp_path):
    asked = says(nothing)
    cube = np.random.default_rng(0).normal(1e3, 5, (3, 32, 32))
    cube[2, ::8, ::8] += 100
    np.save(tmp_path / "short.npy", cube)
    strict = DetectorConfig(gain=1.5, border=0, threads=1, min_confidence=1.0)
    source = CorrectedRamp(open_exposure(tmp_path / "short.npy", strict)[0])
    lenient = strict.model_copy(update={"min_confidence": 0.0})
    assert find_events(source, lenient, quiet).events
    assert not find_events(source, strict, quiet).events
    assert not find_events(source, strict, quiet, network=NETWORK).events
    assert not asked


def test_added_events_are_looked_for_with_the_network(scene, says, tmp_path):
    asked = says(nothing)
    settings = InjectionSettings(events=2, snowballs=1, backwards=True)
    rng = np.random.default_rng(1)
    recovery = inject_and_recover(scene.path, tmp_path, CONFIG, settings, rng, network=NETWORK)
    # As it is, with events added, backwards, and in pure noise.
    assert len(asked) == 3 + max(event.round for event in recovery.events)


# A real network


def tiny(path):
    torch.manual_seed(0)
    model = UNet3D(Architecture(widths=(4, 8), strides=((2, 2, 2),))).eval()
    save_network(path, Network(model, Calibration()))
    return path


def test_command_with_a_model_file(scene, tmp_path, capsys):
    model = tiny(tmp_path / "tiny.safetensors")
    out = tmp_path / "out"
    arguments = ["--input", str(scene.path), "--output", str(out), "--threads", "1"]
    assert main([*arguments, "--model", str(model)]) == 0
    assert "by rules and network" in capsys.readouterr().out
    entries = read_catalogue(out / "detections.json")
    known = {(e["type"], *e["position"]) for e in entries if e["source"] != "unet"}
    assert known
    assert all("network_score" in entry for entry in entries)


def test_predictor_takes_a_model(scene, tmp_path):
    predictor = Predictor(tiny(tmp_path / "tiny.pth"), CONFIG)
    assert predictor.network.calibration == Calibration()
    with pytest.raises(OhanaError, match=r"wanted a model file"):
        Predictor(tmp_path / "none.pth")


def test_precision_is_recorded_and_another_one_is_another_result(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(pipeline, "add_network", lambda network, rules, known, *_: (rules, known))
    model = tiny(tmp_path / "tiny.pth")
    # What `auto` has made is what float32 makes, and stays.
    for precision, used, done in (
        ("auto", "float32", 1),
        ("float32", "float32", 0),
        ("bfloat16", "bfloat16", 1),
    ):
        predictor = Predictor(model, CONFIG.model_copy(update={"network_precision": precision}))
        survey = run_batch([scene.path], tmp_path / "out", predictor, workers=Workers(processes=1))
        assert (survey.done, survey.current) == (done, 1 - done)
        record = read_run(tmp_path / "out" / scene.path.stem)
        assert record["inference"] == {"device": "cpu", "precision": used}
        assert record["config"]["network_precision"] == used
    with pytest.raises(OhanaError, match="network_precision: wanted one of auto, float32"):
        Predictor(model, CONFIG.model_copy(update={"network_precision": "float16"}))


def test_what_networks_need_is_reported():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from ohana.cli.predict import main\n"
        "sys.exit(main(['--input', 'x.npy', '--model', 'pretrained']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == (
        'error: model pretrained: wanted PyTorch and safetensors (pip install "ohana[unet]"), '
        "got: import of torch halted; None in sys.modules\n"
    )


def test_rules_alone_never_load_torch(scene, tmp_path):
    code = (
        "import sys; from ohana.cli.predict import main\n"
        f"code = main(['--input', {str(scene.path)!r}, '--output', {str(tmp_path)!r}])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
