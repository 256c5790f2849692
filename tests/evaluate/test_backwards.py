"""Ramps read backwards: what they are, and what is found in them."""

from dataclasses import replace

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp, load_block
from ohana.detect.false_discovery import EventDensities
from ohana.evaluate.injection.false_alarms import (
    charged_pixels,
    count_false_alarms,
    rate_with_interval,
    without_echoes,
)
from ohana.evaluate.injection.null_ramps import backward_source, noise_source
from ohana.pipeline import find_events
from ohana.ramp import DetectorInfo, Planes, Ramp, row_blocks
from ohana.rampfit.covariance import covariance_of
from ohana.read import open_exposure

SENSITIVE = DetectorConfig(cosmic_ray_min_intensity=0, cosmic_ray_min_step=0, border=0, gain=1.0)


def silent(*_):
    pass


def source_of(tmp_path, cube, config=SENSITIVE, **changes):
    path = tmp_path / "ramp.npy"
    np.save(path, cube)
    return CorrectedRamp(replace(open_exposure(path, config)[0], **changes))


def noise(rng, shape=(20, 64, 64), rate=3.0, sigma=8.0):
    shots = np.cumsum(rng.poisson(rate, shape), axis=0)
    return (1000 + shots + rng.normal(0, sigma, shape)).astype(np.float32)


def backwards(source, found):
    return load_block(backward_source(source, found.maps), slice(None))


def test_times_slope_and_steps(tmp_path):
    rng = np.random.default_rng(1)
    cube = noise(rng)
    times = np.cumsum([3.0, 1.0, *[2.0] * 18])
    source = source_of(tmp_path, cube, times=times, facts=DetectorInfo(frame_time=2.0))
    found = find_events(source, SENSITIVE, silent)
    block, first = backwards(source, found)
    turned = backward_source(source, found.maps).ramp
    np.testing.assert_allclose(np.diff(turned.times), np.diff(times)[::-1])
    slope = block.data - (cube[::-1] - cube[-1])
    since = (times[-1] - times[::-1]) / 2.0
    np.testing.assert_allclose(slope, slope[-1] * (since / since[-1])[:, None, None], atol=0.01)
    # What is put on top is twice the rate, which noise of mean differences blurs.
    assert slope[-1].mean() / since[-1] == pytest.approx(2 * found.maps.rate.mean(), rel=0.05)
    again = find_events(backward_source(source, found.maps), SENSITIVE, silent)
    assert np.median(again.maps.rate) == pytest.approx(np.median(found.maps.rate), rel=0.05)
    assert (first == 0).all()
    model, back = covariance_of(source.ramp), covariance_of(turned)
    for name in ("dt", "read", "shot"):
        np.testing.assert_allclose(getattr(back, name), getattr(model, name)[::-1])


def test_blocks_are_parts_of_the_whole(tmp_path):
    source = source_of(tmp_path, noise(np.random.default_rng(2)))
    found = find_events(source, SENSITIVE, silent)
    planes = backward_source(source, found.maps).ramp.planes
    whole = planes.read()
    for rows in row_blocks(64):
        np.testing.assert_array_equal(planes.read(rows, slice(5, 40)), whole[:, rows, 5:40])
    np.testing.assert_array_equal(planes.select(slice(3, 7)).read(), whole[3:7])


def test_what_cannot_be_used_is_missing(tmp_path):
    rng = np.random.default_rng(3)
    cube = noise(rng)
    cube[12:, 10, 20] = 7e4  # full from read 12 on
    cube[3, 30, 30] = np.nan
    cube[:2, 40, 40] = np.nan
    config = SENSITIVE.model_copy(update={"saturation": 6e4})
    source = source_of(tmp_path, cube, config)
    block, first = backwards(source, find_events(source, config, silent))
    missing = np.isnan(block.data)
    assert np.flatnonzero(missing[:, 10, 20]).tolist() == list(range(8))
    assert first[10, 20] == 8
    assert np.flatnonzero(missing[:, 30, 30]).tolist() == [16]
    assert np.flatnonzero(missing[:, 40, 40]).tolist() == [18, 19]
    assert missing.sum() == 11
    assert (block.stop == 20).all()


