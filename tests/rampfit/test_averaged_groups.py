"""Reads that average frames, as many or not: a hit within one shows in two differences."""

import numpy as np
import pytest
from scipy import stats

from ohana.config import DetectorConfig
from ohana.detect.row_block import analyse
from ohana.detect.telegraph.screen import read_noise_terms
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import difference_covariance, may_split_jump, read_variance
from ohana.rampfit.curves import curve_shapes
from ohana.rampfit.gls import fit_steps
from ohana.rampfit.noise import measure
from ohana.rampfit.scan import SPLIT_COST, Ramps, fit_at, scan, step_at
from ohana.rampfit.step_search import find_steps

#: Reads of some resultants, as a Roman exposure has them, and of groups of one size.
UNEVEN = [[1], [2, 3], [4, 5, 6, 7], [8, 9, 10, 11], *([k, k + 1, k + 2] for k in range(12, 36, 4))]
SHALLOW4 = [[5 * k + j for j in range(1, 5)] for k in range(10)]
SINGLE = [[k] for k in range(1, 13)]


def model_of(pattern):
    times = np.array([np.mean(reads) for reads in pattern])
    return difference_covariance(times, nframes=np.array([len(reads) for reads in pattern]))


def exact_covariance(pattern, variance, shot):
    """Covariance of the resultants' differences, frame by frame."""
    frames = np.concatenate(pattern).astype(float)
    of_frames = shot * np.minimum.outer(frames, frames) + variance * np.eye(len(frames))
    sizes = [len(reads) for reads in pattern]
    mean = np.zeros((len(pattern), len(frames)))
    for k, (first, size) in enumerate(zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True)):
        mean[k, first : first + size] = 1 / size
    step = np.diff(mean, axis=0)
    return step @ of_frames @ step.T


def draw(pattern, n, noise=10.0, rate=0.0, seed=0, charge=0.0, arrival=None):
    """Draw ramps (T, n) [e-]; ``charge`` arrives just before frame ``arrival`` of the detector."""
    rng = np.random.default_rng(seed)
    last = pattern[-1][-1]
    total = np.cumsum(rng.poisson(rate, (last, n)), axis=0).astype(float)
    if arrival is not None:
        total += np.where(np.arange(1, last + 1)[:, None] >= arrival, charge, 0.0)
    total += rng.normal(0, noise, total.shape)
    return np.stack([total[np.array(reads) - 1].mean(0) for reads in pattern]).astype(np.float32)


def ramps_of(data, noise=10.0, rate=0.0):
    n = data.shape[1]
    return Ramps(data, np.full(n, len(data)), np.full(n, noise**2), np.full(n, rate))


@pytest.mark.parametrize("pattern", [UNEVEN, SHALLOW4, SINGLE])
def test_covariance_is_that_of_the_frames(pattern):
    model = model_of(pattern)
    diagonal = 9 * model.read + 2 * model.shot
    beside = (9 * model.read_next + 2 * model.shot_next)[:-1]
    dense = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    np.testing.assert_allclose(dense, exact_covariance(pattern, 9, 2), atol=1e-12)


def test_reads_are_told_from_their_differences():
    sizes = [len(reads) for reads in UNEVEN]
    np.testing.assert_allclose(read_variance(model_of(UNEVEN)), 1 / np.array(sizes))
    shared = np.array(sizes) > 1
    shared[[0, -1]] = False
    np.testing.assert_array_equal(may_split_jump(model_of(UNEVEN)), shared)
    assert not may_split_jump(model_of(SINGLE)).any()
    _, white, shift, _ = read_noise_terms(model_of(UNEVEN))
    np.testing.assert_allclose(white, 1 / np.array(sizes))
    # Variance of the mean of n samples of a Poisson process, less that at their mean time.
    frames = [np.array(reads, float) for reads in UNEVEN]
    expected = [f.mean() - np.minimum.outer(f, f).mean() for f in frames]
    np.testing.assert_allclose(shift, expected, atol=1e-12)


def test_names_wrong_numbers_of_frames():
    with pytest.raises(
        ValueError, match="nframes: wanted a number from 1 on, or one for each of 3"
    ):
        difference_covariance(np.arange(3.0), nframes=np.array([1, 2]))
    with pytest.raises(ValueError, match="nframes: wanted"):
        difference_covariance(np.arange(3.0), nframes=np.array([1, 0, 2]))


