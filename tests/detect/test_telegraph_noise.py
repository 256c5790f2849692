"""The telegraph-noise rule: kernels against dense oracles, hand-made ramps, limits, statistics."""

from itertools import product

import numpy as np
import pytest

from ohana.config import DetectorConfig
from ohana.detect.telegraph.fit import MIN_READS, confidence_of, fit_telegraph_noise
from ohana.detect.telegraph.hidden_markov import backward, forward, viterbi
from ohana.detect.telegraph.models import fit_nuisance, whiten_ramp
from ohana.detect.telegraph.screen import screen
from ohana.detect.telegraph.tuning import TUNING
from ohana.detect.telegraph.whitening import best_upward_step, find_steps, remove
from ohana.rampfit.covariance import difference_covariance

NOISE = 5.0


def square(reads, dwell, amplitude):
    """Levels that change every ``dwell`` reads."""
    return amplitude * (np.arange(reads) // dwell % 2)


def noisy(signal, seed=0, noise=NOISE, shot=0.0):
    """Ramps (T, n) with white noise and shot noise [DN], gain 1."""
    rng = np.random.default_rng(seed)
    signal = signal[:, None] if signal.ndim == 1 else signal
    walk = np.cumsum(rng.poisson(shot, signal.shape), axis=0)
    return (1000.0 + signal + walk + rng.normal(0, noise, signal.shape)).astype(np.float32)


def fit(data, times=None, rate=0.0, stop=None, noise=NOISE, gain=1.0, nframes=1, **changes):
    """Apply the rule to ramps (T, n) or (T,)."""
    data = np.asarray(data, np.float32)
    data = data[:, None] if data.ndim == 1 else data
    reads, n = data.shape
    model = difference_covariance(
        np.arange(float(reads)) if times is None else times, nframes=nframes
    )
    stop = np.full(n, reads) if stop is None else np.asarray(stop)
    noise, rate = np.broadcast_to(float(noise), n), np.broadcast_to(float(rate), n)
    return fit_telegraph_noise(data, stop, noise, rate, model, gain, DetectorConfig(**changes))


def small_ramp(seed=1, reads=12, shot=3.0):
    """A ramp with unevenly spaced reads, and its dense covariance."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.5, 2.0, reads))
    walk = shot * np.diff(times, prepend=times[0])
    y = rng.normal(0, NOISE, reads) + np.cumsum(rng.normal(0, 1, reads) * np.sqrt(walk))
    covariance = np.minimum.outer(times, times) - times[0]
    covariance = shot * covariance + NOISE**2 * np.eye(reads)
    return whiten_ramp(y, times, walk, np.full(reads, NOISE**2)), times, covariance


def chi2_dense(y, columns, covariance):
    """Chi-squared of a generalised-least-squares fit."""
    weight = np.linalg.inv(covariance)
    found = np.linalg.solve(columns.T @ weight @ columns, columns.T @ weight @ y)
    rest = y - columns @ found
    return rest @ weight @ rest


def test_nuisance_against_dense_matrix():
    ramp, times, covariance = small_ramp()
    steps = np.array([4, 9])
    columns = [np.ones(12), times, *(1.0 * (np.arange(12) >= f) for f in steps)]
    _, rest, likely = fit_nuisance(ramp, 2, steps)
    wanted = chi2_dense(ramp.data[0], np.transpose(columns), covariance)
    assert -2 * likely == pytest.approx(wanted, rel=1e-8)
    # What is left has the best fit subtracted, not merely some fit.
    again = chi2_dense(rest, np.transpose(columns), covariance)
    assert rest @ np.linalg.solve(covariance, rest) == pytest.approx(again, rel=1e-8)


def test_best_step_against_all_steps():
    ramp, times, covariance = small_ramp(seed=3)
    rest = ramp.data[1].copy()
    remove(ramp.columns, 2, rest)
    where, gain = best_upward_step(rest, ramp.columns, 2, ramp.filter)
    base = np.transpose([np.ones(12), times])
    straight = chi2_dense(ramp.data[0], base, covariance)
    gains = np.full(12, -np.inf)
    for f in range(1, 12):
        columns = np.column_stack([base, np.arange(12) >= f])
        weight = np.linalg.inv(covariance)
        step = np.linalg.solve(columns.T @ weight @ columns, columns.T @ weight @ ramp.data[0])[2]
        if step > 0:
            gains[f] = straight - chi2_dense(ramp.data[0], columns, covariance)
    assert where == gains.argmax()
    assert gain == pytest.approx(gains.max(), rel=1e-8)


def test_two_steps_are_both_found_at_their_reads():
    y = 40.0 * (np.arange(60) >= 20) + 40.0 * (np.arange(60) >= 35)
    ramp = whiten_ramp(
        noisy(y)[:, 0].astype(float), np.arange(60.0), np.zeros(60), np.full(60, 25.0)
    )
    reads = np.empty(4, np.int64)
    count = find_steps(ramp.data[1], 20.0, reads, ramp.columns, 2, ramp.filter)
    assert sorted(reads[:count]) == [20, 35]


def all_paths(rest, levels, move):
    """Probability of every path without shot noise, by enumeration."""
    value = {}
    for path in product(range(len(levels)), repeat=len(rest)):
        miss = (rest - levels[list(path)]) / NOISE
        chance = np.log(1 / len(levels)) - 0.5 * miss @ miss
        value[path] = chance + sum(np.log(move[i, j]) for i, j in zip(path, path[1:], strict=False))
    return value


@pytest.mark.parametrize("levels", [[0.0, 9.0], [0.0, 9.0, -6.0]])
def test_hidden_markov_model_against_all_paths(levels):
    levels, count = np.array(levels), len(levels)
    move = np.full((count, count), 0.1) + np.eye(count) * (1 - 0.1 * count)
    rest = noisy(square(7, 2, 9.0))[:, 0] - 1000.0
    filter = np.array([np.zeros(7), np.full(7, 1 / NOISE)])
    value = all_paths(rest, levels, move)
    weights, chance = np.empty((2, 7, count))
    total = forward(rest.astype(float), filter, levels, move, weights)
    assert total == pytest.approx(np.logaddexp.reduce(list(value.values())), abs=1e-9)
    moves = np.empty((count, count))
    backward(weights, move, chance, moves)
    high = np.logaddexp.reduce([v for path, v in value.items() if path[3] == 1])
    assert chance[3, 1] == pytest.approx(np.exp(high - total), abs=1e-9)
    assert moves.sum() == pytest.approx(6.0)
    path = np.empty(7, np.int8)
    viterbi(rest.astype(float), filter, levels, -2 * np.log(move), path)
    assert tuple(path) == max(value, key=value.get)


def test_square_wave():
    found = fit(noisy(square(60, 10, 40.0)))
    assert found.accepted[0]
    assert found.n_levels[0] == 2
    assert found.transitions[0] == 5
    assert found.amplitude[0] == pytest.approx(40.0, abs=4 * NOISE / np.sqrt(15))
    assert found.high[0] - found.low[0] == pytest.approx(found.amplitude[0], rel=1e-5)
    assert found.frequency[0] == pytest.approx(2.5 / 60)
    # 30 reads in either level; the last dwell has no end.
    assert found.dwell_low[0] == pytest.approx(10.0)
    assert found.dwell_high[0] == pytest.approx(15.0)
    # Half the time 20 DN off the mean, but for the slope that a straight line would fit.
    wanted = 60 * (20 / NOISE) ** 2
    assert found.chi2_gain[0] == pytest.approx(wanted, rel=0.25)
    assert found.significance[0] == pytest.approx(np.sqrt(found.chi2_gain[0]))
    assert 0.9 < found.fit_quality[0] < 1.0
    assert found.confidence[0] > 0.99
    wave = square(60, 10, 40.0) - 20.0
    np.testing.assert_allclose(found.model[:, 0], wave, atol=5.0)


def test_pedestal_changes_nothing():
    data = np.round(noisy(square(60, 10, 40.0)))
    one, two = fit(data), fit(data + 20000)
    for name in one._fields:
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-5, atol=1e-4)


def test_polarity():
    data = np.round(noisy(square(60, 10, 40.0)))
    one, two = fit(data), fit(2000 - data)
    assert one.accepted[0]
    assert two.accepted[0]
    np.testing.assert_allclose(one.low, -two.high, atol=0.05)
    np.testing.assert_allclose(one.dwell_low, two.dwell_high)
    np.testing.assert_allclose(one.model, -two.model, atol=0.05)


def test_scale_of_gain():
    data = noisy(square(60, 10, 60.0), shot=4.0)
    one = fit(data, rate=4.0, gain=1.0)
    two = fit(2 * data, rate=8.0, gain=0.5, noise=2 * NOISE)
    assert one.accepted[0]
    np.testing.assert_allclose(two.amplitude, 2 * one.amplitude, rtol=1e-4)
    np.testing.assert_allclose(two.score, one.score, rtol=1e-4)


def test_masked_reads():
    data = noisy(square(60, 10, 40.0))
    data[[0, 13, 14, 30, 41]] = np.nan
    found = fit(data)
    assert found.accepted[0]
    assert found.transitions[0] == 5
    assert np.isfinite(found.model).all()
    assert found.model[13, 0] == found.model[12, 0]


def test_reads_after_saturation_do_not_count():
    data = noisy(square(80, 10, 40.0))
    cut = fit(data[:60])
    data[60:] = 1e5
    whole = fit(data, stop=[60])
    assert whole.accepted[0]
    np.testing.assert_allclose(whole.score, cut.score, rtol=1e-5)
    np.testing.assert_allclose(whole.model[:60], cut.model, atol=1e-4)


def test_uneven_and_averaged_reads():
    times = np.cumsum(1.0 + np.arange(60) % 3)
    assert fit(noisy(square(60, 10, 60.0), shot=2.0), times=times, rate=1.0).accepted[0]
    found = fit(noisy(square(60, 10, 40.0), noise=NOISE / 2), times=4.0 * np.arange(60), nframes=4)
    assert found.accepted[0]
    assert found.transitions[0] == 5


def test_too_few_reads():
    data = noisy(square(MIN_READS - 1, 2, 400.0))
    found = fit(data)
    assert not found.accepted[0]
    assert found.n_levels[0] == 1
    assert fit(noisy(square(20, 4, 100.0))).accepted[0]


def test_pixels_without_noise_or_rate():
    data = noisy(np.tile(square(60, 10, 40.0)[:, None], 3))
    model, stop = difference_covariance(np.arange(60.0)), np.full(3, 60)
    noise, rate = np.array([NOISE, np.nan, NOISE]), np.array([0.0, 0.0, np.nan])
    found = fit_telegraph_noise(data, stop, noise, rate, model, 1.0, DetectorConfig())
    assert found.accepted.tolist() == [True, False, False]
    assert np.isneginf(screen(data, stop, noise, rate, model, 1.0)).tolist() == [False, True, True]


def test_no_candidates():
    found = fit(np.empty((60, 0)))
    assert found.accepted.shape == (0,)
    assert found.model.shape == (60, 0)


def test_cosmic_rays_are_no_telegraph_noise():
    """Fewer than one in 10,000 pixels with two hits; of 400 none or, by bad luck, one."""
    rng = np.random.default_rng(2)
    reads = np.arange(60)[:, None]
    hits = np.zeros((60, 400))
    for _ in range(2):
        step = NOISE * np.exp(rng.uniform(-0.5, 5.0, 400))
        hits += step * (reads >= rng.integers(1, 60, 400))
    assert fit(noisy(hits)).accepted.sum() <= 1


def test_cosmic_ray_in_a_telegraph_pixel():
    hit = 500.0 * (np.arange(60) >= 34)
    found = fit(noisy(square(60, 10, 40.0) + hit))
    assert found.accepted[0]
    assert found.transitions[0] == 5
    assert found.amplitude[0] == pytest.approx(40.0, abs=6.0)


def test_three_levels():
    levels = np.array([0.0, 60.0, 25.0, 60.0, 0.0, 25.0] * 4).repeat(10)
    found = fit(noisy(levels))
    assert found.accepted[0]
    assert found.n_levels[0] == 3
    assert found.amplitude[0] == pytest.approx(60.0, abs=4.0)
    assert found.transitions[0] == 23
    np.testing.assert_allclose(found.model[:, 0], levels - levels.mean(), atol=6.0)


def test_a_single_bad_read_is_no_telegraph_noise():
    bad = 200.0 * (np.arange(60) == 30)
    assert not fit(noisy(bad)).accepted[0]
    box = 60.0 * ((np.arange(60) >= 25) & (np.arange(60) < 40))
    assert fit(noisy(box)).accepted[0]


def test_bent_ramp_is_no_telegraph_noise():
    signal = 100.0 * np.arange(60) * (1 - 0.1 * np.arange(60) / 60)
    assert not fit(noisy(signal, shot=0.0), rate=90.0, gain=1e3).accepted[0]


@pytest.mark.parametrize(
    "change",
    [
        {"rtn_min_transitions": 6},
        {"rtn_max_transitions": 4},
        {"rtn_amplitude_range": (50.0, 300.0)},
        {"rtn_amplitude_range": (5.0, 30.0)},
        {"rtn_frequency_range": (0.05, 0.5)},
        {"rtn_frequency_range": (0.001, 0.03)},
        {"rtn_fit_quality_threshold": 0.99},
        {"sigma_threshold": 100.0},
    ],
)
def test_every_limit_acts(change):
    data = noisy(square(60, 10, 40.0))
    assert fit(data).accepted[0]
    assert not fit(data, **change).accepted[0]


def test_confidence_limit_acts():
    data = np.hstack([noisy(square(60, 10, 9.0), seed) for seed in range(30)])
    found = fit(data, rtn_amplitude_range=(0, 300), rtn_min_confidence=0.0)
    strict = fit(data, rtn_amplitude_range=(0, 300), rtn_min_confidence=0.9)
    assert found.accepted.sum() > strict.accepted.sum() > 0
    assert found.confidence[strict.accepted].min() >= 0.9
    scores = np.array([confidence_of(score) for score in (-np.inf, 0.0, 11.0, 1e9)])
    assert (np.diff(scores) > 0).all()
    assert scores[[0, 3]].tolist() == [0.0, 1.0]


def test_quiet_ramps():
    """Five of a million are allowed; of 3000 none, and fewer than 1 % are worth a fit."""
    data = noisy(np.zeros((60, 3000)), seed=4, shot=1.0)
    model, stop = difference_covariance(np.arange(60.0)), np.full(3000, 60)
    noise, rate = np.full(3000, NOISE), np.ones(3000)
    candidate = screen(data, stop, noise, rate, model, 1.0) > TUNING.candidate
    assert 0 < candidate.sum() < 30
    assert not fit(data[:, candidate], rate=1.0).accepted.any()


def telegraph_ramps(reads, n, dwell, amplitude, seed, shot=0.0):
    """Markov levels with at least four transitions."""
    rng = np.random.default_rng(seed)
    moved = rng.random((reads, n)) < 1 - np.exp(-1 / dwell)
    levels = amplitude * (np.cumsum(moved, axis=0) % 2)
    levels = levels[:, moved[1:].sum(axis=0) >= 4]
    return noisy(levels, seed + 1, shot=shot), (np.diff(levels, axis=0) != 0).sum(axis=0)


@pytest.mark.parametrize("shot", [0.0, 2.0])
def test_completeness_and_recovery(shot):
    """Two levels that take off chi-squared of several hundred: 97 % found, without bias."""
    data, transitions = telegraph_ramps(120, 150, 12.0, 30.0, 5, shot)
    n = data.shape[1]
    model, stop = difference_covariance(np.arange(120.0)), np.full(n, 120)
    candidate = (
        screen(data, stop, np.full(n, NOISE), np.full(n, shot), model, 1.0) > TUNING.candidate
    )
    found = fit(data, rate=shot)
    assert (found.accepted & candidate).mean() >= 0.97
    good = found.accepted
    assert np.median(found.amplitude[good]) == pytest.approx(30.0, rel=0.03)
    assert np.median(found.transitions[good] / transitions[good]) == pytest.approx(1.0, abs=0.05)
    # The mean of logarithms of about five dwells each is biased by less than their scatter.
    dwell = np.exp(np.log(np.r_[found.dwell_low[good], found.dwell_high[good]]).mean())
    assert dwell == pytest.approx(12.0, rel=0.2)


def test_screen_is_per_pixel():
    """Blocks of columns, masked reads and saturation change a pixel's own statistic alone."""
    data, _ = telegraph_ramps(60, 700, 8.0, 20.0, 7)
    data, n = data[:, :300], 300
    data[20, 5] = np.nan
    stop = np.full(n, 60)
    stop[7] = 40
    data[40:, 7] = 60000.0
    model, noise, rate = difference_covariance(np.arange(60.0)), np.full(n, NOISE), np.zeros(n)
    whole = screen(data, stop, noise, rate, model, 1.0)
    for i in (0, 5, 7, 255, 256, 299):
        part = (data[:, i : i + 1], stop[i : i + 1], noise[i : i + 1], rate[i : i + 1])
        np.testing.assert_allclose(screen(*part, model, 1.0), whole[i : i + 1], rtol=1e-4)
    data[40:, 7] = np.nan
    assert screen(data, stop, noise, rate, model, 1.0)[7] == whole[7]
    assert (whole > TUNING.candidate).mean() > 0.97
