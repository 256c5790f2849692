"""A night of simulated exposures of one detector: rates and telegraph pixels are found again."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from ohana import Predictor
from ohana.classes import Label
from ohana.simulate import preset
from ohana.simulate.exposure import draw_scene, read_out, truth_of
from ohana.simulate.layouts import write_exposure
from ohana.simulate.telegraph_noise import draw_telegraph_noise, markov_states
from ohana.statistics.rates import rate_rows
from ohana.statistics.summarise import summarize

EXPOSURES = 8
CONFIG = preset(
    "l2",
    reads=40,
    rows=128,
    cols=128,
    frame_time=4.0,
    cosmic_ray_rate=6.0,
    sky=0.0,
    telegraph_pixels=12,
    telegraph_amplitude=(100.0, 400.0),
    telegraph_border=False,
    snowballs=0,
    detector="bench1",
)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """The summary of a night, and the truths of its exposures.

    The pixels with telegraph noise and their levels stay; when they jump is new each time.
    """
    folder, truths = tmp_path_factory.mktemp("night"), []
    fixed = draw_telegraph_noise(CONFIG, np.random.default_rng(1))
    times = np.arange(CONFIG.reads, dtype=float)
    predictor = Predictor()
    for number in range(EXPOSURES):
        rng = np.random.default_rng([2, number])
        states = [markov_states(flicker.dwell, times, rng)[:, None] for flicker in fixed]
        flickers = [replace(f, states=s) for f, s in zip(fixed, states, strict=True)]
        scene = replace(draw_scene(CONFIG, rng), flickers=flickers)
        path = folder / f"dark{number}.fits"
        write_exposure(path, read_out(scene), CONFIG)
        fits.setval(path, "DATE-OBS", value=f"2026-03-0{number + 1}T12:00:00")
        truths.append(truth_of(scene))
        predictor.predict(path, folder / "out" / path.stem, processed=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ohana.statistics.page.write_page", lambda survey, folder: [])
        return summarize(folder / "out"), truths


def test_exposures_tell_detector_and_time(night):
    [tally] = night[0].tallies
    assert tally.detector.label == "BENCH1 128 x 128"
    assert [exposure.start[:10] for exposure in tally.exposures] == [
        f"2026-03-0{number + 1}" for number in range(EXPOSURES)
    ]
    assert tally.exposures[0].live_time == pytest.approx(CONFIG.collecting_time)


def test_rates_are_those_put_in(night):
    """Within three standard deviations of a Poisson count, of those put in and of the setting.

    Hits too faint to be found are few.
    """
    survey, truths = night
    rays, _, balls = rate_rows(survey.tallies[0])
    injected = sum(e.label == Label.COSMIC_RAY for truth in truths for e in truth.events)
    assert injected > 300
    assert abs(rays["events"] - injected) < 3 * np.sqrt(injected)
    rate = CONFIG.cosmic_ray_rate
    assert abs(rays["rate"] - rate) < 3 * np.sqrt(rate / rays["area_time"])
    assert balls["events"] <= 1


def test_telegraph_pixels_come_again(night):
    survey, truths = night
    [repeats] = survey.repeats
    true = {
        (int(event.rows[0]), int(event.cols[0]))
        for event in truths[0].events
        if event.label == Label.TELEGRAPH_NOISE
    }
    listed = {(pixel["row"], pixel["col"]) for pixel in repeats.pixels}
    assert repeats.by_chance < 0.1
    assert listed <= true
    assert len(listed) >= 0.75 * len(true)
    steady = [pixel["amplitude_spread"] / pixel["amplitude"] for pixel in repeats.pixels]
    assert np.median(steady) < 0.1
