"""Telegraph noise that switches with other pixels."""

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.telegraph.coherence import without_coherent
from ohana.events import Event

SHAPE = (100, 64, 64)
CONFIG = DetectorConfig()


def flicker(row, col, moves, confidence=0.99):
    """Telegraph noise that rises and falls in turn."""
    moves = np.sort(moves)
    one = np.ones(1)
    return Event(
        Label.TELEGRAPH_NOISE, np.array([row]), np.array([col]), -one, 50 * one, 9 * one, None,
        confidence,
        extra={"rise_reads": moves[::2].tolist(), "fall_reads": moves[1::2].tolist()},
    )  # fmt: skip


def independent(number, seed=0):
    rng = np.random.default_rng(seed)
    return [
        flicker(*rng.integers(0, 64, 2), rng.choice(np.arange(1, 100), rng.integers(2, 12), False))
        for _ in range(number)
    ]


@pytest.mark.parametrize("number", [2, 30, 400])
def test_pixels_that_switch_on_their_own_stay(number):
    events = independent(number)
    left = without_coherent(events, SHAPE, CONFIG)
    assert len(left) == number
    assert np.mean([event.confidence for event in left]) > 0.97


def test_the_whole_array():
    rng = np.random.default_rng(3)
    shared = [
        flicker(r, c, [10, 25, 40, 55] + rng.integers(-1, 2, 4))
        for r, c in rng.integers(0, 64, (200, 2))
    ]
    left = without_coherent(shared + independent(20), SHAPE, CONFIG)
    assert sum(event in left for event in shared) <= 2
    assert len(left) >= 18


@pytest.mark.parametrize("across", [False, True])
def test_a_line(across):
    moves = np.array([5, 17, 40, 62, 80, 91])
    lines = [flicker(7, c, moves) if across else flicker(c, 7, moves) for c in range(0, 60, 6)]
    left = without_coherent(lines + independent(20), SHAPE, CONFIG)
    assert not any(event in left for event in lines)
    assert len(left) >= 19


def test_neighbours_share_charge():
    moves = np.array([5, 17, 40, 62, 80, 91])
    pair = [flicker(20, 20, moves), flicker(20, 21, moves)]
    assert all(event in without_coherent(pair + independent(10), SHAPE, CONFIG) for event in pair)


def test_very_many_in_a_row_take_no_time():
    rng = np.random.default_rng(2)
    events = [flicker(3, c, rng.choice(np.arange(1, 100), 10, False)) for c in range(2000)]
    assert len(without_coherent(events, (100, 64, 2048), CONFIG)) > 1900
