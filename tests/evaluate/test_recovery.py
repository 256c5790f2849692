"""Injection and recovery from end to end, on small simulated exposures."""

import json
from functools import cache

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.evaluate.injection.completeness import fit_completeness
from ohana.evaluate.injection.draw_events import InjectionSettings
from ohana.evaluate.injection.exposure_model import regions_of
from ohana.evaluate.injection.report import save_recovery
from ohana.evaluate.injection.run import inject_and_recover
from ohana.evaluate.injection.table import recovery_table
from ohana.read import open_exposure
from ohana.simulate import SimulationConfig, simulate_exposure

GAIN = 1.5
CONFIG = DetectorConfig(
    gain=GAIN, border=0, cosmic_ray_min_intensity=0, cosmic_ray_min_step=0, threads=2
)
FEW = InjectionSettings(events=60, snowballs=4, backwards=False)


@cache
def reads(**changes):
    base = {"reads": 16, "rows": 128, "cols": 128, "border": 0, "outputs": 1, "sky": 1.0}
    return simulate_exposure(SimulationConfig(**base | changes), np.random.default_rng(3)).cube


def saved(tmp_path, cube):
    path = tmp_path / "ramp.npy"
    np.save(path, cube)
    return path


def recover(tmp_path, cube=None, config=CONFIG, settings=FEW, seed=1):
    path = saved(tmp_path, reads() if cube is None else cube)
    return inject_and_recover(path, tmp_path / "out", config, settings, np.random.default_rng(seed))


def test_bright_events_are_found_and_faint_ones_are_not(tmp_path):
    settings = InjectionSettings(events=150, snowballs=10)
    recovery = recover(tmp_path, settings=settings)
    for label, count in zip(recovery.by_charge, (150, 150, 10), strict=True):
        charge = np.array([event.charge for event in recovery.of(label)])
        found = np.array([event.found for event in recovery.of(label)])
        assert len(charge) == count
        fit = recovery.by_charge[label]
        assert found[charge > 2.5 * fit.half.value].mean() > 0.9
        assert found[charge < fit.half.value / 2.5].mean() < 0.05
        assert fit.half.low < fit.half.value < fit.half.high
    # A step of 5 sigma in the best pixel is found every second time, some by their neighbours.
    assert recovery.by_snr[Label.COSMIC_RAY].half.value == pytest.approx(5.1, abs=0.7)
    assert recovery.false_alarms.alarms[0].backward == 0
    assert recovery.changes.lost == recovery.changes.strays == 0


def test_limits_agree_with_those_of_the_simulators_own_truth(tmp_path):
    more = {"cosmic_rays": 250, "cosmic_ray_total": (30.0, 900.0), "shower_fraction": 0.0}
    config = SimulationConfig(reads=16, rows=256, cols=256, border=0, outputs=1, sky=1.0, **more)
    simulated = simulate_exposure(config, np.random.default_rng(4))
    settings = InjectionSettings(events=250, snowballs=0, backwards=False)
    recovery = recover(tmp_path, simulated.cube, settings=settings)
    detections = json.loads((tmp_path / "out" / "detections.json").read_text())
    at = {
        (*pixel, entry["first_frame"])
        for entry in detections
        if entry["type"] == "cosmic_ray"
        for pixel in entry["pixels"]
    }
    events = [event for event in simulated.truth.of(Label.COSMIC_RAY) if len(event.rows)]
    found = [
        any(
            (row, col, event.first_frame + late) in at
            for row, col in zip(event.rows.tolist(), event.cols.tolist(), strict=True)
            for late in (-1, 0, 1)
        )
        for event in events
    ]
    charge = np.array([event.charge.max() for event in events])
    truth = fit_completeness(charge, np.array(found)).half
    ours = recovery.by_charge[Label.COSMIC_RAY].half
    error = np.hypot(truth.high - truth.low, ours.high - ours.low) / 2
    assert abs(truth.value - ours.value) < 2.5 * error
    assert error < 0.1 * truth.value


def test_the_file_stays_as_it_is_and_results_depend_on_the_seed_alone(tmp_path):
    path = saved(tmp_path, reads())
    before = path.read_bytes(), path.stat().st_mtime_ns
    one = recover(tmp_path)
    assert path.read_bytes() == before[0]
    two = inject_and_recover(
        path,
        tmp_path / "again",
        CONFIG.model_copy(update={"threads": 1}),
        FEW,
        np.random.default_rng(1),
    )
    assert one.events == two.events
    assert one.changes == two.changes
    assert recover(tmp_path, seed=2).events != one.events


