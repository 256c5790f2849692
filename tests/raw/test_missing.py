"""Missing data: lost reads, rows and chunks have no value, and hits beside them are found."""

from pathlib import Path

import numpy as np
import pytest

from ohana import find_anomalies
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp, load_block, load_with_missing
from ohana.pipeline import predict
from ohana.ramp import DetectorInfo, Ramp
from ohana.raw.missing import Missing, find_missing, summed_up, tell_missing
from ohana.read.array import planes_of_array
from ohana.refpix.border import border_strips

READS, ROWS, COLS = 40, 64, 96
#: Read, row, column and size [DN] of the hits.
HITS = ((8, 30, 30, 2500), (12, 20, 25, 900), (25, 40, 50, 1500), (33, 52, 12, 700))


@pytest.fixture(scope="module")
def clean():
    rng = np.random.default_rng(22)
    charge = rng.poisson(2.0, (READS, ROWS, COLS)).cumsum(0) / 2
    cube = 10000 + rng.normal(0, 30, (ROWS, COLS)) + charge
    cube += rng.normal(0, 6, cube.shape)
    for read, row, col, size in HITS:
        cube[read:, row, col] += size
    return np.clip(np.rint(cube), 0, 65535).astype(np.uint16)


def lose_read(cube):
    cube[15] = 0


def lose_rows(cube):
    cube[15:17, 10:60] = 0


def rail_in_rows(cube):
    cube[15, 10:60] = 65535


def rail_in_a_read(cube):
    cube[15] = 65535


def lose_first(cube):
    cube[0] = 0


def lose_last(cube):
    cube[-1] = 0


def rail_in_last(cube):
    cube[-1] = 65535


def repeat_read(cube):
    cube[15] = cube[14]


def repeat_rows(cube):
    cube[15, 16:48] = cube[14, 16:48]


def stick_row(cube):
    cube[15:23, 40] = cube[15, 40]


def stick_row_to_the_end(cube):
    cube[35:, 21] = cube[35, 21]


def lose_output(cube):
    cube[15, :, 24:48] = 0
    cube[20, :, 48:72] = 65535


def lose_packets(cube):
    cube[15, 16:32] = 0
    cube[20, 40, :48] = 1234


