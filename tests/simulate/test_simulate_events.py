"""Simulated cosmic rays, telegraph noise and snowballs look and come as asked.

Limits are four standard errors of what is counted or fitted, unless said otherwise.
"""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from ohana.classes import Label
from ohana.simulate import SimulationConfig, preset, simulate_exposure
from ohana.simulate.cosmic_rays import draw_cosmic_rays, draw_hit, points_along, spread
from ohana.simulate.deposits import draw_frames, first_read, join_deposits
from ohana.simulate.snowballs import draw_snowball, draw_snowballs
from ohana.simulate.telegraph_noise import draw_flicker, draw_telegraph_noise, markov_states

#: Chance of a test of a distribution to fail by accident, had the seed not been fixed.
MIN_CHANCE = 1e-4


def rng(seed=1):
    return np.random.default_rng(seed)


def hits(count, seed=1, **settings):
    """Hits that start in the middle of an array that holds every track."""
    config = SimulationConfig(rows=256, cols=256, **settings)
    source = rng(seed)
    return [draw_hit(5, np.array([124.0, 124.0]), config, source) for _ in range(count)]


def fact(sources, name):
    return np.array([source.facts[name] for source in sources])


# When events come


def test_reads_can_be_moved_to_the_ends():
    frames = draw_frames(200, SimulationConfig(reads=50, ends_fraction=1.0), rng())
    assert set(frames.tolist()) == {1, 2, 48, 49}
    frames = draw_frames(3000, SimulationConfig(reads=50), rng())
    assert np.bincount(frames, minlength=50)[0] == 0
    assert stats.chisquare(np.bincount(frames)[1:]).pvalue > MIN_CHANCE


def test_frames_are_hit_in_proportion_to_the_time_before_them():
    config = SimulationConfig(reads=4, nframes=2, groupgap=3, first_interval=20.0, frame_time=2.0)
    frames = draw_frames(4000, config, rng())
    # frames at 0, 2, 20, 22, 30, 32, 40, 42 s after the first
    waits = np.array([2, 18, 2, 8, 2, 8, 2])
    counts = np.bincount(frames, minlength=8)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], 4000 * waits / waits.sum()).pvalue > MIN_CHANCE


def test_averaged_reads_show_the_frames_after_a_hit():
    frame = np.arange(12)
    read, share = first_read(frame, np.full(3, 4))
    for f in frame:
        levels = (np.arange(12) >= f).reshape(3, 4).mean(axis=1)
        assert levels[read[f]] == share[f]
        assert not levels[: read[f]].any()
        assert (levels[read[f] + 1 :] == 1).all()


def test_deposits_are_joined_in_order():
    config = SimulationConfig(snowballs=2, cosmic_rays=5, rows=64, cols=64)
    sources = draw_snowballs(config, rng()) + draw_cosmic_rays(config, rng())
    every = join_deposits(sources)
    assert (np.diff(every.frame) >= 0).all()
    total = sum(source.deposits.charge.sum(dtype=float) for source in sources)
    assert every.charge.sum(dtype=float) == pytest.approx(total)
    assert len(join_deposits([]).row) == 0


# Cosmic rays


@pytest.mark.parametrize(("name", "rate"), [("ground", 1 / 60), ("l2", 3.0)])
def test_rates_of_presets(name, rate):
    config = preset(name, reads=101, rows=264, cols=264, outputs=4, frame_time=1 / rate)
    primaries, balls = 0, 0
    for seed in range(10):
        drawn = draw_cosmic_rays(config, rng(seed))
        primaries += sum(not hit.facts["secondary"] for hit in drawn)
        balls += len(draw_snowballs(config, rng(seed)))
    area, time = (256 * 18e-4) ** 2, 10 * 100 / rate
    assert abs(primaries - rate * area * time) < 4 * np.sqrt(rate * area * time)
    expected = {"ground": 0.005, "l2": 0.05}[name] * time / 64
    assert abs(balls - expected) < 4 * np.sqrt(expected)


