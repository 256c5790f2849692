"""Artefacts of the simulator: each does what was asked, and nothing else."""

import numpy as np
import pytest

from ohana.simulate import SimulationConfig, simulate_exposure
from ohana.simulate.artefacts import ReadoutArtefacts
from ohana.simulate.exposure import draw_scene, mean_rate, read_out
from ohana.simulate.light import draw_light

#: Quiet electronics, one electron per DN: what is left is the effect under test.
QUIET = {
    "reads": 12,
    "rows": 72,
    "cols": 72,
    "outputs": 4,
    "frame_time": 1.0,
    "read_noise": 1.0,
    "dark_current": 0.0,
    "pedestal_spread": 0.0,
    "ktc_noise": 0.0,
    "ipc": 0.0,
    "gain": 1.0,
}
INSIDE = np.s_[..., 4:-4, 4:-4]
#: All kinds of events, for what must not change with artefacts.
EVENTS = {"cosmic_rays": 8, "telegraph_pixels": 6, "snowballs": 1, "hot_fraction": 0.01}


def settings(**changes):
    return SimulationConfig(**(QUIET | changes))


def simulate(seed=1, **changes):
    return simulate_exposure(settings(**changes), np.random.default_rng(seed))


def cube_of(seed=1, **changes):
    return simulate(seed, **changes).cube.astype(float)


def steps_inside(seed=1, **changes):
    """Return the mean rise of the pixels that see light from read to read, (T - 1,)."""
    return np.diff(cube_of(seed, **changes)[INSIDE].mean((1, 2)))


# Nothing else changes

#: One setting of each artefact that is added to reads.
ADDED = [
    {"pixel_settling": 100.0},
    {"output_drift": 4.0},
    {"pixel_walk": 2.0},
    {"pixel_pink": 5.0},
    {"flickering_columns": 3},
    {"interference": 8.0},
]
#: One setting of each artefact.
EACH = [
    *ADDED,
    {"light_trend": 3.0},
    {"light_oscillation": 0.5},
    {"response_spread": 0.05},
    {"patch": 50.0},
    {"jitter": 0.1},
    {"hot_power": 0.7},
    {"heavy_tails": True},
    {"lost_reads": 2},
    {"lost_rows": 9},
    {"counts_fall": True},
]


@pytest.mark.parametrize("artefact", EACH, ids=lambda each: next(iter(each)))
def test_an_artefact_changes_reads_but_no_event(artefact):
    plain, with_it = (simulate(sky=5.0, stars=4, **EVENTS, **x) for x in ({}, artefact))
    assert not np.array_equal(plain.cube, with_it.cube)
    assert len(plain.truth.events) == len(with_it.truth.events)
    for one, other in zip(plain.truth.events, with_it.truth.events, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.reads, other.reads)
        assert one.first_frame == other.first_frame
        # A pixel that fills earlier or later shows less or more of an event: snowballs alone.
        np.testing.assert_allclose(one.charge, other.charge, rtol=1e-6)


def test_settings_that_only_shape_an_artefact_change_nothing_where_it_is_off():
    shapes = {
        "varying": "all",
        "oscillation_period": 5.0,
        "settling_spread": 1.0,
        "settling_time": 9.0,
        "column_amplitude": (5.0, 6.0),
        "interference_period": 5.0,
        "lost_rows_reads": 5,
        "persistence_time": 3.0,
    }
    plain, shaped = (cube_of(sky=5.0, stars=4, **EVENTS, **x) for x in ({}, shapes))
    np.testing.assert_array_equal(plain, shaped)


@pytest.mark.parametrize("name", [name for each in ADDED for name in each])
def test_artefacts_of_the_readout_add_up(name):
    """What one adds to a read does not depend on the others."""
    values = {key: value for each in ADDED for key, value in each.items()}
    added = []
    for chosen in ({name: values[name]}, values, values | {name: type(values[name])(0)}):
        artefacts = ReadoutArtefacts(settings(**chosen), np.random.default_rng(3))
        level = np.zeros((2, 72, 72), np.float32)
        for read in range(2):
            artefacts.add(level[read], read)
        added.append(level)
    np.testing.assert_allclose(added[0], added[1] - added[2], atol=1e-4)