def test_hits_are_not_found_backwards(tmp_path):
    rng = np.random.default_rng(5)
    cube = noise(rng)
    for k in range(60):
        cube[rng.integers(1, 20) :, 1 + 7 * (k // 8), 1 + 7 * (k % 8)] += 60 * 1.12**k
    cube[9:, 58:62, 58:62] += 3e4
    source = source_of(tmp_path, cube)
    found = find_events(source, SENSITIVE, silent)
    assert len(found.events) > 50
    alarms = count_false_alarms(source, found, SENSITIVE, 0, silent)
    ray = alarms.alarms[0]
    assert (ray.label, ray.forward > 50, ray.backward) == (Label.COSMIC_RAY, True, 0)
    assert ray.purity.value == 1
    assert 0.9 < ray.purity.low < 1
    assert alarms.counted == alarms.usable - charged_pixels(found.events, (64, 64)).sum()
    assert alarms.backward[alarms.thresholds >= 5].max() == 0


def test_charge_that_leaves_is_false(tmp_path):
    # Forwards these fall, which no charge does; backwards they are what a hit looks like.
    cube = noise(np.random.default_rng(5))
    for k in range(10):
        cube[5 + k :, 5 * k + 3, 30] -= 200
    source = source_of(tmp_path, cube)
    found = find_events(source, SENSITIVE, silent)
    population = EventDensities((1e4, 1.0), (3.0, 3.0))
    alarms = count_false_alarms(source, found._replace(population=population), SENSITIVE, 0, silent)
    assert alarms.alarms[0].backward == 10
    assert len(alarms.significances) == 10
    assert np.median(alarms.amplitudes) == pytest.approx(200, rel=0.1)
    assert alarms.alarms[0].rate.value == pytest.approx(10 / (64**2 / 1e6))


def test_noise_is_alike_both_ways_and_when_drawn_anew(tmp_path):
    source = source_of(tmp_path, noise(np.random.default_rng(6), (20, 160, 160), rate=0.0))
    config = SENSITIVE.model_copy(update={"sigma_threshold": 3.8, "min_confidence": 0.0})
    alarms = count_false_alarms(source, find_events(source, config, silent), config, 0, silent)
    low = np.searchsorted(alarms.thresholds, 3.5)
    area = alarms.usable / 1e6
    counts = [x[low] * area for x in (alarms.forward, alarms.backward, alarms.noise)]
    assert min(counts) > 50
    assert max(counts) - min(counts) < 4 * np.sqrt(np.mean(counts))
    rays = alarms.alarms[0]
    counts = [rays.forward, rays.backward * alarms.usable / alarms.counted, rays.noise]
    assert min(counts) > 10
    assert max(counts) - min(counts) < 4 * np.sqrt(np.mean(counts))
    assert rays.purity.low == 0


def test_poisson_noise_makes_more_steps_upward_as_pure_noise_tells(tmp_path):
    source = source_of(tmp_path, noise(np.random.default_rng(9), (20, 160, 160), 5.0, 2.0))
    config = SENSITIVE.model_copy(update={"sigma_threshold": 4.0, "min_confidence": 0.0})
    alarms = count_false_alarms(source, find_events(source, config, silent), config, 0, silent)
    rays = alarms.alarms[0]
    assert abs(rays.forward - rays.noise) < 3 * np.sqrt(rays.forward + rays.noise)
    assert rays.forward > 3 * rays.backward


def test_pure_noise_has_the_rate_and_noise_of_the_exposure(tmp_path):
    source = source_of(tmp_path, noise(np.random.default_rng(8), rate=20.0, sigma=5.0))
    found = find_events(source, SENSITIVE, silent)
    pure = noise_source(source, found.maps, 5)
    again = find_events(pure, SENSITIVE, silent)
    for name in ("rate", "noise"):
        ours, theirs = (np.median(getattr(maps, name)) for maps in (again.maps, found.maps))
        assert ours == pytest.approx(theirs, rel=0.03)
    planes = pure.ramp.planes
    whole = planes.read()
    np.testing.assert_array_equal(
        planes.read(slice(3, 20, 2), slice(9, 60, 3)), whole[:, 3:20:2, 9:60:3]
    )
    np.testing.assert_array_equal(planes.select(slice(3, 7)).read(slice(2, 3)), whole[3:7, 2:3])
    assert planes.read(slice(0, 0)).shape == (20, 0, 64)
    other = noise_source(source, found.maps, 6).ramp.planes.read()
    assert (other != whole).any(axis=(1, 2)).sum() == 20


def test_rate_with_interval():
    value, low, high = rate_with_interval(10, 2.0)
    assert (value, round(low, 2), round(high, 2)) == (5.0, 2.4, 9.2)
    assert np.isnan(rate_with_interval(0, 0.0)).all()


def test_neighbours_of_charge_do_not_count(tmp_path):
    source = source_of(tmp_path, noise(np.random.default_rng(7)))
    found = find_events(source, SENSITIVE, silent)
    assert charged_pixels(found.events, (64, 64)).sum() == 0
    planes = source.ramp.planes
    assert isinstance(source.ramp, Ramp)
    assert isinstance(planes, Planes)


def test_bad_pixels_count(tmp_path):
    # Forwards they rise; what they do long after it is not the afterglow of a hit.
    cube = noise(np.random.default_rng(5), (40, 64, 64))
    cube[8:, 30, 30] += 200
    source = source_of(tmp_path, cube)
    [hit] = find_events(source, SENSITIVE, silent).events
    usable, reads = np.ones((64, 64), bool), 40
    late, echo = (replace(hit, first_frame=reads - (8 + after)) for after in (20, 2))
    assert without_echoes([late, echo], [hit], usable, reads) == [late]
    ball = replace(hit, label=Label.SNOWBALL)
    assert without_echoes([late], [ball], usable, reads) == []
    flicker = replace(hit, label=Label.TELEGRAPH_NOISE, first_frame=None)
    assert without_echoes([flicker], [hit], usable, reads) == []
    assert without_echoes([flicker], [], usable, reads) == [flicker]
    assert without_echoes([late], [], ~usable, reads) == []


def test_crowded_reads_are_turned_round(tmp_path):
    cube = noise(np.random.default_rng(5))
    rng = np.random.default_rng(2)
    for row, col in rng.integers(0, 64, (60, 2)):
        cube[4:, row, col] -= 80
    source = source_of(tmp_path, cube)
    found = find_events(source, SENSITIVE, silent)
    assert found.population.strata.reads.tolist() == [4]
    alarms = count_false_alarms(source, found, SENSITIVE, 0, silent)
    assert alarms.alarms[0].backward == 0
