"""The simulated exposure has the statistics that were asked for, and its truth is in the cube."""

import numpy as np
import pytest
from astropy.io import fits

from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.gls import fit_steps
from ohana.simulate import (
    SimulationConfig,
    preset,
    simulate_exposure,
    simulate_to_fits,
    write_fits,
)
from ohana.simulate.detector import couple
from ohana.simulate.electronics import digitise, pink, white_spectrum

SMALL = {"reads": 20, "rows": 64, "cols": 96, "outputs": 4}
EVENTS = {"cosmic_rays": 12, "telegraph_pixels": 6, "snowballs": 1, "snowball_radius": (3.0, 4.0)}


def simulate(seed=1, **settings):
    return simulate_exposure(SimulationConfig(**(SMALL | settings)), np.random.default_rng(seed))


def differences_of(simulated):
    return np.diff(simulated.cube.astype(float), axis=0) * simulated.config.gain


def active(cube, border=4):
    return cube[..., border:-border, border:-border]


def test_read_noise_of_border_and_of_dark_pixels():
    simulated = simulate(read_noise=12.0, dark_current=0.0, gain=1.0, rows=128, cols=128)
    steps = differences_of(simulated)
    expected = 2 * (12.0**2 + 1 / 12)
    # 19 differences of 16384 pixels: 0.4 % standard error, neighbours in time correlated
    assert np.var(steps) == pytest.approx(expected, rel=0.015)


def test_gain_follows_from_photon_transfer():
    simulated = simulate(sky=300.0, read_noise=5.0, gain=2.0, ipc=0.0, rows=128, cols=128)
    steps = active(np.diff(simulated.cube.astype(float), axis=0))
    mean = steps.mean()
    read_variance = 2 * (5.0 / 2.0) ** 2 + 2 / 12
    assert mean / (steps.var() - read_variance) == pytest.approx(2.0, rel=0.015)
    assert mean * 2.0 / simulated.config.frame_time == pytest.approx(300.01, rel=1e-3)


def test_border_has_electronics_noise_but_no_charge():
    simulated = simulate(sky=500.0, pink_common=30.0, read_noise=2.0)
    steps = differences_of(simulated)
    assert abs(steps[:, :4].mean()) < 10
    assert active(steps).mean() > 600
    # 1/f noise is common to border and active pixels of one read
    common = np.corrcoef(steps[:, :4].mean((1, 2)), active(steps).mean((1, 2)))[0, 1]
    assert common > 0.5
    assert not simulated.rate[:4].any()


def test_pedestal_and_reset_noise():
    simulated = simulate(rows=128, cols=128, gain=1.0, pedestal_spread=40.0, ktc_noise=30.0)
    assert simulated.cube[0].mean() == pytest.approx(1e4, abs=3)
    assert simulated.cube[0].std() == pytest.approx(np.sqrt(40**2 + 30**2 + 10**2), rel=0.02)


def test_read_noise_spread_is_log_normal():
    noise = simulate(rows=128, cols=128, read_noise_spread=0.3).noise
    assert np.log(noise).std() == pytest.approx(0.3, rel=0.03)
    assert np.median(noise) == pytest.approx(10.0, rel=0.02)


def test_odd_and_even_columns_differ_by_one_offset_per_output():
    simulated = simulate(read_noise=0.1, odd_even=50.0, dark_current=0.0, gain=1.0, rows=256)
    frame = simulated.cube[1].astype(float) - simulated.cube[0]
    contrast = (frame[:, ::2] - frame[:, 1::2]).reshape(256, 4, 12).mean((0, 2))
    assert np.ptp(contrast) > 1
    residual = (
        frame[:, ::2].reshape(256, 4, 12) - frame[:, ::2].reshape(256, 4, 12).mean((0, 2))[:, None]
    )
    assert residual.std() < 1


def test_pink_noise_has_its_rms_and_a_falling_spectrum():
    noise = 3 * pink(white_spectrum(16, 4096, np.random.default_rng(1)), 4096)
    assert noise.std() == pytest.approx(3.0, rel=0.1)
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(0)
    low, high = power[4:8].mean(), power[512:1024].mean()
    assert low / high == pytest.approx(128, rel=0.5)


def test_alternate_outputs_are_read_in_opposite_directions():
    simulated = simulate(
        read_noise=0.01, pink_common=200.0, dark_current=0.0, gain=1.0, ipc=0.0, outputs=2
    )
    frame = np.diff(simulated.cube.astype(float), axis=0)
    assert np.abs(frame[:, :, :48] - frame[:, :, :47:-1]).max() <= 2  # digitisation alone


def test_saturation_clips_at_full_well_and_rail():
    simulated = simulate(sky=2e4, full_well=5e4, gain=1.5)
    last = active(simulated.cube[-1])
    assert (last >= simulated.config.saturation).all()
    assert last.mean() == pytest.approx((1e4 + 5e4) / 1.5, rel=1e-3)
    stop = active(simulated.stop)
    assert stop.min() >= 1
    assert stop.max() <= 3
    assert (simulated.stop[:4] == 20).all()
    railed = simulate(sky=1e4, full_well=3e5, gain=1.0)
    assert active(railed.cube[-1]).max() == 65535


def test_hot_and_saturating_pixels_are_as_many_as_asked():
    simulated = simulate(rows=128, cols=128, hot_fraction=0.02, saturating_fraction=0.01)
    rate = active(simulated.rate)
    assert (rate > 0.9).mean() == pytest.approx(0.03, abs=0.005)
    assert (active(simulated.stop) < 20).mean() == pytest.approx(0.01, abs=0.004)


