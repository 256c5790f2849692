"""JWST exposures that are spread over several files."""

import json

import numpy as np
import pytest
from astropy.io import fits

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.pipeline import predict
from ohana.preprocess import Preprocessor
from ohana.read import open_exposure
from ohana.results.prediction import open_prediction


def segment(path, integrations, first, number=1, of=2, last=None, seed=0):
    rng = np.random.default_rng(seed)
    science = rng.normal(8000, 8, (integrations, 12, 32, 32)) + 5 * np.arange(12)[:, None, None]
    science[:, 6:, 16, 16] += 900
    header = {
        "TELESCOP": "JWST", "INSTRUME": "NIRISS", "DETECTOR": "NIS", "TFRAME": 10.0,
        "EXSEGNUM": number, "EXSEGTOT": of, "INTSTART": first,
        "INTEND": first + integrations - 1 if last is None else last,
        "SUBSTRT1": 100, "SUBSTRT2": 100, "SUBSIZE1": 32, "SUBSIZE2": 32,
    }  # fmt: skip
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(science.astype(np.uint16), name="SCI")]
    hdus[0].header.update(header)
    fits.HDUList(hdus).writeto(path)
    return path


def test_integrations_have_the_numbers_of_the_exposure(tmp_path):
    ramps = open_exposure(segment(tmp_path / "jw1-seg002_uncal.fits", 3, 5, 2))
    assert [ramp.integration for ramp in ramps] == [4, 5, 6]
    assert ramps[0].notes[0] == "segment 2 of 2: integrations 4 to 6, counted from 0"


def test_numbers_that_do_not_fit_are_left_out(tmp_path):
    ramps = open_exposure(segment(tmp_path / "x.fits", 2, 5, last=9))
    assert [ramp.integration for ramp in ramps] == [0, 1]
    assert "INTSTART, INTEND = 5, 9 do not fit 2 integrations" in ramps[0].notes[0]
    [ramp] = open_exposure(segment(tmp_path / "y.fits", 1, 0))
    assert ramp.integration == 0


def test_segments_do_not_collide(tmp_path):
    found = set()
    for number, (first, integrations) in enumerate([(1, 2), (3, 1)], 1):
        path = segment(tmp_path / f"jw1-seg00{number}_uncal.fits", integrations, first, number)
        predict(path, tmp_path / "out", DetectorConfig(), processed=False)
        events = json.loads((tmp_path / "out" / "detections.json").read_text())
        found |= {(event["integration"], event["first_frame"]) for event in events}
    assert found >= {(0, 6), (1, 6), (2, 6)}
    names = {path.name for path in (tmp_path / "out").glob("*_temporal.npz")}
    assert names == {
        "jw1-seg001_uncal_int0_temporal.npz",
        "jw1-seg001_uncal_int1_temporal.npz",
        "jw1-seg002_uncal_int2_temporal.npz",
    }


def test_an_integration_is_asked_for_by_its_number(tmp_path):
    path = segment(tmp_path / "x.fits", 2, 3)
    Preprocessor().process(path, tmp_path / "out.npy", integration=3)
    assert np.load(tmp_path / "out.npy").shape == (11, 32, 32)
    with pytest.raises(OhanaError, match="wanted integration 0, the file has 2 to 3"):
        Preprocessor().process(path, tmp_path / "out.npy", integration=0)


def test_the_result_of_a_segment_can_be_opened(tmp_path):
    path = segment(tmp_path / "x.fits", 2, 3)
    predict(path, tmp_path / "out", DetectorConfig(), processed=True)
    events = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert {event["integration"] for event in events} >= {2, 3}
    prediction = open_prediction(tmp_path / "out")
    assert {event["integration"] for event in prediction.events} >= {0, 1}
    step = np.diff(prediction.ramp(16, 16, integration=1))
    assert step.argmax() == 5
