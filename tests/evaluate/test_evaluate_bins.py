"""Intervals, bins and reliability against what can be worked out by hand or drawn at random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohana.detect.matching import Members
from ohana.evaluate import interval, measure_reliability
from ohana.evaluate.bins import FEW, adaptive_bins, count_bins, one_two_five, read_grid


@pytest.mark.parametrize(
    ("found", "count", "low", "high"),
    [(0, 1, 0, 0.5), (1, 1, 0.5, 1), (0, 9, 0, 0.1), (2, 4, 0.5 - 0.05**0.5, 0.5 + 0.05**0.5)],
)
def test_interval_by_hand(found, count, low, high):
    assert interval(found, count) == pytest.approx((low, high))


def test_interval_of_nothing():
    assert np.isnan(interval(0, 0)).all()


@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_interval_holds_the_fraction_and_mirrors(numbers):
    found, count = numbers
    low, high = interval(found, count)
    assert -1e-12 <= low <= found / count <= high <= 1 + 1e-12
    other = interval(count - found, count)
    assert (1 - other[1], 1 - other[0]) == pytest.approx((low, high))


@pytest.mark.parametrize("count", [8, 30, 200])
def test_interval_covers_as_often_as_it_says(count):
    rng = np.random.default_rng(1)
    chance = rng.uniform(0.02, 0.98, 20_000)
    low, high = np.array([interval(k, count) for k in range(count + 1)])[
        rng.binomial(count, chance)
    ].T
    assert np.mean((low <= chance) & (chance <= high)) == pytest.approx(0.683, abs=0.03)


def test_bins_include_their_lower_edge_and_the_last_its_upper():
    values = np.array([0.0, 1.0, 1.5, 2.0, 3.0, 4.0, np.nan, -1.0])
    found = np.array([1, 0, 1, 1, 1, 1, 1, 1], bool)
    bins = count_bins(values, found, [0, 1, 2, 3], np.full(8, 0.5))
    assert [(b.count, b.found, b.expected) for b in bins] == [(1, 1, 0.5), (2, 1, 1), (2, 2, 1)]
    assert [b.fraction for b in bins] == [1, 0.5, 1]
    assert bins[0].expected_fraction == 0.5
    assert bins[0].few
    assert not count_bins(np.zeros(FEW), np.ones(FEW, bool), [0, 1])[0].few


@given(st.lists(st.integers(0, 25), min_size=1, max_size=15))
def test_adaptive_bins_lose_nothing_and_join_only_sparse_ones(counts):
    values = np.repeat(np.arange(len(counts)) + 0.5, counts)
    bins = adaptive_bins(values, values < 4, np.arange(len(counts) + 1.0))
    assert sum(b.count for b in bins) == len(values)
    assert sum(b.found for b in bins) == np.count_nonzero(values < 4)
    for b in bins:
        inside = [n for k, n in enumerate(counts) if b.low <= k < b.high]
        assert b.count == sum(inside) > 0
        assert sum(n > 0 for n in inside) == 1 or max(inside) < FEW
    for before, after in zip(bins[:-1], bins[1:], strict=True):
        assert before.high <= after.low
        assert not (before.few and after.few)


def test_grids():
    assert one_two_five(np.array([0.3, 7.0])).tolist() == pytest.approx([0.2, 0.5, 1, 2, 5, 10])
    assert one_two_five(np.array([2.0, 5.0])).tolist() == [2, 5, 10]
    assert one_two_five(np.array([np.nan, -1.0])).tolist() == [1, 2]
    assert read_grid(2).tolist() == [0.5, 1.5]
    long = read_grid(450)
    assert (len(long), long[0], long[-1]) == (13, 0.5, 449.5)
    assert (long % 1 == 0.5).all()


def test_members_pair_once_and_count_pixels():
    def at(pixels, read):
        rows, cols = np.array(pixels).T
        return rows, cols, read

    ours = Members.gather([at([[0, 0], [0, 1]], 5), at([[2, 2]], None)], 10)
    theirs = Members.gather([at([[0, 1], [0, 0]], 6), at([[2, 2]], 9), at([[0, 1]], 9)], 10)
    own, others, pixels = ours.matches(theirs, np.array([1, 0]))
    assert [own.tolist(), others.tolist(), pixels.tolist()] == [[0, 1], [0, 1], [2, 1]]
    assert ours.lag(theirs).tolist() == [1, 1, 0]  # telegraph noise is at any time
    assert ours.alone().all()
    nothing = Members.gather([], 10)
    assert [part.size for part in nothing.matches(theirs, np.empty(0))] == [0, 0, 0]
    assert [part.size for part in ours.matches(nothing, np.ones(2))] == [0, 0, 0]
    assert np.isinf(ours.lag(nothing)).all()


# Reliability


def test_reliability_by_hand():
    confidence = np.array([0.25, 0.25, 0.95, 1.0])
    result = measure_reliability(confidence, np.array([False, True, True, True]))
    assert [(b.low, b.high, b.count, b.real, b.mean) for b in result.bins] == [
        (0.0, 0.3, 2, 1, 0.25),
        (0.95, 0.99, 1, 1, 0.95),
        (0.99, 1.0, 1, 1, 1.0),
    ]
    assert result.error == pytest.approx((2 * 0.25 + 0.05) / 4)
    spread = np.sqrt(2 * 0.25 * 0.75) + np.sqrt(0.95 * 0.05)
    assert result.chance == pytest.approx(np.sqrt(2 / np.pi) * spread / 4)
    assert result.bins[0].interval == interval(1, 2)


def test_reliability_of_nothing():
    result = measure_reliability(np.empty(0), np.empty(0, bool))
    assert result.bins == []
    assert np.isnan([result.error, result.chance]).all()


def test_calibrated_confidences_are_off_by_chance_alone():
    rng = np.random.default_rng(2)
    results = []
    for _ in range(200):
        confidence = rng.beta(3, 1, 500)
        results.append(measure_reliability(confidence, rng.random(500) < confidence))
    error, chance = (np.mean([getattr(r, name) for r in results]) for name in ("error", "chance"))
    assert error == pytest.approx(chance, rel=0.05)
    for k in range(6):  # and spreads are the scatter of what is real, but in nearly certain bins
        away = [(r.bins[k].fraction - r.bins[k].mean) / r.bins[k].spread for r in results]
        assert np.std(away) == pytest.approx(1, abs=0.15)


def test_overconfidence_shows():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1, 5000)
    result = measure_reliability(confidence, rng.random(5000) < confidence - 0.2)
    assert result.error == pytest.approx(0.2, abs=0.02)
    assert result.error > 5 * result.chance
