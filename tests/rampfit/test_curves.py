"""Ramps that bend: no events from their curves, hits on them are found."""

from __future__ import annotations

import numpy as np
import pytest

from ohana import find_anomalies
from ohana.config import DetectorConfig
from ohana.events import STEP_TYPES, Steps
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.curves import bends, best_curve, curve_shapes, misfits, straightened
from ohana.rampfit.gls import fit_line
from ohana.rampfit.noise import measure
from ohana.rampfit.nonlinearity import undecided
from ohana.rampfit.patches import mean_around, patch_curves
from ohana.rampfit.pixel_search import search
from ohana.rampfit.scan import Ramps, fit_curves, ramps_of, scan
from ohana.rampfit.step_search import find_steps

CONFIG = DetectorConfig()


def model_of(reads, nframes=1):
    return difference_covariance(float(nframes) * np.arange(reads), nframes=nframes)


def path(shape, reads, nframes=1):
    """A curve of size 1 (T,), mean of the frames of each read."""
    t = np.arange(float(reads * nframes))
    signal = {
        "exponential": 1 - np.exp(-t / (t[-1] / 5)),
        "inverse": np.log1p(t) / np.log1p(t[-1]),
        "parabola": 1 - (1 - t / t[-1]) ** 2,
        "kink": 2 * np.maximum(t / t[-1] - 0.5, 0),
    }[shape]
    return signal.reshape(reads, nframes).mean(1)


def ramps_with(signal, n, sigma=10.0, seed=1, nframes=1):
    """n ramps (T, n) of a signal (T,), with noise ``sigma`` in each read."""
    rng = np.random.default_rng(seed)
    data = signal[:, None] + rng.normal(0, sigma, (len(signal), n))
    stop = np.full(n, len(signal), np.int32)
    return Ramps(data.astype(np.float32), stop, np.full(n, nframes * sigma**2), np.zeros(n))


def found(ramps, model):
    dof = np.full(ramps.data.shape[1], np.inf)
    return find_steps(ramps, dof, scan(ramps, model), model, CONFIG)


@pytest.mark.parametrize("reads", [8, 20, 60, 450])
@pytest.mark.parametrize("shape", ["exponential", "inverse", "parabola", "kink"])
@pytest.mark.parametrize("size", [600.0, 1500.0])
def test_curves_are_no_steps(reads, shape, size):
    if shape == "kink" and reads == 8:
        pytest.skip("seven differences do not tell when a rate rises")
    steps = found(ramps_with(size * path(shape, reads), 300), model_of(reads)).steps
    assert (steps.amplitude > 25).sum() <= 2


@pytest.mark.parametrize("shape", ["exponential", "parabola"])
def test_curves_in_averaged_reads_are_no_steps(shape):
    ramps = ramps_with(1500 * path(shape, 20, 4), 300, nframes=4)
    assert len(found(ramps, model_of(20, 4)).steps.col) <= 2


