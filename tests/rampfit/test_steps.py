import numpy as np
import pytest
from scipy import stats

from ohana.config import DetectorConfig
from ohana.detect.row_block import analyse
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.noise import measure
from ohana.rampfit.nonlinearity import saturates_slowly
from ohana.rampfit.scan import Ramps, ramps_of, scan, step_at
from ohana.rampfit.step_search import find_steps

CONFIG = DetectorConfig()


def straight(reads, n, sigma=10.0, rate=0.0, seed=1):
    """Ramps (T, n) with the noise that is known of them."""
    rng = np.random.default_rng(seed)
    data = np.cumsum(rng.poisson(rate, (reads, n)), axis=0) + rng.normal(0, sigma, (reads, n))
    return Ramps(
        data.astype(np.float32),
        np.full(n, reads, np.int32),
        np.full(n, sigma**2),
        np.full(n, float(rate)),
    )


def found(ramps, config=CONFIG, times=None):
    model = difference_covariance(np.arange(float(len(ramps.data))) if times is None else times)
    dof = np.full(ramps.data.shape[1], np.inf)
    return find_steps(ramps, dof, scan(ramps, model), model, config)[:2]


@pytest.mark.parametrize(
    ("reads", "sign"), [(3, 1), (4, 1), (4, -1), (8, 1), (8, -1), (60, 1), (60, -1)]
)
def test_finds_a_step_at_every_read(reads, sign):
    ramps = straight(reads, reads - 1, sigma=1.0)
    for i in range(reads - 1):
        ramps.data[i + 1 :, i] += sign * 100
    steps, _ = found(ramps)
    assert steps.read.tolist() == list(range(1, reads))
    np.testing.assert_allclose(steps.amplitude, sign * 100, atol=8)


def test_amplitude_error_and_rate_are_those_of_the_best_estimator():
    ramps = straight(40, 3000, rate=3.0)
    ramps.data[17:] += 120
    steps, rate = found(ramps)
    main = steps.select(steps.read == 17)
    assert len(main.read) > 2900
    pull = (main.amplitude - 120) / main.error
    assert pull.mean() == pytest.approx(0, abs=0.1)
    assert pull.std() == pytest.approx(1, abs=0.05)
    assert np.median(rate) == pytest.approx(3, abs=0.15)


def test_several_steps_in_one_ramp():
    ramps = straight(60, 50, sigma=2.0)
    for read, amplitude in ((1, 80), (20, 300), (21, 60), (40, -50), (59, 90)):
        ramps.data[read:] += amplitude
    steps, _ = found(ramps)
    for i in range(50):
        mine = steps.select(steps.col == i)
        assert mine.read.tolist() == [1, 20, 21, 40, 59]
        np.testing.assert_allclose(mine.amplitude, [80, 300, 60, -50, 90], atol=15)
    assert (np.abs(steps.fit - 1) < 0.7).all()


def test_max_steps_acts():
    ramps = straight(60, 5, sigma=1.0)
    for read in range(10, 60, 10):
        ramps.data[read:] += 100
    assert np.bincount(found(ramps)[0].col).tolist() == [5] * 5
    assert len(found(ramps, DetectorConfig(max_steps=2))[0].col) <= 10


@pytest.mark.parametrize("threshold", [4.0, 5.0, 7.0])
def test_completeness_follows_the_gaussian(threshold):
    model, n = difference_covariance(np.arange(30.0)), 8000
    _, error = step_at(straight(30, 1), model, np.array([12]))
    ramps = straight(30, n)
    ramps.data[12:] += np.float32(5.5 * error[0])
    steps, _ = found(ramps, DetectorConfig(sigma_threshold=threshold))
    near = (np.abs(steps.read - 12) <= 8) & (steps.amplitude > 0)
    share = len(np.unique(steps.col[near])) / n
    # The best of several reads is taken, so slightly more than at the true read alone.
    expected = stats.norm.sf(threshold - 5.5)
    assert expected - 0.015 < share < expected + 0.12


@pytest.mark.parametrize("rate", [0.0, 20.0])
@pytest.mark.parametrize("level", [3.0, 4.0])
def test_false_alarms_follow_the_gaussian_tail(rate, level):
    reads, n = 12, 200_000
    ramps = straight(reads, n, rate=rate)
    noise = measure(
        ramps.data.reshape(reads, 400, 500),
        ramps.stop.reshape(400, 500),
        np.zeros((400, 500), bool),
        difference_covariance(np.arange(float(reads))),
        1.0,
    )
    ramps = ramps._replace(variance=noise.variance.ravel(), shot=noise.shot.ravel())
    model = difference_covariance(np.arange(float(reads)))
    count = 0
    for read in range(1, reads):
        amplitude, error = step_at(ramps, model, np.full(n, read))
        count += np.sum(amplitude / error > level)
    expected = n * (reads - 1) * stats.norm.sf(level)
    assert count == pytest.approx(expected, rel=0.25)