def test_rates_hold_for_the_whole_time_of_averaged_frames():
    config = SimulationConfig(
        reads=2, nframes=8, frame_time=10.0, cosmic_ray_rate=30.0, snowball_rate=50.0
    )
    assert config.collecting_time == 15 * 10.0
    hits = 30.0 * (504 * 18e-4) ** 2 * 150
    assert abs(len(draw_cosmic_rays(config, rng())) - hits) < 4 * np.sqrt(hits)
    balls = 50.0 * (504 / 2048) ** 2 * 150
    assert abs(len(draw_snowballs(config, rng())) - balls) < 4 * np.sqrt(balls)


def test_counts_are_exact():
    config = SimulationConfig(cosmic_rays=31, snowballs=3, telegraph_pixels=17)
    assert len(draw_cosmic_rays(config, rng())) == 31
    assert len(draw_snowballs(config, rng())) == 3
    assert len(draw_telegraph_noise(config, rng())) == 17


def test_lengths_follow_a_power_law():
    length = fact(hits(2500, cosmic_ray_length=(0.5, 20.0), cosmic_ray_index=2.2), "length")
    assert 0.5 <= length.min() < length.max() <= 20.0

    def unlikely(index):
        norm = (0.5 ** (1 - index) - 20.0 ** (1 - index)) / (index - 1)
        return len(length) * np.log(norm) + index * np.log(length).sum()

    index = minimize_scalar(unlikely, bounds=(1.2, 4.0), method="bounded").x
    # the error of the index of an open power law, somewhat more for one with an end
    assert index == pytest.approx(2.2, abs=4 * 1.2 * 1.2 / np.sqrt(2500))


def test_losses_follow_moyal():
    vertical = hits(2500, cosmic_ray_length=(0.3, 0.3))
    loss = fact(vertical, "charge") / (8500 * np.hypot(0.3, 0.4))
    assert stats.kstest(loss, stats.moyal(1.0, 0.15).cdf).pvalue > MIN_CHANCE
    mode, width = stats.moyal.fit(loss)
    assert mode == pytest.approx(1.0, abs=4 * 2 * 0.15 / np.sqrt(2500))
    assert width == pytest.approx(0.15, abs=4 * 0.15 / np.sqrt(2500))


def test_losses_of_neighbouring_pixels_are_independent():
    grazing = hits(1000, cosmic_ray_length=(30.0, 30.0))
    loss = fact(grazing, "charge") / (8500 * np.hypot(30, 0.4))
    assert loss.std() == pytest.approx(np.pi / np.sqrt(2) * 0.15 / np.sqrt(30), rel=0.12)


def test_charge_on_the_array_is_the_charge_of_the_hit():
    drawn = hits(300, delta_fraction=0.5)
    kept = np.array([hit.deposits.charge.sum() for hit in drawn])
    # a tenth of an electron is the least a pixel gets
    np.testing.assert_allclose(kept, fact(drawn, "charge"), rtol=2e-3, atol=5)


def test_grazing_and_vertical_hits():
    one = hits(200, cosmic_ray_length=(0.3, 0.3), delta_fraction=0.0)
    most = np.array([np.sort(hit.deposits.charge)[::-1] / hit.facts["charge"] for hit in one[:1]])
    assert most[0, :4].sum() > 0.9
    assert max(len(hit.deposits.row) for hit in one) <= 16
    long = hits(50, cosmic_ray_length=(40.0, 40.0), delta_fraction=0.0)
    for hit in long:
        seen = hit.deposits.charge > 1000
        extent = np.hypot(np.ptp(hit.deposits.row[seen]), np.ptp(hit.deposits.col[seen]))
        assert extent == pytest.approx(40, abs=2)


def test_charge_can_be_given():
    charge = fact(hits(2000, cosmic_ray_total=(200.0, 30000.0)), "charge")
    scaled = np.log(charge / 200) / np.log(150)
    assert stats.kstest(scaled, "uniform").pvalue > MIN_CHANCE


