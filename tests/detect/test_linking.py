"""Linking of steps, with connected components of an image as the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from ohana.detect.linking import link_steps, read_tolerance
from ohana.detect.tuning import TUNING

SHAPE = (12, 15)


def link(row, col, read, tolerance=1, shape=SHAPE):
    columns = (row, col, read, np.broadcast_to(tolerance, len(row)))
    return link_steps(*(np.array(values, np.int32) for values in columns), shape)


def same_partition(a, b):
    """Two labellings name the same groups."""
    pairs = np.unique(np.stack([a, b]), axis=1)
    return pairs.shape[1] == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("density", [0.02, 0.2, 0.5, 1.0])
def test_one_read_is_connected_components(density):
    rng = np.random.default_rng(1)
    for _ in range(20):
        hit = rng.random(SHAPE) < density
        labels, count = ndimage.label(hit, np.ones((3, 3)))
        row, col = np.nonzero(hit)
        group = link(row, col, np.full(len(row), 7))
        assert same_partition(group, labels[hit])
        assert len(np.unique(group)) == count


@pytest.mark.parametrize("tolerance", [0, 1, 3])
def test_several_reads_are_components_in_space_and_time(tolerance):
    rng = np.random.default_rng(2)
    for _ in range(10):
        hit = rng.random((9, *SHAPE)) < 0.03
        read, row, col = np.nonzero(hit)
        # A step links to any within the tolerance, the read between need hold none.
        near = [
            (i, j)
            for i in range(len(read))
            for j in range(i)
            if abs(row[i] - row[j]) <= 1
            and abs(col[i] - col[j]) <= 1
            and abs(read[i] - read[j]) <= tolerance
        ]
        oracle = np.arange(len(read))
        for _ in read:
            for i, j in near:
                oracle[i] = oracle[j] = min(oracle[i], oracle[j])
        group = link(row, col, read, tolerance)
        assert same_partition(group, oracle)
        if tolerance <= 1:
            structure = np.ones((3, 3, 3))
            structure[[0, 2]] = tolerance
            assert same_partition(group, ndimage.label(hit, structure)[0][hit])


places = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 14), st.integers(1, 19), st.integers(0, 4)),
    min_size=1,
    max_size=30,
)


@given(places, st.randoms(use_true_random=False))
def test_order_of_the_steps_does_not_matter(entries, random):
    first = link(*np.transpose(entries)[:3], np.transpose(entries)[3])
    order = list(range(len(entries)))
    random.shuffle(order)
    row, col, read, tolerance = np.transpose([entries[i] for i in order])
    assert same_partition(link(row, col, read, tolerance), first[order])


@given(places)
def test_mirrors_and_transpose_link_the_same(entries):
    row, col, read, tolerance = np.transpose(entries)
    group = link(row, col, read, tolerance)
    np.testing.assert_array_equal(link(11 - row, col, read, tolerance), group)
    np.testing.assert_array_equal(link(row, 14 - col, read, tolerance), group)
    np.testing.assert_array_equal(link(row, col, 20 - read, tolerance), group)
    np.testing.assert_array_equal(link(col, row, read, tolerance, SHAPE[::-1]), group)


@given(places)
def test_more_tolerance_only_joins(entries):
    row, col, read, tolerance = np.transpose(entries)
    strict, loose = link(row, col, read, tolerance), link(row, col, read, tolerance + 1)
    assert len(np.unique(np.stack([strict, loose]), axis=1).T) == len(np.unique(strict))


def test_groups_are_numbered_in_the_order_of_their_first_steps():
    assert link([5, 0, 5, 9], [5, 0, 6, 9], [3, 3, 3, 3]).tolist() == [0, 1, 0, 2]


def test_edges_do_not_wrap():
    assert link([3, 4], [14, 0], [5, 5]).tolist() == [0, 1]
    assert link([0, 11], [3, 3], [5, 5]).tolist() == [0, 1]
    corners = [0, 0, 11, 11], [0, 14, 0, 14]
    assert link(*corners, [5] * 4).tolist() == [0, 1, 2, 3]


def test_the_larger_tolerance_counts():
    for tolerance in ([4, 1], [1, 4]):
        assert link([3, 3], [3, 4], [5, 9], tolerance).tolist() == [0, 0]
    assert link([3, 3], [3, 4], [5, 9], [3, 3]).tolist() == [0, 1]


def test_several_steps_in_a_pixel():
    # Two hits, ten reads apart, on the same three pixels; the reads of each stay together.
    row, col = [2, 2, 3, 2, 2, 3], [2, 3, 3, 2, 3, 3]
    assert link(row, col, [4, 4, 5, 14, 14, 14]).tolist() == [0, 0, 0, 1, 1, 1]
    # Steps of one pixel link like those of neighbours.
    assert link([2, 2, 2], [2, 2, 2], [4, 5, 9]).tolist() == [0, 0, 1]


def test_nothing_to_link():
    assert link([], [], []).shape == (0,)


def test_tolerance_falls_as_the_inverse_square():
    amplitude = np.array([1e4, 25.0, 24.0, 12.5, -12.5, 5.0, 0.0], np.float32)
    most = TUNING.max_read_tolerance
    assert read_tolerance(amplitude, np.full(7, 10.0)).tolist() == [1, 1, 2, 4, 4, most, most]
    assert read_tolerance(amplitude, np.full(7, np.nan)).tolist() == [1] * 7
