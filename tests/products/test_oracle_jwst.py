"""Flags as the JWST pipeline takes them, offline: no reference file but for gain and read noise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits

from ohana import Predictor, open_exposure, read_catalogue
from ohana.classes import Label
from ohana.products import write_products
from ohana.results.prediction import open_prediction
from ohana.simulate import preset
from ohana.simulate.exposure import draw_scene, mean_rate, read_out, truth_of
from ohana.simulate.layouts import write_exposure

pytest.importorskip("jwst", reason="jwst is not installed (oracle group)")

from jwst.jump import JumpStep
from jwst.pipeline import Detector1Pipeline
from jwst.ramp_fitting import RampFitStep
from stdatamodels.jwst import datamodels

from ohana.jwst import OhanaStep

# Of its own warnings none is about what is tested here.
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore")]

SIZE = 192


@pytest.fixture(scope="module")
def exposure(tmp_path_factory):
    """A NIRCam exposure in the file form of the pipeline, its truth, and reference files."""
    folder = tmp_path_factory.mktemp("jwst")
    config = preset(
        "nircam", rows=SIZE, cols=SIZE, cosmic_ray_rate=6.0, snowballs=1, stars=0, ipc=0.0,
        snowball_radius=(3.0, 4.0), telegraph_fraction=2e-3, nonlinearity=0.0, persistence=0,
        transient=0.0, hot_fraction=0.0, warm_fraction=0.0, saturating_fraction=0.0,
        dead_fraction=0.0, stuck_fraction=0.0,
    )  # fmt: skip
    scene = draw_scene(config, np.random.default_rng(4))
    write_exposure(folder / "sim.fits", read_out(scene), config)
    with datamodels.Level1bModel(folder / "sim.fits") as model:
        model.save(folder / "jw1_uncal.fits")
    noise = np.sqrt(2) * config.read_noise / config.gain
    reference(datamodels.GainModel, config.gain, folder / "gain.fits")
    reference(datamodels.ReadnoiseModel, noise, folder / "readnoise.fits")
    rate = mean_rate(scene)[:, :: np.sign(config.fast_axis)] / config.gain
    return folder, truth_of(scene), rate


def reference(kind, value, path):
    """Write a reference file with one value."""
    model = kind(data=np.full((2048, 2048), value, np.float32))
    model.meta.subarray.xstart = model.meta.subarray.ystart = 1
    model.meta.subarray.xsize = model.meta.subarray.ysize = 2048
    model.meta.instrument.name, model.meta.instrument.detector = "NIRCAM", "NRCA1"
    model.meta.telescope = "JWST"
    model.save(path)


def with_references(step, folder):
    step.override_gain = str(folder / "gain.fits")
    step.override_readnoise = str(folder / "readnoise.fits")
    return step


@pytest.fixture(scope="module")
def rates(exposure):
    """Slope and error of each chain (H, W) [DN/s], and which pixels see a hit or a snowball."""
    folder, truth, rate = exposure
    Predictor().predict(folder / "jw1_uncal.fits", folder / "out")
    prediction = open_prediction(folder / "out")
    flagged, products = write_products(prediction)
    model = datamodels.open(flagged)
    assert isinstance(model, datamodels.RampModel)
    assert model.meta.cal_step.jump == "COMPLETE"
    bare = model.copy()
    late = np.arange(prediction.shape[0])[:, None, None] >= prediction.maps["stop"]
    bare.groupdq[:], bare.pixeldq[:] = np.where(late, 2, 0)[None], 0
    fit = with_references(RampFitStep(), folder)
    jumps = with_references(JumpStep(expand_large_events=True), folder).process(bare.copy())
    slopes = {
        name: fit.process(ramp)[0]
        for name, ramp in (("ohana", model), ("jump", jumps), ("none", bare))
    }
    found = {name: (image.data, image.err) for name, image in slopes.items()}
    with fits.open(products) as units:
        found["products"] = (units["RATE"].data.astype(float), units["ERR"].data.astype(float))
    hit, ball = np.zeros((2, *rate.shape), bool)
    for event in truth.events:
        where = ball if event.label == Label.SNOWBALL else hit
        seen = event.footprint
        where[event.rows[seen], event.cols[seen]] = True
    known = (rate > 0) & np.logical_and.reduce(
        [np.isfinite(slope) & (slope != 0) & (error > 0) for slope, error in found.values()]
    )
    return found, rate, hit & ~ball & known, ball & known


def off(chain, rate, where):
    """Return the error of slopes in units of their standard error."""
    slope, error = chain
    return ((slope - rate) / error)[where]


def test_slopes_with_our_flags_beat_those_without(rates):
    found, rate, hit, ball = rates
    assert hit.sum() > 2000
    for where in (hit, ball):
        ours, none = (off(found[name], rate, where) for name in ("ohana", "none"))
        assert abs(ours.mean()) < 0.02 * none.mean()
        assert np.sqrt(np.mean(ours**2)) < 0.05 * np.sqrt(np.mean(none**2))


def test_slopes_with_our_flags_are_as_good_as_with_the_jump_step(rates):
    found, rate, hit, ball = rates
    for name in ("ohana", "products"):
        for where in (hit, ball):
            ours, theirs = (off(found[chain], rate, where) for chain in (name, "jump"))
            assert abs(np.median(ours)) < abs(np.median(theirs)) + 0.1
            assert np.median(np.abs(ours)) < 1.2 * np.median(np.abs(theirs))


def test_step_finds_what_ohana_predict_finds(exposure, rates, tmp_path):
    folder = exposure[0]
    model = datamodels.RampModel(folder / "jw1_uncal.fits")
    before = model.groupdq.copy()
    step = OhanaStep()
    result = step.process(model)
    assert json.loads(json.dumps(step.events)) == read_catalogue(folder / "out" / "detections.json")
    assert len(result.ohana.events) == len(step.events)
    np.testing.assert_array_equal(model.groupdq, before)
    np.testing.assert_array_equal(result.data, model.data)
    with fits.open(folder / "out" / "jw1_uncal_flagged.fits") as units:
        np.testing.assert_array_equal(result.groupdq, units["GROUPDQ"].data)
        np.testing.assert_array_equal(result.pixeldq, units["PIXELDQ"].data)
    result.save(tmp_path / "again.fits")
    with datamodels.open(tmp_path / "again.fits") as model:
        assert len(model.ohana.events) == len(step.events)


def test_step_as_a_hook_of_the_pipeline(exposure, monkeypatch, tmp_path):
    folder = exposure[0]
    # The one question that the pipeline would ask the network: the name of its context.
    monkeypatch.setattr("stpipe.crds_client.get_context_used", lambda observatory: "none")
    monkeypatch.setenv("STPIPE_DISABLE_CRDS_STEPPARS", "true")
    steps = {name: {"skip": True} for name in Detector1Pipeline.step_defs}
    hook = OhanaStep(sigma_threshold=6.0, save_results=True, output_dir=str(tmp_path))
    steps["jump"]["post_hooks"] = [hook]
    steps["ramp_fit"] = {
        "override_gain": str(folder / "gain.fits"),
        "override_readnoise": str(folder / "readnoise.fits"),
    }
    image = Detector1Pipeline.call(str(folder / "jw1_uncal.fits"), steps=steps)
    assert image.meta.cal_step.jump == image.meta.cal_step.ramp_fit == "COMPLETE"
    [catalogue] = tmp_path.glob("*ohana.json")
    assert read_catalogue(catalogue)
    assert (image.dq & 4 > 0).mean() > 0.02


def test_parameters_are_the_settings():
    step = OhanaStep(sigma_threshold=7.0, rtn_amplitude_range=[5.0, 50.0])
    assert step.get_pars()["sigma_threshold"] == 7.0
    assert step.get_pars()["gain"] is None
    assert OhanaStep.class_alias == "ohana"


def test_ramps_of_a_model_are_those_of_its_file(exposure):
    from ohana.config import DetectorConfig
    from ohana.jwst import ramps_of_model

    path = exposure[0] / "jw1_uncal.fits"
    [ramp] = ramps_of_model(datamodels.RampModel(datamodels.open(path)), DetectorConfig())
    [same] = open_exposure(path)
    np.testing.assert_array_equal(ramp.times, same.times)
    for name in ("gain", "frame_time", "outputs", "border", "border_sides", "fast_axis", "nframes"):
        assert getattr(ramp.facts, name) == getattr(same.facts, name), name
