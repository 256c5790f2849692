"""One class per pixel."""

from itertools import permutations

import numpy as np
import pytest

from ohana.classes import Label
from ohana.events import Event
from ohana.results.maps import paint_mask


def event(label, pixels):
    rows, cols = np.array(pixels, np.int32).T
    amplitude = np.ones(len(rows), np.float32)
    return Event(label, rows, cols, rows, amplitude, amplitude, 1, 1.0)


OVERLAPPING = (
    event(Label.COSMIC_RAY, [(0, 0), (0, 1), (0, 2)]),
    event(Label.TELEGRAPH_NOISE, [(0, 1), (0, 2)]),
    event(Label.SNOWBALL, [(0, 2), (1, 2)]),
)


@pytest.mark.parametrize("events", list(permutations(OVERLAPPING)))
def test_snowball_over_telegraph_noise_over_cosmic_ray(events):
    mask = paint_mask(events, (2, 4))
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[1, 2, 3, 0], [0, 0, 3, 0]]


def test_no_events_is_all_background():
    assert not paint_mask([], (3, 5)).any()
    assert paint_mask([], (3, 5)).shape == (3, 5)