def test_pedestal_sign_and_scale():
    ramps = straight(30, 40, seed=5)
    ramps.data[10:, ::2] += 200
    plain, _ = found(ramps)
    lifted, _ = found(ramps._replace(data=ramps.data + np.float32(1000)))
    np.testing.assert_array_equal(plain.read, lifted.read)
    np.testing.assert_allclose(plain.amplitude, lifted.amplitude, rtol=1e-3, atol=1e-2)
    mirrored, _ = found(ramps._replace(data=-ramps.data))
    np.testing.assert_array_equal(plain.amplitude, -mirrored.amplitude)
    scaled, _ = found(ramps._replace(data=2 * ramps.data, variance=4 * ramps.variance))
    np.testing.assert_allclose(scaled.significance, plain.significance, rtol=1e-5)


def test_masked_reads_are_left_out():
    ramps = straight(20, 30, sigma=1.0)
    ramps.data[8:] += 50
    ramps.data[5] = np.nan
    ramps.data[14, ::2] = 1e30
    ramps.data[14, ::2] = np.nan
    steps, _ = found(ramps)
    assert set(steps.read) == {8}
    assert len(steps.read) == 30


def test_a_step_hidden_by_a_masked_read_is_not_invented():
    ramps = straight(20, 30, sigma=1.0)
    ramps.data[8:] += 50
    ramps.data[8] = np.nan
    assert not len(found(ramps)[0].read)


def test_ramps_are_cut_at_saturation():
    ramps = straight(20, 10, sigma=5.0, rate=100)
    ramps.data[:] = np.minimum(ramps.data, 1000)
    ramps = ramps._replace(stop=np.argmax(ramps.data >= 990, axis=0).astype(np.int32))
    assert not len(found(ramps)[0].read)


def test_a_jump_into_saturation_is_a_lower_limit():
    ramps = straight(20, 4, sigma=5.0, rate=10)
    ramps.data[7:, 2] = 60000
    stop = ramps.stop.copy()
    stop[2] = 7
    steps, _ = found(ramps._replace(stop=stop))
    assert (steps.col.tolist(), steps.read.tolist()) == ([2], [7])
    assert steps.saturating.all()
    assert steps.amplitude[0] == pytest.approx(60000 - 70, rel=0.01)


def test_a_pixel_saturated_from_read_one_has_no_significance():
    ramps = straight(8, 2, sigma=5.0)
    ramps.data[1:, 0] = 60000
    stop = np.array([1, 8], np.int32)
    steps, _ = found(ramps._replace(stop=stop))
    assert steps.significance.tolist() == [0.0]


def test_curvature_of_a_bright_ramp_is_no_step():
    reads, n = 60, 200
    rng = np.random.default_rng(8)
    electrons = np.cumsum(rng.poisson(800.0, (reads, n)), axis=0)
    data = electrons - 1.5e-6 * electrons**2 + rng.normal(0, 10, (reads, n))
    rate = np.median(np.diff(data, axis=0), axis=0)
    ramps = Ramps(data.astype(np.float32), np.full(n, reads, np.int32), np.full(n, 100.0), rate)
    assert len(found(ramps)[0].read) <= 2
    ramps.data[30:, :20] += 600
    steps, _ = found(ramps)
    assert set(steps.col[np.abs(steps.read - 30) <= 1]) >= set(range(20))


@pytest.mark.parametrize("slopes", [[11709, 10821], [7826, 7349, 7296], [5265, 5289, 5142, 4700]])
def test_a_pixel_that_fills_within_a_few_reads_has_no_step(slopes):
    used = len(slopes)
    ramps = straight(12, 3, sigma=10.0)
    ramps.data[:] = 60000.0
    ramps.data[: used + 1] = 1000.0 + np.append(0, np.cumsum(slopes))[:, None]
    ramps = ramps._replace(stop=np.full(3, used + 1, np.int32), shot=np.full(3, 0.5))
    steps, rate = found(ramps)
    assert not len(steps.read[~steps.saturating])
    assert rate == pytest.approx(np.mean(slopes), rel=0.05)
    if used > 2:
        # Half as much more in one difference is a hit.
        ramps.data[2:, 1] += 0.5 * slopes[0]
        steps, _ = found(ramps)
        steps = steps.select(~steps.saturating)
        assert (steps.col.tolist(), steps.read.tolist()) == ([1], [2])


