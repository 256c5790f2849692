"""Arrays in, anomalies out: as ``ohana-predict`` finds them, whatever the array is."""

import numpy as np
import pytest

import ohana
from ohana import DetectorConfig, OhanaError, Predictor, find_anomalies, read_catalogue
from ohana.results.corrected_cube import STAGES
from ohana.results.prediction import open_prediction
from ohana.simulate import preset
from ohana.simulate.exposure import simulate_exposure

SETTINGS = {"gain": 1.5, "frame_time": 1.4, "saturation": 60000.0}


@pytest.fixture(scope="module")
def cube():
    """Raw reads with a bit of everything."""
    config = preset(
        "demo", reads=24, rows=64, cols=96, border=0, cosmic_rays=12, snowballs=1, stars=2,
        telegraph_pixels=6, snowball_radius=(3.0, 4.0),
    )  # fmt: skip
    return simulate_exposure(config, np.random.default_rng(3)).cube


@pytest.fixture(scope="module")
def found(cube):
    return find_anomalies(cube, **SETTINGS)


def test_same_as_ohana_predict(cube, found, tmp_path):
    np.save(tmp_path / "dark.npy", cube)
    Predictor(config=DetectorConfig(**SETTINGS)).predict(tmp_path / "dark.npy", tmp_path / "out")
    assert found.events == read_catalogue(tmp_path / "out" / "detections.json")
    assert {event["type"] for event in found.events} == {
        "cosmic_ray",
        "telegraph_noise",
        "snowball",
    }
    np.testing.assert_array_equal(found.mask, np.load(tmp_path / "out" / "prediction_mask.npy"))


def test_input_stays_and_may_be_memory_mapped(cube, found, tmp_path):
    np.save(tmp_path / "dark.npy", cube)
    mapped = np.load(tmp_path / "dark.npy", mmap_mode="r")
    before = cube.copy()
    again = find_anomalies(mapped, **SETTINGS)
    find_anomalies(cube, **SETTINGS)
    np.testing.assert_array_equal(cube, before)
    assert again.events == found.events
    np.testing.assert_array_equal(again.rate, found.rate)


@pytest.mark.parametrize("kind", ["f4", ">f4", "f8", "i4", ">u2"])
def test_any_real_type(cube, found, kind):
    other = find_anomalies(cube[:, :32].astype(kind), **SETTINGS)
    same = find_anomalies(np.asfortranarray(cube)[:, :32], **SETTINGS)
    assert other.events == same.events


def test_flags_of_a_hand_made_ramp():
    data = np.random.default_rng(2).normal(0, 3, (20, 32, 48)).astype(np.float32)
    data[8:, 10, 20] += 500
    data[12:, 25, 40] = 5000
    found = find_anomalies(data, saturation=4000.0)
    flags = found.flags()
    assert flags.dtype == np.uint8
    assert flags[:, 10, 20].tolist() == [0] * 8 + [4] + [0] * 11
    assert flags[:, 25, 40].tolist() == [0] * 12 + [2] * 8
    assert found.saturated_from[25, 40] == 12
    # A charge that spreads below the threshold of a member: its four neighbours, not the others.
    assert flags[8, 9, 20] == flags[8, 10, 21] == 4
    assert flags[8, 9, 21] == 0
    assert set(zip(*(column.tolist() for column in found.jumps), strict=True)) >= {(8, 10, 20)}
    error = found.rate_error[10, 20]
    assert abs(found.rate[10, 20]) < 5 * error < 2


def test_flags_that_are_given_count_and_stay():
    data = np.random.default_rng(2).normal(0, 3, (20, 32, 48)).astype(np.float32)
    data[8:, 10, 20] += 500
    data[8:, 20, 30] += 500
    data[8:, 5, 5] += 500
    dq = np.zeros(data.shape, np.uint8)
    dq[8, 10, 20] = 1  # the step is then between read 7 and read 9
    dq[5:, 20, 30] = 2
    pixel_dq = np.zeros(data.shape[1:], np.uint32)
    pixel_dq[5, 5] = 1
    found = find_anomalies(data, dq=dq, pixel_dq=pixel_dq)
    assert not any(event["position"] in ([20, 30], [5, 5]) for event in found.events)
    flags = found.flags()
    assert flags[8, 10, 20] == 1
    assert flags[5:, 20, 30].tolist() == [2] * 15
    assert np.isnan(found.rate[5, 5])
    assert (dq[8, 10, 20], dq.sum()) == (1, 1 + 2 * 15)