def test_events_lie_on_free_pixels_all_over_the_array_and_the_ramp(tmp_path):
    cube = reads(cosmic_rays=30, hot_fraction=0.01).copy()
    cube = cube.astype(np.float32)
    cube[:, 20:30, 20:30] = np.nan
    config = CONFIG.model_copy(update={"border": 4})
    settings = InjectionSettings(events=120, snowballs=4, backwards=False)
    recovery = recover(tmp_path, cube, config, settings)
    assert recovery.regions.kind == "part"
    assert len(recovery.regions) == 4
    detections = json.loads((tmp_path / "out" / "detections.json").read_text())
    taken = {tuple(pixel) for entry in detections for pixel in entry.get("pixels", [])}
    assert len(taken) > 30
    for label in (Label.COSMIC_RAY, Label.TELEGRAPH_NOISE):
        events = recovery.of(label)
        counts = np.bincount([event.region for event in events], minlength=4)
        assert counts.tolist() == [30] * 4
        for event in events:
            assert 4 <= event.row < 124
            assert 4 <= event.col < 124
            assert not (20 <= event.row < 30 and 20 <= event.col < 30)
            assert (event.row, event.col) not in taken
    frames = [event.first_frame for event in recovery.of(Label.COSMIC_RAY)]
    assert np.bincount(frames, minlength=16).tolist() == [0, *[8] * 15]
    parts = [event.part for event in recovery.of(Label.COSMIC_RAY)]
    assert [parts.count(part) for part in ("early", "middle", "late")] == [40, 40, 40]


def test_outputs_are_regions(tmp_path):
    config = CONFIG.model_copy(update={"outputs": 4})
    recovery = recover(tmp_path, config=config)
    assert recovery.regions.kind == "output"
    assert {event.col // 32 - event.region for event in recovery.events} <= {-1, 0, 1}
    assert [fit.count for fit in recovery.by_region[Label.COSMIC_RAY]] == [15] * 4
    assert "cosmic ray by output" in recovery_table(recovery)


def test_an_array_of_one_row_has_no_empty_parts(tmp_path):
    np.save(tmp_path / "dark.npy", reads()[:, 60:61])
    [ramp] = open_exposure(tmp_path / "dark.npy")
    regions = regions_of(ramp)
    assert (regions.rows.tolist(), regions.cols.tolist()) == ([0, 1], [0, 64, 128])


def test_a_ramp_of_few_reads_has_no_telegraph_noise(tmp_path):
    recovery = recover(tmp_path, reads(reads=5))
    assert list(recovery.by_charge) == [Label.COSMIC_RAY, Label.SNOWBALL]
    assert "telegraph noise: needs 10 reads, none added" in recovery.notices


def test_one_of_several_integrations(tmp_path):
    cube = np.stack([reads(), reads(read_noise=40.0)])
    noisy = FEW.model_copy(update={"integration": 1})
    first, second = recover(tmp_path, cube), recover(tmp_path, cube, settings=noisy)
    limits = [r.by_charge[Label.COSMIC_RAY].half.value for r in (first, second)]
    assert limits[1] > 2.5 * limits[0]
    with pytest.raises(OhanaError, match="wanted integration 2, the file has 0 to 1"):
        recover(tmp_path, cube, settings=FEW.model_copy(update={"integration": 2}))


def test_what_is_written(tmp_path):
    pytest.importorskip("matplotlib")
    settings = InjectionSettings(events=40, snowballs=3)
    recovery = recover(tmp_path, settings=settings)
    files = save_recovery(recovery, tmp_path / "out")
    assert [file.name for file in files] == ["recovery.json", "recovery.png"]
    assert files[1].read_bytes().startswith(b"\x89PNG")

    def refuse(name):
        raise AssertionError(f"{name} in JSON")

    content = json.loads(files[0].read_text(), parse_constant=refuse)
    assert content["settings"]["events"] == 40
    assert len(content["events"]) == 83
    ray = content["classes"]["cosmic_ray"]
    assert ray["charge_50_dn"]["value"] == pytest.approx(
        ray["charge_50_e"]["value"] / GAIN, rel=1e-3
    )
    assert sum(ray["found_as"].values()) == ray["added"] == 40
    assert content["false_alarms"]["classes"]["snowball"]["backward"] == 0
    table = recovery_table(recovery)
    for words in ("83 events added", "50 % [e-]", "early in the ramp", "pure noise"):
        assert words in table


def test_nothing_asked_for(tmp_path):
    recovery = recover(tmp_path, settings=InjectionSettings(events=0, backwards=False))
    assert recovery.events == []
    assert recovery.by_charge == {}
    assert "0 events added" in recovery_table(recovery)
    assert save_recovery(recovery, tmp_path)[0].name == "recovery.json"


def test_an_image_is_refused(tmp_path):
    with pytest.raises(OhanaError, match="ramp.npy"):
        recover(tmp_path, reads()[0])


def test_too_many_events(tmp_path):
    settings = InjectionSettings(events=400, snowballs=0, rounds=1, backwards=False)
    with pytest.raises(OhanaError, match="no room for .* cosmic_ray.*fewer events or more rounds"):
        recover(tmp_path, reads(rows=64, cols=64), settings=settings)


def test_no_usable_pixels(tmp_path):
    config = CONFIG.model_copy(update={"saturation": 100.0})
    with pytest.raises(OhanaError, match=r"ramp\.npy: no pixel with three usable reads"):
        recover(tmp_path, config=config)


def test_settings_are_checked():
    assert InjectionSettings(events=55).snowball_count == 5
    for bad in ({"events": -1}, {"charge_range": (0.0, 1.0)}, {"rounds": 0}, {"unknown": 1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            InjectionSettings(**bad)