def test_delta_rays_take_their_charge_off_the_line():
    drawn = hits(2000, delta_fraction=0.2)
    count = fact(drawn, "delta_ray").sum()
    assert abs(count - 400) < 4 * np.sqrt(400 * 0.8)
    straight = {"cosmic_ray_length": (20.0, 20.0), "delta_fraction": 1.0, "diffusion": 0.1}
    assert max(off_the_line(hit) for hit in hits(50, **straight | {"delta_fraction": 0.0})) < 1e-3
    off = [off_the_line(hit) for hit in hits(200, **straight)]
    # a part between 0.05 and 0.3, less what stays close to the line
    assert np.mean(np.array(off) > 0.01) > 0.2
    assert 0.05 < np.max(off) < 0.3


def off_the_line(hit):
    """Part of the charge of a hit that lies off its main axis."""
    row, col, _, charge = hit.deposits
    places = np.stack([row, col], axis=1) - np.average([row, col], axis=1, weights=charge)
    _, _, axes = np.linalg.svd(places * np.sqrt(charge)[:, None], full_matrices=False)
    return charge[np.abs(places @ axes[1]) > 1.2].sum() / charge.sum()


def test_showers_come_at_once_and_close_by():
    config = SimulationConfig(cosmic_rays=1500, shower_fraction=0.1, reads=450)
    drawn = draw_cosmic_rays(config, rng())
    frames = np.array([hit.frame for hit in drawn])
    secondary = fact(drawn, "secondary")
    assert (np.diff(frames) >= 0).all()
    # 2.5 each, compound Poisson: a variance of 2.5**2 + 1.5 each; a few fall outside
    expected = 1500 * 0.1 * 2.5
    assert abs(secondary.sum() - expected) < 4 * np.sqrt(150 * (2.5**2 + 1.5)) + 0.03 * expected
    assert fact(drawn, "length")[secondary].max() <= 3
    inside = [hit for hit in drawn if len(hit.deposits.row)]
    frames, secondary = np.array([hit.frame for hit in inside]), fact(inside, "secondary")
    middle = np.array([[hit.deposits.row[0], hit.deposits.col[0]] for hit in inside])
    distance = []
    for i in np.flatnonzero(secondary):
        parent = np.flatnonzero(~secondary[:i])[-1]
        assert frames[parent] == frames[i]
        distance.append(np.hypot(*(middle[i] - middle[parent])))
    assert 5 < np.median(distance) < 12


def test_typical_hit_at_l2():
    config = preset("l2", rows=264, cols=264, reads=20, frame_time=10.0, cosmic_rays=200)
    simulated = simulate_exposure(config.model_copy(update={"snowball_rate": 0.0}), rng(2))
    events = [e for e in simulated.truth.of(Label.COSMIC_RAY) if not e.facts["secondary"]]
    assert 4700 < np.median(fact(events, "charge")) < 5700
    assert 6 <= np.median([event.footprint.sum() for event in events]) <= 8


def test_track_keeps_its_charge_and_its_line():
    line = points_along(np.array([10.0, 5.0]), np.array([10.0, 35.0]), np.full(30, 100.0))
    row, col, charge = spread(*line, 0.25, (40, 60))
    assert charge.sum() == pytest.approx(3000, rel=2e-3)
    assert np.average(row, weights=charge) == pytest.approx(10)
    assert np.average(col, weights=charge) == pytest.approx(20)
    middle = (row == 10) & (col > 7) & (col < 33)
    np.testing.assert_allclose(charge[middle], charge[middle].mean(), rtol=0.02)


def test_track_over_the_edge_loses_charge():
    row, _, charge = spread(np.array([[-0.5, 5.0]]), np.array([1000.0]), 0.25, (9, 9))
    assert charge.sum() == pytest.approx(500, rel=1e-3)
    assert row.min() == 0
    assert len(spread(np.array([[-30.0, 5.0]]), np.array([1000.0]), 0.25, (9, 9))[0]) == 0


# Telegraph noise