@pytest.mark.parametrize("pattern", [UNEVEN, SHALLOW4])
@pytest.mark.parametrize("curved", [False, True])
def test_two_parts_equal_dense_matrices(pattern, curved):
    rng = np.random.default_rng(3)
    model, n = model_of(pattern), 8
    count = len(model.dt)
    variance, shot = rng.uniform(0.5, 9, n), rng.choice([0.0, 0.01, 1, 50], n)
    d = rng.normal(3, 2, (count, n))
    d[4, 1] = d[0, 2] = np.nan
    shapes = curve_shapes(model)
    fit = fit_steps(d, variance, shot, model, np.full(n, curved - 1), shapes)
    data = np.vstack([np.zeros((1, n)), np.cumsum(d, 0)])
    curvature = model.dt * (np.arange(count) - (count - 1) / 2) / count
    for i in range(n):
        keep = np.flatnonzero(np.isfinite(d[:, i]))
        inverse = np.linalg.inv(exact_covariance(pattern, variance[i], shot[i])[np.ix_(keep, keep)])
        base = np.array([model.dt, curvature])[: 1 + curved, keep].T
        rest = inverse - inverse @ base @ np.linalg.solve(base.T @ inverse @ base, base.T @ inverse)
        for f in range(count - 1):
            if not {f, f + 1} <= set(keep):
                continue
            two = np.array([keep == f, keep == f + 1], float).T
            normal = two.T @ rest @ two
            np.testing.assert_allclose(fit.between[f, i], normal[0, 1], rtol=1e-8, atol=1e-9)
            if i in (1, 2) or not may_split_jump(model)[f + 1]:
                continue
            parts = np.linalg.solve(normal, two.T @ rest @ d[keep, i])
            error = np.sqrt(np.linalg.inv(normal).sum())
            one = Ramps(
                data[:, [i]], np.array([count + 1]), variance[[i]], shot[[i]],
                curve=np.full(1, curved - 1), shapes=shapes,
            )  # fmt: skip
            amplitude, its_error = step_at(one, model, np.array([f + 1]), np.array([True]))
            np.testing.assert_allclose(amplitude, parts.sum(), rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(its_error, error, rtol=1e-8)
            sigma = fit_at(one, model, np.array([f + 1]), np.array([True]))[2]
            power = parts @ normal @ parts - SPLIT_COST[0]
            agree = parts.prod() > 0 and power > 0
            wanted = np.sign(parts[0]) * np.sqrt(power) if agree else 0.0
            np.testing.assert_allclose(sigma, wanted, rtol=1e-8)


@pytest.mark.parametrize("pattern", [UNEVEN, SHALLOW4])
@pytest.mark.parametrize("rate", [0.0, 30.0])
def test_false_alarms_follow_the_gaussian_tail(pattern, rate):
    """Each read that shares may raise one by a whole step and one by two parts: at most twice."""
    model, n = model_of(pattern), 200_000
    found = scan(ramps_of(draw(pattern, n, 10.0, rate, seed=5), 10.0, rate), model)
    for threshold in (3.0, 3.5):
        tail = n * stats.norm.sf(threshold)
        whole, shared = tail * len(model.dt), tail * may_split_jump(model).sum()
        count = np.sum(found.up_sigma >= threshold)
        # One ramp counts once, however many of its reads exceed.
        assert 0.3 * whole < count < whole + shared + 4 * np.sqrt(whole)
        assert np.sum((found.up_sigma >= threshold) & (found.up_split > 0)) < 1.2 * shared


@pytest.mark.parametrize("rate", [0.0, 60.0])
@pytest.mark.parametrize("late", [0, 1, 2, 3, 4])
def test_a_hit_is_one_step_of_its_whole_charge(rate, late):
    """Wherever in a group the charge comes: right within the error that is stated."""
    model, n, noise = model_of(SHALLOW4), 2000, 10.0
    data = draw(SHALLOW4, n, noise, rate, 7, charge=400.0, arrival=SHALLOW4[4][0] + late)
    data[:, :200] = draw(SHALLOW4, 200, noise, rate, 8)
    ramps = ramps_of(data, noise, rate)
    steps = find_steps(ramps, np.full(n, np.inf), scan(ramps, model), model, DetectorConfig()).steps
    assert np.mean(steps.col < 200) < 1e-3
    hit = steps.select((steps.col >= 200) & (steps.amplitude > 200))
    assert len(hit.col) == 1800
    assert len(steps.col) < 1804
    first = 4 if late < 4 else 5
    assert np.mean(hit.read == first) > (0.99 if 0 < late < 3 else 0.9)
    pull = (hit.amplitude - 400) / hit.error
    # A small part may be taken for noise: then the step is short by less than its error.
    assert abs(pull.mean()) < 0.35
    assert pull.std() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("pattern", "group"), [(SHALLOW4, 4), (UNEVEN, 2), (UNEVEN, 6)])
