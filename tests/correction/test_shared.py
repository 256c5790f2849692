"""What all pixels share is taken off, events are not."""

from __future__ import annotations

import numpy as np
import pytest

from ohana import DetectorConfig, Predictor, find_anomalies
from ohana.correction.fit import corrected_ramp, fit_shared
from ohana.correction.load import CorrectedRamp, load_block, without_gaps
from ohana.correction.model import Shared, light_at, subtract_shared
from ohana.correction.noise import crowded_reads, lost_reads
from ohana.correction.report import describe, table
from ohana.correction.shapes import find_shapes, subtract_shapes
from ohana.correction.surface import without_rate
from ohana.correction.tiles import PixelSample, tile_edges
from ohana.ramp import DetectorInfo, Ramp, ReadQuality
from ohana.rampfit.covariance import covariance_of, difference_covariance, without_weight
from ohana.read import open_exposure
from ohana.read.array import planes_of_array
from ohana.results.prediction import open_prediction

NOISE, SIZE, READS = 8.0, 256, 30
FACTS = DetectorInfo(gain=1.5, saturation=60000.0)


def ramp_of(cube: np.ndarray) -> Ramp:
    planes = planes_of_array(cube.astype(np.float32))
    return Ramp("cube", None, planes, np.arange(float(len(cube))), FACTS)  # type: ignore[arg-type]


def quiet(seed: int = 1, rate: float = 2.0, noise: float = NOISE) -> np.ndarray:
    """Return reads of a detector with read noise and light that is constant [DN]."""
    rng = np.random.default_rng(seed)
    charge = np.cumsum(rng.poisson(rate * FACTS.gain, (READS, SIZE, SIZE)), 0) / FACTS.gain
    return 1000 + charge + rng.normal(0, noise, charge.shape)


def with_hits(cube: np.ndarray) -> np.ndarray:
    """Add ten hits of 200 DN at known places and reads, in place."""
    for k in range(10):
        cube[4 + 2 * k :, 20 + 20 * k, 30 + 18 * k] += 200
    return cube


def found(cube: np.ndarray) -> tuple[int, int]:
    """Return how many of the ten hits are found with their read, and how many other events."""
    events = find_anomalies(
        cube.astype(np.float32), config=DetectorConfig(gain=1.5, saturation=6e4)
    )
    wanted = {(20 + 20 * k, 30 + 18 * k, 4 + 2 * k) for k in range(10)}
    places = [(*map(int, e["position"]), e["first_frame"]) for e in events.events]
    return len(wanted & set(places)), len([p for p in places if p not in wanted])


def test_nothing_is_taken_off_where_nothing_is_shared():
    source = CorrectedRamp(ramp_of(with_hits(quiet())))
    fitted = fit_shared(source)
    assert fitted.shared is None
    assert fitted.ramp.quality is None
    assert describe(fitted) == []
    assert table(fitted) == {}


LIGHT = {
    "rises tenfold": lambda t: 2 * 9 * t / READS,
    "oscillates": lambda t: 2 * np.sin(2 * np.pi * t / 11),
    "settles": lambda t: 40 * np.exp(-t / 4),
    "flash": lambda t: 50.0 * (t == 12),
}


@pytest.mark.parametrize("kind", LIGHT)
def test_light_of_all_pixels_is_no_event_and_hides_none(kind):
    rng = np.random.default_rng(2)
    t = np.arange(READS)
    response = 1 + 0.03 * rng.standard_normal((SIZE, SIZE))
    added = np.cumsum(LIGHT[kind](t))[:, None, None] * response
    cube = with_hits(quiet() + added)
    hits, others = found(cube)
    assert hits >= 9
    assert others <= 3


def test_settling_with_its_own_strength_in_each_pixel():
    rng = np.random.default_rng(3)
    strength = 100 * (1 + 0.4 * rng.standard_normal((SIZE, SIZE)))
    settled = 1 - np.exp(-np.arange(READS) / 5)
    cube = quiet() + settled[:, None, None] * strength
    source = fit_shared(CorrectedRamp(ramp_of(cube)))
    assert len(source.shared.shapes) >= 1
    rest = load_block(source, slice(96, 112))[0].data
    # What is left of the settling, in the first reads, is small beside the noise.
    bend = rest[1] - rest[0] - (rest[-1] - rest[-11]) / 10
    assert np.std(bend) < 1.25 * NOISE * np.sqrt(2)
    hits, others = found(with_hits(cube))
    assert hits >= 9
    assert others <= 3


