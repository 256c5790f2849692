"""Simulated cosmic rays, telegraph noise and snowballs look and come as asked."""

import numpy as np
import pytest

from ohana.labels import Label
from ohana.simulate import SimulationConfig, simulate_exposure
from ohana.simulate.cosmic_rays import draw_cosmic_rays, draw_hit, points_along, spread
from ohana.simulate.events import draw_frames
from ohana.simulate.snowballs import draw_snowball, draw_snowballs
from ohana.simulate.telegraph_noise import draw_telegraph_noise, markov_states


def test_rate_of_cosmic_rays():
    config = SimulationConfig(reads=101, rows=264, cols=264, cosmic_ray_rate=3.0, frame_time=1.0)
    area = (256 * 18e-4) ** 2
    hits = draw_cosmic_rays(config, np.random.default_rng(1))
    expected = 3.0 * area * 100
    assert abs(len(hits) - expected) < 4 * np.sqrt(expected)


def test_track_keeps_its_charge_and_its_line():
    shape = (40, 60)
    line = points_along(np.array([10.0, 5.0]), np.array([10.0, 35.0]), np.full(30, 100.0))
    row, col, charge = spread(*line, 0.25, shape)
    assert charge.sum() == pytest.approx(3000, rel=2e-3)
    assert np.average(row, weights=charge) == pytest.approx(10)
    assert np.average(col, weights=charge) == pytest.approx(20)
    middle = (row == 10) & (col > 7) & (col < 33)
    np.testing.assert_allclose(charge[middle], charge[middle].mean(), rtol=0.02)


def test_track_over_the_edge_loses_charge():
    row, _, charge = spread(np.array([[-0.5, 5.0]]), np.array([1000.0]), 0.25, (9, 9))
    assert charge.sum() == pytest.approx(500, rel=1e-3)
    assert row.min() == 0


def test_typical_hit_is_five_thousand_electrons_on_a_few_pixels():
    config = SimulationConfig()
    rng = np.random.default_rng(2)
    hits = [draw_hit(5, np.array([250.0, 250.0]), config, rng) for _ in range(400)]
    charge = [hit.facts["charge"] for hit in hits]
    assert 4000 < np.median(charge) < 8000
    assert 3 <= np.median([(hit.deposits.charge > 30).sum() for hit in hits]) <= 9
    length = np.array([hit.facts["length"] for hit in hits])
    assert length.min() >= 0.3
    assert length.max() <= 40
    # N(> x) falls as x**-1.5
    assert (length > 1.2).mean() == pytest.approx(0.125, abs=0.06)


def test_reads_can_be_moved_to_the_ends():
    config = SimulationConfig(reads=50, ends_fraction=1.0)
    reads = draw_frames(200, config, np.random.default_rng(1))
    assert set(reads.tolist()) == {1, 2, 48, 49}
    reads = draw_frames(3000, SimulationConfig(reads=50), np.random.default_rng(1))
    assert np.bincount(reads, minlength=50)[0] == 0
    assert (np.bincount(reads)[1:] > 25).all()


@pytest.mark.parametrize("dwell", [(5.0, 12.0), (4.0, 8.0, 6.0)])
def test_dwell_times_are_exponential_with_their_mean(dwell):
    dwell = np.array(dwell)
    states = markov_states(dwell * 10, np.arange(200_000.0), np.random.default_rng(3))
    changes = np.flatnonzero(np.diff(states))
    stays = np.diff(changes)
    state = states[changes[1:]]
    for number, mean in enumerate(dwell * 10):
        mine = stays[state == number]
        # stays shorter than a read are missed: a bias of about 1/2 read
        assert mine.mean() == pytest.approx(mean, rel=0.1)
        assert mine.std() == pytest.approx(mean, rel=0.15)
    share = np.bincount(states) / len(states)
    np.testing.assert_allclose(share, dwell / dwell.sum(), atol=0.03)


def test_telegraph_pixels_are_distinct_and_within_ranges():
    config = SimulationConfig(telegraph_pixels=200, rows=40, cols=40, outputs=1)
    flickers = draw_telegraph_noise(config, np.random.default_rng(1))
    assert len({(f.row, f.col) for f in flickers}) == 200
    size = np.array([np.ptp(f.levels) for f in flickers])
    assert size.min() >= 15
    assert size.max() <= 400
    three = np.mean([len(f.levels) == 3 for f in flickers])
    assert three == pytest.approx(0.15, abs=0.08)


def test_telegraph_fraction():
    config = SimulationConfig(telegraph_fraction=0.01, rows=108, cols=108, outputs=1)
    count = len(draw_telegraph_noise(config, np.random.default_rng(1)))
    assert count == pytest.approx(100, abs=40)


def snowball(seed=1, **settings):
    settings = {"rows": 200, "cols": 200, "trail_fraction": 0.0} | settings
    config = SimulationConfig(reads=30, outputs=1, **settings)
    return draw_snowball(10, np.array([95.3, 98.7]), config, np.random.default_rng(seed)), config


def test_snowball_has_core_halo_growth_and_ring():
    source, config = snowball(
        snowball_radius=(8.0, 8.0), snowball_halo=(0.01, 0.01), snowball_halo_length=(1.0, 1.0)
    )
    row, col, read, charge = source.deposits
    centre = np.array(source.facts["center"]) - config.border
    radius = np.hypot(row - centre[0], col - centre[1])
    first = read == 10
    core = first & (radius < 7)
    assert charge[core].min() > config.full_well
    for distance in (10.0, 16.0, 24.0):
        here = first & (np.abs(radius - distance) < 0.5)
        assert charge[here].mean() == pytest.approx(800 * np.exp(-(distance - 8) / 8), rel=0.05)
    later = read > 10
    assert np.average(radius[later], weights=charge[later]) == pytest.approx(9, abs=1)
    assert charge[read == 11].sum() > 3 * charge[read == 20].sum() > 0


def test_snowball_footprint_holds_the_core():
    settings = {"rows": 128, "cols": 128, "snowballs": 1, "snowball_radius": (5.0, 5.0)}
    simulated = simulate_exposure(SimulationConfig(reads=20, **settings), np.random.default_rng(4))
    (event,) = simulated.truth.of(Label.SNOWBALL)
    centre = np.array(event.facts["center"])
    radius = np.hypot(event.rows - centre[0], event.cols - centre[1])
    assert event.footprint[radius < 5].all()
    assert event.footprint.sum() > np.pi * 25
    assert event.charge.max() <= 8e4
    full = simulated.stop[event.rows, event.cols][radius < 4]
    assert (full == event.first_frame).all()


def test_snowballs_at_the_edge():
    config = SimulationConfig(snowballs=20, edge_fraction=1.0)
    for source in draw_snowballs(config, np.random.default_rng(1)):
        centre = np.array(source.facts["center"]) - config.border
        away = np.minimum(centre, np.array(config.active_shape) - 1 - centre).min()
        assert away <= source.facts["core_radius"] / 2
        assert source.deposits.row.min() >= 0
        assert source.deposits.col.max() < config.active_shape[1]


def test_snowball_rate():
    config = SimulationConfig(rows=520, cols=520, reads=201, snowball_rate=0.5, frame_time=10.0)
    count = len(draw_snowballs(config, np.random.default_rng(1)))
    assert count == pytest.approx(0.5 * 2000 / 16, abs=30)


def test_trail_leaves_the_core():
    plain, _ = snowball(seed=3)
    trailed, config = snowball(seed=3, trail_fraction=1.0)
    assert trailed.deposits.charge.sum() > plain.deposits.charge.sum() + 0.5 * 0.05 * 8e4