@pytest.mark.parametrize("reads", [20, 60, 450])
@pytest.mark.parametrize("shape", ["exponential", "inverse", "parabola", "kink"])
def test_hits_on_curves_are_found(reads, shape):
    n, rng = 400, np.random.default_rng(5)
    ramps = ramps_with(300 * path(shape, reads), n)
    at = rng.integers(reads // 3, reads - 2, n)
    ramps.data[:] += 250.0 * (np.arange(reads)[:, None] >= at)
    steps = found(ramps, model_of(reads)).steps
    near = np.abs(steps.read - at[steps.col]) <= 1
    assert len(np.unique(steps.col[near & (steps.amplitude > 0)])) >= 0.99 * n
    assert (~near).sum() <= 0.05 * n


@pytest.mark.parametrize("reads", [8, 20, 60])
def test_two_hits_are_no_curve(reads):
    n, rng = 500, np.random.default_rng(6)
    ramps = ramps_with(np.zeros(reads), n)
    first, second = np.sort(rng.integers(1, reads, (2, n)), axis=0)
    read = np.arange(reads)[:, None]
    ramps.data[:] += 250.0 * (read >= first) + 250.0 * (read >= second)
    result = found(ramps, model_of(reads))
    # Hits in the first two differences are a decay.
    apart = (first != second) & (first > 2)
    assert (result.curve[apart] >= 0).mean() < 0.01
    assert (np.bincount(result.steps.col, minlength=n)[apart] == 2).mean() > 0.97


def test_fits_a_curve_by_hand():
    model = model_of(7)
    shapes = curve_shapes(model)
    data = 3.0 * np.arange(7) + np.append(0, np.cumsum(40 * shapes[2]))
    ramps = Ramps(data[:, None], np.array([7]), np.ones(1), np.zeros(1), shapes=shapes)
    size, error = fit_curves(ramps, model)
    assert size[2, 0] == pytest.approx(40)
    assert best_curve(ramps, model, np.zeros(1)).curve.tolist() == [2]
    assert bends(ramps, scan(ramps, model), model).tolist() == [2]
    free = ramps._replace(curve=np.array([2]))
    fitted = scan(free, model)
    assert (fitted.rate[0], fitted.bend[0]) == (pytest.approx(3), pytest.approx(40))
    rest = straightened(ramps, np.array([2]), fitted.bend, model)
    np.testing.assert_allclose(rest.data[:, 0], 3.0 * np.arange(7), atol=1e-5)
    assert straightened(ramps, np.array([-1]), fitted.bend, model) is ramps
    rate, _ = fit_line(
        np.diff(ramps.data, axis=0), np.ones(1), np.zeros(1), model, np.array([2]), shapes
    )
    assert rate[0] == pytest.approx(3)
    # The error of a column by dense matrices.
    noise = 2 * np.eye(6) - np.eye(6, k=1) - np.eye(6, k=-1)
    base = np.array([model.dt, shapes[2]])
    inverse = np.linalg.inv(base @ np.linalg.inv(noise) @ base.T)
    assert error[2, 0] == pytest.approx(np.sqrt(inverse[1, 1]))


def test_shapes_start_with_a_parabola_and_end_with_none():
    for reads in (3, 4, 9, 60):
        shapes = curve_shapes(model_of(reads))
        assert np.abs(shapes[:-1]).max(1) == pytest.approx(1)
        assert not shapes[-1].any()
    uneven = curve_shapes(difference_covariance(np.array([0.0, 3, 6, 25, 50, 75, 100])))
    assert np.isfinite(uneven).all()


def test_misfits_by_hand():
    # A decay of 8, 4 and 2 in four differences departs by 4.6 from a straight ramp.
    shapes = np.array([[1.0, 0.5, 0.25, 0.0], [0.0, 0.0, 0.0, 0.0]])
    limits = misfits(shapes, np.ones(4))
    np.testing.assert_allclose(limits[0], [0.3, 0.3, 0.15, 0.075])
    assert not limits[1].any()


def block_of(signal, rng, noise=10.0):
    data = (signal + rng.normal(0, noise, signal.shape)).astype(np.float32)
    return RampBlock(data - data[:1], np.full(data.shape[1:], len(data), np.int32))


def search_block(block):
    model, shape = model_of(len(block.data)), block.stop.shape
    noise = measure(*block, np.zeros(shape, bool), model, 1.0)
    ramps = ramps_of(block.data, block.stop, noise.variance, noise.shot, guess=noise.rate)
    return search(ramps, noise.dof.ravel(), shape[1], model, CONFIG)[2]


def test_faint_decays_are_known_from_the_pixels_around():
    rng, reads = np.random.default_rng(3), 40
    size = 70 * np.exp(rng.normal(0, 0.2, (16, 256)))
    block = block_of(path("exponential", reads)[:, None, None] * size, rng)
    block.data[25:, 8, ::16] += 120
    result = search_block(block)
    hit = (result.steps.col % 16 == 0) & (result.steps.col // 256 == 8)
    assert (~hit).sum() <= 1
    assert len(np.unique(result.steps.col[hit])) == 16


def test_pixels_with_the_same_step_do_not_bend():
    rng = np.random.default_rng(4)
    data = rng.normal(0, 10, (20, 16, 64))
    data[3:, 6:9, 30:33] += 150
    ramps = Ramps(
        data.reshape(20, -1).astype(np.float32), np.full(1024, 20, np.int32),
        np.full(1024, 100.0), np.zeros(1024),
    )  # fmt: skip
    member = np.array([6 * 64 + 30, 7 * 64 + 31])
    assert patch_curves(ramps, 64, member, model_of(20)).tolist() == [-1, -1]


def test_mean_of_pixels_around_by_hand():
    ramps = Ramps(
        np.arange(3.0)[:, None] * np.arange(32 * 5).astype(np.float32), np.full(160, 3, np.int32),
        np.full(160, 4.0), np.zeros(160),
    )  # fmt: skip
    ramps.data[1, 6] = np.nan
    ramps.stop[7] = 2
    # The corner: 3 x 3 pixels without itself, one without a value and one saturated.
    mean, count = mean_around(ramps._replace(data=ramps.data.copy()), 5, np.array([0]))
    assert count.tolist() == [6]
    assert mean.data[1, 0] == pytest.approx(np.mean([1, 2, 5, 10, 11, 12]))
    assert mean.variance[0] == pytest.approx(4 / 6)
    # The last row of a tile sees none of the next.
    _, count = mean_around(ramps, 5, np.array([15 * 5 + 2]))
    assert count.tolist() == [14]


def steps_of(*entries):
    ramp, read, amplitude, error = np.array(entries, float).T
    zero = np.zeros(len(ramp))
    columns = (zero, ramp, read, amplitude, error, amplitude / error, zero, zero)
    return Steps(*(c.astype(kind) for c, kind in zip(columns, STEP_TYPES, strict=True)))


def test_few_reads_leave_steps_of_hot_pixels_undecided():
    # Pixels of three reads: one hot that bends, one hot with a hit, one that only fell, one hit.
    slopes = np.zeros((2, 16 * 8))
    slopes[:, [20, 40, 60, 80]] = np.array([[160, 100], [400, 100], [0, -90], [90, 0]]).T
    data = np.vstack([np.zeros((1, 128)), np.cumsum(slopes, 0)]).astype(np.float32)
    ramps = Ramps(data, np.full(128, 3, np.int32), np.full(128, 50.0), np.zeros(128))
    rate = np.zeros(128)
    rate[[20, 40, 60]] = 100, 100, -90
    steps = steps_of((20, 1, 60, 10), (40, 1, 300, 10), (60, 1, 90, 14), (80, 1, 90, 14))
    fitted = np.full(128, 2), rate
    maybe = undecided(steps, ramps, fitted, 8, model_of(3), 5.0)
    assert maybe.tolist() == [True, False, True, False]
    assert not undecided(steps, ramps, (np.full(128, 9), rate), 8, model_of(3), 5.0).any()


def test_two_rises_in_four_reads_are_no_fall_and_leave_no_rate():
    rng = np.random.default_rng(8)
    data = 1000 + 10 * np.arange(4.0)[:, None, None] + rng.normal(0, 6, (4, 64, 64))
    data[1:, 20, 20] += 4000
    data[3:, 20, 20] += 5000
    data[1:, 40, 40] += 4000
    anomalies = find_anomalies(data, gain=2.0, saturation=60000.0)
    places = sorted((*event["position"], event["first_frame"]) for event in anomalies.events)
    assert places == [(20, 20, 1), (20, 20, 3), (40, 40, 1)]
    assert np.isnan(anomalies.rate[20, 20])
    assert anomalies.rate[40, 40] == pytest.approx(10, abs=20)


def test_rate_of_a_decay_is_what_it_leads_to():
    rng = np.random.default_rng(9)
    data = 5 * np.arange(40.0)[:, None, None] + rng.normal(0, 6, (40, 48, 48))
    data[:, 20:25, 20:25] += 2000 * (1 - np.exp(-np.arange(40.0) / 4))[:, None, None]
    anomalies = find_anomalies(data, gain=2.0)
    assert not anomalies.events
    assert (anomalies.maps["curve"][20:25, 20:25] >= 0).all()
    assert np.median(anomalies.rate[20:25, 20:25]) == pytest.approx(5, abs=0.5)


def test_spilled_charge_is_no_jump_into_saturation():
    # The neighbour is full from read 10 on: the ramp ends there, but goes on rising.
    ramps = ramps_with(300.0 * np.arange(20), 3)
    ramps.data[10:] += 400.0 * np.arange(1, 11)[:, None]
    ramps = ramps._replace(stop=np.full(3, 10, np.int32))
    assert not len(found(ramps, model_of(20)).steps.col)
    # One that stays where it is was hit.
    ramps.data[10:] = ramps.data[10]
    assert found(ramps, model_of(20)).steps.read.tolist() == [10, 10, 10]
