"""Fits of completeness: known curves, and the ends where all or nothing is found."""

import numpy as np
import pytest
from scipy.special import expit

from ohana.evaluate.injection.completeness import fit_completeness


def drawn(rng, count=300, middle=3.0, width=0.2, top=1.0):
    x = rng.uniform(1, 5, count)
    return np.exp(x), rng.random(count) < top * expit((x - middle) / width)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng, inside = np.random.default_rng(1), np.zeros((60, 2), bool)
    truth = np.exp([3.0, 3.0 + 0.2 * np.log(9)])
    for k in range(len(inside)):
        fit = fit_completeness(*drawn(rng, 120))
        for i, limit in enumerate((fit.half, fit.most)):
            inside[k, i] = limit.low <= truth[i] <= limit.high
    # 68 % of 60, with a standard error of 6 %.
    assert (inside.mean(axis=0) > 0.5).all()
    assert (inside.mean(axis=0) < 0.88).all()


def test_scaling_charges_scales_limits():
    charge, found = drawn(np.random.default_rng(2))
    one, other = fit_completeness(charge, found), fit_completeness(10 * charge, found)
    np.testing.assert_allclose(np.multiply(10, [*one.half, *one.most]), [*other.half, *other.most])
    np.testing.assert_allclose(one.curve, other.curve)


def test_curve_rises_within_its_band():
    fit = fit_completeness(*drawn(np.random.default_rng(3)))
    assert (np.diff(fit.curve) > 0).all()
    assert (fit.low <= fit.curve + 0.01).all()
    assert (fit.curve <= fit.high + 0.01).all()
    assert fit.curve[0] < 0.02
    assert fit.curve[-1] > 0.97


def test_nothing_found():
    charge, _ = drawn(np.random.default_rng(4))
    fit = fit_completeness(charge, np.zeros(len(charge), bool))
    assert np.isnan(fit.half.value)
    assert fit.half.low == pytest.approx(charge.max())
    assert np.isnan(fit.half.high)


def test_all_found():
    charge, _ = drawn(np.random.default_rng(5))
    fit = fit_completeness(charge, np.ones(len(charge), bool))
    assert np.isnan(fit.half.value)
    assert fit.half.high == pytest.approx(charge.min())
    assert np.isnan(fit.half.low)


def test_ninety_percent_that_are_never_reached():
    fit = fit_completeness(*drawn(np.random.default_rng(6), 600, top=0.7))
    assert fit.half.low < np.exp(3.0 + 0.2 * np.log(5 / 2)) * 1.03
    assert fit.half.high > np.exp(3.0 + 0.2 * np.log(5 / 2)) * 0.97
    assert np.isnan(fit.most.value)
    assert fit.most.low > np.exp(4)


def test_a_sharp_edge():
    charge = np.exp(np.linspace(1, 5, 200))
    fit = fit_completeness(charge, charge > 20)
    assert fit.half.low < 20.5
    assert fit.half.high > 19.5
    assert fit.half.high / fit.half.low < 1.05
    assert fit.most.value < 24


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_events(count):
    fit = fit_completeness(np.arange(1.0, count + 1), np.ones(count, bool))
    assert (fit.count, fit.found) == (count, count)
    assert np.isnan([*fit.half, *fit.most]).all()
    assert len(fit.at) == 0


def test_equal_charges():
    fit = fit_completeness(np.full(20, 50.0), np.arange(20) < 10)
    assert fit.found == 10
    assert np.isfinite(fit.curve).all()