# Light


def test_sky_grows_by_the_part_asked_for():
    rise = steps_inside(sky=50.0, light_trend=9.0)
    # 11 intervals, each with the light of its middle; 4096 pixels
    expected = 50 * (1 + 9 * (np.arange(11) + 0.5) / 11)
    np.testing.assert_allclose(rise, expected, atol=4.5 * np.sqrt(expected.max() / 4096))


@pytest.mark.parametrize(("varying", "grows"), [("sky", False), ("all", True)])
def test_stars_follow_the_light_only_if_all_of_it_varies(varying, grows):
    cube = cube_of(stars=30, star_flux=(2000.0, 2000.0), light_trend=3.0, varying=varying)
    rise = np.diff(cube[INSIDE].sum((1, 2)))
    # 30 stars of 2000 e-, a few cut by an edge: 240 e- of shot noise, 1 e- of noise in 4096 pixels
    assert rise[-1] / rise[0] == pytest.approx(3.86 / 1.14 if grows else 1.0, rel=0.08)


def test_hot_pixels_and_dark_current_do_not_follow_the_light():
    rise = steps_inside(hot_fraction=1.0, hot_rate=(50.0, 50.0), light_trend=9.0, varying="all")
    np.testing.assert_allclose(rise, 50, atol=4.5 * np.sqrt(52 / 4096))


def test_light_oscillates_with_its_period_and_amplitude():
    rise = steps_inside(reads=61, sky=100.0, light_oscillation=0.5, oscillation_period=15.0)
    power = np.abs(np.fft.rfft(rise - rise.mean())) / 30
    assert power.argmax() == 4  # four periods in 60 intervals
    assert power[4] == pytest.approx(50, abs=1)
    assert np.delete(power, 4).max() < 1


def test_response_differs_from_pixel_to_pixel():
    cube = cube_of(sky=4000.0, response_spread=0.03, full_well=6e4, pedestal=100.0)
    total = (cube[-1] - cube[0])[INSIDE]
    # 44 000 e-: 0.5 % of shot noise; the RMS of 4096 pixels is good to 1.1 %
    assert total.std() / total.mean() == pytest.approx(np.hypot(0.03, 44000**-0.5), rel=0.05)


def test_patch_lies_on_half_the_array_in_one_read():
    rise = np.diff(cube_of(patch=400.0, rows=136, cols=136)[INSIDE], axis=0)
    (read,) = np.flatnonzero(rise.mean((1, 2)) > 20)
    bright = rise[read] > 200
    assert 0.3 < bright.mean() < 0.55  # some of it may lie beyond the edge
    assert rise[read].max() == pytest.approx(400, abs=110)
    # smooth: blocks of 16 pixels differ by a part of the peak from those beside them
    blocks = rise[read].reshape(8, 16, 8, 16).mean((1, 3))
    assert np.abs(np.diff(blocks, axis=0)).max() < 250


def test_stars_jitter_by_the_distance_asked_for():
    config = {"stars": 1, "star_flux": (3e4, 3e4), "reads": 61, "full_well": 1e7, "gain": 100.0}
    shifts = []
    for seed in range(6):
        cube = cube_of(seed, jitter=0.2, rows=40, cols=40, outputs=1, border=0, **config)
        light = np.diff(cube, axis=0) * 100
        row, col = np.unravel_index(light.sum(0).argmax(), light.shape[1:])
        if not (8 < row < 31 and 8 < col < 31):
            continue
        window = light[:, row - 7 : row + 8, col - 7 : col + 8]
        moment = window.sum(2) @ np.arange(15) / window.sum((1, 2))
        shifts.append(moment.std())
    # The window of 15 pixels and coupling keep most of the motion; noise adds little to it.
    assert len(shifts) > 0
    assert np.mean(shifts) == pytest.approx(0.2, rel=0.25)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ({"persistence_time": 4.0}, lambda t: np.exp(-t / 4.0)),
        ({"persistence_delay": 4.0}, lambda t: 1 / (1 + t / 4.0)),
    ],
)
def test_persistence_decays_by_its_law(law, expected):
    glow = {"persistence": 4, "persistence_rate": (300.0, 300.0), "persistence_radius": (9, 9)}
    rise = np.diff(cube_of(**glow, **law)[INSIDE].sum((1, 2)))
    time = np.arange(11) + 1.5  # the first read comes one frame after the reset
    ratio = rise / expected(time)
    # some 10^5 e- per read: 1 %; the mean of the law over an interval is its value within 1 %
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.03)


