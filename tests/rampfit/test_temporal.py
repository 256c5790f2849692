"""Temporal features of ramps made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohana.events import Steps
from ohana.rampfit.temporal import temporal_features


def features(ramps, stop):
    """First appearance, persistence and transitions of ramps given as [(read, amplitude), ...]."""
    entries = [(i, read, amplitude) for i, ramp in enumerate(ramps) for read, amplitude in ramp]
    col, read, amplitude = np.array(entries, float).reshape(-1, 3).T
    one = np.ones(len(col), np.float32)
    place = np.zeros(len(col), np.int32), col.astype(np.int32), read.astype(np.int32)
    steps = Steps(*place, amplitude.astype(np.float32), one, one, one > 2, one)
    found = temporal_features(steps, np.full(len(ramps), stop) if np.isscalar(stop) else stop)
    assert all(values.dtype == np.int32 for values in found)
    return [tuple(int(values[i]) for values in found) for i in range(len(ramps))]


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [
        ([], (-1, 0, 0)),
        ([(1, 50)], (1, 19, 1)),
        ([(10, 50)], (10, 10, 1)),
        ([(19, 50)], (19, 1, 1)),
        ([(10, -50)], (10, 10, 1)),
        # Up and back down again: off for five reads.
        ([(5, 50), (10, -50)], (5, 5, 2)),
        ([(5, -50), (10, 50)], (5, 5, 2)),
        # Telegraph noise: reads 5 to 7, 12 and 13, and from 18 on.
        ([(5, 40), (8, -42), (12, 41), (14, -40), (18, 40)], (5, 3 + 2 + 2, 5)),
        # A second hit on the same pixel: off ever since the first that reaches half of it.
        ([(5, 50), (10, 80)], (5, 15, 2)),
        ([(5, 10), (10, 80)], (5, 10, 2)),
        # Falls back by less than half: still off.
        ([(5, 100), (10, -40)], (5, 15, 2)),
        ([(5, 100), (10, -60)], (5, 5, 2)),
    ],
)
def test_by_hand(ramp, expected):
    assert features([ramp], 20) == [expected]


def test_saturation_ends_the_ramp():
    stop = np.array([15, 10, 15])
    # Up at 10 of 15 usable reads; jump into saturation at 10 is seen in that read alone;
    # a hit first, then saturation.
    ramps = [[(10, 50)], [(10, 5000)], [(5, 50), (15, 5000)]]
    assert features(ramps, stop) == [(10, 5, 1), (10, 1, 1), (5, 1, 2)]


def test_ramps_without_steps_between_others():
    ramps = [[], [(3, 50)], [], [], [(4, 60), (5, -60)], []]
    none = (-1, 0, 0)
    assert features(ramps, 9) == [none, (3, 6, 1), none, none, (4, 1, 2), none]


def test_no_steps_at_all():
    assert features([[], []], 9) == [(-1, 0, 0)] * 2


ramp = st.dictionaries(st.integers(1, 19), st.integers(-100, 100).filter(bool), max_size=6).map(
    lambda steps: sorted(steps.items())
)


@given(st.lists(ramp, min_size=1, max_size=5))
def test_is_what_the_definition_says(ramps):
    for steps, found in zip(ramps, features(ramps, 20), strict=True):
        level = np.zeros(20)
        for read, amplitude in steps:
            level[read:] += amplitude
        largest = max((abs(amplitude) for _, amplitude in steps), default=np.inf)
        first = steps[0][0] if steps else -1
        off = np.abs(level) >= largest / 2
        assert found == (first, off[max(first, 0) :].sum(), len(steps))
