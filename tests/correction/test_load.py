"""Row blocks: what is masked, where ramps stop, what their zero is."""

from dataclasses import replace

import numpy as np
import pytest

from ohana.correction.load import Corrected, CorrectedRamp, load_block
from ohana.ramp import DetectorInfo, Planes, Ramp, row_blocks

READS, ROWS, COLS = 10, 40, 24
FULL = 1000.0


def planes_of(cube, path):
    """Write (T, H, W) to a file and describe it."""
    cube.tofile(path)
    offsets = np.arange(len(cube)) * cube[0].nbytes
    return Planes(path, offsets, cube.shape[1:], cube.dtype)


@pytest.fixture
def ramp_of(tmp_path):
    def make(cube, flags=None, **more):
        planes = planes_of(cube.astype(np.float32), tmp_path / "cube.raw")
        if flags is not None:
            more["flags"] = planes_of(flags.astype(np.uint8), tmp_path / "flags.raw")
        times = np.arange(float(len(cube)))
        facts = DetectorInfo(saturation=FULL, gain=1.5)
        return Ramp("cube", planes.path, planes, times, facts, **more)

    return make


def flat(level=100.0):
    return np.full((READS, ROWS, COLS), level, np.float32)


def load(ramp, rows=slice(None), cols=slice(None)):
    block, first = load_block(CorrectedRamp(ramp), rows, cols)
    return block.data, block.stop, first


def in_blocks(ramp, height=16):
    """Load block by block and put together."""
    parts = [load(ramp, rows) for rows in row_blocks(ROWS, height)]
    data, stop, first = zip(*parts, strict=True)
    return np.concatenate(data, 1), np.concatenate(stop), np.concatenate(first)


def test_first_read_is_zero(ramp_of):
    rng = np.random.default_rng(1)
    cube = rng.normal(300, 20, (READS, ROWS, COLS)).astype(np.float32)
    data, stop, first = load(ramp_of(cube))
    np.testing.assert_allclose(data, cube - cube[0], atol=1e-4)
    assert data.dtype == np.float32
    assert (stop == READS).all()
    assert not first.any()
    assert not data[0].any()


def test_saturated_reads_stop_a_ramp(ramp_of):
    cube = flat()
    cube[6:, 5, 5] = FULL
    cube[7, 20, 5], cube[8:, 20, 5] = FULL + 50, FULL - 50  # still not to be used
    cube[7, 22, 5] = FULL + 50  # comes back to where it was
    cube[:, 30, 5] = FULL
    cube[6:, 5, 20] = FULL - 1
    data, stop, first = load(ramp_of(cube))
    assert stop[5, 5] == 6
    assert stop[20, 5] == 7
    assert stop[22, 5] == READS
    assert np.flatnonzero(np.isnan(data[:, 22, 5])).tolist() == [7]
    assert (stop[30, 5], first[30, 5]) == (0, READS)
    assert stop[5, 20] == READS
    assert data[6, 5, 5] == FULL - 100  # the jump itself stays readable


def test_flags(ramp_of):
    flags = np.zeros((READS, ROWS, COLS), np.uint8)
    flags[3, 5, 5] = 1
    flags[0, 6, 5] = 1 + 4
    flags[4:, 20, 5] = 2
    flags[:, 7, 15] = 4 + 8  # earlier jumps and drop-outs do not matter here
    cube = flat() + np.arange(READS)[:, None, None]
    data, stop, first = load(ramp_of(cube, flags))
    assert np.isnan(data[3, 5, 5])
    assert np.isfinite(np.delete(data[:, 5, 5], 3)).all()
    assert np.isnan(data[0, 6, 5])
    assert first[6, 5] == 1
    assert data[1:, 6, 5].tolist() == list(range(9))
    assert np.isnan(data).sum() == 2
    # What is flagged without a jump has filled up, and spills over.
    expected = np.full((ROWS, COLS), READS)
    expected[19:22, 4:7] = 4
    np.testing.assert_array_equal(stop, expected)


def test_bad_pixels_and_gaps(ramp_of):
    bad = np.zeros((ROWS, COLS), bool)
    bad[3, 4] = True
    cube = flat()
    cube[:2, 8, 8] = np.nan
    cube[5, 9, 9] = np.inf
    cube[:, 10, 10] = np.nan
    data, stop, first = load(ramp_of(cube, bad_pixels=bad))
    assert np.isnan(data[:, 3, 4]).all()
    assert first[3, 4] == READS
    assert first[8, 8] == 2
    assert data[2:, 8, 8].tolist() == [0] * 8
    assert first[10, 10] == READS
    # An infinite value makes this one read unusable.
    assert stop[9, 9] == READS
    assert np.flatnonzero(np.isnan(data[:, 9, 9])).tolist() == [5]
    assert stop[8, 8] == stop[10, 10] == stop[3, 4] == READS


@pytest.mark.parametrize("row", [0, 5, 15, 16, 31, 32, 39])
@pytest.mark.parametrize("col", [0, 12, 23])
def test_neighbours_of_a_pixel_that_fills_up_are_cut(ramp_of, row, col):
    cube = flat()
    cube[:, row, col] = np.minimum(100 + 150 * np.arange(READS), FULL)  # full in read 6
    expected = np.full((ROWS, COLS), READS)
    expected[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2] = 6
    ramp = ramp_of(cube)
    np.testing.assert_array_equal(load(ramp)[1], expected)
    np.testing.assert_array_equal(in_blocks(ramp)[1], expected)