def test_hot_pixels_slow_down_but_keep_their_mean_rate():
    rise = steps_inside(hot_fraction=1.0, hot_rate=(400.0, 400.0), hot_power=0.7)
    # 4096 pixels of 400 e-: 0.1 % each
    assert rise[0] / rise[1] == pytest.approx(1.6, rel=0.01)
    assert np.all(np.diff(rise) < 0)
    assert rise.mean() == pytest.approx(400, rel=2e-3)


def test_mean_rate_is_that_of_the_varying_light():
    config = settings(
        reads=40,
        sky=200.0,
        light_trend=3.0,
        response_spread=0.1,
        persistence=2,
        persistence_rate=(100.0, 100.0),
        persistence_time=10.0,
    )
    scene = draw_scene(config, np.random.default_rng(2))
    cube = np.array(list(read_out(scene)), float)
    seen = (cube[-1] - cube[0])[INSIDE] / config.exposure_time
    pull = (seen - mean_rate(scene)[INSIDE]) / np.sqrt(mean_rate(scene)[INSIDE] / 39)
    assert pull.mean() == pytest.approx(0, abs=4.5 / 64)
    assert pull.std() == pytest.approx(1, abs=0.06)


def test_steady_light_needs_no_unsteady_one():
    assert draw_light(settings(sky=3.0), np.random.default_rng(1)).unsteady is None


# Read-out


def test_pixels_settle_after_the_reset_but_no_reference_pixel_does():
    cube = cube_of(pixel_settling=200.0, settling_spread=0.4, settling_time=3.0)
    lacking = cube[-1] - cube
    left = lacking[INSIDE].mean((1, 2))
    mean = 200 * (np.exp(-np.arange(12) / 3) - np.exp(-11 / 3))
    # 80 e- from pixel to pixel, 4096 of them
    np.testing.assert_allclose(left, mean, atol=4.5 * 80 / 64)
    spread = lacking[0][INSIDE].std() / left[0]
    assert spread == pytest.approx(0.4, rel=0.06)
    lacking[INSIDE] = 0
    assert np.abs(lacking).max() < 8  # 1 e- of read noise
    assert steps_inside(pixel_settling=-200.0)[0] < -50


def test_outputs_drift_as_random_walks():
    cube = cube_of(reads=400, rows=16, cols=64, outputs=16, output_drift=4.0)
    levels = cube.reshape(400, 16, 16, 4).mean((1, 3))
    steps = np.diff(levels, axis=0)
    # 16 x 399 steps: 0.9 %; the mean of 64 pixels adds 0.13 e-
    assert steps.std() == pytest.approx(4.0, rel=0.04)
    assert np.abs(np.corrcoef(steps.T) - np.eye(16)).max() < 0.25
    assert (levels[200:] - levels[:-200]).std() == pytest.approx(4 * np.sqrt(200), rel=0.5)


def test_every_pixel_walks_at_random():
    cube = cube_of(reads=61, pixel_walk=5.0, read_noise=0.0)
    for lag in (1, 16, 60):
        spread = (cube[lag:] - cube[:-lag])[::lag].std()
        # at least 5184 walks: 1 %; digitisation adds 0.4 e-
        assert spread == pytest.approx(5 * np.sqrt(lag), rel=0.04)


def test_noise_of_pixels_falls_as_one_over_frequency():
    artefacts = ReadoutArtefacts(settings(reads=512, pixel_pink=10.0), np.random.default_rng(1))
    cube = np.zeros((512, 72, 72), np.float32)
    for read, level in enumerate(cube):
        artefacts.add(level, read)
    assert cube.std() == pytest.approx(10.0, rel=0.02)
    window = np.hanning(512)[:, None, None]
    power = (np.abs(np.fft.rfft(cube * window, axis=0)) ** 2).mean((1, 2))
    frequency = np.arange(len(power))
    # Not the lowest, which the window spreads, nor the highest, where reads sample the walks.
    here = slice(4, 100)
    slope, _ = np.polyfit(np.log(frequency[here]), np.log(power[here]), 1)
    assert slope == pytest.approx(-1, abs=0.1)


