"""Telegraph noise of a row block: fast flicker, noisy pixels, hits in flickering pixels."""

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp
from ohana.detect.row_block import analyse
from ohana.detect.telegraph.fit import fit_telegraph_noise
from ohana.detect.telegraph.pixels import noise_error_of, noise_for_levels
from ohana.events import Event
from ohana.network.events import network_events
from ohana.network.probabilities import NetworkOutput, join_voxels
from ohana.pipeline import outside_snowballs, search_pixels
from ohana.products.ramps import Integration, load_part, plan_of
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.noise import measure, prior_dof_of_map
from ohana.read import open_exposure
from ohana.refpix.fit import fit_reference
from ohana.report.fitted_ramp import fitted_ramp
from ohana.results.prediction import Prediction, prediction_of
from ohana.results.prediction_files import Maps
from ohana.simulate import SimulationConfig, simulate_to_fits

READS, ROWS, COLS, NOISE = 60, 16, 128, 8.0
PLACES = [(8, col) for col in range(4, 124, 6)]
CONFIG = DetectorConfig()


def quiet(seed=1):
    return np.random.default_rng(seed).normal(0, NOISE, (READS, ROWS, COLS)).astype(np.float32)


def flicker(amplitude, dwell, seed):
    """A path between two levels with some mean dwell in each [reads]."""
    rng = np.random.default_rng(seed)
    state = (np.cumsum(rng.random(READS) < 1 / dwell) + rng.integers(2)) % 2
    return (amplitude * state).astype(np.float32)


def analysed(cube, config=CONFIG):
    """Steps, telegraph pixels as {(row, col): event}, and maps of a block."""
    model = difference_covariance(np.arange(float(len(cube))))
    data = cube - cube[0]
    block = RampBlock(data, np.full((ROWS, COLS), len(cube), np.int32))
    noise = measure(*block, np.zeros((ROWS, COLS), bool), model, 1.5)
    steps, events, maps = analyse(block, noise, model, 1.5, config)
    return steps, {(int(e.rows[0]), int(e.cols[0])): e for e in events}, maps


@pytest.mark.parametrize(("amplitude", "dwell"), [(60, 2), (80, 2), (60, 4), (60, 10), (120, 3)])
def test_flicker_is_found_with_the_noise_of_neighbours(amplitude, dwell):
    cube = quiet()
    for i, (row, col) in enumerate(PLACES):
        cube[:, row, col] += flicker(amplitude, dwell, i)
    _, found, maps = analysed(cube)
    assert set(found) <= set(PLACES)
    assert len(found) >= 0.85 * len(PLACES)
    for place, event in found.items():
        assert event.label == Label.TELEGRAPH_NOISE
        assert event.first_frame is None
        assert event.reads.tolist() == [-1]
        assert maps.transition_count[place] == event.extra["transitions"]
        assert event.extra["low"] < event.extra["high"]
        assert event.extra["amplitude"] == pytest.approx(
            event.extra["high"] - event.extra["low"], rel=1e-4
        )
    amplitudes = [event.extra["amplitude"] for event in found.values()]
    assert np.median(amplitudes) == pytest.approx(amplitude, rel=0.1)


@pytest.mark.parametrize("factor", [1.5, 3, 6])
def test_noisy_pixels_are_no_telegraph_noise(factor):
    cube = quiet()
    for row, col in PLACES:
        cube[:, row, col] *= factor
    steps, found, _ = analysed(cube)
    assert len(found) <= 1
    assert len(steps.row) <= 1


def test_pixels_of_unequal_noise():
    # Noise with a spread of 30 per cent, and 10 per cent of pixels twice as noisy.
    rng = np.random.default_rng(2)
    scale = np.exp(rng.normal(0, 0.3, (ROWS, COLS)))
    scale[rng.random((ROWS, COLS)) < 0.1] *= 2
    _, found, _ = analysed(quiet() * scale.astype(np.float32))
    assert len(found) <= 1


def test_ramps_with_hits_are_no_telegraph_noise():
    cube = quiet()
    rng = np.random.default_rng(3)
    for i, (row, col) in enumerate(PLACES):
        for read in rng.choice(np.arange(2, READS - 2), i % 4 + 1, replace=False):
            cube[read:, row, col] += rng.uniform(60, 600)
    steps, found, _ = analysed(cube)
    assert not found
    assert (steps.amplitude > 0).all()


