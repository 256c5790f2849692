"""The cosmic-ray rule on steps and maps made by hand."""

from dataclasses import fields

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.cosmic_rays import charge_steps, find_cosmic_rays, ray_candidates
from ohana.detect.false_discovery import measure_population
from ohana.detect.linking import link_steps
from ohana.detect.ray_confidence import ray_confidence
from ohana.detect.strata import divide, members_of
from ohana.events import STEP_TYPES, PixelMaps, Steps

SHAPE = (20, 24)
NOISE = 10.0


def steps_of(*entries):
    """Steps given as (row, col, read, amplitude, significance)."""
    row, col, read, amplitude, sigma = np.array(entries, float).reshape(-1, 5).T
    error = np.abs(amplitude / np.where(sigma == 0, 1, sigma))
    ones = np.ones(len(row))
    columns = (row, col, read, amplitude, error, sigma, ones > 2, ones)
    return Steps(*(np.array(c).astype(kind) for c, kind in zip(columns, STEP_TYPES, strict=True)))


def maps_of(*best):
    """Maps of quiet pixels but for best steps (row, col, read, amplitude, significance)."""
    values = {field.name: np.zeros(SHAPE, np.float32) for field in fields(PixelMaps)}
    values |= {"noise": np.full(SHAPE, NOISE, np.float32), "stop": np.full(SHAPE, 20, np.int32)}
    values["best_read"] = np.full(SHAPE, -1, np.int32)
    for row, col, read, amplitude, sigma in best:
        values["best_read"][row, col] = read
        values["best_step"][row, col] = amplitude
        values["best_significance"][row, col] = sigma
    return PixelMaps(**values)


def find(steps, maps=None, **settings):
    group = link_steps(steps.row, steps.col, steps.read, np.ones(len(steps.row), int), SHAPE)
    maps, config = maps or maps_of(), DetectorConfig(**settings)
    rays = ray_candidates(steps, group, maps, config)
    none = rays._replace(**{name: getattr(rays, name)[:0] for name in rays._fields[1:]})
    place = np.zeros(SHAPE, np.uint8)
    members, decoys = (members_of(x, place, config.sigma_threshold) for x in (rays, none))
    strata = divide(members, decoys, place, np.ones(SHAPE, bool), 20)
    population = measure_population(members, decoys, strata, maps.best_significance, config)
    return find_cosmic_rays(rays, ray_confidence(rays, population, config), config)


def pixels(event):
    return sorted(zip(event.rows.tolist(), event.cols.tolist(), strict=True))


HIT = steps_of((5, 6, 9, 200, 20), (5, 7, 9, 90, 9), (6, 7, 9, 60, 6))


def test_one_hit():
    [event] = find(HIT)
    assert event.label == Label.COSMIC_RAY
    assert pixels(event) == [(5, 6), (5, 7), (6, 7)]
    assert event.first_frame == 9
    assert event.amplitude.tolist() == [200, 90, 60]
    np.testing.assert_allclose(event.significance, [20, 9, 6])
    assert 0.95 < event.confidence <= 1
    assert (event.source, event.integration) == ("rules", 0)


def test_extras():
    steps = HIT._replace(fit=np.array([2, 1, 1], np.float32))
    [event] = find(steps)
    assert event.extra == {
        "step_amplitude": 350.0,
        "step_error": pytest.approx(np.sqrt(300), rel=1e-6),
        "fit_quality": pytest.approx(0.5),
        "saturated": False,
        "extended": False,
    }
    types = [float, float, float, bool, bool]
    assert [type(value) for value in event.extra.values()] == types
    [event] = find(steps._replace(saturating=np.array([False, True, False]), fit=0 * steps.fit))
    assert event.extra["saturated"] is True
    assert event.extra["fit_quality"] == 1.0
    [event] = find(steps._replace(fit=np.full(3, np.nan, np.float32)))
    assert event.extra["fit_quality"] is None


def test_no_steps():
    assert find(steps_of()) == []


@pytest.mark.parametrize(("limit", "count"), [(0, 1), (200, 1), (201, 0)])
def test_min_intensity_is_of_the_brightest_pixel(limit, count):
    assert len(find(HIT, cosmic_ray_min_intensity=limit)) == count


