"""Scenes, timing and electronics of the simulator: each does what was asked, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, poisson

from ohana.rampfit.covariance import difference_covariance
from ohana.simulate import PRESETS, SimulationConfig, exposure_rng, preset, simulate_exposure
from ohana.simulate.electronics import Electronics
from ohana.simulate.exposure import draw_scene, read_out
from ohana.simulate.light import poisson_frame

#: Quiet electronics, one electron per DN: what is left is the effect under test.
QUIET = {
    "reads": 12,
    "rows": 72,
    "cols": 72,
    "outputs": 4,
    "read_noise": 1.0,
    "dark_current": 0.0,
    "pedestal_spread": 0.0,
    "ktc_noise": 0.0,
    "ipc": 0.0,
    "gain": 1.0,
}
INSIDE = np.s_[..., 4:-4, 4:-4]


def settings(**changes):
    return SimulationConfig(**(QUIET | changes))


def simulate(seed=1, **changes):
    return simulate_exposure(settings(**changes), np.random.default_rng(seed))


def cube_of(seed=1, **changes):
    return simulate(seed, **changes).cube.astype(float)


def border_of(cube):
    """Return the pixels of the border, (T, n)."""
    edge = np.ones(cube.shape[1:], bool)
    edge[INSIDE] = False
    return cube[:, edge]


# Shot noise


@pytest.mark.parametrize("mean", [0.014, 0.3, 3.2, 60.0])
def test_electrons_of_a_frame_are_poisson(mean):
    counts = poisson_frame(mean, (300, 1000), np.random.default_rng(3)).astype(int).ravel()
    values = np.arange(counts.max() + 2)
    expected = poisson.pmf(values, mean) * len(counts)
    expected[-1] += poisson.sf(values[-1], mean) * len(counts)
    seen = np.bincount(counts, minlength=len(values))
    often = expected > 10
    statistic = np.sum((seen - expected)[often] ** 2 / expected[often])
    assert chi2.sf(statistic, often.sum() - 1) > 1e-3
    assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / len(counts)))


def test_electrons_of_a_blinding_frame_are_poisson_too():
    charge = poisson_frame(1e9, (100, 100), np.random.default_rng(1)).astype(float)
    assert charge.mean() == pytest.approx(1e9, abs=4 * np.sqrt(1e9 / 1e4))
    assert charge.var() == pytest.approx(1e9, rel=4 * np.sqrt(2 / 1e4))


def test_no_light_no_electrons():
    assert not poisson_frame(0.0, (5, 5), np.random.default_rng(1)).any()


# Timing


@pytest.mark.parametrize(
    "timing",
    [
        {"nframes": 4, "groupgap": 1},
        {"nframes": 8},
        {"nframes": 1, "groupgap": 3},
        {"nframes": 2, "first_interval": 3.0},
    ],
)
def test_averaged_frames_have_mean_and_covariance_of_theory(timing):
    config = settings(reads=6, rows=136, cols=136, sky=60.0, read_noise=20.0, **timing)
    cube = simulate_exposure(config, np.random.default_rng(2)).cube
    steps = np.diff(cube[INSIDE].astype(float), axis=0).reshape(5, -1)
    model = difference_covariance(config.read_times, config.frame_time, config.nframes)
    rate = 60.0 * config.frame_time
    variance = 20.0**2 * model.read + rate * model.shot + 1 / 6
    shared = (20.0**2 * model.read_next + rate * model.shot_next)[:-1] - 1 / 12
    seen = np.cov(steps)
    # 16384 pixels: standard errors of a mean, a variance and a covariance; 4.5 of them allowed
    pixels = steps.shape[1]
    errors = np.sqrt(variance / pixels), variance * np.sqrt(2 / pixels)
    assert np.all(np.abs(steps.mean(1) - rate * model.dt) < 4.5 * errors[0])
    assert np.all(np.abs(np.diag(seen) - variance) < 4.5 * errors[1])
    error = np.sqrt((variance[1:] * variance[:-1] + shared**2) / pixels)
    assert np.all(np.abs(np.diag(seen, 1) - shared) < 4.5 * error)
    assert np.all(np.abs(np.diag(seen, 2)) < 4.5 * variance.max() / np.sqrt(pixels))


def test_read_noise_falls_with_the_root_of_the_frames():
    noise = [np.diff(cube_of(read_noise=40.0, nframes=n), axis=0).std() for n in (1, 4, 16)]
    # 57024 differences, of which neighbours are correlated: 0.5 %
    np.testing.assert_allclose(noise, 40 * np.sqrt(2 / np.array([1, 4, 16])), rtol=0.02)


def test_times_of_reads():
    config = settings(reads=4, frame_time=10.0, nframes=4, groupgap=1)
    np.testing.assert_allclose(config.read_times, [25, 75, 125, 175])
    assert config.exposure_time == 150
    sparse = settings(reads=4, frame_time=50.0, first_interval=2.9)
    np.testing.assert_allclose(np.diff(sparse.read_times), [2.9, 50, 50])
    assert sparse.exposure_time == pytest.approx(102.9)
    assert sparse.read_times[0] == pytest.approx(2.9)  # read 0 follows the reset as soon


# Noise of the electronics


def test_pink_noise_falls_as_one_over_frequency_in_order_of_reading():
    outputs, rows, width = 2, 256, 48
    config = settings(rows=rows, cols=outputs * width, outputs=outputs, pink_output=300.0, reads=9)
    electronics = Electronics(config, np.zeros((rows, 96), np.float32), np.random.default_rng(4))
    reads = np.stack([electronics.read(t) for t in range(9)])
    streams = reads.reshape(9, rows, outputs, width).swapaxes(1, 2).copy()
    streams[:, 1] = streams[:, 1, :, ::-1]  # every second output begins at the right
    power = (np.abs(np.fft.rfft(streams.reshape(18, -1))) ** 2).mean(0)
    frequency = np.arange(len(power))
    edges = np.geomspace(3, len(power), 20).astype(int)
    bins = [slice(*pair) for pair in zip(edges[:-1], edges[1:], strict=True)]
    slope = np.polyfit(
        [np.log(frequency[b].mean()) for b in bins], [np.log(power[b].mean()) for b in bins], 1
    )[0]
    # 18 spectra: each bin is good to 0.24 / root of its frequencies; the slope to 0.02
    assert slope == pytest.approx(-1, abs=0.07)


def test_pink_noise_of_a_read_has_its_rms():
    config = settings(reads=64, pink_common=30.0, read_noise=0.0, pedestal=5e3)
    cube = simulate_exposure(config, np.random.default_rng(6)).cube.astype(float)
    # 19 octaves of equal power; the slowest have a few samples only: some 10 %
    assert np.std(cube - 5e3) == pytest.approx(30.0, rel=0.15)


def test_reset_noise_differs_from_exposure_to_exposure():
    config = settings(pedestal_spread=300.0, ktc_noise=29.0, rows=136, cols=136)
    scene = draw_scene(config, np.random.default_rng(1))
    first, second = (
        next(read_out(replace(scene, noise_seed=np.random.default_rng(seed)))).astype(float)
        for seed in (1, 2)
    )
    # 18496 pixels: 0.5 %; two exposures of two noises each
    assert np.std(first - second) == pytest.approx(np.sqrt(2 * (29**2 + 1 + 1 / 12)), rel=0.025)
    assert first.std() == pytest.approx(np.hypot(300, 29), rel=0.025)


def test_coupling_of_a_hot_pixel_to_its_neighbours():
    changes = {"hot_fraction": 0.003, "hot_rate": (3000.0, 3000.0), "full_well": 1e6, "ipc": 0.012}
    simulated = simulate(rows=136, cols=136, reads=6, **changes)
    # the border has no part in the coupling
    signal = (simulated.cube[-1].astype(float) - simulated.cube[0])[INSIDE]
    lit = simulated.rate[INSIDE] > 0
    crowd = sum(np.roll(lit, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3))
    alone = lit & (crowd == 1)
    alone[[0, -1]] = alone[:, [0, -1]] = False
    around = [np.roll(signal, shift, axis)[alone] for axis in (0, 1) for shift in (1, -1)]
    assert alone.sum() > 20
    # each neighbour has read noise of 1.4 e- on a signal of 252 e-
    for neighbour in around:
        assert (neighbour / signal[alone]).mean() == pytest.approx(0.012 / 0.952, rel=0.005)


def test_alternating_columns_have_the_rms_asked_for():
    simulated = simulate(odd_even=20.0, reads=300, rows=40, cols=64, outputs=8, read_noise=0.5)
    read = simulated.cube.astype(float).reshape(300, 40, 8, 8)
    contrast = (read[..., ::2] - read[..., 1::2]).mean((1, 3))
    # 2400 offsets: 1.5 %
    assert contrast.std() == pytest.approx(20.0, rel=0.06)


def test_first_reads_settle_in_active_and_reference_pixels():
    cube = cube_of(transient=400.0, transient_time=3.0, transient_spread=0.2, rows=200)
    fall = cube[:-1] - cube[-1]
    left = np.exp(-np.arange(11) * 1.4 / 3.0) - np.exp(-11 * 1.4 / 3.0)
    by_output = fall.reshape(11, 200, 4, 18).mean((1, 3))
    # what outputs and pixels share is the shape of the decay
    np.testing.assert_allclose(
        by_output / by_output[0], np.tile(left / left[0], (4, 1)).T, atol=2e-3
    )
    assert np.ptp(by_output[0] / left[0]) > 20  # outputs differ
    pixels = (fall[0] / left[0]).reshape(200, 4, 18) / by_output[0, None, :, None] * left[0]
    assert pixels.std() == pytest.approx(0.2, rel=0.06)
    assert border_of(fall)[0].mean() > 200


def test_output_jumps_and_stays():
    change = cube_of(channel_steps=1, channel_step=(50.0, 50.0)) - cube_of()
    by_output = change.reshape(12, 72, 4, 18)
    level = by_output.mean((1, 3))
    assert np.ptp(by_output, axis=(1, 3)).max() <= 1  # rounding; the border jumps too
    assert (np.abs(level).max(0) > 0).sum() == 1
    jumps = np.diff(level[:, np.abs(level).max(0) > 0].ravel())
    assert np.count_nonzero(jumps) == 1
    assert np.abs(jumps).max() == 50


# Scenes


def test_flash_is_smooth_and_comes_in_one_interval():
    simulated = simulate(flash=900.0, flash_read=5, rows=136, cols=136)
    steps = np.diff(simulated.cube.astype(float), axis=0)
    flash = steps[4][INSIDE]
    assert np.abs(np.delete(steps, 4, axis=0)).max() < 10
    assert np.abs(border_of(steps)).max() < 10
    # 16384 pixels of 30 e- noise: 0.2; tiles of 256 pixels: 1.9
    assert flash.mean() == pytest.approx(900.0, abs=1)
    tiles = flash.reshape(8, 16, 8, 16).mean((1, 3))
    assert 720 - 6 < tiles.min() < tiles.max() < 1080 + 6
    assert np.ptp(tiles) > 150
    assert np.abs(np.diff(tiles, axis=0)).max() < 40
    assert simulated.truth.config.flash_read == 5


def test_read_of_a_flash_is_drawn_and_told():
    reads = set()
    for seed in range(6):
        simulated = simulate(seed, flash=500.0)
        steps = np.diff(simulated.cube.astype(float), axis=0)[INSIDE].mean((1, 2))
        assert simulated.truth.config.flash_read == 1 + np.argmax(steps)
        reads.add(int(np.argmax(steps)))
    assert len(reads) > 1
    assert simulate().truth.config.flash_read is None


def test_persistence_fades_as_one_over_time():
    changes = {
        "persistence": 2,
        "persistence_rate": (400.0, 400.0),
        "persistence_radius": (8.0, 8.0),
        "persistence_delay": 60.0,
        "frame_time": 10.0,
        "full_well": 1e6,
        "gain": 4.0,
    }
    scene = draw_scene(settings(**changes), np.random.default_rng(1))
    simulated = simulate(**changes)
    total = np.diff(simulated.cube.astype(float), axis=0).sum((1, 2)) * 4
    times = 60.0 + 10 * np.arange(1, 13)
    expected = scene.light.persistence.sum() * 60.0 * np.diff(np.log(times))
    # shot noise, and reads and rounding of 5184 pixels
    error = np.sqrt(expected + 2 * 5184 * (1 + 16 / 12))
    assert np.all(np.abs(total - expected) < 4.5 * error)
    assert expected[0] > 2.3 * expected[-1]
    level = scene.light.persistence[scene.light.persistence > 360]
    assert level.max() <= 800
    assert len(level) > 100  # flat disks
    assert simulated.rate.sum() * 110 == pytest.approx(expected.sum(), rel=1e-4)


def test_awkward_pixels_are_as_many_as_asked():
    changes = {"rows": 136, "cols": 136, "reads": 20}
    warm = simulate(warm_fraction=0.05, warm_rate=(5.0, 20.0), **changes)
    rate = warm.rate[INSIDE]
    # 16384 pixels: 0.17 % for 5 %
    assert (rate > 0).mean() == pytest.approx(0.05, abs=0.007)
    assert 5 <= rate[rate > 0].min() < rate.max() <= 20
    dead = simulate(dead_fraction=0.03, sky=1000.0, read_noise=10.0, **changes)
    gained = dead.cube[-1].astype(float) - dead.cube[0]
    silent = gained[INSIDE] < 1000
    assert silent.mean() == pytest.approx(0.03, abs=0.006)
    assert (dead.rate[INSIDE][silent] == 0).all()
    noise = np.diff(dead.cube[INSIDE].astype(float), axis=0)[:, silent].std()
    assert noise == pytest.approx(10 * np.sqrt(2), rel=0.03)
    stuck = simulate(stuck_fraction=0.02, sky=100.0, **changes)
    frozen = np.ptp(stuck.cube[INSIDE], axis=0) == 0
    assert frozen.mean() == pytest.approx(0.02, abs=0.005)
    assert (stuck.stop[INSIDE][frozen] == 0).all()
    assert np.ptp(stuck.cube[0][INSIDE][frozen]) > 40000


def test_dead_pixels_have_no_part_in_hits():
    changes = {"cosmic_rays": 60, "cosmic_ray_charge": 20000.0}
    with_hits, without = (simulate(3, dead_fraction=0.3, **c) for c in (changes, {}))
    change = with_hits.cube[-1].astype(float) - without.cube[-1]
    dead = np.zeros((72, 72), bool)
    scene = draw_scene(settings(dead_fraction=0.3, **changes), np.random.default_rng(3))
    rows, cols = np.divmod(scene.pixels.dead, 64)
    dead[rows + 4, cols + 4] = True
    assert np.abs(change[dead]).max() == 0
    for event in with_hits.truth.events:
        assert not dead[event.rows, event.cols].any()


def test_full_pixels_count_as_saturated_where_the_response_bends():
    simulated = simulate(sky=3e4, full_well=5e4, nonlinearity=0.2, read_noise=10.0)
    assert (simulated.stop[INSIDE] < 12).all()
    assert simulated.cube[-1][INSIDE].mean() == pytest.approx(1e4 + 0.8 * 5e4, rel=1e-3)


@pytest.mark.parametrize("ipc", [0.0, 0.005, 0.03])
def test_full_pixels_count_as_saturated_however_much_their_neighbours_take(ipc):
    simulated = simulate(saturating_fraction=0.02, ipc=ipc, pedestal_spread=200.0)
    full = simulated.rate * simulated.config.exposure_time > 1.3 * simulated.config.full_well
    assert full.sum() > 10
    assert (simulated.stop[full] < 12).all()
    assert (simulated.stop[simulated.rate < 1] == 12).all()


# Seeds and streams


def test_threads_do_not_change_the_result():
    config = preset("l2", reads=6, rows=64, cols=64, nframes=2, flash=20.0, persistence=2)
    one, three = (
        np.stack(list(read_out(draw_scene(config, exposure_rng(5, 1, 2, 3)), threads)))
        for threads in (1, 3)
    )
    np.testing.assert_array_equal(one, three)


def test_seeds_of_exposures_are_all_different():
    keys = [(s, d, i, k) for s in range(3) for d in range(3) for i in range(3) for k in range(3)]
    draws = {int(exposure_rng(*key).integers(2**62)) for key in keys}
    assert len(draws) == len(keys)
    assert exposure_rng(1, 2, 3, 4).integers(2**62) == exposure_rng(1, 2, 3, 4).integers(2**62)
    with pytest.raises(ValueError, match="negative|non-negative"):
        exposure_rng(1, 2, 3, -4)


BASE = {"sky": 2.0, "hot_fraction": 0.01, "pink_common": 3.0, "cosmic_rays": 5, "odd_even": 1.0}


@pytest.mark.parametrize(
    ("change", "pixels"),
    [
        ({"stars": 1, "star_flux": (900.0, 900.0)}, 25**2),
        ({"warm_fraction": 0.01, "warm_rate": (50.0, 60.0)}, 100),
        ({"saturating_fraction": 0.005}, 60),
        ({"dead_fraction": 0.01}, 100),
        ({"stuck_fraction": 0.01}, 100),
        ({"persistence": 1, "persistence_radius": (4.0, 4.0)}, 21**2),
        ({"telegraph_pixels": 7}, 7),
        ({"snowballs": 1, "snowball_radius": (3.0, 3.0), "trail_fraction": 0.0}, 60**2),
        ({"flash": 50.0, "flash_read": 11}, 64**2),
    ],
)
def test_switching_one_part_on_leaves_the_others_alone(change, pixels):
    change = cube_of(**(BASE | change)) - cube_of(**BASE)
    touched = np.any(change, axis=0)
    assert 0 < touched.sum() <= pixels
    assert not np.any(border_of(change))


def test_flash_leaves_earlier_reads_alone():
    change = cube_of(**BASE, flash=50.0, flash_read=7) - cube_of(**BASE)
    assert not change[:7].any()
    assert change[7:][INSIDE].mean() == pytest.approx(50, rel=0.05)


@pytest.mark.parametrize(
    ("part", "rms"), [("pink_common", 30.0), ("pink_output", 30.0), ("odd_even", 30.0)]
)
def test_noises_of_the_electronics_have_streams_of_their_own(part, rms):
    config = BASE | {"pink_output": 2.0, part: 0.0}
    less, more = cube_of(**config), cube_of(**(config | {part: rms}))
    twice = cube_of(**(config | {part: 2 * rms}))
    # a part twice as large adds the same once more: nothing else was drawn anew
    assert np.abs((twice - more) - (more - less)).max() <= 2
    assert (more - less).std() > 5


def test_transient_adds_itself_alone():
    change = cube_of(**BASE, transient=100.0) - cube_of(**BASE)
    assert np.abs(np.diff(change[-3:], axis=0)).max() < 40
    decay = change[1:4].mean((1, 2)) / change[:3].mean((1, 2))
    np.testing.assert_allclose(decay, np.exp(-1.4 / 5.0), rtol=0.01)


# Settings


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_can_be_simulated(name):
    config = preset(name, rows=64, cols=64, reads=5)
    simulated = simulate_exposure(config, np.random.default_rng(1))
    assert simulated.cube.shape == (5, 64, 64)
    assert config.saturation < 65535


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flash_read": 12}, "flash_read: wanted a read before 12, got 12"),
        ({"fast_axis": 2}, "fast_axis, slow_axis: wanted one of .* got 2 and 2"),
        (
            {"nframes": 4, "first_interval": 2.0},
            "first_interval: wanted at least 4 frames of 1.4 s, got 2 s",
        ),
        ({"warm_rate": (0.0, 1.0)}, "wanted 0 < lowest"),
        ({"persistence_radius": (0.0, 1.0)}, "wanted 0 < lowest"),
        ({"telegraph_duty": (0.5, 1.5)}, "wanted highest <= 1"),
        ({"gain": float("inf")}, "finite number"),
    ],
)
def test_settings_of_scenes_and_timing_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        settings(**changes)