@pytest.mark.parametrize("dwell", [(5.0, 12.0), (4.0, 8.0, 6.0)])
def test_dwell_times_are_exponential_with_their_mean(dwell):
    # sampled finely: a tenth of a percent of the stays is missed
    states = markov_states(np.array(dwell), np.arange(0, 8000, 0.01), rng(3))
    changes = np.flatnonzero(np.diff(states))
    stays, state = np.diff(changes) * 0.01, states[changes[1:]]
    for number, mean in enumerate(dwell):
        mine = stays[state == number]
        assert mine.mean() == pytest.approx(mean, rel=4 / np.sqrt(len(mine)))
        assert stats.kstest(mine, stats.expon(scale=mean).cdf).pvalue > MIN_CHANCE
    share = np.bincount(states) / len(states)
    error = np.sqrt(2 * max(dwell) / 8000)
    np.testing.assert_allclose(share, np.array(dwell) / np.sum(dwell), atol=4 * error)


def test_every_other_state_is_entered_alike():
    states = markov_states(np.array([2.0, 3.0, 4.0]), np.arange(0, 8000, 0.05), rng(4))
    visits = states[np.append(0, np.flatnonzero(np.diff(states)) + 1)]
    for number in range(3):
        after = visits[1:][visits[:-1] == number]
        counts = np.bincount(after, minlength=3)[np.arange(3) != number]
        assert stats.chisquare(counts).pvalue > MIN_CHANCE


def flickers(count=400, seed=1, **settings):
    config = SimulationConfig(telegraph_pixels=count, rows=68, cols=68, **settings)
    return draw_telegraph_noise(config, rng(seed))


def test_telegraph_pixels_are_distinct_and_within_ranges():
    drawn = flickers(2000, telegraph_duty=(0.3, 0.3), reads=5)
    assert len({(f.row, f.col) for f in drawn}) == 2000
    size = np.array([np.ptp(f.levels) for f in drawn])
    scaled = np.log(size / 15) / np.log(400 / 15)
    assert stats.kstest(scaled, "uniform").pvalue > MIN_CHANCE
    three = np.array([len(f.levels) == 3 for f in drawn])
    assert abs(three.sum() - 300) < 4 * np.sqrt(300 * 0.85)
    period = np.array([f.dwell[0] + f.dwell[-1] for f in drawn])
    assert stats.kstest(np.log(period / 4) / np.log(10), "uniform").pvalue > MIN_CHANCE
    duty = [f.dwell[-1] / (f.dwell[0] + f.dwell[-1]) for f in drawn]
    np.testing.assert_allclose(duty, 0.3)


def test_time_spent_high_is_the_duty():
    settings = {"telegraph_duty": (0.7, 0.7), "three_level_fraction": 0.0, "reads": 300}
    drawn = flickers(300, telegraph_period=(5.0, 5.0), **settings)
    share = np.array([f.states.mean() for f in drawn])
    # correlated over 2 * 5 * 0.7 * 0.3 reads
    error = np.sqrt(0.7 * 0.3 * 2 * 5 * 0.7 * 0.3 / 300 / 300)
    assert share.mean() == pytest.approx(0.7, abs=4 * error)


def test_telegraph_fraction():
    config = SimulationConfig(telegraph_fraction=0.01, rows=108, cols=108)
    assert abs(len(draw_telegraph_noise(config, rng())) - 100) < 40


def test_reference_pixels_have_telegraph_noise_where_asked():
    for drawn, border in ((flickers(), 0.0), (flickers(telegraph_border=True), 1 - (60 / 68) ** 2)):
        place = np.array([(f.row, f.col) for f in drawn])
        outside = ((place < 4) | (place >= 64)).any(axis=1)
        assert abs(outside.sum() - 400 * border) <= 4 * np.sqrt(400 * border)
    assert preset("l2").telegraph_border
    assert preset("ground").telegraph_border


def test_telegraph_noise_of_averaged_frames():
    config = SimulationConfig(reads=50, nframes=4, groupgap=1, telegraph_period=(4.0, 4.0))
    flicker = draw_flicker(9, 9, config, rng(1))
    assert flicker.states.shape == (50, 4)
    np.testing.assert_allclose(flicker.path, flicker.levels[flicker.states].mean(axis=1), rtol=1e-6)
    assert len(np.unique(flicker.path)) > len(flicker.levels)


# Snowballs


