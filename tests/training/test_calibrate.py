"""Calibration of rules and network together: draws, matching, fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ohana.classes import Label
from ohana.config_file import load_settings
from ohana.events import Event
from ohana.network.calibration import Calibration, EventScores, Logistic
from ohana.network.model_file import Network
from ohana.network.unet3d import Architecture, UNet3D
from ohana.simulate import SimulationConfig, simulate_exposure
from ohana.simulate.truth import Truth
from ohana.training import calibrate as module
from ohana.training.calibrate import are_real, calibrate, collect, draw_exposures, fit_logistic
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.draws import draw_values
from ohana.training_sets.tasks import SPLIT_STREAM

SMALL = CreatorConfig(
    image_shape=(48, 48),
    num_frames=8,
    patch_size=16,
    overlap=0,
    outputs=2,
    gain_library=[1.0, 2.0],
    cosmic_ray_per_exp_range=(20, 30),
    snowballs_per_exp_range=(0, 1),
    rtn_per_exp_range=(2, 6),
    stars_range=(0, 2),
    snowball_radius_range=(3.0, 12.0),
)


def evidence(size: int, seed: int = 1) -> EventScores:
    rng = np.random.default_rng(seed)
    rules = np.where(rng.random(size) < 0.7, rng.uniform(0.02, 0.98, size), np.nan)
    return EventScores(
        rules, rng.normal(0, 3, size), rng.random(size) < 0.5, rng.integers(1, 9, size)
    )


def test_fit_finds_the_weights_that_made_the_events():
    true = Logistic(-0.5, 0.8, 0.4, 0.6, 0.3, 0.2)
    some = evidence(60_000)
    chance = Calibration(cosmic_ray=true).apply(Label.COSMIC_RAY, some)
    real = np.random.default_rng(2).random(len(chance)) < chance
    fitted = Calibration(cosmic_ray=fit_logistic(some, real)).apply(Label.COSMIC_RAY, some)
    assert np.abs(fitted - chance).max() < 0.03


def test_fit_without_events_is_the_default():
    nothing = EventScores(*(np.empty(0) for _ in range(4)))
    assert fit_logistic(nothing, np.empty(0, bool)) == Logistic()


@pytest.mark.parametrize("real", [True, False])
def test_fit_of_one_outcome_stays_finite(real):
    some = evidence(30)
    fitted = fit_logistic(some, np.full(30, real))
    chance = Calibration(snowball=fitted).apply(Label.SNOWBALL, some)
    assert np.isfinite(list(Calibration(snowball=fitted).as_dict()["snowball"].values())).all()
    assert abs(chance.mean() - real) < 0.15


def test_more_confidence_never_counts_against_an_event():
    some = evidence(500)
    real = special.expit(-some.network_log_odds) > 0.5  # the network is always wrong
    fitted = fit_logistic(some, real)
    assert fitted.score == 0.0
    assert fitted.rules >= 0.0


def test_exposures_are_drawn_apart_from_training_and_seeded():
    assert module.STREAM != SPLIT_STREAM
    first, again = (list(draw_exposures([SMALL], 3)) for _ in range(2))
    assert [config for config, _ in first] == [config for config, _ in again]
    assert first[0][1].random() == again[0][1].random()
    assert first[0][0] != list(draw_exposures([SMALL], 4))[0][0]
    values = draw_values(SMALL, False, module.exposure_rng(SMALL.seed, 0, 0, 0).spawn(2)[0])
    assert first[0][0].dark_current != values["dark_current"]


def test_exposures_are_limited_in_number_and_size():
    full = SMALL.model_copy(
        update={"image_shape": (1024, 1024), "cosmic_ray_per_exp_range": (1600, 1600)}
    )
    drawn = list(draw_exposures([full, SMALL], 0))
    large = [config for config, _ in drawn if config.rows > 48]
    assert {(config.rows, config.cols) for config in large} == {(256, 256)}
    assert {config.cosmic_rays for config in large} <= {0, 100}
    assert large[0].cosmic_rays == 100
    assert len(drawn) <= 2 * module.TUNING.max_exposures
    assert {config.gain for config, _ in drawn} == {1.0, 2.0}


def test_long_recipes_have_one_exposure_at_least():
    long = SMALL.model_copy(update={"num_frames": 60_000})
    assert len(list(draw_exposures([long], 0))) == 1


def test_recipes_of_the_shipped_network_give_exposures_of_every_length():
    folder = Path(__file__).parents[2] / "configs" / "pretrained"
    recipes = [load_settings(path, CreatorConfig) for path in sorted(folder.glob("reads_*.yaml"))]
    drawn = [config for config, _ in draw_exposures(recipes, 0)]
    assert {config.reads for config in drawn} == {8, 12, 20, 40, 100, 250, 450}
    voxels = sum(np.prod(config.shape) for config in drawn)
    assert module.TUNING.calibration_voxels / 2 < voxels < 1.2 * module.TUNING.calibration_voxels
    assert len({recipe.seed for recipe in recipes}) == len(recipes)


def made() -> tuple[Truth, list[Event]]:
    config = SimulationConfig(
        reads=12, rows=40, cols=40, cosmic_rays=4, cosmic_ray_total=(3e4, 3e4), telegraph_pixels=2
    )
    truth = simulate_exposure(config, np.random.default_rng(5)).truth
    events = []
    for event in truth.events:
        step = event.amplitude, event.snr
        columns = event.rows, event.cols, event.reads, *step
        events.append(Event(event.label, *columns, event.first_frame, 0.9))
    return truth, events


def test_events_are_real_by_pixels_time_and_class():
    truth, events = made()
    assert are_real(truth, events).all()
    other = [replace(event, label=Label.SNOWBALL) for event in events]
    assert not are_real(truth, other).any()
    rays = [event for event in events if event.label == Label.COSMIC_RAY]
    late = [replace(event, first_frame=(event.first_frame + 4) % 11) for event in rays]
    assert not are_real(truth, late).any()
    assert are_real(truth, []).shape == (0,)


def test_evidence_is_what_merged_events_tell():
    _, events = made()
    first = replace(events[0], extra={"rules_confidence": None, "network_score": 2.5})
    second = replace(events[1], extra={"rules_confidence": 0.7, "network_score": -1.0})
    pair = [replace(first, source="unet"), replace(second, source="rules")]
    both, real = collect(pair, np.array([True, False]))[Label.COSMIC_RAY]
    np.testing.assert_array_equal(both.rules, [np.nan, 0.7])
    np.testing.assert_array_equal(both.network_log_odds, [2.5, -1.0])
    np.testing.assert_array_equal(both.found_by_network, [True, False])
    np.testing.assert_array_equal(both.pixels, [len(first.rows), len(second.rows)])
    np.testing.assert_array_equal(real, [True, False])


def test_calibrates_a_network(monkeypatch):
    monkeypatch.setattr(module, "TUNING", replace(module.TUNING, max_exposures=2))
    network = Network(UNet3D(Architecture()).eval())
    result = calibrate(network, [SMALL], 1)
    assert result == calibrate(network, [SMALL], 1)
    assert result.cosmic_ray != Logistic()
    assert Calibration.from_dict(result.as_dict()) == result