@pytest.mark.parametrize("rate", [0.0, 60.0])
def test_little_is_lost_of_a_hit_within_a_group(pattern, group, rate):
    """Less than 0.2 sigma is lost against a search that knows how the hit is shared."""
    model, n, noise, threshold = model_of(pattern), 4000, 10.0, 5.0
    blank = np.zeros((len(model.dt), 1))
    known = fit_steps(blank, np.full(1, noise**2), np.full(1, rate), model)
    own, after = known.information[group - 1 : group + 1, 0]
    charge, lost = 1.25 * threshold / np.sqrt(own), []
    for late in range(len(pattern[group])):
        data = draw(pattern, n, noise, rate, 9 + late, charge, pattern[group][0] + late)
        ramps = ramps_of(data, noise, rate)
        both = np.mean(scan(ramps, model).up_sigma >= threshold)
        fit = fit_steps(np.diff(data, axis=0), ramps.variance, ramps.shot, model)
        one = np.mean((fit.score / np.sqrt(fit.information)).max(0) >= threshold)
        part = 1 - late / len(pattern[group])
        common = 2 * part * (1 - part) * known.between[group - 1, 0]
        best = charge * np.sqrt(part**2 * own + (1 - part) ** 2 * after + common)
        assert best - threshold - stats.norm.ppf(both) < 0.2
        assert both >= one
        lost.append(best - threshold - stats.norm.ppf(one))
    # Steps in one difference alone lose far more, up to a quarter of the S/N.
    assert max(lost) > 0.4


def test_noise_of_uneven_groups_is_that_of_one_frame():
    pattern, shape = UNEVEN, (16, 512)
    data = draw(pattern, shape[0] * shape[1], 10.0, 2.0, seed=11).reshape(-1, *shape)
    model, border = model_of(pattern), np.zeros(shape, bool)
    noise = measure(data, np.full(shape, len(data), np.int32), border, model, 1.0)
    assert np.median(np.sqrt(noise.variance)) == pytest.approx(10, rel=0.03)
    assert np.median(noise.rate) == pytest.approx(2, rel=0.03)
    assert np.median(noise.shot) == pytest.approx(2, rel=0.05)
    data[5:, 3, 3] += 4000
    data[:, 4, 4] += 300 * np.array([np.mean(reads) for reads in pattern])
    again = measure(data, np.full(shape, len(data), np.int32), border, model, 1.0)
    assert again.rate[3, 3] == pytest.approx(2, abs=2)
    assert again.shot[4, 4] == pytest.approx(302, rel=0.1)


def test_averaged_reads_with_any_gap_have_the_rate_of_hot_pixels():
    data = draw(SHALLOW4, 16 * 64, 10.0, 1.0, seed=12).reshape(-1, 16, 64)
    data[:, 2, 2] += 6 * 5 * np.arange(10)
    stop = np.full((16, 64), len(data), np.int32)
    noise = measure(data, stop, np.zeros((16, 64), bool), model_of(SHALLOW4), 1.0)
    assert noise.shot[2, 2] == pytest.approx(7, rel=0.25)
    assert np.median(noise.shot) == pytest.approx(1, rel=0.15)


def test_a_block_of_uneven_groups_gives_one_step_for_each_hit():
    pattern, shape = UNEVEN, (16, 256)
    data = draw(pattern, shape[0] * shape[1], 10.0, 1.0, seed=13).reshape(-1, *shape)
    frames = np.arange(1, pattern[-1][-1] + 1)
    hits = [(3, 10 * k + 5, 6 + k) for k in range(20)]
    for row, col, arrival in hits:
        charge = np.where(frames >= arrival, 300.0, 0.0)
        data[:, row, col] += [charge[np.array(reads) - 1].mean() for reads in pattern]
    block, model = RampBlock(data, np.full(shape, len(data), np.int32)), model_of(pattern)
    noise = measure(*block, np.zeros(shape, bool), model, 1.0)
    steps, _, maps = analyse(block, noise, model, 1.0, DetectorConfig())
    for row, col, arrival in hits:
        mine = steps.select((steps.row == row) & (steps.col == col))
        first = next(k for k, reads in enumerate(pattern) if reads[-1] >= arrival)
        assert len(mine.read) == 1
        assert abs(int(mine.read[0]) - first) <= 1
        assert mine.amplitude[0] == pytest.approx(300, abs=5 * float(mine.error[0]))
        assert maps.best_read[row, col] == mine.read[0]
    assert len(steps.read) <= len(hits) + 1


def test_a_faint_second_hit_hides_no_bright_one():
    reads, n, rng = 10, 4000, np.random.default_rng(2)
    model = difference_covariance(4.0 * np.arange(reads), 1.0, 4)
    data = rng.normal(0, 10, (reads, n))
    hit, other = rng.integers(1, reads, (2, n))
    read, within = np.arange(reads)[:, None], rng.uniform(0, 1, n) * (hit < reads - 1)
    data += 1000.0 * np.where(read == hit, 1 - within, read > hit)
    data += 90.0 * (read > other) + 60.0 * (read == other)
    variance, shot = np.full(n, 4 * 10.0**2), np.full(n, 0.1)
    ramps = Ramps(data.astype(np.float32), np.full(n, reads, np.int32), variance, shot)
    steps = find_steps(ramps, np.full(n, np.inf), scan(ramps, model), model, DetectorConfig()).steps
    assert set(steps.col[steps.amplitude > 300]) == set(range(n))