def test_pixels_that_fill_to_a_level_of_their_own():
    ramps = straight(20, 4, sigma=10.0)
    level = np.append(0, np.cumsum([5265, 5289, 5142, 4997, 1344] + 14 * [0]))
    ramps.data[:] += 1000 + level[:, None]
    ramps.data[12:, 2] += 3000  # A step after the others: it was not full.
    ramps.data[:2, 3] = ramps.data[2, 3]  # None in the first difference.
    index, stop = saturates_slowly(ramps, np.arange(4), difference_covariance(np.arange(20.0)))
    assert (index.tolist(), stop.tolist()) == ([0, 1], [5, 5])


def test_a_pixel_that_fills_to_a_level_of_its_own_ends_there():
    rng, shape = np.random.default_rng(6), (20, 16, 32)
    data = rng.normal(1000, 5, shape).astype(np.float32)
    data[:, 5, 7] += np.append(0, np.cumsum([5265, 5289, 5142, 4997, 1344] + 14 * [0]))
    data[9:, 3, 3] += 200
    block, model = (
        RampBlock(data, np.full(shape[1:], 20, np.int32)),
        difference_covariance(np.arange(20.0)),
    )
    noise = measure(*block, np.zeros(shape[1:], bool), model, 1.5)
    steps, telegraph, maps = analyse(block, noise, model, 1.5, DetectorConfig())
    assert (steps.row.tolist(), steps.col.tolist(), steps.read.tolist()) == ([3], [3], [9])
    assert not telegraph
    assert maps.stop[5, 7] == 5
    assert (np.delete(maps.stop.ravel(), 5 * 32 + 7) == 20).all()
    assert maps.rate[5, 7] == pytest.approx(5173, rel=0.01)
    assert (block.stop == 20).all()


def test_uneven_reads():
    times = np.array([0.0, 3, 6, 25, 50, 75, 100, 125, 150])
    rng = np.random.default_rng(9)
    data = 4 * times[:, None] + rng.normal(0, 1, (9, 100))
    ramps = Ramps(data.astype(np.float32), np.full(100, 9, np.int32), np.ones(100), np.zeros(100))
    assert not len(found(ramps, times=times)[0].read)
    ramps.data[5:] += 30
    assert set(found(ramps, times=times)[0].read) == {5}


def test_pixels_without_noise_are_not_used():
    noise = np.array([10.0, np.nan, np.inf, 0.0, 10.0])
    data = straight(12, 5).data
    data[6:] += 400
    shot = np.array([0.0, 1.0, 1.0, 1.0, np.nan])
    ramps = ramps_of(data, np.full(5, 12), noise**2, shot)
    steps, rate = found(ramps)
    assert steps.col.tolist() == [0, 4]
    assert steps.read.tolist() == [6, 6]
    assert np.isfinite(rate).tolist() == [True, False, False, False, True]
    alone = found(ramps.select(np.array([0, 4])))
    np.testing.assert_array_equal(steps.amplitude, alone[0].amplitude)


def test_ramps_are_the_same_whatever_their_arrays_are_like():
    plain = straight(9, 12, rate=4.0)
    like = (plain.stop, plain.variance, plain.shot)
    cube = np.asfortranarray(plain.data.astype(">f4").reshape(9, 3, 4))
    maps = (values.reshape(3, 4) for values in like)
    ramps = ramps_of(cube, *(v.astype(k) for v, k in zip(maps, ("i8", "f4", "f4"), strict=True)))
    for values, expected in zip(ramps, plain, strict=True):
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)
    ramps = ramps_of(cube, *like, guess=np.ones((3, 4)), excluded=cube > 0)
    assert ramps.guess.shape == (12,)
    assert ramps.excluded.shape == (9, 12)


def test_batches_equal_the_whole():
    ramps = straight(25, 3000, seed=3)
    ramps.data[9:, ::3] += 150
    whole, rate = found(ramps)
    part = ramps.select(np.arange(700, 1400))
    some, some_rate = found(part)
    here = (whole.col >= 700) & (whole.col < 1400)
    np.testing.assert_array_equal(whole.select(here).amplitude, some.amplitude)
    np.testing.assert_array_equal(rate[700:1400], some_rate)


def test_growth_over_a_few_reads_is_no_curve():
    # The rim of a snowball's core: nothing, then three large steps, then full.
    ramps = straight(24, 30, sigma=7.0)
    for read, amplitude in ((5, 3700), (6, 11100), (7, 8700), (8, 6900)):
        ramps.data[read:] += amplitude
    ramps = ramps._replace(stop=np.full(30, 8, np.int32))
    steps, rate = found(ramps)
    assert np.bincount(steps.read, minlength=9).tolist() == [0, 0, 0, 0, 0, 30, 30, 30, 30]
    assert (steps.amplitude > 0).all()
    assert np.abs(rate).max() < 30