def snowball(seed=1, centre=(95.3, 98.7), **settings):
    settings = {"rows": 200, "cols": 200, "trail_fraction": 0.0, "reads": 30} | settings
    config = SimulationConfig(**settings)
    return draw_snowball(10, np.array(centre), config, rng(seed)), config


def from_centre(source, config):
    """Distance of each deposit from the centre [pixel]."""
    row, col, _, _ = source.deposits
    centre = np.array(source.facts["center"]) - config.border
    return np.hypot(row - centre[0], col - centre[1])


FIXED = {
    "snowball_radius": (8.0, 8.0),
    "snowball_halo": (0.01, 0.01),
    "snowball_halo_length": (1.5, 1.5),
}


def test_core_is_full_and_round():
    source, config = snowball(**FIXED)
    first, radius = source.deposits.frame == 10, from_centre(source, config)
    charge = source.deposits.charge
    assert charge[first & (radius < 7.4)].min() > 1.1 * config.full_well
    assert charge[first & (radius > 8.6)].max() < 0.02 * config.full_well
    # whole pixels and parts of pixels make up the area of the disk
    core = charge[first & (radius < 6)].mean()
    area = charge[first & (radius < 8.6)].sum() / core
    assert area == pytest.approx(np.pi * 64, rel=0.03)


def test_halo_falls_exponentially():
    source, config = snowball(**FIXED)
    first, radius = source.deposits.frame == 10, from_centre(source, config)
    # a ring of one e-folding about each distance, so that the mean is that of its middle
    distance = np.arange(10, 50, 4.0)
    level = [
        source.deposits.charge[first & (np.abs(radius - d) < 1)].sum()
        / np.sum(np.abs(from_centre_of_all(source, config) - d) < 1)
        for d in distance
    ]
    slope, height = np.polyfit(distance - 8, np.log(level), 1)
    assert -1 / slope == pytest.approx(12.0, rel=0.02)
    assert np.exp(height) == pytest.approx(800, rel=0.02)


def test_halo_falls_in_pixels_if_asked_to():
    both = {"snowball_halo_length": (1.5, 1.5), "snowball_halo_decay": (6.0, 6.0)}
    for radius in (4.0, 8.0):
        core = {"snowball_radius": (radius, radius)}
        assert snowball(**core, **both)[0].facts["halo_length"] == 6.0
        assert snowball(**core, snowball_halo_length=(1.5, 1.5))[0].facts["halo_length"] == (
            1.5 * radius
        )


def from_centre_of_all(source, config):
    """Distance of every active pixel from the centre [pixel]."""
    centre = np.array(source.facts["center"]) - config.border
    row, col = np.ogrid[: config.active_shape[0], : config.active_shape[1]]
    return np.hypot(row - centre[0], col - centre[1])


def test_core_grows_and_a_ring_forms():
    source, config = snowball(**FIXED, snowball_growth=0.2, snowball_afterglow=0.0)
    row, col, frame, charge = source.deposits
    radius, core = from_centre(source, config), charge[frame == 10].max()
    assert frame.max() == 26
    added = np.array(
        [charge[(frame == f) & (np.abs(radius - 8.8) < 2)].sum() for f in range(11, 26)]
    )
    # all fades by exp(-1/4) each read, but for how pixels lie on the growing circle
    assert np.polyfit(range(8), np.log(added[:8]), 1)[0] == pytest.approx(-0.25, abs=0.02)
    final = 0.2 * 4
    assert added.sum() / core == pytest.approx(np.pi * ((8 + final) ** 2 - 64), rel=0.15)
    ring = (frame == 11) & (radius > 9.2)
    assert np.average(radius[ring], weights=charge[ring]) == pytest.approx(10, abs=0.5)
    level = charge[(frame == 11) & (np.abs(radius - 9.5) < 0.3)].mean()
    assert level == pytest.approx(0.2 * 800, rel=0.15)


