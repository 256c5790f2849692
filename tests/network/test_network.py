"""What the network sees of a ramp, the network itself, and its loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.row_block import analyse
from ohana.events import join_steps
from ohana.network import inputs
from ohana.network.inputs import (
    CHANNELS,
    FLICKER,
    LEVEL,
    NOISY,
    POISSON,
    SIGNIFICANCE,
    STEP,
    USABLE,
    network_input,
)
from ohana.network.tuning import TUNING
from ohana.network.unet3d import Architecture, UNet3D
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.noise import measure
from ohana.rampfit.scan import Ramps, step_at
from ohana.training.learner import loss
from ohana.training_sets.labels import IGNORE

READS, ROWS, COLS = 20, 16, 40
NOISE = 8.0
MODEL = difference_covariance(np.arange(READS, dtype=float))


def look(data, stop=None, gain=1.5):
    """What the rules find in a small array: block, maps, steps."""
    stop = np.full(data.shape[1:], len(data), np.int32) if stop is None else stop
    block = RampBlock(data, stop)
    model = difference_covariance(np.arange(len(data), dtype=float))
    noise = measure(data, stop, np.zeros(stop.shape, bool), model, gain)
    steps, _, maps = analyse(block, noise, model, gain, DetectorConfig())
    return block, maps, steps, model


@pytest.fixture(scope="module")
def quiet():
    """Ramps of noise alone, 3 DN per read."""
    rng = np.random.default_rng(4)
    ramps = rng.normal(0, NOISE, (READS, ROWS, COLS)) + 3.0 * np.arange(READS)[:, None, None]
    return ramps.astype(np.float32)


def unlimited(x):
    """Undo the limit of significances."""
    x = x.astype(float)
    return x / np.sqrt(1 - (x / TUNING.significance_ceiling) ** 2)


def test_limit_of_significances_is_that_of_the_tuning(quiet, monkeypatch):
    """Compiled code must not keep a value of its own."""
    monkeypatch.setattr(inputs, "TUNING", replace(TUNING, significance_ceiling=0.5))
    x = network_input(*look(quiet)).whole()
    for channel in (STEP, SIGNIFICANCE, LEVEL):
        assert 0.4 < np.abs(x[channel]).max() <= 0.5


def test_noise_has_unit_variance_in_every_read(quiet):
    x = network_input(*look(quiet)).whole()
    assert x.shape == (len(CHANNELS), READS, ROWS, COLS)
    for channel in (STEP, SIGNIFICANCE):
        # 640 values: their RMS is known to 2.8 %, and limiting takes 2 % off it.
        assert np.abs(x[channel, 1:].std(axis=(1, 2)) - 0.98).max() < 0.12
    assert abs(x[LEVEL].std() - 0.93) < 0.06
    assert not x[:USABLE, 0, :, :][[STEP, SIGNIFICANCE]].any()
    assert (x[USABLE, 1:] == 1).all()
    assert not x[USABLE, 0].any()


def test_significance_is_that_of_all_reads(quiet):
    block, maps, steps, model = look(quiet)
    x = network_input(block, maps, steps, model).whole()
    assert not len(steps.row)
    pixels = quiet.reshape(READS, -1)
    ramps = Ramps(
        pixels, block.stop.ravel(), maps.noise.ravel().astype(float) ** 2, maps.shot.ravel()
    )
    for read in (1, 2, 10, READS - 1):
        step, error = step_at(ramps, model, np.full(pixels.shape[1], read))
        dof = maps.dof.ravel().astype(float)
        sigma = step / error
        if np.isfinite(dof).all() and dof.min() < 1e3:
            wallace = np.sqrt(dof * np.log1p(sigma**2 / dof))
            sigma = np.copysign(wallace, sigma)
        assert unlimited(x[SIGNIFICANCE, read].ravel()) == pytest.approx(sigma, abs=5e-3)


def test_a_step_is_seen_at_its_read_alone(quiet):
    data = quiet.copy()
    data[7:, 5, 9] += 400.0
    block, maps, steps, model = look(data)
    x = network_input(block, maps, steps, model).whole()
    assert list(zip(steps.row, steps.col, steps.read, strict=True)) == [(5, 9, 7)]
    assert x[STEP, 7, 5, 9] > 7.5
    expected = steps.significance[0] / np.hypot(
        1, steps.significance[0] / TUNING.significance_ceiling
    )
    assert x[SIGNIFICANCE, 7, 5, 9] == pytest.approx(expected, rel=1e-5)
    others = np.delete(x[SIGNIFICANCE, 1:, 5, 9], 6)
    assert np.abs(others).max() < 4
    assert x[LEVEL, 3, 5, 9] < -5
    assert x[LEVEL, 15, 5, 9] > 5


def test_a_hand_made_pixel():
    """Three reads of 0, 10 and 10 DN at a known noise of 5 DN and no rate."""
    data = np.array([0.0, 10.0, 10.0, 10.0], np.float32).reshape(4, 1, 1)
    block, maps, _, model = look(data)
    one = np.ones((1, 1), np.float32)
    maps = replace(
        maps, noise=5 * one, neighbour_noise=5 * one, shot=0 * one, rate=0 * one, dof=1e9 * one
    )
    x = network_input(block, maps, join_steps([]), model).whole()[:, :, 0, 0]
    assert unlimited(x[STEP]) == pytest.approx([0, 10 / np.sqrt(50), 0, 0], rel=1e-4)
    assert unlimited(x[LEVEL]) == pytest.approx(np.array([-7.5, 2.5, 2.5, 2.5]) / 5, rel=1e-4)
    assert x[NOISY] == pytest.approx(0)
    assert x[POISSON] == pytest.approx(0)


def test_gain_pedestal_and_scale_drop_out(quiet):
    data = quiet.copy()
    data[7:, 5, 9] += 90.0
    block, maps, steps, model = look(data)
    plain = network_input(block, maps, steps, model).whole()
    scaled = network_input(*look(4.0 * data + 1000.0, gain=1.5 / 4.0)).whole()
    assert np.abs(plain - scaled).max() < 0.02  # float32 reads, counted from 1000


def test_parts_equal_the_whole(quiet):
    data = quiet.copy()
    data[7:, 5, 9] += 90.0
    block, maps, steps, model = look(data)
    whole = network_input(block, maps, steps, model).whole()
    rows, cols = slice(4, 13), slice(3, 36)
    inside = steps._replace(row=steps.row - 4, col=steps.col - 3)
    part = RampBlock(np.ascontiguousarray(data[:, rows, cols]), block.stop[rows, cols])
    cut = network_input(part, maps.window(rows, cols), inside, model, threads=1).whole()
    assert np.array_equal(cut, whole[:, :, rows, cols])


def test_flipped_and_transposed_arrays(quiet):
    block, maps, steps, model = look(quiet)
    whole = network_input(block, maps, steps, model).whole()
    turned = replace(maps, **{f: getattr(maps, f).T for f in maps.__dataclass_fields__})
    data = np.ascontiguousarray(quiet.swapaxes(1, 2))
    swapped = network_input(RampBlock(data, block.stop.T), turned, join_steps([]), model).whole()
    assert np.allclose(swapped.swapaxes(-1, -2), whole, atol=1e-5)


def test_saturated_masked_and_dead_pixels(quiet):
    data = quiet.copy()
    stop = np.full((ROWS, COLS), READS, np.int32)
    stop[2, 3] = 12
    data[8, 4, 5] = np.nan
    data[:, 6, 7] = np.nan
    x = network_input(*look(data, stop)).whole()
    assert np.isfinite(x).all()
    assert (x[USABLE, 1:12, 2, 3] == 1).all()
    assert (x[USABLE, 12:, 2, 3] == -1).all()
    assert not x[STEP, 12:, 2, 3].any()
    assert x[USABLE, 7:11, 4, 5].tolist() == [1, 0, 0, 1]
    assert not x[[STEP, SIGNIFICANCE, LEVEL, USABLE], :, 6, 7].any()


def test_telegraph_noise_stands_out(quiet):
    data = quiet.copy()
    data[:, 3, 3] += 60.0 * (np.arange(READS) // 4 % 2)
    x = network_input(*look(data)).whole()
    assert x[FLICKER, 0, 3, 3] > 1
    assert np.median(x[FLICKER, 0]) < 0.5


ARCHITECTURES = [
    Architecture(widths=(4, 6, 8), strides=((2, 2, 2), (1, 2, 2))),
    Architecture(widths=(4, 6, 8), strides=((2, 2, 2), (2, 2, 2))),
    Architecture(widths=(4, 6), strides=((1, 2, 2),)),
    Architecture(widths=(4,), strides=()),
    Architecture(widths=(4, 4, 6, 6), strides=((2, 2, 2), (1, 2, 2), (1, 2, 2)), classes=2),
]


def random_network(architecture):
    """Weights and normalisations that make a difference."""
    torch.manual_seed(0)
    net = UNet3D(architecture).double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_windows_with_context_equal_the_whole(architecture):
    net = random_network(architecture)
    x = torch.randn(1, architecture.channels, 72, 112, 8, dtype=torch.float64)
    (t, y, _), (dt, dy, _) = net.context, net.stride
    assert t % dt == y % dy == 0
    with torch.inference_mode():
        whole = net(x)
        late = net(x[:, :, 24:, 16:])
        early = net(x[:, :, :40, :96])
    assert torch.allclose(late[:, :, t:, y:], whole[:, :, 24 + t :, 16 + y :], atol=1e-12)
    assert torch.allclose(early[:, :, : 40 - t, : 96 - y], whole[:, :, : 40 - t, : 96 - y])


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_folded_normalisations_change_nothing(architecture):
    net = random_network(architecture).float()
    x = torch.randn(1, 7, 8, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(net.for_inference()(x), net(x), atol=1e-5)


@pytest.mark.parametrize("size", [(4, 1, 1), (5, 9, 11), (7, 8, 3), (33, 16, 24)])
def test_any_size(size):
    net = UNet3D(Architecture(widths=(4, 6)))
    assert net(torch.zeros(2, 7, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize("shape", [(1, 7, 3, 8, 8), (1, 6, 4, 8, 8), (7, 4, 8, 8)])
def test_a_wrong_input_is_named(shape):
    with pytest.raises(ValueError, match=r"x: wanted \(N, 7, T >= 4, H, W\), got"):
        UNet3D(Architecture(widths=(4,), strides=()))(torch.zeros(shape))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widths": ()}, "widths: wanted at least one level"),
        ({"detail": 0}, "wanted channels, widths and detail >= 1"),
        ({"classes": 1}, "classes >= 2"),
        ({"widths": (4, 8), "strides": ()}, r"one fewer than widths \(1\), got 0"),
        ({"widths": (4, 8), "strides": ((2, 0, 2),)}, "triples of numbers >= 1"),
    ],
)
def test_an_impossible_architecture_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**values)


def test_architecture_round_trip():
    one = Architecture(widths=(4, 8), strides=((1, 2, 2),))
    assert Architecture(**one.as_dict()) == one


def test_loss_ignores_what_does_not_count():
    torch.manual_seed(1)
    logits = torch.randn(2, 4, 3, 4, 5)
    labels = torch.randint(0, 4, (2, 3, 4, 5), dtype=torch.uint8)
    labels[0] = IGNORE
    assert loss(logits, labels) == pytest.approx(float(loss(logits[1:], labels[1:])))
    logits[0] = 100.0
    assert loss(logits, labels) == pytest.approx(float(loss(logits[1:], labels[1:])))


def test_a_missed_hit_costs_more_than_a_false_one():
    def cost(truth, said):
        labels = torch.zeros(1, 1, 10, 10, dtype=torch.uint8)
        labels[0, 0, 5, 5] = truth
        logits = torch.zeros(1, 4, 1, 10, 10)
        logits[:, 0] = 5.0
        logits[0, said, 0, 5, 5] = 10.0
        return float(loss(logits, labels))

    hit, nothing = Label.COSMIC_RAY, Label.BACKGROUND
    assert cost(hit, nothing) > 3 * cost(nothing, hit) > 0