def test_offsets_of_outputs_are_known_from_their_pixels():
    rng = np.random.default_rng(4)
    offset = np.repeat(np.cumsum(rng.normal(0, 4, (READS, 4)), 0), SIZE // 4, axis=1)
    ramp = ramp_of(quiet() + offset[:, None, :])
    ramp = Ramp(**vars(ramp) | {"facts": DetectorInfo(gain=1.5, saturation=6e4, outputs=4)})
    source = fit_shared(CorrectedRamp(ramp))
    got = np.diff(light_at(source.shared, np.full(4, 100), np.arange(4) * 64 + 32), axis=0)
    wanted = np.diff(offset[:, ::64], axis=0)
    away = (got - got.mean(axis=0)) - (wanted - wanted.mean(axis=0))
    assert np.std(away) < 0.5


def test_a_column_that_jumps_with_all_rows():
    jumps = 30.0 * (np.cumsum(np.random.default_rng(5).random(READS) < 0.2) % 2)
    cube = quiet()
    cube[:, :, 100] += jumps[:, None]
    source = fit_shared(CorrectedRamp(ramp_of(cube)))
    odd = np.flatnonzero(np.ptp(source.shared.col_level, axis=0))
    assert odd.tolist() == [100]
    assert found(with_hits(cube))[1] <= 1


def test_noise_of_a_read():
    cube = quiet()
    cube[14] += np.random.default_rng(6).normal(0, 2 * NOISE, cube[14].shape)
    quality = fit_shared(CorrectedRamp(ramp_of(cube))).ramp.quality
    assert quality.white[14] == pytest.approx(5, rel=0.1)
    assert np.flatnonzero(quality.white > 1).tolist() == [14]
    source = fit_shared(CorrectedRamp(ramp_of(cube)))
    [told] = describe(source)
    assert told.startswith("noise: reads 14 above the others, up to 2.")


def test_noise_of_a_read_is_known_when_the_results_are_opened_again(tmp_path):
    cube = quiet()[:, :64]
    cube[14] += np.random.default_rng(6).normal(0, 2 * NOISE, cube[14].shape)
    np.save(tmp_path / "x.npy", cube.astype(np.float32))
    config = DetectorConfig(gain=1.5, outputs=1, border=0)
    Predictor(config=config).predict(tmp_path / "x.npy", tmp_path / "out", processed=False)
    source, _ = corrected_ramp(open_exposure(tmp_path / "x.npy", config)[0], config)
    opened = open_prediction(tmp_path / "out").covariance()
    assert opened.read_next[13] < -4
    for got, wanted in zip(opened, covariance_of(source.ramp), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_random_walk_of_all_pixels():
    steps = np.random.default_rng(7).normal(0, 3, (READS, SIZE, SIZE))
    cube = quiet() + np.cumsum(steps, 0)
    quality = fit_shared(CorrectedRamp(ramp_of(cube))).ramp.quality
    assert np.median(quality.extra) == pytest.approx(9 / NOISE**2, rel=0.2)


def test_heavy_tails():
    cube = quiet(noise=0.1) + np.random.default_rng(8).laplace(0, 6, (READS, SIZE, SIZE))
    assert fit_shared(CorrectedRamp(ramp_of(cube))).ramp.quality.heavy_tails


def test_a_hit_in_a_lost_read_is_found():
    cube = with_hits(quiet())
    cube[12] = np.nan
    quality = fit_shared(CorrectedRamp(ramp_of(cube))).ramp.quality
    assert np.flatnonzero(quality.lost).tolist() == [12]
    events = find_anomalies(cube.astype(np.float32), gain=1.5, saturation=6e4).events
    places = {tuple(map(int, event["position"])) for event in events}
    assert {(20 + 20 * k, 30 + 18 * k) for k in range(10)} <= places


def test_snowball_with_a_wide_halo_is_not_taken_for_light():
    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.hypot(y - 120, x - 130)
    halo = np.where(away < 6, 1e5, 400 * np.exp(-(away - 6) / 15))
    cube = quiet()
    cube[15:] += halo
    np.minimum(cube, 60000, out=cube)
    source = fit_shared(CorrectedRamp(ramp_of(cube)))
    plain = load_block(CorrectedRamp(source.ramp), slice(112, 128))[0].data
    rest = load_block(source, slice(112, 128))[0].data
    far = slice(150, 200)
    assert np.abs((plain - rest)[16, :, far] - (plain - rest)[14, :, far]).max() < 0.1 * NOISE
    [ball] = find_anomalies(cube.astype(np.float32), gain=1.5).events
    assert (ball["type"], ball["first_frame"]) == ("snowball", 15)


def test_blocks_and_windows_are_parts_of_the_whole():
    t = np.arange(READS)
    cube = quiet() + (5 * np.sin(t / 3))[:, None, None] * np.linspace(0.5, 1.5, SIZE)
    source = fit_shared(CorrectedRamp(ramp_of(cube)))
    whole = load_block(source, slice(0, SIZE))[0].data
    part = load_block(source, slice(48, 64), slice(17, 90))[0].data
    np.testing.assert_allclose(part, whole[:, 48:64, 17:90], atol=1e-3)


def test_subtraction_between_nodes():
    surface = np.zeros((2, 2, 2), np.float32)
    surface[1] = [[0, 10], [20, 30]]
    none = np.zeros((0, 1))
    shared = Shared(
        surface,
        np.array([0.0, 2.0]),
        np.array([0.0, 4.0]),
        np.zeros((2, 5), np.float32),
        np.zeros((2, 3, 1), np.float32),
        none,
        np.ones((2, 1)),
        np.ones(1),
        np.zeros(2, bool),
    )
    data = np.zeros((2, 3, 5), np.float32)
    subtract_shared(data, shared)
    assert data[1].tolist() == [
        [0, -2.5, -5, -7.5, -10],
        [-10, -12.5, -15, -17.5, -20],
        [-20, -22.5, -25, -27.5, -30],
    ]
    assert light_at(shared, np.array([1]), np.array([2]))[:, 0].tolist() == [0, 15]
    # The step of a read that is not searched is taken out whole.
    steps = np.zeros((8, 1, 1), np.float32)
    steps[4:] = 70
    odd = np.arange(8) == 4
    typical = np.stack([np.full(7, 2.0), np.full(7, -1.0)])
    model = shared._replace(shapes=np.zeros((0, 7)), typical=typical, dt=np.ones(7), unsearched=odd)
    subtract_shapes(steps, np.full((1, 1), 8), model)
    assert np.abs(steps).max() < 1e-3


def test_reads_that_no_particle_could_make():
    stepping = np.full((3, 4, 4), 0.001)
    stepping[1] = 0.2
    assert crowded_reads(stepping).tolist() == [False, False, True, False]
    mean = np.zeros((4, 2, 2))
    mean[1:3] = np.nan
    assert lost_reads(mean).tolist() == [False, False, True, False, False]


def test_lost_reads_lie_between_their_neighbours():
    reads = np.array([0, 1, np.nan, np.nan, 7], np.float32)[:, None, None]
    times, lost = np.array([0.0, 1, 2, 3, 4]), np.array([0, 0, 1, 1, 0], bool)
    filled = without_gaps(reads, lost, times)[:, 0, 0]
    np.testing.assert_allclose(filled, [0, 1, 3, 5, 7], rtol=1e-6)
    model = without_weight(difference_covariance(times), lost)
    assert (model.read > 100).tolist() == [False, True, True, True]


def test_rate_of_changes_is_that_of_most():
    change = np.full((12, 1), 3.0)
    change[5] = 50
    assert without_rate(change, np.ones(12))[:, 0].tolist() == [0.0] * 5 + [47.0] + [0.0] * 6


def test_tiles_lie_within_one_output():
    edges, output = tile_edges(100, 4)
    assert edges.tolist() == [0, 25, 50, 75, 100]
    assert output.tolist() == [0, 1, 2, 3]


def test_no_shape_in_noise():
    rng = np.random.default_rng(9)
    reads = rng.normal(0, 1, (21, 6000))
    sample = PixelSample(
        np.diff(reads, axis=0).astype(np.float32),
        np.full(6000, 1.4, np.float32),
        np.zeros(6000, np.float32),
        np.zeros(6000, int),
        np.zeros(6000, int),
    )
    typical = np.stack([np.full(20, 2.0), np.full(20, -1.0)])
    none = np.zeros(20)
    assert len(find_shapes(sample, typical, np.ones(20), none, none > 0)) == 0


def test_quality_backwards():
    quality = ReadQuality(
        np.arange(4.0), np.arange(3.0), np.ones(3), np.arange(4) == 1, np.arange(4) == 2
    )
    turned = quality.backwards()
    assert turned.white.tolist() == [3, 2, 1, 0]
    assert turned.extra.tolist() == [2, 1, 0]
    # The step from read 0 to 1 becomes that from read 2 to 3.
    assert np.flatnonzero(turned.unsearched).tolist() == [3]
    assert np.flatnonzero(turned.lost).tolist() == [1]