def test_read_noise_has_heavy_tails_and_the_same_rms():
    normal, heavy = (cube_of(read_noise=20.0, heavy_tails=x) - 1e4 for x in (False, True))
    # 62208 values
    assert heavy.std() == pytest.approx(20.0, rel=0.02)
    kurtosis = [np.mean((x / x.std()) ** 4) for x in (normal, heavy)]
    assert kurtosis[0] == pytest.approx(3.0, abs=0.2)
    assert kurtosis[1] == pytest.approx(6.0, abs=0.7)


def test_columns_flicker_between_two_levels_from_end_to_end():
    cube = cube_of(reads=60, flickering_columns=3, column_amplitude=(50.0, 50.0))
    cube -= 1e4
    columns = np.flatnonzero(np.ptp(cube.mean(1), axis=0) > 25)
    assert 1 <= len(columns) <= 3  # a long dwell may hide one
    levels = cube[:, :, columns].mean(1)
    assert levels.max() == pytest.approx(50, abs=1)
    assert levels.min() == pytest.approx(0, abs=1)
    rest = np.delete(cube, columns, axis=2)
    assert rest.std() < 30


def test_interference_goes_on_from_row_to_row_and_read_to_read():
    config = settings(interference=20.0, interference_period=31.7)
    artefacts = ReadoutArtefacts(config, np.random.default_rng(1))
    cube = np.zeros((12, 72, 72), np.float32)
    for read, level in enumerate(cube):
        artefacts.add(level, read)
    stream = cube[:, :, :18].reshape(-1)
    time = 2 * np.pi * np.arange(len(stream)) / 31.7
    fitted = 2 * np.hypot(stream @ np.cos(time), stream @ np.sin(time)) / len(stream)
    assert fitted == pytest.approx(20.0, rel=0.01)
    np.testing.assert_array_equal(cube[:, :, 18:36], cube[:, :, 17::-1])  # read the other way


# Data


def test_lost_reads_and_rows_are_zero_and_nothing_else_is():
    plain, lost = (cube_of(sky=50.0, **x) for x in ({}, {"lost_reads": 2, "lost_rows": 10}))
    gone = lost == 0
    whole = gone.all((1, 2))
    assert whole.sum() == 2
    assert not whole[[0, -1]].any()
    rows = gone.all(2)[~whole].sum(1)
    assert set(rows.tolist()) <= {0, 10}
    np.testing.assert_array_equal(lost[~gone], plain[~gone])
    assert plain.min() > 0


def test_counts_fall_where_they_would_rise():
    plain, falling = (simulate(sky=50.0, cosmic_rays=5, counts_fall=x) for x in (False, True))
    np.testing.assert_array_equal(falling.cube, 65535 - plain.cube)
    np.testing.assert_array_equal(falling.stop, plain.stop)


@pytest.mark.parametrize("falling", [False, True])
def test_header_has_the_raw_value_of_a_full_pixel(falling, tmp_path):
    from astropy.io import fits

    from ohana.simulate import write_fits

    made = simulate(saturating_fraction=0.05, full_well=3e4, counts_fall=falling)
    write_fits(made, tmp_path / "x.fits")
    level = fits.getheader(tmp_path / "x.fits")["SATURATE"]
    filled = made.cube <= level if falling else made.cube >= level
    first = np.where(filled.any(0), filled.argmax(0), len(made.cube))
    assert (first < len(made.cube)).any()
    np.testing.assert_array_equal(first, made.stop)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lost_rows": 73}, "lost_rows: wanted at most 72, got 73"),
        ({"lost_reads": 11}, "lost_reads: wanted at most 10 of 12, got 11"),
        (
            {"lost_rows": 5, "lost_rows_reads": 11},
            "lost_rows_reads: wanted at most 10 of 12, got 11",
        ),
        ({"flickering_columns": 73}, "flickering_columns: wanted at most 72, got 73"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)
