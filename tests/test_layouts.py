"""Simulated exposures in the file layouts of instruments."""

import itertools

import numpy as np
import pytest

from ohana.simulate import SimulationConfig
from ohana.simulate.layouts.orientation import file_shape, to_file, to_file_pixels

ORIENTATIONS = [
    (fast, slow)
    for fast, slow in itertools.product((1, 2, -1, -2), repeat=2)
    if abs(fast) != abs(slow)
]


@pytest.mark.parametrize(("fast", "slow"), ORIENTATIONS)
def test_pixels_and_images_turn_alike(fast, slow):
    config = SimulationConfig(rows=9, cols=12, fast_axis=fast, slow_axis=slow)
    image = np.arange(9 * 12).reshape(9, 12)
    turned = to_file(image, config)
    assert turned.base is image.base or turned.base is image
    assert turned.shape == file_shape(config)
    rows, cols = np.indices(image.shape)
    np.testing.assert_array_equal(turned[to_file_pixels(rows, cols, config)], image)
    np.testing.assert_array_equal(to_file(image[None, None], config)[0, 0], turned)


def test_axes_mean_what_jwst_says():
    image = np.arange(6).reshape(2, 3)
    config = SimulationConfig(fast_axis=-1, slow_axis=2)
    np.testing.assert_array_equal(to_file(image, config), [[2, 1, 0], [5, 4, 3]])
    config = SimulationConfig(fast_axis=2, slow_axis=1)
    np.testing.assert_array_equal(to_file(image, config), image.T)
    # NIRISS and NRS2: pixels of a line downwards, lines from right to left.
    config = SimulationConfig(fast_axis=-2, slow_axis=-1)
    np.testing.assert_array_equal(to_file(image, config), [[5, 2], [4, 1], [3, 0]])
