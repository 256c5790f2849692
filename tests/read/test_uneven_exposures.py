"""Exposures with an uneven read pattern: simulated, written, read, and their events found."""

import asdf
import numpy as np
import pytest

from ohana import read_catalogue
from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.evaluate.injection.draw_events import InjectionSettings
from ohana.evaluate.injection.planes import with_events
from ohana.evaluate.injection.run import inject_and_recover
from ohana.evaluate.truth.folder import evaluate_prediction
from ohana.pipeline import predict
from ohana.rampfit.covariance import covariance_of
from ohana.read import open_exposure
from ohana.simulate import SimulationConfig, simulate_exposure, simulate_to_fits
from ohana.simulate.layouts.roman import read_pattern
from ohana.simulate.presets import preset

PATTERN = ((1,), (2, 3), (4, 5, 6, 7), *(tuple(range(k, k + 6)) for k in range(9, 72, 7)))
SETTINGS = {
    "reads": len(PATTERN), "read_pattern": PATTERN, "rows": 256, "cols": 256, "stars": 0,
    "persistence": 0, "hot_fraction": 0.0, "saturating_fraction": 0.0, "warm_fraction": 0.0,
    "telegraph_fraction": 0.0, "snowballs": 0, "transient": 0.0,
}  # fmt: skip


def roman(**changes):
    return preset("roman", **(SETTINGS | changes))


@pytest.fixture(scope="module")
def exposure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roman")
    config = roman(cosmic_rays=150)
    truth = simulate_to_fits(config, np.random.default_rng(3), folder / "r1_wfi01_uncal.asdf")
    truth.save(folder / "truth.json")
    predict(folder / "r1_wfi01_uncal.asdf", folder / "out", DetectorConfig(), processed=False)
    return folder, truth


def test_the_file_is_one_that_asdf_reads(exposure):
    folder, truth = exposure
    with asdf.open(folder / "r1_wfi01_uncal.asdf") as file:
        data = np.array(file["roman"]["data"])
        assert file["roman"]["meta"]["exposure"]["read_pattern"] == read_pattern(truth.config)
        assert file["roman"]["amp33"].shape == (len(PATTERN), 256, 128)
    [ramp] = open_exposure(folder / "r1_wfi01_uncal.asdf")
    np.testing.assert_array_equal(ramp.planes.read(), data)
    np.testing.assert_allclose(ramp.times, truth.config.read_times)
    np.testing.assert_array_equal(ramp.averaged, truth.config.averaged)
    assert (ramp.facts.gain, ramp.facts.border, ramp.facts.outputs) == (2.0, 4, 32)


def test_hits_are_found_once_and_dated(exposure):
    folder, truth = exposure
    result = evaluate_prediction(folder / "truth.json", folder / "out")
    score = result.classes[0]
    assert score.completeness > 0.9
    assert score.purity > 0.95
    shared = []
    config, events = truth.config, read_catalogue(folder / "out" / "detections.json")
    for event in truth.events:
        brightest = event.charge.argmax()
        row, col = event.rows[brightest], event.cols[brightest]
        if event.snr.max() < 15:
            continue
        here = [
            each
            for each in events
            if [row, col] in each.get("pixels", []) and each["first_frame"] is not None
        ]
        near = [each for each in here if abs(each["first_frame"] - event.first_frame) <= 1]
        shared.append(len(near))
    assert len(shared) > 60
    assert np.mean(shared) == pytest.approx(1, abs=0.05)
    assert config.reads == 12


def test_amplitude_is_the_whole_charge(exposure):
    """Unbiased to a tenth of the error, within which it scatters, whenever the hit came."""
    folder, truth = exposure
    pulls = []
    events = read_catalogue(folder / "out" / "detections.json")
    found = {tuple(each["position"]): each for each in events if each["type"] == "cosmic_ray"}
    for event in truth.events:
        k = event.charge.argmax()
        each = found.get((int(event.rows[k]), int(event.cols[k])))
        if each is None or each["saturated"] or event.first_frame in (1, len(PATTERN) - 1):
            continue
        error = each["max_intensity"] / each["significance"]
        pulls.append((each["max_intensity"] - event.charge[k] / 2.0) / max(error, 1.0))
    assert len(pulls) > 60
    assert abs(np.median(pulls)) < 0.3


