"""Every figure and the page of an exposure of every instrument that can be simulated."""

import numpy as np
import pytest

from ohana import DetectorConfig, Predictor, ResultVisualizer
from ohana.correction.fit import corrected_ramp
from ohana.products.write import integration_of
from ohana.rampfit.covariance import covariance_of
from ohana.read import open_exposure
from ohana.report.figures.event_panel import telling_pixel
from ohana.report.fitted_ramp import fitted_ramp
from ohana.report.page.build import write_report
from ohana.simulate import PRESETS, preset, simulate_to_fits

#: Hits are many and bright, so that pixels fill up early too.
EVENTS = {"cosmic_rays": 25, "cosmic_ray_charge": 3e4, "telegraph_pixels": 6, "snowballs": 1}


@pytest.fixture(scope="module", params=PRESETS)
def look(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    usual = preset(request.param)
    small = {"rows": 96, "cols": 128, "reads": min(usual.reads, 20)} | EVENTS
    small |= {"stars": min(usual.stars, 6), "snowball_radius": (2.0, 3.0)}
    ending = {"roman": ".asdf", "jwst": "_uncal.fits"}.get(usual.layout, ".fits")
    simulate_to_fits(
        preset(request.param, **small), np.random.default_rng(6), folder / f"x{ending}"
    )
    Predictor().predict(folder / f"x{ending}", folder / "out")
    return ResultVisualizer.from_folder(folder / "out")


@pytest.fixture
def quick_layout(monkeypatch):
    """Place axes without measuring texts, which takes most of the time of a figure."""
    monkeypatch.setattr("matplotlib.figure.Figure.get_layout_engine", lambda figure: None)


def test_covariance_is_that_of_the_prediction(look):
    prediction = look.prediction
    config = DetectorConfig(**prediction.run["config"])
    for index, ramp in enumerate(open_exposure(prediction.run["input"]["path"])):
        used = corrected_ramp(ramp, config)[0].ramp
        for ours in (prediction.covariance(index), integration_of(prediction, ramp, index).model):
            for mine, its in zip(ours, covariance_of(used), strict=True):
                np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-6)


def test_every_event_has_a_fit(look):
    assert len(look.prediction.events) > 10
    for event in look.prediction.events:
        for y, x in {tuple(event["position"]), telling_pixel(event)}:
            fit, stop = fitted_ramp(look.prediction, event, y, x), look.prediction.stop(y, x)
            known = np.isfinite(look.prediction.ramp(y, x)[:stop])
            assert np.isfinite(fit).sum() == (stop if (known[1:] & known[:-1]).any() else 0)


@pytest.mark.usefixtures("quick_layout")
def test_every_figure_is_drawn(look, tmp_path, caplog):
    events = look.prediction.events
    kinds = [event["type"] for event in events]
    figures = [look.plot_event(kinds.index(kind)) for kind in sorted(set(kinds))]
    figures[-1].draw_without_rendering()
    look.plot_ramp(len(events) - 1).draw_without_rendering()
    look.plot_full_frame().draw_without_rendering()
    look.plot_gallery("faintest", 2).draw_without_rendering()
    look.plot_summary().draw_without_rendering()
    y, x = events[0]["position"]
    assert look.create_event_movie(y, x, tmp_path / "x.gif", reads=slice(0, 2)).exists()
    assert not caplog.messages


def test_page_is_written(look, tmp_path, caplog):
    assert write_report(look.prediction, tmp_path / "report.html").exists()
    assert not caplog.messages