@pytest.mark.parametrize("row", [0, 15, 16, 39])
@pytest.mark.parametrize("read", [2, 5, 9])
def test_neighbours_of_a_jump_are_kept(ramp_of, row, read):
    cube = flat() + 3 * np.arange(READS)[:, None, None]
    cube[read:, row, 10] = FULL
    expected = np.full((ROWS, COLS), READS)
    expected[row, 10] = read
    ramp = ramp_of(cube)
    np.testing.assert_array_equal(load(ramp)[1], expected)
    np.testing.assert_array_equal(in_blocks(ramp)[1], expected)


@pytest.mark.parametrize("row", [8, 15, 16])
def test_saturated_in_read_one(ramp_of, row):
    # Alone it is a hot pixel, and its neighbours are cut; in company it is a core.
    cube = flat()
    cube[1:, row, 5] = FULL
    cube[1:, row - 1 : row + 2, 14:17] = FULL
    expected = np.full((ROWS, COLS), READS)
    expected[row - 1 : row + 2, 4:7] = 1
    expected[row - 1 : row + 2, 14:17] = 1
    ramp = ramp_of(cube)
    np.testing.assert_array_equal(load(ramp)[1], expected)
    np.testing.assert_array_equal(in_blocks(ramp)[1], expected)


def test_blocks_are_the_whole(ramp_of):
    rng = np.random.default_rng(3)
    rate = 10 ** rng.uniform(0, 3, (ROWS, COLS))
    cube = np.minimum(rate * np.arange(READS)[:, None, None] + rng.normal(0, 5, flat().shape), FULL)
    cube[rng.random(cube.shape) < 0.01] = np.nan
    flags = rng.choice([0, 1, 2, 4], cube.shape, p=[0.97, 0.01, 0.005, 0.015])
    ramp = ramp_of(cube, flags, bad_pixels=rng.random((ROWS, COLS)) < 0.02)
    for height in (16, 32):
        for whole, part in zip(load(ramp), in_blocks(ramp, height), strict=True):
            np.testing.assert_array_equal(whole, part)
    window = np.s_[13:22, 5:20]
    data, stop, first = load(ramp, *window)
    whole = load(ramp)
    # But for neighbours beyond the columns of the window.
    inner = np.s_[:, 1:-1]
    np.testing.assert_array_equal(stop[inner], whole[1][window][inner])
    usable = np.arange(READS)[:, None, None] < np.minimum(stop, whole[1][window])
    np.testing.assert_array_equal(data[usable], whole[0][:, *window][usable])


def test_corrected_reads_give_the_same_block(ramp_of, tmp_path):
    rng = np.random.default_rng(4)
    cube = rng.normal(300, 20, (READS, ROWS, COLS)).astype(np.float32)
    cube[4:, 7, 7] = FULL
    cube[0, 8, 8] = np.nan
    cube[:, 9, 9] = np.nan
    cube[:, 20, 9] = FULL
    source = CorrectedRamp(ramp_of(cube))
    block, first = load_block(source, slice(None))
    planes = planes_of(block.data[1:], tmp_path / "corrected.raw")
    again = source._replace(corrected=Corrected(planes, first, block.stop))
    for rows in (slice(None), slice(16, 32), slice(5, 23)):
        got, got_first = load_block(again, rows)
        np.testing.assert_array_equal(got.stop, block.stop[rows])
        np.testing.assert_array_equal(got_first, first[rows])
        usable = np.arange(READS)[:, None, None] <= block.stop[rows]
        usable[:, block.stop[rows] == 0] = False
        np.testing.assert_array_equal(got.data[usable], block.data[:, rows][usable])


def test_a_ramp_is_a_ramp_whatever_its_type(ramp_of, tmp_path):
    cube = np.random.default_rng(5).integers(0, 900, (READS, ROWS, COLS))
    ramp = ramp_of(cube)
    expected = load(ramp)
    for kind in (">i2", ">u2", "<u2", ">f4", "<f8", "<i4"):
        planes = planes_of(cube.astype(kind), tmp_path / "other.raw")
        for want, got in zip(expected, load(replace(ramp, planes=planes)), strict=True):
            np.testing.assert_array_equal(want, got)


def test_the_input_is_not_modified(ramp_of):
    cube = flat()
    cube[6:, 5, 5] = FULL
    flags = np.zeros((READS, ROWS, COLS), np.uint8)
    flags[3, 5, 5] = 1
    ramp = ramp_of(cube, flags)
    before = [ramp.planes.path.read_bytes(), ramp.flags.path.read_bytes()]
    in_blocks(ramp)
    assert [ramp.planes.path.read_bytes(), ramp.flags.path.read_bytes()] == before


@pytest.mark.parametrize("nframes", [1, 4])
def test_charge_that_arrives_within_averaged_frames_is_not_slow(ramp_of, nframes):
    cube = flat()
    cube[5, 20, 12], cube[6:, 20, 12] = 400, FULL  # two thirds of it in the second read
    ramp = ramp_of(cube)
    _, stop, _ = load(replace(ramp, facts=replace(ramp.facts, nframes=nframes)))
    assert stop[20, 12] == 6
    assert stop[20, 13] == (6 if nframes == 1 else READS)


def test_slow_pixels_are_slow_with_averaged_frames_too(ramp_of):
    cube = flat()
    cube[:, 20, 12] = np.minimum(100 + 150 * np.arange(READS), FULL)
    ramp = ramp_of(cube)
    _, stop, _ = load(replace(ramp, facts=replace(ramp.facts, nframes=4)))
    assert stop[20, 13] == stop[20, 12] == 6