@pytest.mark.parametrize("dwell", [3, 8])
def test_a_hit_in_a_telegraph_pixel_is_kept(dwell):
    cube = quiet()
    for i, (row, col) in enumerate(PLACES):
        cube[:, row, col] += flicker(60, dwell, i)
        cube[20 + i :, row, col] += 500
    steps, found, _ = analysed(cube)
    assert len(found) >= 0.8 * len(PLACES)
    assert set(found) <= set(PLACES)
    hits, others = 0, 0
    for i, (row, col) in enumerate(PLACES):
        if (row, col) not in found:
            continue
        own = steps.select((steps.row == row) & (steps.col == col))
        assert (own.amplitude > 0).all()
        near = own.select(np.abs(own.read - 20 - i) <= 1)
        hits += len(near.row)
        others += len(own.row) - len(near.row)
        # A change of level in the same read cannot be told from the hit.
        np.testing.assert_allclose(near.amplitude, 500, atol=60 + 5 * NOISE)
        assert found[row, col].extra["amplitude"] < 150
    assert hits == len(found)
    # A level that the model missed may look like a small hit.
    assert others <= 1


def test_telegraph_pixels_leave_no_steps():
    cube = quiet()
    for i, (row, col) in enumerate(PLACES):
        cube[:, row, col] += flicker(80, 8, i)
    steps, found, _ = analysed(cube)
    inside = [(r, c) in found for r, c in zip(steps.row.tolist(), steps.col.tolist(), strict=True)]
    assert sum(inside) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"rtn_amplitude_range": (70, 300)},
        {"rtn_min_transitions": 40},
        {"rtn_max_transitions": 3},
        {"rtn_frequency_range": (0.3, 0.5)},
        {"rtn_fit_quality_threshold": 1.0},
    ],
)
def test_settings_act(settings):
    cube = quiet()
    for i, (row, col) in enumerate(PLACES):
        cube[:, row, col] += flicker(50, 6, i)
    usual, changed = len(analysed(cube)[1]), len(analysed(cube, DetectorConfig(**settings))[1])
    assert usual >= 15
    assert changed <= 3


def test_min_confidence():
    cube = quiet()
    for i, (row, col) in enumerate(PLACES):
        cube[:, row, col] += flicker(24, 8, i)
    usual = analysed(cube, DetectorConfig(rtn_min_confidence=0.5))[1]
    limit = float(np.median([event.confidence for event in usual.values()]))
    strict = analysed(cube, DetectorConfig(rtn_min_confidence=limit))[1]
    assert set(strict) == {place for place, event in usual.items() if event.confidence >= limit}
    assert 0 < len(strict) < len(usual)


def test_a_pedestal_and_a_mirror_change_nothing():
    cube = quiet()
    for i, (row, col) in enumerate(PLACES):
        cube[:, row, col] += flicker(60, 4, i)
    plain = analysed(cube)[1]
    assert set(analysed(cube + np.float32(500))[1]) == set(plain)
    mirrored = analysed(np.ascontiguousarray(cube[:, :, ::-1]))[1]
    assert {(row, COLS - 1 - col) for row, col in mirrored} == set(plain)


def test_none_under_snowballs():
    def event(label, rows, cols):
        rows, cols = np.array(rows), np.array(cols)
        size = np.ones(len(rows), np.float32)
        return Event(label, rows, cols, rows * 0, size, size, None, 1.0)

    ball = event(Label.SNOWBALL, [4, 4, 5], [4, 5, 5])
    ray = event(Label.COSMIC_RAY, [8], [8])
    pixels = [event(Label.TELEGRAPH_NOISE, [r], [c]) for r, c in ((4, 5), (5, 4), (8, 8))]
    assert outside_snowballs(pixels, [ray, ball], (10, 10)) == pixels[1:]
    assert outside_snowballs(pixels, [ray], (10, 10)) == pixels


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_levels_are_fitted_with_the_noise_and_rate_of_the_neighbourhood(factor):
    rng, model = np.random.default_rng(4), difference_covariance(np.arange(float(READS)))
    cube = np.cumsum(rng.poisson(40.0, (READS, ROWS, COLS)), axis=0) / 1.5
    noise = rng.normal(0, NOISE, cube.shape)
    noise[:, 8, ::16] *= factor
    block = RampBlock((cube + noise).astype(np.float32), np.full((ROWS, COLS), READS, np.int32))
    found = measure(*block, np.zeros((ROWS, COLS), bool), model, 1.5)
    chosen = (np.full(8, 8), np.arange(0, COLS, 16))
    values = (v[chosen] for v in (found.variance, found.neighbourhood_variance, found.shot))
    sigma, rate = noise_for_levels(*values, 1.5)
    assert sigma == pytest.approx(np.full(8, NOISE), rel=0.1)
    assert rate == pytest.approx(np.full(8, 40.0 / 1.5), rel=0.1)