def test_stars_keep_their_flux_and_curve():
    simulated = simulate(stars=1, star_flux=(500.0, 500.0), dark_current=0.0, seed=5)
    assert simulated.rate.sum() == pytest.approx(500, rel=0.01)
    straight = simulate(sky=2000.0, full_well=8e4).cube
    curved = simulate(sky=2000.0, full_well=8e4, nonlinearity=0.1).cube
    change = active(straight.astype(float) - curved).mean((1, 2)) * 1.5
    charge = 2000.01 * 1.4 * np.arange(20)
    np.testing.assert_allclose(change, 0.1 * charge**2 / 8e4, atol=8)


def test_coupling_keeps_the_charge():
    charge = np.zeros((5, 5), np.float32)
    charge[2, 2] = 1000
    charge[0, 0] = 100
    signal = couple(charge, 0.01)
    assert signal.sum() == pytest.approx(1100)
    assert signal[2, 2] == pytest.approx(960)
    assert signal[1, 2] == pytest.approx(10)
    assert signal[0, 0] == pytest.approx(98)


def test_digitise_rounds_and_clips():
    np.testing.assert_array_equal(
        digitise(np.array([-5.0, 0.7, 3.2, 2e5], np.float32), 2.0), [0, 0, 2, 65535]
    )


def test_same_seed_same_exposure():
    first, second = simulate(3, **EVENTS), simulate(3, **EVENTS)
    np.testing.assert_array_equal(first.cube, second.cube)
    assert [e.charge.sum() for e in first.truth.events] == [
        e.charge.sum() for e in second.truth.events
    ]
    assert (simulate(4, **EVENTS).cube != first.cube).any()


def test_cosmic_rays_are_the_difference_to_the_exposure_without_them():
    change = simulate(2, cosmic_rays=12).cube.astype(float) - simulate(2).cube
    expected = np.zeros_like(change)
    for event in simulate(2, cosmic_rays=12).truth.events:
        expected[event.first_frame :, event.rows, event.cols] += event.amplitude
    # two roundings, and wings of less than an electron that are not listed
    assert np.abs(change - expected).max() <= 1.7


def test_telegraph_noise_is_the_difference_to_the_exposure_without_it():
    simulated = simulate(2, telegraph_pixels=9, three_level_fraction=0.5)
    change = simulated.cube.astype(float) - simulate(2).cube
    expected = np.zeros_like(change)
    for event in simulated.truth.events:
        starts = [0, *event.facts["transitions"]]
        for start, state in zip(starts, event.facts["states"], strict=True):
            expected[start:, event.rows, event.cols] = event.facts["levels"][state] / 1.5
    assert np.abs(change - expected).max() <= 1


def test_snowball_changes_its_own_pixels_from_its_first_read_on():
    simulated = simulate(2, snowballs=1, snowball_radius=(4.0, 4.0))
    change = simulated.cube.astype(float) - simulate(2).cube
    (event,) = simulated.truth.events
    inside = np.zeros(change.shape[1:], bool)
    inside[event.rows, event.cols] = True
    assert np.abs(change[: event.first_frame]).max() == 0
    assert np.abs(change[:, ~inside]).max() <= 1.7
    last = change[-1, event.rows, event.cols]
    free = event.charge < 1000  # fuller pixels are clipped by the rest of their charge
    np.testing.assert_allclose(last[free], event.amplitude[free], atol=1.7)


def test_fits_round_trip_and_streaming(tmp_path):
    simulated = simulate(7, **EVENTS)
    write_fits(simulated, tmp_path / "a.fits")
    truth = simulate_to_fits(simulated.config, np.random.default_rng(7), tmp_path / "b.fits")
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    assert len(truth.events) == len(simulated.truth.events)
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus[0].data, simulated.cube)
        head = hdus[0].header
        assert (head["GAIN"], head["RDNOISE"], head["NOUTPUTS"], head["REFBORD"]) == (1.5, 10, 4, 4)
        assert (head["FRAMTIME"], head["SATURATE"]) == (1.4, int(simulated.config.saturation))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fits", "b.fits"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"border": 40}, "border: wanted less than half of 64 x 96, got 40"),
        ({"outputs": 7}, "outputs: wanted a divisor of the width 96, got 7"),
        ({"star_flux": (5.0, 2.0)}, "star_flux: wanted 0 <= lowest <= highest"),
        ({"gian": 2.0}, "gian"),
        ({"read_noise": -1.0}, "read_noise"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        SimulationConfig(**(SMALL | settings))


def test_preset_names_are_checked():
    with pytest.raises(ValueError, match="preset: wanted one of .*'demo'.*, got 'moon'"):
        preset("moon")
    assert preset("ground", reads=450).outputs == 32


def test_signal_to_noise_is_that_of_the_best_estimator():
    simulated = simulate(
        1, rows=128, cols=128, cosmic_rays=250, cosmic_ray_charge=500.0, read_noise_spread=0.1
    )
    events = simulated.truth.events
    rows, cols, reads, snr = (
        np.concatenate([getattr(event, name) for event in events])
        for name in ("rows", "cols", "reads", "snr")
    )
    _, where, count = np.unique(rows * 128 + cols, return_index=True, return_counts=True)
    alone = where[count == 1]
    rows, cols, reads, snr = rows[alone], cols[alone], reads[alone], snr[alone]
    d = np.diff(simulated.cube[:, rows, cols] * 1.5, axis=0)
    variance = simulated.config.total_noise(simulated.noise[rows, cols]) ** 2
    fit = fit_steps(
        d, variance, simulated.rate[rows, cols] * 1.4, difference_covariance(np.arange(20.0))
    )
    found = (fit.score / np.sqrt(fit.information))[reads - 1, np.arange(len(reads))]
    assert len(alone) > 1000
    assert (found - snr).mean() == pytest.approx(0, abs=0.08)
    assert (found - snr).std() == pytest.approx(1, abs=0.05)
