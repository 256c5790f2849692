"""Fitted ramps, profiles and growth against what was put in."""

from dataclasses import replace

import numpy as np
import pytest

from ohana import catalogue
from ohana.classes import Label
from ohana.events import Event
from ohana.report.fitted_ramp import fitted_ramp
from ohana.report.snowball_profile import growth, radial_profile, radii
from ohana.results.prediction import Prediction, prediction_of
from ohana.results.prediction_files import Maps

READS = 40


def event_at(label, rows, cols, frame, amplitude=100.0, **extra):
    rows, cols = np.atleast_1d(rows).astype(np.int32), np.atleast_1d(cols).astype(np.int32)
    strength = np.full(len(rows), amplitude, np.float32)
    event = Event(
        label, rows, cols, rows * 0 + (frame or -1), strength, strength, frame, 0.9, extra=extra
    )
    return catalogue([event])[0]


def one_pixel(ramp, event):
    """Prediction of 3 x 3 pixels that all have one ramp."""
    cube = np.repeat(ramp[1:], 9).reshape(-1, 3, 3) - ramp[0]
    return prediction_of(cube.astype(np.float32), [event])


def test_steps_and_line_of_a_cosmic_ray_are_recovered():
    rng = np.random.default_rng(1)
    truth = 3.0 * np.arange(READS) + 400.0 * (np.arange(READS) >= 12)
    truth += 250.0 * (np.arange(READS) >= 30)
    event = event_at(Label.COSMIC_RAY, 1, 1, 12)
    prediction = one_pixel(truth + rng.normal(0, 2, READS), event)
    fit = fitted_ramp(prediction, event, 1, 1)
    assert fit.shape == (READS,)
    np.testing.assert_allclose(np.diff(fit), np.diff(truth), atol=2.0)
    # The line goes through the middle of the data.
    assert np.mean(prediction.ramp(1, 1) - fit) == pytest.approx(0, abs=1e-6)


def test_a_faint_member_gets_a_step_at_the_event_s_read():
    rng = np.random.default_rng(2)
    ramp = rng.normal(0, 5, READS) + 8.0 * (np.arange(READS) >= 20)
    event = event_at(Label.COSMIC_RAY, 1, 1, 20)
    fit = fitted_ramp(one_pixel(ramp, event), event, 1, 1)
    assert np.argmax(np.abs(np.diff(fit, 2))) in (18, 19)
    steps = np.diff(fit)
    assert steps[19] - np.median(steps) == pytest.approx(8, abs=5)


def test_noise_that_was_given_is_that_of_the_fit():
    """Its degrees of freedom are infinite; the ramp's own scatter must not take its place."""
    ramp = np.random.default_rng(5).normal(0, 3, READS) + 60.0 * (np.arange(READS) >= 30)
    event = event_at(Label.COSMIC_RAY, 1, 1, 10)
    prediction = one_pixel(ramp, event)
    given = {"noise": 100.0, "neighbour_noise": 100.0, "shot": 0.0, "dof": np.inf}
    maps = dict(prediction.maps) | {name: np.full((3, 3), v) for name, v in given.items()}
    steps = np.diff(fitted_ramp(replace(prediction, features=(maps,)), event, 1, 1))
    assert steps[29] == pytest.approx(steps[28])  # 60 DN are no step where noise is 100 DN
    assert np.diff(fitted_ramp(prediction, event, 1, 1))[29] == pytest.approx(60, abs=5)


