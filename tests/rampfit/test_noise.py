import numpy as np
import pytest
from scipy import stats

from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.noise import TILE_COLS, expected_yields, gaussian, measure, prior_dof

ROWS, COLS = 16, 512


def ramps(reads, sigma=10.0, rate=0.0, gain=1.0, seed=1):
    rng = np.random.default_rng(seed)
    electrons = np.cumsum(rng.poisson(rate * gain, (reads, ROWS, COLS)), axis=0)
    noise = rng.normal(0, 1, (reads, ROWS, COLS)) * sigma
    return (electrons / gain + noise).astype(np.float32)


def measured(data, gain=1.0, stop=None, border=None):
    stop = np.full((ROWS, COLS), len(data), np.int32) if stop is None else stop
    border = np.zeros((ROWS, COLS), bool) if border is None else border
    return measure(data, stop, border, difference_covariance(np.arange(float(len(data)))), gain)


def test_expected_yields_of_three_reads():
    # d1 - d2 has variance 6 s^2 + 2 m; half its square is the sum of squares about the mean.
    yields = expected_yields(difference_covariance(np.arange(3.0)))
    np.testing.assert_allclose(yields, (1.5, 0.5, 0.5, 1.0, 1.0))


@pytest.mark.parametrize("reads", [3, 5, 8, 20, 100])
@pytest.mark.parametrize(("rate", "gain"), [(0.0, 1.0), (5.0, 2.0), (40.0, 1.0)])
def test_recovers_read_noise_and_rate(reads, rate, gain):
    noise = measured(ramps(reads, 10.0, rate, gain), gain)
    assert np.median(np.sqrt(noise.variance)) == pytest.approx(10, rel=0.04)
    assert np.median(noise.rate) == pytest.approx(rate, abs=14.2 / (reads - 1) ** 0.5 / 5)
    assert np.median(noise.shot) == pytest.approx(rate / gain, rel=0.1, abs=1.5)


@pytest.mark.parametrize("reads", [8, 20, 100])
def test_homogeneous_pixels_share_one_noise(reads):
    noise = measured(ramps(reads))
    assert np.isinf(noise.dof).mean() > 0.99
    assert np.sqrt(noise.variance).std() < 0.35


def test_pixels_that_differ_keep_their_own_noise():
    sigma = np.exp(np.random.default_rng(2).normal(2.3, 0.4, (ROWS, COLS)))
    noise = measured(ramps(200, sigma))
    ratio = np.sqrt(noise.variance) / sigma
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    assert np.quantile(np.abs(np.log(ratio)), 0.9) < 0.15
    assert np.isfinite(noise.dof).all()


def test_faint_pixels_have_the_shot_noise_of_their_tile_and_hot_ones_their_own():
    data = ramps(100, sigma=5.0, rate=0.05)
    data[:, 3, 3] += 30 * np.arange(100)
    noise = measured(data)
    assert noise.shot[3, 3] == pytest.approx(30, rel=0.1)
    cold = np.delete(noise.shot.ravel(), 3 * COLS + 3)
    assert np.quantile(cold, 0.01) > 0.03


@pytest.mark.parametrize("reads", [6, 8, 20])
def test_a_hit_below_the_clip_does_not_raise_its_own_noise(reads):
    data = ramps(reads)
    data[reads // 2 :, :, ::20] += 65
    noise = measured(data)
    share = np.sqrt(noise.variance[:, ::20]) / 10
    assert np.median(share) == pytest.approx(1, abs=0.03)
    assert np.quantile(share, 0.99) < 1.3


def test_steps_leave_the_noise_alone():
    data = ramps(60)
    plain = measured(data)
    rng = np.random.default_rng(3)
    for row, col in zip(rng.integers(0, ROWS, 400), rng.integers(0, COLS, 400), strict=True):
        data[rng.integers(1, 60) :, row, col] += rng.uniform(100, 1e4)
    hit = measured(data)
    assert np.abs(hit.variance / plain.variance - 1).max() < 0.06
    assert np.abs(hit.rate - plain.rate).max() < 4


def test_pedestal_and_order_of_pixels_do_not_matter():
    data = ramps(20)
    one = measured(data)
    other = measured(data + np.float32(4096))
    np.testing.assert_allclose(one.variance, other.variance, rtol=2e-3)
    flipped = measured(np.ascontiguousarray(data[:, ::-1]))
    np.testing.assert_allclose(flipped.variance[::-1], one.variance, rtol=1e-12)


def test_a_noisy_pixel_keeps_its_scatter():
    data = ramps(100)
    data[:, 4, 7] *= 5
    noise = measured(data)
    assert np.sqrt(noise.variance[4, 7]) == pytest.approx(50, rel=0.25)
    assert noise.dof[4, 7] < 100


def test_border_is_not_pooled_with_the_rest():
    border = np.zeros((ROWS, COLS), bool)
    border[:, :4] = True
    noise = measured(ramps(8, np.where(border, 3.0, 10.0)), border=border)
    assert np.median(np.sqrt(noise.variance[border])) == pytest.approx(3, rel=0.2)
    assert np.median(np.sqrt(noise.variance[:, 4:TILE_COLS])) == pytest.approx(10, rel=0.05)


def test_dead_and_saturated_pixels_have_no_rate_but_the_noise_around():
    data, stop = ramps(20), np.full((ROWS, COLS), 20, np.int32)
    data[:, 0, 0] = np.nan
    stop[0, 1] = 1
    noise = measured(data, stop=stop)
    assert np.isnan(noise.rate[0, :2]).all()
    np.testing.assert_allclose(np.sqrt(noise.variance[0, :2]), 10, rtol=0.1)


def test_all_dead_block_has_no_noise():
    noise = measured(np.full((5, ROWS, COLS), np.nan, np.float32))
    assert np.isnan(noise.variance).all()
    assert not noise.dof.any()


def test_gaussian_equals_student_tail():
    for dof in (3.0, 10.0, 100.0):
        for ratio in (2.0, 4.0, 6.0):
            exact = stats.norm.isf(stats.t.sf(ratio, dof))
            assert gaussian(np.array(ratio), np.array(dof)) == pytest.approx(exact, rel=0.02)
            assert gaussian(np.array(-ratio), np.array(dof)) == pytest.approx(-exact, rel=0.02)


def test_worth_of_prior_recovers_the_spread():
    rng = np.random.default_rng(4)
    true = 12 / rng.chisquare(12, 20000)
    assert prior_dof(true * rng.chisquare(30, 20000) / 30, 30.0) == pytest.approx(12, rel=0.2)
    assert prior_dof(rng.chisquare(30, 20000) / 30, 30.0) > 500
