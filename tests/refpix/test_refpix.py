from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct, idct

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import DetectorInfo, Planes, Ramp
from ohana.refpix.border import border_slices, border_strips, strips_of
from ohana.refpix.channels import MIN_ODD_EVEN, usable
from ohana.refpix.correction import subtract
from ohana.refpix.fit import NoReferencePixels, ReferencePixelCorrector, fit_reference, fit_strips
from ohana.refpix.row_noise import row_noise

BORDER = 4


def white(rng, shape, sigma=10.0):
    return rng.normal(0, sigma, shape).astype(np.float32)


def corrected(cube, outputs=1, border=BORDER, seen=None, **choices):
    """Correct a cube by its own border, or by that of the cube that the detector has seen."""
    out = cube.astype(np.float32, order="C")
    subtract(out, fit_strips(strips_of(cube if seen is None else seen, border), outputs, **choices))
    return out


def changes(cube):
    """What a pedestal per pixel leaves."""
    return cube - cube.mean(axis=0)


def science(cube, border=BORDER):
    return cube[:, border:-border, border:-border]


def output_of(width, outputs):
    return np.arange(width) * outputs // width


def drifts(rng, reads, height, width, outputs):
    """Everything that has to vanish: offsets, odd-even offsets and slopes, per output and read."""
    out = output_of(width, outputs)
    level = rng.normal(0, 30, (reads, outputs))[:, out]
    parity = rng.normal(0, 5, (reads, outputs))[:, out] * (np.arange(width) % 2)
    slope = rng.normal(0, 40, (reads, outputs))[:, out] / height
    rows = np.arange(height)[:, None]
    return (level + parity)[:, None] + slope[:, None] * rows


def pink(rng, reads, height, width, outputs, sigma):
    """1/f noise that all outputs share, in the order of reading; every other one runs backward."""
    cols = width // outputs
    count = reads * height * (cols + 8)  # eight clocks of overhead per row
    frequency = np.fft.rfftfreq(count)
    frequency[0] = np.inf
    phases = rng.normal(size=(2, len(frequency))) / np.sqrt(frequency)
    noise = np.fft.irfft(phases[0] + 1j * phases[1], count)
    rows = (noise / noise.std() * sigma).reshape(reads, height, cols + 8)[:, :, :cols]
    return np.concatenate([rows[:, :, :: 1 - 2 * (o % 2)] for o in range(outputs)], axis=2)


# ---------------------------------------------------------------- what has to vanish


@pytest.mark.parametrize(
    ("reads", "height", "width", "outputs"),
    [(3, 64, 64, 1), (8, 64, 64, 4), (8, 128, 96, 4), (5, 40, 512, 8)],
)
def test_drifts_vanish(reads, height, width, outputs):
    rng = np.random.default_rng(1)
    pedestal = rng.normal(1000, 100, (height, width))
    drift = drifts(rng, reads, height, width, outputs)
    # Values near 1000 DN are rounded to 6e-5 in float32.
    assert np.abs(changes(corrected(pedestal + drift, outputs))).max() < 1e-3


@pytest.mark.parametrize("outputs", [1, 4])
def test_drifts_change_nothing_on_top_of_noise(outputs):
    rng = np.random.default_rng(2)
    cube = white(rng, (10, 64, 128)) + pink(rng, 10, 64, 128, outputs, 3.0)
    drift = drifts(rng, 10, 64, 128, outputs)
    difference = changes(corrected(cube + drift, outputs) - corrected(cube, outputs))
    assert np.abs(difference).max() < 2e-3


def test_nothing_is_subtracted_twice():
    """A constant added to every pixel of a read is taken off once, also on top of row noise."""
    rng = np.random.default_rng(3)
    cube = white(rng, (20, 64, 64), 1.0) + rng.normal(0, 5, (20, 64, 1))
    plain = corrected(cube)
    cube[7] += 100
    assert np.abs(changes(corrected(cube) - plain)).max() < 1e-3