def test_products_and_figures_fit_levels_with_the_noise_that_the_catalogue_uses(monkeypatch):
    """A pixel quieter than its neighbourhood, at a gain that is not 1."""
    level = flicker(60, 6, 2)
    cube = (level + np.random.default_rng(1).normal(0, 4, READS))[:, None, None]
    cube = np.broadcast_to(cube, (READS, 3, 3)).astype(np.float32)
    values = {"noise": 4.0, "neighbour_noise": 8.0, "shot": 5.0, "dof": 50.0, "rate": 0.0}
    values |= {"stop": READS, "first_usable": 0, "best_significance": 0.0}
    maps = {name: np.full((3, 3), value) for name, value in values.items()}
    event = {"type": "telegraph_noise", "first_frame": None, "integration": 0}
    event |= {"pixels": [[1, 1]], "bbox": [1, 1, 2, 2]}
    opened = prediction_of(cube[1:] - cube[0], [event])
    opened = Prediction(
        **vars(opened)
        | {"features": (Maps(tuple(maps), maps.get),), "run": {"facts": {"gain": 2.0}}}
    )
    used = []

    def spy(data, stop, noise, rate, model, gain, config):
        used.append((noise.tolist(), rate.tolist(), gain))
        return fit_telegraph_noise(data, stop, noise, rate, model, gain, config)

    for module in ("ohana.report.fitted_ramp", "ohana.products.ramps"):
        monkeypatch.setattr(f"{module}.fit_telegraph_noise", spy)
    fitted_ramp(opened, event, 1, 1)
    integration = Integration(
        [event], cube.shape, maps, opened.covariance(), 1.0, 2.0, lambda rows: cube[:, rows], CONFIG
    )
    load_part(integration, plan_of(integration), slice(0, 3))
    # Its shot noise was scaled down with its scatter: 5 DN^2 * 2 e-/DN * 8^2 / 4^2.
    assert used == [([8.0], [40.0], 2.0)] * 2


@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_error_of_the_noise_is_recovered_from_the_maps(spread):
    rng, model = np.random.default_rng(6), difference_covariance(np.arange(float(READS)))
    cube = quiet() * np.exp(rng.normal(0, spread, (ROWS, COLS))).astype(np.float32)
    block = RampBlock(cube, np.full((ROWS, COLS), READS, np.int32))
    noise = measure(*block, np.zeros((ROWS, COLS), bool), model, 1.5)
    wanted = noise_error_of(float(noise.prior_dof.min()))
    found = noise_error_of(prior_dof_of_map(noise.dof.astype(np.float32), block.stop, model))
    assert found == pytest.approx(wanted, rel=1e-3)
    assert (wanted > 0.2) == (spread > 0)


def test_network_and_rules_give_telegraph_noise_the_same_confidence(tmp_path):
    """Where the noise of pixels differs, as far as the maps show it."""
    scene = SimulationConfig(
        reads=60, rows=64, cols=96, cosmic_rays=0, read_noise=10.0, read_noise_spread=0.3,
        telegraph_pixels=30, telegraph_amplitude=(40.0, 90.0), telegraph_period=(8.0, 16.0),
    )  # fmt: skip
    simulate_to_fits(scene, np.random.default_rng(3), tmp_path / "ramp.fits")
    config = DetectorConfig(threads=1, rtn_min_confidence=0.0)
    ramp = open_exposure(tmp_path / "ramp.fits", config)[0]
    source = CorrectedRamp(ramp, fit_reference(ramp, config)[0])
    searched = search_pixels(source, config, None, lambda *_: None)
    events, maps = searched.telegraph, searched.maps
    probability = np.zeros(maps.stop.shape, np.float32)
    for event in events:
        probability[event.rows, event.cols] = 0.9
    output = NetworkOutput(join_voxels([]), probability)
    found = network_events(output, [], searched, config)
    of_rules, of_network = (
        {(int(e.rows[0]), int(e.cols[0])): e.confidence for e in some} for some in (events, found)
    )
    assert of_network.keys() == of_rules.keys()
    confidences = np.array([[of_rules[place], of_network[place]] for place in of_rules])
    assert np.ptp(confidences) > 0.5
    np.testing.assert_allclose(*confidences.T, atol=0.01)
