import numpy as np
import pytest

from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.curves import curve_shapes
from ohana.rampfit.gls import fit_steps


def covariance(model, variance, shot):
    diagonal = variance * model.read + shot * model.shot
    beside = (variance * model.read_next + shot * model.shot_next)[:-1]
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)


def oracle(d, variance, shot, model, curved):
    """Dense generalised least squares, one step at a time, differences that are NaN deleted."""
    count = len(d)
    keep = np.flatnonzero(np.isfinite(d))
    inverse = np.linalg.inv(covariance(model, variance, shot)[np.ix_(keep, keep)])
    curvature = model.dt * (np.arange(count) - (count - 1) / 2) / count
    base = np.array([model.dt, curvature])[: 1 + curved, keep].T
    normal = base.T @ inverse @ base
    plain = np.linalg.solve(normal, base.T @ inverse @ d[keep])
    residual = d[keep] - base @ plain
    step, error = np.full(count, np.nan), np.full(count, np.nan)
    for j, f in enumerate(keep):
        design = np.column_stack([base, np.arange(len(keep)) == j])
        normal_step = design.T @ inverse @ design
        if np.linalg.cond(normal_step) > 1e13:
            continue
        step[f] = np.linalg.solve(normal_step, design.T @ inverse @ d[keep])[-1]
        error[f] = np.sqrt(np.linalg.inv(normal_step)[-1, -1])
    rate_error = np.sqrt(np.linalg.inv(normal)[0, 0])
    return plain[0], rate_error, residual @ inverse @ residual, step, error


@pytest.mark.parametrize("reads", [3, 4, 8, 60])
@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("gap", ["none", "holes"])
@pytest.mark.parametrize("spacing", ["even", "uneven", "averaged"])
def test_equals_dense_matrices(reads, curved, gap, spacing):
    rng = np.random.default_rng(reads)
    times = np.cumsum(rng.uniform(0.5, 2, reads)) if spacing == "uneven" else 5.0 * np.arange(reads)
    model = difference_covariance(times, nframes=4 if spacing == "averaged" else 1)
    n = 12
    variance, shot = rng.uniform(0.5, 9, n), rng.choice([0, 0.01, 1, 50], n)
    d = rng.normal(3, 2, (reads - 1, n))
    if gap == "holes":
        d[rng.random(d.shape) < 0.2] = np.nan
        d[:3, 0] = np.nan
    fit = fit_steps(d, variance, shot, model, np.full(n, curved - 1), curve_shapes(model))
    for i in np.flatnonzero(np.isfinite(d).sum(0) >= 2 + curved):
        rate, rate_error, chi2, step, error = oracle(d[:, i], variance[i], shot[i], model, curved)
        known = fit.information[:, i] > 0
        np.testing.assert_array_equal(known, np.isfinite(step))
        np.testing.assert_allclose(fit.rate[i], rate, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(fit.rate_error[i], rate_error, rtol=1e-8)
        np.testing.assert_allclose(fit.chi2[i], chi2, rtol=1e-7, atol=1e-7)
        found = fit.score[known, i] / fit.information[known, i]
        np.testing.assert_allclose(found, step[known], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(fit.information[known, i] ** -0.5, error[known], rtol=1e-8)


def test_step_in_every_position():
    model = difference_covariance(np.arange(20.0))
    d = np.full((19, 19), 2.0) + 7.0 * np.eye(19)
    fit = fit_steps(d, np.full(19, 4.0), np.full(19, 0.3), model)
    significance = fit.score / np.sqrt(fit.information)
    np.testing.assert_array_equal(significance.argmax(0), np.arange(19))
    amplitude = np.diag(fit.score / fit.information)
    np.testing.assert_allclose(amplitude, 7.0, rtol=1e-9)


def test_dead_pixel_has_no_rate():
    fit = fit_steps(
        np.full((9, 1), np.nan), np.ones(1), np.zeros(1), difference_covariance(np.arange(10.0))
    )
    assert np.isnan(fit.rate[0])
    assert fit.used[0] == 0
    assert not fit.information.any()


def test_names_the_wrong_model():
    with pytest.raises(ValueError, match="covariance: wanted 4 differences, got 9"):
        fit_steps(np.ones((4, 1)), np.ones(1), np.zeros(1), difference_covariance(np.arange(10.0)))
