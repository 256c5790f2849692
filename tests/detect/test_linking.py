"""Linking of steps, with connected components of an image as the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from ohana.detect.linking import MAX_READ_TOLERANCE, link_steps, read_tolerance
from ohana.events import Steps

SHAPE = (12, 15)


def steps_of(row, col, read, amplitude=100.0):
    n = len(row)
    one = np.ones(n, np.float32)
    place = (np.asarray(values, np.int32).reshape(n) for values in (row, col, read))
    size = np.broadcast_to(np.float32(amplitude), n)
    return Steps(*place, size, one, size, np.zeros(n, bool), one)


def link(row, col, read, slack=1, shape=SHAPE):
    slack = np.broadcast_to(np.asarray(slack, np.int32), len(row)).copy()
    return link_steps(steps_of(row, col, read), slack, shape)


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


@pytest.mark.parametrize("slack", [0, 1, 3])
def test_several_reads_are_components_in_space_and_time(slack):
    rng = np.random.default_rng(2)
    for _ in range(10):
        hit = rng.random((9, *SHAPE)) < 0.03
        read, row, col = np.nonzero(hit)
        # A step links to any within the slack, the read between need hold none.
        near = [
            (i, j)
            for i in range(len(read))
            for j in range(i)
            if abs(row[i] - row[j]) <= 1
            and abs(col[i] - col[j]) <= 1
            and abs(read[i] - read[j]) <= slack
        ]
        oracle = np.arange(len(read))
        for _ in read:
            for i, j in near:
                oracle[i] = oracle[j] = min(oracle[i], oracle[j])
        group = link(row, col, read, slack)
        assert same_partition(group, oracle)
        if slack <= 1:
            structure = np.ones((3, 3, 3))
            structure[[0, 2]] = slack
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
    row, col, read, slack = np.transpose([entries[i] for i in order])
    assert same_partition(link(row, col, read, slack), first[order])


@given(places)
def test_mirrors_and_transpose_link_the_same(entries):
    row, col, read, slack = np.transpose(entries)
    group = link(row, col, read, slack)
    np.testing.assert_array_equal(link(11 - row, col, read, slack), group)
    np.testing.assert_array_equal(link(row, 14 - col, read, slack), group)
    np.testing.assert_array_equal(link(row, col, 20 - read, slack), group)
    np.testing.assert_array_equal(link(col, row, read, slack, SHAPE[::-1]), group)


@given(places)
def test_more_slack_only_joins(entries):
    row, col, read, slack = np.transpose(entries)
    strict, loose = link(row, col, read, slack), link(row, col, read, slack + 1)
    assert len(np.unique(np.stack([strict, loose]), axis=1).T) == len(np.unique(strict))


def test_groups_are_numbered_in_the_order_of_their_first_steps():
    assert link([5, 0, 5, 9], [5, 0, 6, 9], [3, 3, 3, 3]).tolist() == [0, 1, 0, 2]


def test_edges_do_not_wrap():
    assert link([3, 4], [14, 0], [5, 5]).tolist() == [0, 1]
    assert link([0, 11], [3, 3], [5, 5]).tolist() == [0, 1]
    corners = [0, 0, 11, 11], [0, 14, 0, 14]
    assert link(*corners, [5] * 4).tolist() == [0, 1, 2, 3]


def test_the_larger_slack_counts():
    for slack in ([4, 1], [1, 4]):
        assert link([3, 3], [3, 4], [5, 9], slack).tolist() == [0, 0]
    assert link([3, 3], [3, 4], [5, 9], [3, 3]).tolist() == [0, 1]


def test_several_steps_in_a_pixel():
    # Two hits, ten reads apart, on the same three pixels; the reads of each stay together.
    row, col = [2, 2, 3, 2, 2, 3], [2, 3, 3, 2, 3, 3]
    assert link(row, col, [4, 4, 5, 14, 14, 14]).tolist() == [0, 0, 0, 1, 1, 1]
    # Steps of one pixel link like those of neighbours.
    assert link([2, 2, 2], [2, 2, 2], [4, 5, 9]).tolist() == [0, 0, 1]


def test_nothing_to_link():
    assert link_steps(steps_of([], [], []), np.empty(0, np.int32), SHAPE).shape == (0,)


def test_dating_error_falls_as_the_inverse_square():
    noise = np.array([[10.0, np.nan]])
    amplitude = np.array([1e4, 25.0, 24.0, 12.5, -12.5, 5.0, 0.0], np.float32)
    steps = steps_of([0] * 7, [0] * 7, [3] * 7, amplitude)
    assert read_tolerance(steps, noise).tolist() == [
        1,
        1,
        2,
        4,
        4,
        MAX_READ_TOLERANCE,
        MAX_READ_TOLERANCE,
    ]
    assert read_tolerance(steps._replace(col=np.ones(7, int)), noise).tolist() == [1] * 7