def test_afterglow_is_a_fading_part_of_the_core():
    glow = {"snowball_afterglow": 0.05, "snowball_afterglow_time": 5.0, "reads": 60}
    with_glow, config = snowball(**FIXED | glow, snowball_growth=0.0, snowball_ring=0.0)
    _, _, frame, charge = with_glow.deposits
    later, radius = frame > 10, from_centre(with_glow, config)
    assert radius[later].max() <= 8.5
    held = np.minimum(charge[~later & (radius < 8.5)], 8e4).sum()
    assert charge[later].sum() == pytest.approx(0.05 * held, rel=0.03)
    each = np.array([charge[frame == f].sum() for f in range(11, 30)])
    fading = np.exp(-np.arange(len(each)) / 5)
    expected = each.sum(dtype=float) * fading / fading.sum()
    assert stats.chisquare(each.astype(float), expected).pvalue > MIN_CHANCE
    without, _ = snowball(**FIXED | glow | {"snowball_afterglow": 0.0}, snowball_growth=0.0)
    assert without.deposits.frame.max() == 26


def test_quick_afterglow_comes_all_in_the_next_read():
    times = {"snowball_afterglow_time": 1e-3, "snowball_release": 1e-3, "reads": 60}
    glow = FIXED | times | {"snowball_afterglow": 0.05, "snowball_ring": 0.0}
    quick, config = snowball(**glow, snowball_growth=0.0)
    _, _, frame, charge = quick.deposits
    assert set(frame) == {10, 11}
    held = np.minimum(charge[(frame == 10) & (from_centre(quick, config) < 8.5)], 8e4).sum()
    assert charge[frame == 11].sum() == pytest.approx(0.05 * held, rel=0.01)


def test_growth_of_averaged_reads_begins_with_them():
    source, config = snowball(nframes=4, groupgap=2)
    frames = np.unique(source.deposits.frame)
    assert frames[0] == 10
    assert (frames[1:] % 4 == 0).all()
    assert frames[1] == 12
    assert frames[-1] < config.reads * 4


def test_snowball_footprint_holds_the_core():
    settings = {"rows": 128, "cols": 128, "snowballs": 1, "snowball_radius": (5.0, 5.0)}
    simulated = simulate_exposure(SimulationConfig(reads=20, **settings), rng(4))
    (event,) = simulated.truth.of(Label.SNOWBALL)
    radius = np.hypot(*(np.stack([event.rows, event.cols], 1) - event.facts["center"]).T)
    assert event.footprint[radius < 5].all()
    assert event.footprint.sum() > np.pi * 25
    assert event.charge.max() <= 8e4
    full = simulated.stop[event.rows, event.cols][radius < 4]
    assert (full == event.first_frame).all()


def test_snowballs_at_the_edge():
    config = SimulationConfig(snowballs=300, edge_fraction=0.3, snowball_radius=(3.0, 3.0))
    drawn = draw_snowballs(config, rng())
    centre = fact(drawn, "center") - config.border
    away = np.minimum(centre, np.array(config.active_shape) - 1 - centre).min(axis=1)
    expected = 300 * (0.3 + 0.7 * 4 * 1.5 / config.active_shape[0])
    assert abs(np.sum(away <= 1.5) - expected) < 4 * np.sqrt(expected * 0.7)
    for source in drawn:
        assert source.deposits.row.min() >= 0
        assert source.deposits.col.max() < config.active_shape[1]


def test_trails():
    config = SimulationConfig(snowballs=300, trail_fraction=0.2, snowball_radius=(3.0, 3.0))
    trailed = fact(draw_snowballs(config, rng()), "trail").sum()
    assert abs(trailed - 60) < 4 * np.sqrt(60 * 0.8)
    plain, _ = snowball(seed=3)
    with_trail, config = snowball(seed=3, trail_fraction=1.0)
    assert with_trail.facts["trail"]
    assert with_trail.deposits.charge.sum() > plain.deposits.charge.sum() + 0.5 * 0.05 * 8e4


# Settings


@pytest.mark.parametrize(
    "name",
    ["cosmic_ray_total", "cosmic_ray_length", "telegraph_period", "snowball_halo", "star_flux"],
)
def test_limits_of_logarithmic_draws_are_above_zero(name):
    with pytest.raises(ValueError, match=rf"{name}\n.*wanted 0 < lowest, got \(0.0, 5.0\)"):
        SimulationConfig(**{name: (0.0, 5.0)})
