"""Events added to reads: exact sums, windows, full pixels, and a file that stays as it is."""

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.evaluate.injection.planes import signal_of, with_events
from ohana.read import open_exposure
from ohana.simulate.truth import PixelSteps, TrueEvent

GAIN = 2.0


def hit(pixels, read, charge):
    rows, cols = np.array(pixels, np.int32).T
    reads, charge = np.full(len(rows), read, np.int32), np.array(charge, np.float32)
    return TrueEvent(Label.COSMIC_RAY, read, rows, cols, reads, charge, charge, GAIN)


def flicker(row, col, changes):
    """Telegraph noise that changes by so many electrons at some reads."""
    at = np.full(len(changes), 0)
    read, charge = np.array(list(changes)), np.array(list(changes.values()), np.float32)
    steps = PixelSteps.blank(at + row, at + col, read, charge)
    one = np.array([row], np.int32), np.array([col], np.int32), np.array([-1], np.int32)
    level = np.array([charge.max()], np.float32)
    return TrueEvent(Label.TELEGRAPH_NOISE, None, *one, level, level, GAIN, {}, steps)


@pytest.fixture
def cube():
    return np.random.default_rng(1).integers(900, 1100, (6, 40, 12)).astype(np.uint16)


def ramp_of(tmp_path, cube, **settings):
    path = tmp_path / "ramp.npy"
    np.save(path, cube)
    return open_exposure(path, DetectorConfig(gain=GAIN, border=0, **settings))[0]


def test_what_is_added_is_the_event_and_nothing_else(tmp_path, cube):
    events = [hit([(3, 4), (3, 5)], 2, [100, 31]), flicker(20, 11, {1: 40, 3: -40, 5: 40})]
    added = with_events(ramp_of(tmp_path, cube), events).planes.read() - cube
    expected = np.zeros(cube.shape)
    expected[2:, 3, 4] = 50
    expected[2:, 3, 5] = 16  # 15.5 DN on whole numbers: to the next even one, 1015.5 -> 1016
    expected[[1, 2, 5], 20, 11] = 20
    odd = cube[2:, 3, 5] % 2 == 0
    assert set(np.unique(added[2:, 3, 5])) <= {15.0, 16.0}
    expected[2:, 3, 5] = added[2:, 3, 5]
    np.testing.assert_array_equal(added, expected)
    np.testing.assert_array_equal(added[2:, 3, 5], np.where(odd, 16, 15))


def test_floats_are_not_rounded(tmp_path, cube):
    ramp = ramp_of(tmp_path, cube.astype(np.float32))
    added = with_events(ramp, [hit([(3, 5)], 2, [31])]).planes.read() - cube
    np.testing.assert_array_equal(added[:, 3, 5], [0, 0, 15.5, 15.5, 15.5, 15.5])


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_full_pixel_stays_full(tmp_path, cube, kind):
    ramp = ramp_of(tmp_path, cube.astype(kind), saturation=1200)
    events = [hit([(3, 5)], 2, [1000]), flicker(4, 4, {1: 1000, 3: -1000})]
    data = with_events(ramp, events).planes.read()
    np.testing.assert_array_equal(data[2:, 3, 5], 1200)
    np.testing.assert_array_equal(data[:2, 3, 5], cube[:2, 3, 5])
    np.testing.assert_array_equal(data[1:, 4, 4], 1200)


def test_a_fractional_limit_of_whole_numbers_still_saturates(tmp_path, cube):
    ramp = ramp_of(tmp_path, cube, saturation=1200.4)
    data = with_events(ramp, [hit([(3, 5)], 2, [1000])]).planes.read()
    assert (data[2:, 3, 5] == 1201).all()


def test_no_limit_no_clipping(tmp_path, cube):
    ramp = ramp_of(tmp_path, cube.astype(np.float32))
    data = with_events(ramp, [hit([(3, 5)], 2, [1e6])]).planes.read()
    assert data[2:, 3, 5].min() > 5e5


def test_missing_data_stay_missing(tmp_path, cube):
    data = cube.astype(np.float32)
    data[3, 3, 5] = np.nan
    read = with_events(ramp_of(tmp_path, data), [hit([(3, 5)], 2, [20])]).planes.read()
    np.testing.assert_array_equal(np.isnan(read), np.isnan(data))
    assert read[4, 3, 5] == data[4, 3, 5] + 10


def test_windows_and_chosen_reads_are_parts_of_the_whole(tmp_path, cube):
    rng = np.random.default_rng(2)
    events = [
        hit(np.stack([rng.integers(0, 40, 8), rng.integers(0, 12, 8)], 1), read, 50 * rng.random(8))
        for read in (1, 2, 2, 4, 5)
    ]
    planes = with_events(ramp_of(tmp_path, cube, saturation=1100), events).planes
    whole = planes.read()
    for rows, cols in (
        (slice(0, 16), slice(None)),
        (slice(16, 40), slice(3, 9)),
        (slice(38, 60), slice(None, None, 2)),
        (slice(1, 30, 3), slice(2, 3)),
        (slice(-2, None), slice(0, 0)),
    ):
        np.testing.assert_array_equal(planes.read(rows, cols), whole[:, rows, cols])
    np.testing.assert_array_equal(planes.select(slice(0, 4)).read(), whole[:4])
    unlimited = with_events(ramp_of(tmp_path, cube, saturation=6e4), events).planes
    some = unlimited.select(np.array([5, 1]))
    np.testing.assert_array_equal(some.read(slice(0, 9)), unlimited.read()[[5, 1], :9])
    assert len(some) == 2


def test_nothing_is_added_and_nothing_changed(tmp_path, cube):
    ramp = ramp_of(tmp_path, cube)
    before = ramp.source.read_bytes()
    np.testing.assert_array_equal(with_events(ramp, []).planes.read(), cube)
    with_events(ramp, [hit([(3, 5)], 2, [1e5])]).planes.read()
    np.testing.assert_array_equal(ramp.planes.read(), cube)
    assert ramp.source.read_bytes() == before
    assert len(signal_of([]).row) == 0
