"""What a prediction folder gives, and what is refused."""

import json

import numpy as np
import pytest

from ohana import DetectorConfig, OhanaError, Predictor
from ohana.results.prediction import open_prediction, prediction_of

READS, SIZE = 14, 24


def make_ramp():
    """Noise of 4 DN on a rate of 5 DN per read, and a step of 600 DN in read 6 of (9, 17)."""
    rng = np.random.default_rng(5)
    ramp = 1000 + rng.normal(0, 4, (READS, SIZE, SIZE)) + 5 * np.arange(READS)[:, None, None]
    ramp[6:, 9, 17] += 600
    return ramp.astype(np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One exposure predicted with and without its corrected cube."""
    place = tmp_path_factory.mktemp("predictions")
    np.save(place / "dark.npy", make_ramp())
    for name in ("with", "without"):
        Predictor().predict(place / "dark.npy", place / name, processed=name == "with")
    return place


def test_folder_gives_what_was_written(folders):
    prediction = open_prediction(folders / "with")
    cube = np.load(folders / "with" / "dark_processed.npy")
    assert prediction.name == "dark"
    assert prediction.shape == (READS, SIZE, SIZE)
    assert prediction.events == json.loads((folders / "with" / "detections.json").read_text())
    assert [event["position"] for event in prediction.events] == [[9, 17]]
    assert prediction.mask[9, 17] == 1
    assert "noise" in prediction.maps
    assert prediction.image() is prediction.maps["rate"]
    assert np.median(prediction.image()) == pytest.approx(5, abs=0.3)
    ramp = prediction.ramp(9, 17)
    assert ramp.dtype == np.float64
    assert ramp[0] == 0
    np.testing.assert_array_equal(ramp[1:], cube[:, 9, 17])
    part = prediction.cube(slice(5, 8), slice(8, 11), slice(-10, None))
    assert part.dtype == np.float32
    np.testing.assert_array_equal(part, cube[4:7, 8:11, -10:])
    assert prediction.stop(9, 17) == READS


def test_without_the_cube_the_input_gives_the_same_reads(folders):
    stored, fresh = open_prediction(folders / "with"), open_prediction(folders / "without")
    assert not list((folders / "without").glob("*_processed.npy"))
    window = slice(0, READS), slice(3, 20), slice(5, 24)
    np.testing.assert_array_equal(stored.cube(*window), fresh.cube(*window))
    np.testing.assert_array_equal(stored.ramp(9, 17), fresh.ramp(9, 17))


def test_first_read_is_nan_where_it_could_not_be_used(folders, tmp_path):
    ramp = make_ramp()
    ramp[0, 2, 3] = np.nan
    np.save(tmp_path / "dark.npy", ramp)
    Predictor().predict(tmp_path / "dark.npy", tmp_path / "out")
    prediction = open_prediction(tmp_path / "out")
    assert np.isnan(prediction.ramp(2, 3)[0])
    assert prediction.ramp(2, 3)[1] == 0
    assert prediction.ramp(2, 4)[0] == 0


def test_several_integrations(tmp_path):
    ramp = make_ramp()
    np.save(tmp_path / "two.npy", ramp)
    pair = np.stack([ramp[..., ::-1], ramp])
    import h5py

    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["data"] = pair
    Predictor().predict(tmp_path / "two.h5", tmp_path / "out")
    prediction = open_prediction(tmp_path / "out")
    assert prediction.name == "two"
    assert len(prediction.reads) == 2
    places = [(event["integration"], event["position"]) for event in prediction.events]
    assert places == [(0, [9, SIZE - 18]), (1, [9, 17])]
    assert prediction.ramp(9, 17, 1)[-1] - prediction.ramp(9, 17, 0)[-1] > 500
    with pytest.raises(ValueError, match="integration: wanted 0 to 1, got 2"):
        prediction.ramp(0, 0, 2)


def test_arrays_and_paths_are_the_same_prediction(folders):
    cube = np.load(folders / "with" / "dark_processed.npy")
    events = json.loads((folders / "with" / "detections.json").read_text())
    of_arrays = prediction_of(cube, events)
    of_paths = prediction_of(
        folders / "with" / "dark_processed.npy", folders / "with" / "detections.json"
    )
    assert of_paths.name == "dark_processed"
    assert of_arrays.events == of_paths.events
    for prediction in (of_arrays, of_paths):
        np.testing.assert_array_equal(
            prediction.mask, np.load(folders / "with/prediction_mask.npy")
        )
        np.testing.assert_array_equal(prediction.ramp(9, 17)[1:], cube[:, 9, 17])
        # The step is no part of the rate.
        assert prediction.image()[9, 17] == pytest.approx(5, abs=4)
        assert np.median(prediction.image()) == pytest.approx(5, abs=0.5)
    assert isinstance(of_paths.reads[0].cube, np.memmap)


def copy_of(folder, to):
    to.mkdir()
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "detections.json").unlink(), "ohana-predict has written, got no detec"),
        (lambda f: (f / "dark_temporal.npz").write_bytes(b"PK no"), "dark_temporal.npz: cannot"),
        (
            lambda f: np.save(f / "prediction_mask.npy", np.zeros((5, 5), np.uint8)),
            r"prediction_mask.npy: wanted shape \(24, 24\) as the other files have, got \(5, 5\)",
        ),
        (
            lambda f: np.save(f / "dark_processed.npy", np.zeros((3, 9, 9), np.float32)),
            r"mask.npy: wanted shape \(9, 9\) as the other files have, got \(24, 24\)",
        ),
        (lambda f: (f / "dark_processed.npy").write_text("no"), "processed.npy: cannot be read"),
        (lambda f: (f / "run.json").write_text("no"), "run.json: wanted the record of a run"),
    ],
)
def test_what_is_no_prediction_is_refused(folders, tmp_path, change, message):
    folder = copy_of(folders / "with", tmp_path / "copy")
    change(folder)
    with pytest.raises(OhanaError, match=message) as caught:
        open_prediction(folder)
    assert "\n" not in str(caught.value)


def test_no_folder_and_folder_of_folders(folders):
    with pytest.raises(OhanaError, match="nowhere: wanted a folder .* got no such folder$"):
        open_prediction(folders / "nowhere")
    with pytest.raises(OhanaError, match="no detections.json; there is one in with, without"):
        open_prediction(folders)


def test_missing_reads(folders, tmp_path):
    folder = copy_of(folders / "without", tmp_path / "copy")
    run = json.loads((folder / "run.json").read_text())
    run["input"] |= {"path": "/moved/dark.npy", "relative": "../dark.npy"}
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(OhanaError, match="/moved/dark.npy: the input of .* is no longer there"):
        open_prediction(folder)
    (folder / "run.json").unlink()
    with pytest.raises(OhanaError, match="dark_processed.npy: no such file, and no run.json"):
        open_prediction(folder)


def test_cube_without_record_is_enough(folders, tmp_path):
    folder = copy_of(folders / "with", tmp_path / "copy")
    (folder / "run.json").unlink(missing_ok=True)
    assert open_prediction(folder).name == "dark"
    copy_of(folders / "with", tmp_path / "other")
    (tmp_path / "other/dark_temporal.npz").rename(folder / "sky_temporal.npz")
    with pytest.raises(OhanaError, match="wanted one exposure, got dark, sky"):
        open_prediction(folder)


def test_wrong_arguments(folders):
    prediction = open_prediction(folders / "with")
    with pytest.raises(ValueError, match="y, x: wanted a pixel of 24 x 24, got 24, 0"):
        prediction.ramp(24, 0)
    with pytest.raises(ValueError, match="wanted step 1"):
        prediction.cube(slice(None, None, 2), slice(None), slice(None))
    with pytest.raises(ValueError, match=r"processed: wanted \(T - 1, H, W\)"):
        prediction_of(np.zeros((4, 4)), [])
    with pytest.raises(ValueError, match=r"mask: wanted shape \(24, 24\), got \(3, 3\)"):
        prediction_of(np.zeros((4, 24, 24)), [], mask=np.zeros((3, 3), np.uint8))
    outside = prediction.events[0] | {"bbox": [30, 30, 31, 31]}
    with pytest.raises(OhanaError, match=r"detections: event 0: wanted one within \(5, 24, 24\)"):
        prediction_of(np.zeros((4, 24, 24)), [outside])
    with pytest.raises(OhanaError, match="event 0: integration: wanted 0 to 0, got 1"):
        prediction_of(np.zeros((9, 24, 24)), [prediction.events[0] | {"integration": 1}])


def test_settings_of_the_run_are_used_again(folders, tmp_path):
    predictor = Predictor(config=DetectorConfig(gain=2.0))
    predictor.predict(folders / "dark.npy", tmp_path / "out", processed=False)
    assert open_prediction(tmp_path / "out").reads[0].ramp.facts.gain == 2.0