@pytest.mark.parametrize(("limit", "size"), [(0, 3), (60, 3), (61, 2), (91, 1)])
def test_min_step_is_of_every_pixel(limit, size):
    [event] = find(HIT, cosmic_ray_min_step=limit)
    assert len(event.rows) == size


@pytest.mark.parametrize(("threshold", "size"), [(5, 3), (6.5, 2), (10, 1)])
def test_sigma_threshold(threshold, size):
    [event] = find(HIT, sigma_threshold=threshold)
    assert len(event.rows) == size
    assert find(HIT, sigma_threshold=20.5) == []


@pytest.mark.parametrize(("wanted", "count"), [(1, 1), (3, 1), (4, 0)])
def test_min_anomaly_pixels(wanted, count):
    assert len(find(HIT, min_anomaly_pixels=wanted)) == count


def noisy():
    """Maps of pixels that scatter as those of some ten thousand do."""
    maps = maps_of()
    maps.best_significance[:] = 3.5
    return maps


def test_min_confidence():
    steps = steps_of((5, 6, 9, 60, 5.1), (15, 6, 9, 300, 30))
    faint, bright = find(steps, noisy(), min_confidence=0)
    assert faint.confidence < 0.9 < bright.confidence
    assert len(find(steps, noisy(), min_confidence=faint.confidence)) == 2
    [left] = find(steps, noisy(), min_confidence=faint.confidence + 1e-6)
    assert pixels(left) == [(15, 6)]


def test_confidence_grows_with_significance_and_pixels():
    sure = [
        find(steps_of(*[(5, 5 + i, 9, 300, sigma) for i in range(n)]), noisy(), min_confidence=0)
        for sigma, n in ((5.0, 1), (5.2, 1), (5.2, 2), (5.4, 2))
    ]
    confidence = [events[0].confidence for events in sure]
    assert confidence == sorted(set(confidence))
    assert all(0 < value < 1 for value in confidence)


def test_confidence_falls_with_the_pixels_that_noise_could_have_made():
    steps = steps_of((5, 6, 9, 60, 5.1))
    [quiet], [loud] = find(steps, min_confidence=0), find(steps, noisy(), min_confidence=0)
    assert loud.confidence < quiet.confidence


@pytest.mark.parametrize(("limit", "extended"), [(4, False), (3, True)])
def test_max_spatial_extent_flags(limit, extended):
    row = steps_of(*[(5, 5 + i, 9, 100, 10) for i in range(4)])
    [event] = find(row, cosmic_ray_max_spatial_extent=limit)
    assert event.extra["extended"] is extended
    assert len(event.rows) == 4


def test_fainter_neighbours_join():
    # Beside the hit, same read and one off; two reads off; diagonal; two pixels away.
    near = [(4, 5, 9, 45, 4.5), (5, 5, 10, 45, 4.5)]
    late, far = (6, 5, 11, 45, 4.5), (5, 9, 9, 45, 4.5)
    [event] = find(HIT, maps_of(*near, late, far))
    assert pixels(event) == [(4, 5), (5, 5), (5, 6), (5, 7), (6, 7)]
    assert event.first_frame == 9
    joined = event.amplitude == 45
    np.testing.assert_allclose(event.significance[joined], 4.5)
    # Join means: the event has their charge, with its error.
    assert event.extra["step_amplitude"] == 440


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, 4),
        ({"neighbour_threshold": 4.6}, 3),
        ({"cosmic_ray_min_step": 46}, 3),
        ({"cosmic_ray_min_step": 45}, 4),
    ],
)
def test_who_may_join(settings, size):
    [event] = find(HIT, maps_of((4, 6, 9, 45, 4.5)), **settings)
    assert len(event.rows) == size


def test_a_neighbour_joins_one_event_only():
    steps = steps_of((5, 5, 9, 200, 20), (5, 7, 9, 200, 20))
    events = find(steps, maps_of((5, 6, 9, 45, 4.5)))
    assert sorted(len(event.rows) for event in events) == [1, 2]


def test_a_pixel_above_threshold_of_its_own_does_not_join():
    # It has steps of its own; if none of them counts here, it must not come back as neighbour.
    [event] = find(HIT, maps_of((4, 6, 9, 60, 6)))
    assert len(event.rows) == 3


