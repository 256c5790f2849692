"""Confidence from decoys: what falls as often as it rises is no charge."""

import numpy as np
import pytest

from ohana import find_anomalies
from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.decoys import find_decoys, mirrored_steps
from ohana.detect.false_discovery import (
    GRID,
    EventDensities,
    decoy_odds,
    event_confidence,
    excess,
    measure_population,
)
from ohana.detect.ray_confidence import event_odds, in_crowded_reads
from ohana.detect.strata import Members, Place, divide, members_of_events, places_of, tell_suspects
from ohana.events import STEP_TYPES, Event, PixelMaps, Steps

SHAPE = (64, 64)
READS = 40
CONFIG = DetectorConfig()


def members(significance, size=1, read=7, place=0, row=None, col=None):
    """Events of some significances, spread over the array."""
    n = len(significance)
    spread = np.arange(n)
    full = [np.broadcast_to(x, n).astype(int) for x in (size, read, place)]
    row = spread * 7 % SHAPE[0] if row is None else np.broadcast_to(row, n)
    col = spread * 11 % SHAPE[1] if col is None else np.broadcast_to(col, n)
    return Members(np.asarray(significance, float), full[0], full[1], row, col, full[2])


def spread_reads(events):
    return events._replace(read=1 + np.arange(len(events.read)) % (READS - 1))


def confidences(rays, decoys, place=None, at=None):
    """Confidence of `at`, or else of the candidates themselves."""
    place = np.zeros(SHAPE, np.uint8) if place is None else place
    strata = divide(rays, decoys, place, np.ones(SHAPE, bool), READS)
    population = measure_population(rays, decoys, strata, np.zeros(SHAPE), CONFIG)
    at = rays if at is None else at
    odds = decoy_odds(at, population, CONFIG.sigma_threshold)
    return event_confidence(at.significance, at.size, population, odds), strata


def test_without_decoys_all_stays_as_it_was():
    rays = spread_reads(members([5.5, 8, 30, 200]))
    sure, strata = confidences(rays, spread_reads(members([])))
    assert (sure > 0.95).all()
    assert strata.reads.size == strata.rows.size == strata.cols.size == 0


@pytest.mark.parametrize("real", [0, 30, 300])
def test_the_part_that_is_real(real):
    means, far, part = [], [], real / (real + 100)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        false, falls = (5 + rng.exponential(1.5, 100) for _ in range(2))
        rays = spread_reads(members(np.append(false, 5 * rng.uniform(1, 3, real))))
        decoys = spread_reads(members(falls))
        means.append(confidences(rays, decoys)[0].mean())
        far.append(confidences(rays, decoys, at=members([14.5]))[0][0])
    assert np.mean(means) == pytest.approx(part, abs=0.1)
    # Where hardly any false event is, confidence is high.
    assert (np.mean(far) > 0.8) == (real > 0)


def test_one_decoy_among_few_events_makes_all_doubtful():
    sure, _ = confidences(members([6.0]), members([50.0], read=20))
    assert 0.2 < sure[0] < 0.5


def test_suspect_pixels_need_more_evidence():
    place = np.zeros(SHAPE, np.uint8)
    place[:, 0] = Place.SUSPECT
    rays = spread_reads(
        members(np.append(np.full(40, 20.0), 20.0), place=np.repeat([0, 1], [40, 1]))
    )
    sure, _ = confidences(rays, members([]), place)
    assert sure[0] > 0.95
    assert sure[0] > sure[-1] > 0.5
    # Falls in such pixels count for these alone.
    falls = spread_reads(members([8.0, 15, 22, 40, 90], place=Place.SUSPECT))
    worse, _ = confidences(rays, falls, place)
    assert worse[0] > 0.95
    assert worse[-1] < 0.2
    # In an exposure without other events, there is no reason to believe one.
    alone, _ = confidences(members([20.0], place=Place.SUSPECT), members([]), place)
    assert alone[0] < 0.2


def test_rises_beyond_a_places_share_are_false_without_any_fall():
    place = np.zeros(SHAPE, np.uint8)
    place[:, 0] = Place.BRIGHT
    rays = spread_reads(members(np.full(60, 12.0), place=np.repeat([0, 3], [40, 20])))
    sure, _ = confidences(rays, members([]), place)
    assert sure[0] > 0.95
    assert sure[-1] < 0.1


def test_a_read_that_falls_too_often_stands_for_itself():
    falls = members(np.full(20, 6.0), read=9)
    rays = spread_reads(members(np.full(40, 6.0)))
    rays = rays._replace(read=np.where(np.arange(40) < 10, 9, rays.read))
    sure, strata = confidences(rays, falls)
    assert strata.reads.tolist() == [9]
    assert sure[rays.read == 9].max() < 0.2
    assert sure[rays.read != 9].min() > 0.9
    assert strata.backwards(READS).reads.tolist() == [READS - 9]