def test_noise_alone_gives_next_to_nothing(tmp_path):
    path = tmp_path / "x.asdf"
    simulate_to_fits(roman(cosmic_rays=0), np.random.default_rng(4), path)
    summary = predict(path, tmp_path / "out", DetectorConfig(), processed=False)
    assert len(read_catalogue(tmp_path / "out" / "detections.json")) <= 1
    # White noise of 11 e- per frame, 1/f noise and what the converter adds.
    assert summary.noise == pytest.approx(11.5 / 2, rel=0.1)


def test_snowball_in_uneven_groups(tmp_path):
    path = tmp_path / "x.asdf"
    truth = simulate_to_fits(roman(cosmic_rays=0, snowballs=3), np.random.default_rng(6), path)
    predict(path, tmp_path / "out", DetectorConfig(), processed=False)
    truth.save(tmp_path / "truth.json")
    result = evaluate_prediction(tmp_path / "truth.json", tmp_path / "out")
    assert result.classes[2].completeness >= 2 / 3
    assert result.classes[2].purity == 1


def test_noise_and_charge_have_the_covariance_of_the_model():
    config = SimulationConfig(
        reads=4, read_pattern=((1,), (2, 3), (5, 6, 7, 8), (9, 10)), rows=208, cols=208, border=4,
        read_noise=20.0, read_noise_spread=0.0, pink_common=0.0, pink_output=0.0, odd_even=0.0,
        dark_current=60.0, frame_time=1.0, gain=1.0, ktc_noise=0.0, pedestal_spread=0.0,
    )  # fmt: skip
    np.testing.assert_allclose(config.read_times, [1, 2.5, 6.5, 9.5])
    assert config.collecting_time == 9
    cube = simulate_exposure(config, np.random.default_rng(5)).cube[:, 4:-4, 4:-4]
    d = np.diff(cube.reshape(4, -1).astype(float), axis=0)
    from ohana.rampfit.covariance import difference_covariance

    model = difference_covariance(config.read_times, 1.0, config.averaged)
    wanted = np.diag(400 * model.read + 60 * model.shot)
    beside = (400 * model.read_next + 60 * model.shot_next)[:-1]
    wanted += np.diag(beside, 1) + np.diag(beside, -1)
    np.testing.assert_allclose(np.cov(d), wanted, atol=0.03 * wanted.max())
    np.testing.assert_allclose(d.mean(1), 60 * model.dt, rtol=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reads": 5}, "read_pattern: wanted one entry for each of 5 reads, got 12"),
        ({"nframes": 2}, "read_pattern: wanted no nframes"),
        ({"reads": 3, "read_pattern": ((1,), (), (2,))}, "wanted ascending frames"),
        ({"reads": 3, "read_pattern": ((1,), (3,), (2,))}, "wanted ascending frames"),
    ],
)
def test_patterns_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        roman(**changes)


def test_injected_events_and_the_model_fit_the_pattern(exposure):
    folder, truth = exposure
    [ramp] = open_exposure(folder / "r1_wfi01_uncal.asdf")
    more = with_events(ramp, truth.events[:3])
    assert more.averaged.tolist() == ramp.averaged.tolist()
    assert len(covariance_of(more).dt) == len(PATTERN) - 1


def test_events_can_be_injected_into_uneven_groups(exposure):
    folder, _ = exposure
    settings = InjectionSettings(events=60, snowballs=0)
    recovery = inject_and_recover(
        folder / "r1_wfi01_uncal.asdf",
        folder / "recovery",
        DetectorConfig(),
        settings,
        np.random.default_rng(2),
    )
    found = [each.found for each in recovery.events if each.label == Label.COSMIC_RAY]
    assert len(found) == 60
    assert 20 < np.sum(found) < 58  # from far too faint to bright