def test_parity_needs_pixels_enough():
    rng = np.random.default_rng(4)
    offsets = rng.normal(0, 5, (6, 1, 1)) * (np.arange(64) % 2) + rng.normal(0, 5, (6, 1, 1))
    cube = np.repeat(offsets, 64, axis=1)
    many = 2 * BORDER * 64 // MIN_ODD_EVEN
    assert np.abs(changes(corrected(cube, many))).max() < 1e-4
    assert np.std(changes(corrected(cube, many + 1))) > 1
    assert np.std(changes(corrected(cube, many, odd_even=False))) > 1


def test_outputs_do_not_mix():
    rng = np.random.default_rng(5)
    cube = white(rng, (6, 64, 256))
    plain = corrected(cube, 4)
    cube[:, :, 64:128] += rng.normal(0, 200, (6, 1, 1))
    change = changes(corrected(cube, 4) - plain)
    assert np.abs(change).max() < 2e-3


# ---------------------------------------------------------------- geometry


@pytest.mark.parametrize("outputs", [1, 4])
def test_transposed_detector_gives_the_transposed_result(outputs):
    rng = np.random.default_rng(6)
    cube = white(rng, (8, 64, 96)) + pink(rng, 8, 64, 96, outputs, 5.0).astype(np.float32)
    turned = np.ascontiguousarray(cube.swapaxes(1, 2))
    both = ReferencePixelCorrector(outputs=outputs, fast_axis=-2).correct(turned)
    one = ReferencePixelCorrector(outputs=outputs, fast_axis=1).correct(cube)
    np.testing.assert_array_equal(both.swapaxes(1, 2), one)