def test_read_noise_that_is_known_is_taken():
    rng = np.random.default_rng(4)
    data = rng.normal(0, 10, (5, 32, 48)).astype(np.float32)
    data[2:, 7, 9] += 80
    known = find_anomalies(data, gain=2.0, read_noise=20.0)
    np.testing.assert_allclose(known.maps["noise"], 10.0)
    assert known.maps["best_significance"][7, 9] == pytest.approx(80 / 10.0, abs=3)
    partly = np.full(data.shape[1:], np.nan)
    partly[7, 9] = 40.0
    partial = find_anomalies(data, gain=2.0, read_noise=partly)
    assert partial.maps["noise"][7, 9] == 20.0
    measured = find_anomalies(data, gain=2.0)
    assert partial.maps["noise"][0, 0] == measured.maps["noise"][0, 0]


def test_read_noise_of_the_settings_is_taken_as_the_argument_is(tmp_path):
    data = np.random.default_rng(4).normal(0, 10, (5, 32, 48)).astype(np.float32)
    data[2:, 7, 9] += 80
    argument = find_anomalies(data, gain=2.0, read_noise=20.0)
    settings = DetectorConfig(gain=2.0, read_noise=20.0)
    found = find_anomalies(data, config=settings)
    for name, values in argument.maps.items():
        np.testing.assert_array_equal(found.maps[name], values, err_msg=name)
    assert found.events == argument.events
    np.save(tmp_path / "dark.npy", data)
    summary = Predictor(config=settings).predict(tmp_path / "dark.npy", tmp_path / "out")
    assert "noise        10         DN     config" in str(summary)
    run = open_prediction(tmp_path / "out")
    np.testing.assert_array_equal(run.maps["noise"], argument.maps["noise"])
    assert run.events == argument.events
    # An argument overrules the settings; where it is NaN, noise is measured.
    nowhere = np.full(data.shape[1:], np.nan)
    measured = find_anomalies(data, config=settings, read_noise=nowhere)
    without = find_anomalies(data, gain=2.0)
    np.testing.assert_array_equal(measured.maps["noise"], without.maps["noise"])
    other = settings.model_copy(update={"read_noise": 10.0})
    assert settings.fingerprint(STAGES) != other.fingerprint(STAGES)


def test_result_does_not_depend_on_threads(cube, found):
    one = find_anomalies(cube, config=DetectorConfig(threads=1), **SETTINGS)
    assert one.events == found.events
    np.testing.assert_array_equal(one.rate, found.rate)
    np.testing.assert_array_equal(one.flags(), found.flags())


def test_arguments_overrule_settings(cube):
    config = DetectorConfig(gain=3.0, frame_time=9.0)
    given = find_anomalies(cube[:4, :16], config=config, gain=1.0)
    plain = find_anomalies(cube[:4, :16], frame_time=9.0)
    np.testing.assert_array_equal(given.rate, plain.rate)


def test_averaged_frames_flag_both_reads():
    rng = np.random.default_rng(5)
    data = rng.normal(0, 3, (20, 32, 48)).astype(np.float32)
    data[8, 10, 20] += 200  # a third of the charge is seen by the frames of this read
    data[9:, 10, 20] += 600
    found = find_anomalies(data, nframes=3, frame_time=2.0)
    assert np.flatnonzero(found.flags()[:, 10, 20]).tolist() == [8, 9]
    assert abs(found.rate[10, 20]) < 4 * found.rate_error[10, 20]


def test_public_name():
    assert ohana.find_anomalies is find_anomalies


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"data": np.zeros((2, 8, 8))},
            r"data: wanted .* at least 3, got float64 \(2, 8, 8\)",
        ),
        ({"data": np.zeros((8, 8))}, r"data: wanted .*, got float64 \(8, 8\)"),
        ({"data": np.zeros((5, 8, 8), complex)}, "data: wanted .*, got complex128"),
        ({"dq": np.zeros((5, 8, 9), int)}, r"dq: wanted whole numbers \(5, 8, 8\), got int64"),
        ({"dq": np.zeros((5, 8, 8))}, r"dq: wanted whole numbers \(5, 8, 8\), got float64"),
        ({"pixel_dq": np.zeros((5, 8, 8), int)}, r"pixel_dq: wanted whole numbers \(8, 8\)"),
        (
            {"read_noise": np.zeros(3)},
            r"read_noise: wanted a number or shape \(8, 8\), got .*\(3,\)",
        ),
        (
            {"read_noise": np.ones(8)},
            r"read_noise: wanted a number or shape \(8, 8\), got .*\(8,\)",
        ),
        ({"data": [[[1.0]]] * 5}, "data: wanted an array of real numbers .*, got list"),
        ({"data": np.ma.zeros((5, 8, 8))}, "data: wanted NaN or dq .*, got a masked array"),
        ({"nframes": 0}, "nframes, groupgap: wanted at least 1 and at least 0, got 0 and 0"),
        ({"groupgap": -1}, "nframes, groupgap: wanted .*, got 1 and -1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_anomalies(**{"data": np.zeros((5, 8, 8))} | arguments)


def test_nothing_finite_is_refused():
    with pytest.raises(OhanaError, match="data: not one finite value in all 5 reads"):
        find_anomalies(np.full((5, 16, 16), np.nan))