def test_a_column_that_falls_too_often_stands_for_itself():
    falls = spread_reads(members(np.full(20, 6.0), col=5))
    rays = spread_reads(
        members(np.full(40, 6.0), col=np.where(np.arange(40) < 10, 5, 30 + np.arange(40) // 2))
    )
    sure, strata = confidences(rays, falls)
    assert strata.cols.tolist() == [5]
    assert sure[:10].max() < 0.5 < 0.9 < sure[10:].min()


@pytest.mark.parametrize(("size", "number"), [(3, 30), (2000, 1)])
def test_a_flash_is_no_rain(size, number):
    rays = spread_reads(members(np.append(np.full(30, 9.0), np.full(number, 9.0)), size=2))
    late = np.arange(30 + number) >= 30
    rays = rays._replace(read=np.where(late, 12, rays.read), size=np.where(late, size, rays.size))
    sure, strata = confidences(rays, members([]))
    assert strata.reads.tolist() == [12]
    assert sure[late].max() < 0.5
    assert sure[~late & (rays.read != 12)].min() > 0.9


def test_excess_is_exact_for_few_and_smooth_for_many():
    count = np.array([0, 1, 3, 150, 200, 201, 400])
    value = excess(count, 100.0)
    assert (np.diff(value) >= -0.02).all()
    assert value[:3].max() < 0.05
    assert value[-1] == pytest.approx(300, rel=0.01)
    # A prior known to be high is believed without any decoy.
    assert excess(0, 0.0, 5.0) > 10 * excess(0, 0.0)


def test_no_strata_no_odds():
    population = EventDensities((1.0, 1.0), (1.0, 1.0))
    assert decoy_odds(members([9.0]), population, 5.0).tolist() == [0]
    assert event_odds([], population, CONFIG).tolist() == []
    assert in_crowded_reads([], population, CONFIG) == []
    assert GRID[0] == 1


def maps_of(**changes):
    values = {name: np.zeros(SHAPE, np.float32) for name in PixelMaps.__dataclass_fields__}
    values |= {"stop": np.full(SHAPE, READS, np.int32), "rate": np.full(SHAPE, 3, np.float32)}
    values |= {name: np.full(SHAPE, 10, np.float32) for name in ("noise", "neighbour_noise")}
    return PixelMaps(**values | changes)


def steps_of(*entries):
    """Steps given as (row, col, read, amplitude, significance)."""
    row, col, read, amplitude, sigma = np.array(entries, float).reshape(-1, 5).T
    ones = np.ones(len(row))
    columns = (row, col, read, amplitude, amplitude / sigma, sigma, ones > 2, ones)
    return Steps(*(np.array(c).astype(kind) for c, kind in zip(columns, STEP_TYPES, strict=True)))


def test_the_mirror():
    steps = steps_of((1, 2, 3, -60, -6), (4, 5, 6, 80, 8))
    steps = steps._replace(saturating=np.array([False, True]))
    mirrored = mirrored_steps(steps)
    assert mirrored.amplitude.tolist() == [60]
    assert mirrored.significance.tolist() == [6]


def test_which_falls_are_decoys():
    none = np.zeros(SHAPE, bool)
    steps = steps_of(
        (5, 5, 9, -60, -6),
        (5, 6, 9, -50, -5.5),
        (20, 20, 9, -60, -6),  # with a rise of the same size
        (20, 20, 19, 60, 6),
        (30, 30, 9, -60, -6),  # on a snowball
        (40, 40, 9, -60, -6),  # telegraph noise
    )
    balls, telegraph, border = none.copy(), none.copy(), none.copy()
    balls[30, 30], telegraph[40, 40], telegraph[50, 50] = True, True, True
    flicker = np.zeros(SHAPE, np.float32)
    flicker[40, 40] = 1e3
    fall = np.zeros(SHAPE, np.float32)
    fall[50, 50] = 9
    maps = maps_of(flicker=flicker, fall_significance=fall, fall_step=10 * fall)
    found = find_decoys(steps, maps, border, telegraph, balls, CONFIG)
    # Of the pixels with telegraph noise that one is in which a fall alone has suggested levels.
    assert sorted(zip(found.size.tolist(), found.significance.tolist(), strict=True)) == [
        (1, 9.0),
        (2, 6.0),
    ]
    border[:10] = True
    assert len(find_decoys(steps, maps, border, telegraph, balls, CONFIG).size) == 1


def test_places():
    noise, rate = np.full(SHAPE, 10, np.float32), np.full(SHAPE, 3, np.float32)
    noise[1, 1], rate[2, 2], rate[3, 3] = 40, 500, np.nan
    suspect = np.zeros(SHAPE, np.uint8)
    suspect[4, 4] = 2
    place = places_of(maps_of(noise=noise, rate=rate), suspect)
    assert [place[i, i] for i in range(5)] == [0, Place.NOISY, Place.BRIGHT, 0, Place.SUSPECT]


def event(pixels, label=Label.COSMIC_RAY, read=7, sigma=9.0, confidence=0.9):
    rows, cols = np.array(pixels, np.int32).T
    n = len(rows)
    return Event(
        label, rows, cols, np.full(n, read), np.full(n, 90.0), np.full(n, sigma), read, confidence
    )


def test_an_event_with_a_clear_ordinary_pixel_is_ordinary():
    place = np.zeros(SHAPE, np.uint8)
    place[5, 5] = Place.SUSPECT
    some = [event([(5, 5), (5, 6)]), event([(5, 5)]), event([(5, 5), (5, 6)], sigma=4.5)]
    assert members_of_events(some, place, 5.0).place.tolist() == [0, 1, 1]


def test_flags_are_named():
    suspect = np.zeros(SHAPE, np.uint8)
    suspect[5, 5] = 0b1010
    flagged, clean = tell_suspects([event([(5, 5)]), event([(6, 6)])], suspect)
    assert flagged.extra["on_suspect_pixel"] == ["hot", "unstable"]
    assert clean.extra == {}
    assert tell_suspects([clean], None) == [clean]


def test_a_snowball_in_a_crowded_read_is_doubtful():
    ball = event([(r, c) for r in range(9) for c in range(9)], Label.SNOWBALL, 12)
    rays = members(np.full(50, 9.0), size=3, read=12)
    strata = divide(rays, members([]), np.zeros(SHAPE, np.uint8), np.ones(SHAPE, bool), READS)
    population = measure_population(rays, members([]), strata, np.zeros(SHAPE), CONFIG)
    assert in_crowded_reads([ball], population, CONFIG) == []
    [other] = in_crowded_reads([event([(1, 1)], Label.SNOWBALL, 20)], population, CONFIG)
    assert other.confidence == 0.9


def exposure(noise, hits=0, seed=0, reads=40, side=96):
    """Reads of some noise with a rate, and the places of hits."""
    rng = np.random.default_rng(seed)
    data = np.cumsum(rng.poisson(3, (reads, side, side)), 0) + noise(rng, (reads, side, side))
    places = set()
    for _ in range(hits):
        row, col, read = *rng.integers(2, side - 2, 2), rng.integers(1, reads)
        data[read:, row, col] += 12 * 10 ** rng.uniform(0.8, 1.6)
        places.add((int(row), int(col)))
    return data.astype(np.float32), places


def gauss(rng, shape):
    return rng.normal(0, 12, shape)


def laplace(rng, shape):
    return rng.laplace(0, 12 / np.sqrt(2), shape)


def student(rng, shape):
    return 12 / np.sqrt(2) * rng.standard_t(4, shape)


def rays_in(data, **options):
    found = find_anomalies(data, frame_time=10.0, **options)
    return [event for event in found.events if event["type"] == "cosmic_ray"]


def test_clean_exposures_lose_nothing():
    data, places = exposure(gauss, 40)
    rays = rays_in(data)
    assert {tuple(ray["position"]) for ray in rays} <= places
    assert len(rays) >= 0.9 * len(places)
    assert np.mean([ray["confidence"] for ray in rays]) > 0.95
    assert rays_in(exposure(gauss)[0]) == []


@pytest.mark.parametrize("noise", [laplace, student])
def test_heavy_tails(noise):
    assert len(rays_in(exposure(noise)[0])) <= 2
    data, places = exposure(noise, 60)
    rays = rays_in(data)
    real = [tuple(ray["position"]) in places for ray in rays]
    assert sum(real) >= 0.8 * len(places)
    assert np.mean([ray["confidence"] for ray in rays]) == pytest.approx(np.mean(real), abs=0.1)


@pytest.mark.parametrize("flagged", [True, False])
def test_bad_pixels(flagged):
    data, places = exposure(gauss, 50)
    rng = np.random.default_rng(5)
    flags = np.zeros(data.shape[1:], np.int32)
    for row, col in rng.integers(0, 96, (150, 2)):
        flags[row, col] = 2048 * flagged
        data[rng.integers(1, 40) :, row, col] += rng.choice([-1, 1]) * rng.uniform(60, 300)
    rays = rays_in(data, pixel_dq=flags)
    real = [tuple(ray["position"]) in places for ray in rays]
    assert np.mean([ray["confidence"] for ray in rays]) == pytest.approx(np.mean(real), abs=0.1)
    if flagged:
        assert np.mean(real) > 0.9
        assert sum(real) > 0.85 * len(places)