def lose_chunks(cube):
    chunk = (np.indices((ROWS, COLS)) // 16).sum(axis=0) % 2 == 1
    cube[15:20, chunk] = 0


def lose_the_rest(cube):
    cube[35:, 32:] = 0


def lose_first_rows(cube):
    cube[:4, :48] = 0


def two_in_a_row(cube):
    cube[15] = 0
    cube[16] = 65535


LOSSES = [
    lose_read,
    lose_rows,
    rail_in_rows,
    rail_in_a_read,
    lose_first,
    lose_last,
    rail_in_last,
    repeat_read,
    repeat_rows,
    stick_row,
    stick_row_to_the_end,
    lose_output,
    lose_packets,
    lose_chunks,
    lose_the_rest,
    lose_first_rows,
    two_in_a_row,
]


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_hits_beside_lost_data_are_found_and_dated(lose, clean):
    cube = clean.copy()
    lose(cube)
    found = find_anomalies(cube, gain=2.0)
    events = [(event["type"], event["first_frame"], *event["position"]) for event in found.events]
    assert sorted(events) == [("cosmic_ray", *hit[:3]) for hit in HITS]
    assert np.nanmedian(found.rate) == pytest.approx(1.0, abs=0.02)


def ramp_of(cube, **facts):
    facts = DetectorInfo(**{"saturation": 65535.0, "gain": 2.0} | facts)
    times = np.arange(float(len(cube)))
    return Ramp("data", Path("data"), planes_of_array(cube), times, facts)


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_exactly_what_is_lost_has_no_value(lose, clean):
    cube = clean.copy()
    lose(cube)
    lost = np.isnan(load_block(CorrectedRamp(ramp_of(cube)), slice(None))[0].data)
    changed = cube != clean
    # A repeat is equal by chance here and there; what comes after a stuck row goes on.
    assert not changed[~lost].any()
    assert np.mean(changed[lost]) > 0.9


def test_clean_data_stay_bit_by_bit(clean):
    data = clean.astype(np.float32)
    assert len(find_missing(data, 65535.0)) == 0
    np.testing.assert_array_equal(data, clean)


def test_windows_give_what_whole_rows_do(clean):
    cube = clean.copy()
    lose_output(cube)
    lose_chunks(cube)
    source = CorrectedRamp(ramp_of(cube))
    whole, first, missing = load_with_missing(source, slice(None))
    assert len(missing)
    for rows, cols in ((slice(0, 16), slice(None)), (slice(3, 30), slice(20, 41))):
        block, its_first = load_block(source, rows, cols)
        np.testing.assert_array_equal(block.data, whole.data[:, rows, cols])
        np.testing.assert_array_equal(its_first, first[rows, cols])


def test_a_floor_is_no_loss():
    rng = np.random.default_rng(3)
    cube = rng.poisson(20.0, (20, 32, 64)).cumsum(0) + rng.normal(-200, 12, (20, 32, 64))
    cube = np.clip(np.rint(cube), 0, None).astype(np.float32)
    assert (cube[:5] == 0).all()
    assert len(find_missing(cube.copy())) == 0


@pytest.mark.parametrize("level", [65535.0, 50000.0])
def test_saturated_cores_and_dead_pixels_are_no_loss(level, clean):
    cube = clean.astype(np.float32)
    row, col = np.indices((ROWS, COLS))
    core = np.hypot(row - 30, col - 40) < 14
    cube[20:, core] = level
    cube[38:, :40, 60:] = level
    cube[:, 50:55, 10:60] = 0
    cube[:, 60] = 3000
    cube[39, 55:58, :90] = level
    before = cube.copy()
    assert len(find_missing(cube, 65535.0)) == 0
    np.testing.assert_array_equal(cube, before)


def test_what_saturates_at_levels_of_its_own_is_no_repeat(clean):
    cube = clean.astype(np.float32)
    cube[35:, 10:30, 10:60] = 30000 + np.random.default_rng(1).integers(0, 500, (20, 50))
    assert len(find_missing(cube, 65535.0)) == 0


def test_values_without_noise_are_no_loss():
    assert len(find_missing(np.ones((5, 8, 64), np.float32))) == 0
    # Straight ramps, some of which stop rising.
    rise = np.minimum(np.arange(9.0), 6)[:, None, None] * np.arange(64.0)
    assert len(find_missing(rise.repeat(4, axis=1).astype(np.float32))) == 0
    coarse = np.rint(np.random.default_rng(2).normal(100, 0.4, (40, 16, 512)))
    assert len(find_missing(coarse.astype(np.float32))) == 0


def test_a_pixel_at_the_rail_for_a_read_is_not_saturated(clean):
    cube = clean.copy()
    cube[15, 20, 25], cube[20:22, 30, 70], cube[30:, 50, 80] = 65535, 65535, 65535
    found = find_anomalies(cube, gain=2.0)
    assert found.saturated_from[20, 25] == found.saturated_from[30, 70] == READS
    assert found.saturated_from[50, 80] == 30
    rays = [(event["first_frame"], *event["position"]) for event in found.events]
    assert sorted(rays) == sorted([*(hit[:3] for hit in HITS), (30, 50, 80)])


@pytest.mark.parametrize("off", [-8192, -300, 300, 4096])
def test_a_read_that_is_off_and_back_is_no_event(off, clean):
    cube = clean.astype(np.int64)
    # In a quiet pixel, and in one that is hit at another time.
    cube[18, 10, 10] += off
    cube[30, 30, 30] += off
    found = find_anomalies(cube, gain=2.0)
    events = [(event["type"], event["first_frame"], *event["position"]) for event in found.events]
    assert sorted(events) == [("cosmic_ray", *hit[:3]) for hit in HITS]


def test_lost_reference_pixels_are_left_out(clean):
    cube = clean.copy()
    cube[15, :8] = 0
    cube[16, 30:34] = 65535
    cube[20, 40] = 0
    strips = border_strips(ramp_of(cube, border=4))
    assert np.isnan(strips.bottom[15]).all()
    assert np.isnan(strips.left[15, :8]).all()
    assert np.isnan(strips.left[20, 40]).all()
    assert np.isnan(strips.right[20, 40]).all()
    assert not np.isnan(strips.left[20, 41]).any()


def test_notices(tmp_path, clean):
    cube = clean.copy()
    cube[15, 10:60] = 0
    cube[20:23, 33, 48:] = 500
    cube[30] = cube[29]
    np.save(tmp_path / "lost.npy", cube)
    config = DetectorConfig(gain=2.0)
    summary = predict(tmp_path / "lost.npy", tmp_path / "out", config, processed=False)
    text = str(summary)
    assert "read 15: rows 10 to 59 hold no data (zeros), left out" in text
    assert "reads 20 to 22: columns 48 to 95 of row 33 hold no data (a constant), left out" in text
    assert "read 30: " in text
    assert "hold no data (the read before again), left out" in text


def test_many_losses_make_few_notices():
    runs = np.array([[3 * i, 5 * i, 0, 64, 0] for i in range(20)])
    lines = tell_missing(summed_up(runs), (128, 64))
    assert len(lines) == 8
    assert lines[0] == "read 0: row 0 hold no data (zeros), left out"
    assert lines[-1] == "no data in 13 more places"


def test_scattered_runs_of_a_read_are_one_entry():
    runs = np.array([[4, row, 16, 32 + row, 1] for row in range(0, 20, 2)])
    assert summed_up(runs) == (Missing("constant", (4, 4), (0, 18), (16, 49), 250),)
    [line] = tell_missing(summed_up(runs), (32, 64))
    assert line == (
        "read 4: 250 values in columns 16 to 49 of rows 0 to 18 hold no data (a constant), left out"
    )