@pytest.mark.parametrize("flip", [np.s_[:, ::-1], np.s_[:, :, ::-1], np.s_[:, ::-1, ::-1]])
def test_flipped_detector_gives_the_flipped_result(flip):
    rng = np.random.default_rng(7)
    cube = white(rng, (8, 64, 96)) + pink(rng, 8, 64, 96, 4, 5.0)
    np.testing.assert_allclose(corrected(cube[flip], 4)[flip], corrected(cube, 4), atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_geometry(data):
    border = data.draw(st.integers(1, 6))
    height, width = (data.draw(st.integers(2 * border + 3, 70)) for _ in range(2))
    outputs = data.draw(st.integers(1, 5))
    transposed = data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = (width, height) if transposed else (height, width)
    drift = drifts(rng, 4, *shape, outputs)
    if border * (shape[1] // outputs) < MIN_ODD_EVEN:  # too few pixels to tell the parity
        out = output_of(shape[1], outputs)
        drift = drift[:, :, np.searchsorted(out, out)]
    cube = drift.swapaxes(1, 2) if transposed else drift
    left = changes(corrected(cube, outputs, border, transposed=transposed))
    assert np.abs(left).max() < 1e-3


def test_blocks_equal_the_whole_to_the_last_bit():
    rng = np.random.default_rng(8)
    cube = white(rng, (6, 50, 70)) + 30000
    for transposed in (False, True):
        reference = fit_strips(strips_of(cube, BORDER), 2, transposed)
        whole = cube.copy()
        subtract(whole, reference)
        for rows in (slice(0, 16), slice(16, 19), slice(19, 50)):
            for cols in (slice(0, 70), slice(33, 70)):
                block = np.ascontiguousarray(cube[:, rows, cols])
                subtract(block, reference, rows, cols)
                np.testing.assert_array_equal(block, whole[:, rows, cols])


def test_corrector_leaves_its_input_and_nan_alone():
    rng = np.random.default_rng(9)
    cube = white(rng, (5, 32, 32))
    cube[2, 10, 11] = np.nan
    before = cube.copy()
    after = ReferencePixelCorrector().correct(cube)
    np.testing.assert_array_equal(cube, before)
    np.testing.assert_array_equal(np.isnan(after), np.isnan(before))
    assert after.dtype == np.float32


# ---------------------------------------------------------------- bad reference pixels


@pytest.mark.parametrize(
    ("kind", "reads"),
    [
        (kind, reads)
        for kind in ("hot", "stuck", "telegraph", "cosmic ray", "spike", "deaf")
        for reads in (3, 5, 60)
        if (kind, reads) != ("deaf", 3)  # low noise may be chance in three reads
    ],
)
def test_bad_reference_pixels_do_not_matter(kind, reads):
    """The result is that without the bad pixels, whatever they do."""
    rng = np.random.default_rng(10)
    cube = white(rng, (reads, 64, 128)) + drifts(rng, reads, 64, 128, 2)
    bad = np.zeros((64, 128), bool)
    for rows, cols in border_slices((64, 128), BORDER):
        bad[rows, cols] |= rng.random(bad[rows, cols].shape) < 0.03
    count = bad.sum()
    time = np.arange(reads)[:, None]
    noise = white(rng, (reads, count))
    cube[:, bad] = {
        "hot": cube[:, bad] + 500 * time,
        "stuck": np.full((reads, count), 1234.0),
        "telegraph": cube[:, bad]
        + 4000 * rng.integers(0, 2, count) * (time % 2)
        + 400 * (time % 2),
        "cosmic ray": cube[:, bad] + 5000 * (time >= rng.integers(1, reads, count)),
        "spike": cube[:, bad] + 20000 * (time == rng.integers(0, reads, count)),
        "deaf": 0.001 * noise,
    }[kind]
    without = np.where(bad, np.nan, cube)
    difference = changes(corrected(cube, 2) - corrected(cube, 2, seen=without))
    assert np.abs(difference).max() < 2e-3


def test_reads_that_are_missing_leave_the_rest_exact():
    """Pixels that come and go don't carry their own values or past drifts into the levels."""
    rng = np.random.default_rng(11)
    cube = rng.normal(5000, 100, (64, 64)) + drifts(rng, 12, 64, 64, 1)
    seen = np.where(rng.random(cube.shape) < 0.1, np.nan, cube)
    assert np.abs(changes(corrected(cube, seen=seen))).max() < 5e-3


def test_one_missing_edge_still_gives_levels():
    rng = np.random.default_rng(12)
    cube = np.full((6, 64, 64), 100.0) + rng.normal(0, 50, (6, 1, 1))
    seen = cube.copy()
    seen[:, -BORDER:] = np.nan
    assert np.abs(changes(corrected(cube, seen=seen))).max() < 1e-3


@pytest.mark.parametrize("side", [0, 1, None])
def test_side_columns_serve_where_both_edges_are_missing(side):
    rng = np.random.default_rng(13)
    cube = np.full((6, 64, 64), 100.0) + drifts(rng, 6, 64, 64, 1)
    seen = cube.copy()
    seen[:, [0, 1, 2, 3, -4, -3, -2, -1], 4:-4] = np.nan
    strips = strips_of(seen, BORDER)
    gone = np.full_like(strips.bottom, np.nan)
    strips = replace(strips, bottom=gone, top=gone)
    if side is not None:
        strips = replace(strips, **{("left", "right")[side]: np.full_like(strips.left, np.nan)})
    out = cube.astype(np.float32)
    subtract(out, fit_strips(strips, 4))
    assert np.abs(changes(out)).max() < 1e-3


def test_no_usable_pixel_is_an_error():
    with pytest.raises(NoReferencePixels, match="no reference pixel can be used"):
        fit_strips(strips_of(np.full((4, 20, 20), np.nan), 2))


def test_chance_removes_no_good_pixel():
    """One in 1.7 million, however short the ramp."""
    rng = np.random.default_rng(14)
    for reads in (3, 5, 20, 100):
        variance = rng.chisquare(reads - 1, 100_000) / (reads - 1)
        assert usable(np.full(100_000, reads), variance, variance).sum() >= 99_998


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize(
    ("reads", "height", "width", "outputs"),
    [(40, 64, 64, 1), (40, 128, 96, 4), (10, 64, 2048, 32), (5, 256, 256, 1), (3, 64, 64, 1)],
)
def test_white_noise_gains_one_percent_at_most(reads, height, width, outputs):
    rng = np.random.default_rng(15)
    before, after = [], []
    for _ in range(4):
        cube = white(rng, (reads, height, width))
        before.append(np.diff(science(cube), axis=0).var())
        after.append(np.diff(science(corrected(cube, outputs)), axis=0).var())
    assert np.sqrt(np.mean(after) / np.mean(before)) < 1.01


def row_excess(cube, sigma=10.0):
    """Variance of row means of the science pixels above that of white noise [DN^2]."""
    inner = science(changes(cube))
    expected = sigma**2 / inner.shape[2] * (1 - 1 / len(cube))
    return np.var(inner.mean(axis=2)) - expected


@pytest.mark.parametrize(("width", "outputs"), [(512, 8), (512, 1)])
def test_shared_row_noise_is_reduced_as_far_as_side_columns_allow(width, outputs):
    """Residual variance near that of the best filter, which knows the true row means."""
    rng = np.random.default_rng(16)
    cube = white(rng, (40, 512, width)) + pink(rng, 40, 512, width, outputs, 3.0)
    cube = cube.astype(np.float32)
    reference = fit_strips(strips_of(cube, BORDER), outputs)
    level_only = cube.copy()
    subtract(level_only, replace(reference, common=0 * reference.common))
    level_only = changes(level_only)
    side = np.concatenate([level_only[:, :, :BORDER], level_only[:, :, -BORDER:]], axis=2)
    seen, truth = side.mean(axis=2), science(level_only).mean(axis=2)
    known = np.zeros_like(seen)
    known[:, BORDER:-BORDER] = truth
    modes, wanted = dct(seen, norm="ortho"), dct(known, norm="ortho")
    weights = np.zeros(512)
    for low, high in [(0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128), (128, 512)]:
        band = np.s_[:, low:high]
        weights[low:high] = np.sum(modes[band] * wanted[band]) / np.sum(modes[band] ** 2)
    best = level_only - idct(modes * weights, norm="ortho")[:, :, None]
    before, after = row_excess(cube), row_excess(corrected(cube, outputs))
    assert after < 0.45 * before
    assert after < 1.12 * row_excess(best)


def test_row_noise_without_any_smoothness_is_followed():
    """Offsets of whole rows are white along the columns; the whole rows of the border show it."""
    rng = np.random.default_rng(17)
    rows = white(rng, (60, 256, 256), 10.0)
    rows += rng.normal(0, 8, (60, 256, 1)).astype(np.float32)
    assert row_excess(corrected(rows)) < 0.3 * row_excess(rows)


def test_noise_of_an_instant_is_not_spread_over_the_row():
    """What left and right columns share at one clock tick says nothing about their row."""
    rng = np.random.default_rng(18)
    cube = white(rng, (60, 256, 256))
    cube[:, :, [0, 1, 2, 3, -4, -3, -2, -1]] += rng.normal(0, 8, (60, 256, 1))
    assert row_excess(corrected(cube)) < 1.0  # 64 DN^2 are in the side columns


def test_row_noise_of_one_output_stays_there():
    """Only the left columns see it, so the rest must not get it."""
    rng = np.random.default_rng(19)
    cube = white(rng, (40, 256, 256))
    alone = pink(rng, 40, 256, 64, 1, 4.0)
    cube[:, :, :64] += alone
    others = changes(corrected(cube, 4))[:, 4:-4, 64:-4]
    excess = np.var(others.mean(axis=2)) - 100 / others.shape[2]
    assert excess < 0.35  # 16 DN^2 are in that output


def test_fixed_smoothing():
    """A filter as long as the array keeps nothing but the lowest modes, a short one nearly all."""
    rng = np.random.default_rng(20)
    rows = rng.normal(0, 1, (5, 512))
    empty = np.full_like(rows, np.nan)
    short, long = (row_noise(rows, rows, empty, length) for length in (0.1, 512.0))
    np.testing.assert_allclose(short.common, rows, atol=0.02)
    assert np.all(long.weights[16:] < 0.01)
    # A filter of noise-equivalent length n divides white variance by n.
    assert np.mean(row_noise(rows, rows, empty, 8.0).weights ** 2) == pytest.approx(1 / 8, rel=0.05)


# ---------------------------------------------------------------- ramps on disk


def ramp_of(tmp_path, cube, **facts):
    path = tmp_path / "cube.raw"
    cube.tofile(path)
    size = cube[0].nbytes
    planes = Planes(path, np.arange(len(cube)) * size, cube.shape[1:], cube.dtype)
    return Ramp("cube", path, planes, np.arange(len(cube), dtype=float), DetectorInfo(**facts))


def test_ramp_on_disk_equals_cube_in_memory(tmp_path):
    rng = np.random.default_rng(21)
    cube = white(rng, (19, 48, 64))
    ramp = ramp_of(tmp_path, cube, border=4, outputs=2)
    reference, notice = fit_reference(ramp, DetectorConfig(threads=2))
    out = cube.copy()
    subtract(out, reference)
    np.testing.assert_array_equal(out, corrected(cube, 2))
    assert notice.startswith("reference pixels: 512 of 512 used")


def test_border_of_a_ramp_leaves_out_what_is_unusable(tmp_path):
    cube = np.arange(4 * 12 * 10, dtype=np.float32).reshape(4, 12, 10)
    ramp = ramp_of(tmp_path, cube, border=2, saturation=450.0, border_sides=(True, False) * 2)
    flags = np.zeros(cube.shape, np.uint8)
    flags[1, 0, 3], flags[1, 1, 3], flags[1, 1, 4] = 1, 2, 4
    (tmp_path / "flags").mkdir()
    bad = np.zeros((12, 10), bool)
    bad[5, 1] = True
    ramp = replace(ramp, flags=ramp_of(tmp_path / "flags", flags).planes, bad_pixels=bad)
    strips = border_strips(ramp)
    expected = cube.copy()
    expected[cube >= 450] = np.nan
    expected[1, :2, 3] = np.nan
    expected[:, 5, 1] = np.nan
    np.testing.assert_array_equal(strips.bottom, expected[:, :2])
    np.testing.assert_array_equal(strips.left, expected[:, :, :2])
    assert np.isnan(strips.top).all()
    assert np.isnan(strips.right).all()


@pytest.mark.parametrize(
    ("facts", "done", "config", "notice"),
    [
        ({}, False, {}, "none in this array"),
        ({"border": 4, "border_sides": (False,) * 4}, False, {}, "none in this array"),
        ({"border": 4}, True, {}, "already subtracted"),
        ({"border": 4}, False, {"reference_correction": False}, "reference_correction is off"),
        ({"border": 4, "saturation": -1e9}, False, {}, "no reference pixel can be used"),
    ],
)
def test_left_alone_with_a_notice(tmp_path, facts, done, config, notice):
    cube = white(np.random.default_rng(22), (4, 32, 32))
    ramp = replace(ramp_of(tmp_path, cube, **facts), reference_done=done)
    reference, text = fit_reference(ramp, DetectorConfig(**config))
    assert reference is None
    assert notice in text


def test_border_wider_than_the_array(tmp_path):
    cube = white(np.random.default_rng(23), (4, 8, 32))
    with pytest.raises(OhanaError, match=r"cube.raw: border: wanted 1 to 3 pixels .* got 4"):
        fit_reference(ramp_of(tmp_path, cube, border=4), DetectorConfig())


def test_arguments_are_checked():
    cube = white(np.random.default_rng(24), (4, 32, 32))
    with pytest.raises(ValueError, match="outputs: wanted 1 to 32, got 33"):
        corrected(cube, 33)
    reference = fit_strips(strips_of(cube, 4))
    with pytest.raises(ValueError, match=r"data: wanted .*\(4, 2, 32\).* got float32 \(4, 3, 32\)"):
        subtract(cube[:, :3].copy(), reference, slice(0, 2))
    with pytest.raises(ValueError, match="float64"):
        subtract(cube.astype(float), reference)