def test_neighbours_at_the_edge():
    steps = steps_of((0, 0, 9, 200, 20), (19, 23, 9, 200, 20))
    best = [(0, 1, 9, 45, 4.5), (19, 0, 9, 45, 4.5), (18, 22, 9, 45, 4.5), (0, 23, 9, 45, 4.5)]
    first, last = sorted(find(steps, maps_of(*best)), key=lambda event: event.rows.min())
    assert pixels(first) == [(0, 0), (0, 1)]
    assert pixels(last) == [(18, 22), (19, 23)]


def test_first_frame_is_the_read_with_most_significance():
    # Two faint pixels dated one read early do not outweigh a bright one ...
    steps = steps_of((5, 5, 8, 50, 6), (5, 6, 9, 200, 20), (5, 7, 8, 50, 6))
    assert find(steps)[0].first_frame == 9
    # ... but many do; squares count: 3 * 13 ** 2 > 20 ** 2.
    steps = steps_of((5, 5, 8, 130, 13), (5, 6, 9, 200, 20), (5, 7, 8, 130, 13), (6, 6, 8, 130, 13))
    [event] = find(steps)
    assert event.first_frame == 8
    assert sorted(event.reads.tolist()) == [8, 8, 8, 9]


def test_a_pixel_counts_once():
    # A hit whose charge comes in two reads is one event, its brighter step stands for it.
    steps = steps_of((5, 5, 8, 60, 6), (5, 5, 9, 200, 20))
    [event] = find(steps)
    assert pixels(event) == [(5, 5)]
    assert event.amplitude.tolist() == [200]


def test_two_hits_on_one_pixel_are_two_events():
    events = find(steps_of((5, 5, 4, 100, 10), (5, 5, 14, 200, 20)))
    assert sorted(event.first_frame for event in events) == [4, 14]


def test_a_jump_into_saturation_in_read_one_needs_company():
    assert find(steps_of((5, 5, 1, 2e4, 0))) == []


def test_charge_does_not_fall():
    steps = steps_of(
        (5, 5, 4, 100, 10),
        (5, 5, 9, -60, -6),
        (5, 5, 14, 200, 20),
        (6, 6, 4, 100, 10),
        (6, 6, 9, -49, -5),
        (7, 7, 4, -100, -10),
    )
    charge = charge_steps(steps, np.zeros(SHAPE, bool))
    # A fall takes away rises of up to twice its size, whatever comes first.
    assert charge.tolist() == [False, False, True, True, False, False]


def test_a_fall_undoes_only_rises_of_about_its_size():
    steps = steps_of(
        # A read that is off and back, before a hit.
        (5, 5, 4, -4096, -400),
        (5, 5, 5, 4100, 400),
        (5, 5, 14, 2500, 250),
        # The same upward; and a hit that is much smaller than a fall alone.
        (6, 6, 9, 4096, 400),
        (6, 6, 10, -4090, -400),
        (6, 6, 12, 1500, 150),
        (7, 7, 4, -5000, -500),
        (7, 7, 8, 700, 70),
        # Two levels: a third rise of the size of the pair is none either.
        (8, 8, 4, 100, 10),
        (8, 8, 6, -104, -10),
        (8, 8, 15, 95, 10),
    )
    charge = charge_steps(steps, np.zeros(SHAPE, bool))
    assert np.flatnonzero(charge).tolist() == [2, 5, 7]


def test_charge_does_not_depend_on_the_order_of_the_steps():
    steps = steps_of((5, 5, 4, 100, 10), (6, 6, 9, 80, 8), (5, 5, 9, -60, -6), (5, 5, 14, 200, 20))
    border = np.zeros(SHAPE, bool)
    order = np.array([3, 1, 0, 2])
    again = charge_steps(steps.select(order), border)
    assert again.tolist() == charge_steps(steps, border)[order].tolist()


def test_reference_pixels_have_no_charge():
    border = np.zeros(SHAPE, bool)
    border[:4] = True
    steps = steps_of((3, 5, 4, 100, 10), (4, 5, 4, 100, 10))
    assert charge_steps(steps, border).tolist() == [False, True]