def test_levels_of_telegraph_noise_are_recovered():
    rng = np.random.default_rng(3)
    truth = 60.0 * (np.arange(READS) // 8 % 2) + 2.0 * np.arange(READS)
    event = event_at(Label.TELEGRAPH_NOISE, 1, 1, None)
    fit = fitted_ramp(one_pixel(truth + rng.normal(0, 3, READS), event), event, 1, 1)
    np.testing.assert_allclose(fit - fit.mean(), truth - truth.mean(), atol=5)


def test_a_bent_ramp_is_fitted_with_a_bent_curve():
    time = np.arange(READS)
    truth = 900.0 * time - 6.0 * time**2
    event = event_at(Label.COSMIC_RAY, 1, 1, 25)
    ramp = truth + np.random.default_rng(4).normal(0, 3, READS) + 300.0 * (time >= 25)
    prediction = one_pixel(ramp, event)
    fit = fitted_ramp(prediction, event, 1, 1)
    assert np.std(prediction.ramp(1, 1) - fit) < 5


def with_stop(prediction, stop):
    maps = Maps(
        ("rate", "stop", "first_usable"),
        lambda name: stop if name == "stop" else np.zeros(stop.shape, np.int32),
    )
    return Prediction(**{**vars(prediction), "features": (maps,)})


def test_nothing_is_fitted_from_saturation_on():
    ramp = np.minimum(100.0 * np.arange(READS), 2000.0)
    event = event_at(Label.COSMIC_RAY, 1, 1, 5)
    prediction = with_stop(one_pixel(ramp, event), np.full((3, 3), 20))
    fit = fitted_ramp(prediction, event, 1, 1)
    np.testing.assert_allclose(fit[:20], ramp[:20], atol=1e-6)
    assert np.isnan(fit[20:]).all()
    assert np.isnan(fitted_ramp(with_stop(prediction, np.ones((3, 3), int)), event, 1, 1)).all()


def test_a_hit_within_averaged_frames_is_in_two_differences():
    time = np.arange(10)
    ramp = 1.0 * time + 500.0 * (time >= 4) + 1500.0 * (time >= 5)
    event = event_at(Label.COSMIC_RAY, 1, 1, 4, 2000.0)
    ramp += np.random.default_rng(6).normal(0, 2, 10)
    prediction = one_pixel(ramp, event)
    prediction = Prediction(**{**vars(prediction), "run": {"facts": {"nframes": 4}}})
    fit = fitted_ramp(prediction, event, 1, 1)
    assert np.std(prediction.ramp(1, 1) - fit) < 4


def with_frames(prediction, frames):
    """Resultants of so many frames each, which follow each other without a gap."""
    times = np.cumsum(frames) - (np.array(frames) + 1) / 2
    return Prediction(**{**vars(prediction), "times": times, "run": {"frames": frames}})


def test_reads_of_different_numbers_of_frames_have_their_own_noise():
    prediction = one_pixel(np.zeros(5), event_at(Label.COSMIC_RAY, 1, 1, 2))
    model = with_frames(prediction, [1, 1, 1, 4, 8]).covariance()
    np.testing.assert_allclose(model.read, [2.0, 2.0, 1.25, 0.375])
    np.testing.assert_allclose(model.read_next, [-1.0, -1.0, -0.25, 0.0])


def test_fit_of_uneven_resultants_is_the_best_linear_one():
    frames = [1, 1, 1, 4, 8]
    ramp = np.array([0.0, 13.0, 19.0, 48.0, 110.0])
    event = event_at(Label.COSMIC_RAY, 1, 1, 4, 1.0)
    maps = {"noise": 2.0, "neighbour_noise": 2.0, "shot": 3.0, "dof": 1e4, "rate": 0.0}
    maps |= {"stop": 4, "first_usable": 0}
    flat = Maps(tuple(maps), lambda name: np.full((3, 3), maps[name]))
    prediction = with_frames(one_pixel(ramp, event), frames)
    prediction = Prediction(**{**vars(prediction), "features": (flat,)})
    # Reads are means of frames: each has the read noise of a frame over the root of their number,
    # and the charge of the frames, which walks.
    frame_of = np.repeat(np.arange(5), frames)
    mean = (frame_of == np.arange(5)[:, None]) / np.array(frames)[:, None]
    walk = 3.0 * np.minimum.outer(np.arange(15), np.arange(15))
    change = np.diff(np.eye(5), axis=0) @ mean
    covariance = (change @ (walk + 4.0 * np.eye(15)) @ change.T)[:3, :3]
    time, d = np.diff(prediction.times)[:3], np.diff(ramp)[:3]
    weight = np.linalg.solve(covariance, time)
    rises = np.diff(fitted_ramp(prediction, event, 1, 1))
    np.testing.assert_allclose(rises[:3], time * (weight @ d) / (weight @ time), rtol=1e-6)
    assert np.isnan(rises[3])


@pytest.mark.parametrize("curve", [0.0, 2000.0])
def test_one_difference_is_enough(curve):
    event = event_at(Label.COSMIC_RAY, 1, 1, 1, 900.0)
    ramp = 5.0 * np.arange(10) + curve * np.arange(10) ** 2
    prediction = with_stop(one_pixel(ramp, event), np.full((3, 3), 2))
    fit = fitted_ramp(prediction, event, 1, 1)
    np.testing.assert_allclose(fit[:2], ramp[:2], atol=1e-6)
    assert np.isnan(fit[2:]).all()


@pytest.mark.parametrize("label", [Label.COSMIC_RAY, Label.TELEGRAPH_NOISE, Label.SNOWBALL])
@pytest.mark.parametrize("noise", [0.0, np.nan, 3.0])
def test_any_ramp_has_a_fit(label, noise):
    rng = np.random.default_rng(3)
    for reads in range(3, 12):
        ramp = rng.choice([0.0, 1.0, 1e4]) * np.arange(reads) + rng.normal(0, 3, reads)
        ramp[1:][rng.random(reads - 1) < rng.choice([0.0, 0.7])] = np.nan
        event = event_at(label, 1, 1, None if label == Label.TELEGRAPH_NOISE else 1)
        prediction = with_frames(one_pixel(ramp, event), rng.integers(1, 9, reads).tolist())
        maps = dict.fromkeys(("noise", "neighbour_noise", "shot", "dof"), noise)
        maps |= {"rate": 0.0, "stop": rng.integers(0, reads + 1), "first_usable": 0}
        flat = Maps(tuple(maps), lambda name, maps=maps: np.full((3, 3), maps[name]))
        prediction = Prediction(**{**vars(prediction), "features": (flat,)})
        fit = fitted_ramp(prediction, event, 1, 1)
        stop = int(maps["stop"])
        steps = np.isfinite(np.diff(ramp))[: max(stop - 1, 0)]
        assert np.isfinite(fit[:stop]).all() == bool(steps.any() or not stop)
        assert np.isnan(fit[stop:]).all()


def test_unequal_times_make_no_steps():
    times = np.cumsum(1.0 + 4.0 * (np.arange(READS) > 20))
    ramp = 10.0 * times + np.random.default_rng(5).normal(0, 0.5, READS)
    event = event_at(Label.COSMIC_RAY, 1, 1, 8)
    prediction = one_pixel(ramp, event)
    prediction = Prediction(**{**vars(prediction), "times": times})
    fit = fitted_ramp(prediction, event, 1, 1)
    np.testing.assert_allclose(np.diff(fit)[8:], 10 * np.diff(times)[8:], rtol=0.05)


def make_snowball():
    """Core of radius 4 and a halo of 100 exp(-(r - 4) / 5) DN in read 10; it grows once."""
    y, x = np.mgrid[:61, :61]
    away = np.hypot(y - 30, x - 30)
    landed = np.where(away <= 4, 30_000.0, 100 * np.exp(-(away - 4) / 5))
    grown = np.where(away <= 6, 30_000.0, landed)
    when = np.arange(1, READS)[:, None, None]
    cube = np.where(when >= 10, landed, 0) + np.where(when >= 20, grown - landed, 0)
    rows, cols = np.nonzero(away < 20)
    event = event_at(Label.SNOWBALL, rows, cols, 10, 30_000.0, core_radius=4.0, halo_radius=18.0)
    return prediction_of(cube.astype(np.float32), [event]), event, away


def test_profile_of_a_snowball():
    prediction, event, away = make_snowball()
    profile = radial_profile(prediction, event)
    np.testing.assert_array_equal(profile.distance, np.arange(len(profile.distance)))
    assert profile.distance[-1] > 18
    halo = (profile.distance > 5) & (profile.distance < 15)
    expected = 100 * np.exp(-(profile.distance - 4) / 5)
    np.testing.assert_allclose(profile.landed[halo], expected[halo], rtol=0.1)
    assert profile.landed[0] == 30_000
    assert profile.landed[5] < 100
    assert profile.later[5] == 30_000
    assert profile.last == 30
    assert not profile.saturated.any()
    full = with_stop(prediction, np.where(away <= 4, 10, READS))
    np.testing.assert_array_equal(np.flatnonzero(radial_profile(full, event).saturated), range(4))


def test_growth_of_a_snowball():
    prediction, event, away = make_snowball()
    prediction = with_stop(prediction, np.where(away <= 4, 10, READS))
    grown = growth(prediction, event)
    assert grown.read.tolist() == list(range(7, 31))
    assert (grown.radius[:3] == 0).all()
    np.testing.assert_allclose(grown.radius[3:13], 4, atol=0.2)
    np.testing.assert_allclose(grown.radius[13:], 6, atol=0.2)
    assert grown.halo[2] == 0
    assert grown.halo[3] > 10


def test_landing_in_the_last_read():
    _, event, _ = make_snowball()
    cube = np.zeros((10, 61, 61), np.float32)
    cube[-1] = 50
    prediction = prediction_of(cube, [event])
    assert radial_profile(prediction, event).last == 10
    assert growth(prediction, event).read.tolist() == [7, 8, 9, 10]


def test_what_has_no_first_read_has_no_profile():
    event = event_at(Label.TELEGRAPH_NOISE, 1, 1, None)
    prediction = one_pixel(np.zeros(READS), event)
    with pytest.raises(ValueError, match="event: wanted a first_frame from 1 on, got None"):
        radial_profile(prediction, event)
    assert radii(event)[0] == 0
