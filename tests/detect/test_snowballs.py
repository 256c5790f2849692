"""Snowballs: disks, profiles, step images, and the rule on simulated ramps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp, load_block
from ohana.detect.linking import link_steps, read_tolerance
from ohana.detect.row_block import analyse
from ohana.detect.snowballs.candidates import SnowballContext
from ohana.detect.snowballs.classify import find_snowballs
from ohana.detect.snowballs.cores import find_cores
from ohana.detect.snowballs.disks import fit_disks
from ohana.detect.snowballs.halo import footprint, radial_profile, with_later_signal
from ohana.detect.snowballs.step_image import StepImage, step_image
from ohana.events import Event, PixelMaps, Steps, join_steps
from ohana.network.snowball_seeds import SnowballSeed, core_of
from ohana.ramp import DetectorInfo, Planes, Ramp
from ohana.rampfit.covariance import covariance_of, difference_covariance
from ohana.rampfit.noise import measure
from ohana.simulate.optimal_snr import step_errors

NOISE, FULL, HEIGHT, WIDTH, READS = 8.0, 50000.0, 64, 80, 24


@dataclass(frozen=True)
class Ball:
    """A snowball to paint: place, first read, core radius, step of the core and of the rim."""

    row: float = 30.0
    col: float = 40.0
    read: int = 10
    radius: float = 5.0
    core: float = 2 * FULL
    rim: float = 250.0
    length: float = 4.0

    def step(self) -> np.ndarray:
        """Return the charge of each pixel [DN]."""
        away = np.hypot(
            *(np.indices((HEIGHT, WIDTH)) - np.array([self.row, self.col])[:, None, None])
        )
        inside = np.clip(self.radius + 0.5 - away, 0, 1)
        halo = self.rim * np.exp(-np.maximum(away - self.radius, 0) / self.length)
        return self.core * inside + (1 - inside) * halo


def exposure(balls: list[Ball], reads: int = READS, rate: np.ndarray | float = 0.0) -> np.ndarray:
    """Return reads (T, H, W) with snowballs, full at FULL."""
    rng = np.random.default_rng(5)
    signal = np.arange(reads)[:, None, None] * np.broadcast_to(rate, (HEIGHT, WIDTH))
    for ball in balls:
        signal[ball.read :] += ball.step()
    return (np.minimum(signal, FULL) + rng.normal(0, NOISE, signal.shape)).astype(np.float32)


def source_of(cube: np.ndarray, folder: Path) -> CorrectedRamp:
    """Write reads to a file and describe them as a ramp without border."""
    path = folder / "cube.raw"
    cube.astype("<f4").tofile(path)
    reads, height, width = cube.shape
    offsets = np.arange(reads) * height * width * 4
    planes = Planes(path, offsets, (height, width), np.dtype("<f4"))
    facts = DetectorInfo(gain=1.5, saturation=0.95 * FULL)
    return CorrectedRamp(Ramp("cube", path, planes, np.arange(float(reads)), facts))


@dataclass(frozen=True)
class Case:
    """Everything that `find_snowballs` takes, but for the settings."""

    source: CorrectedRamp
    steps: Steps
    group: np.ndarray
    maps: PixelMaps

    def find(self, **settings: float) -> tuple[list[Event], np.ndarray]:
        """Run the rule with some settings changed."""
        model = covariance_of(self.source.ramp)
        config = DetectorConfig(**settings)
        return find_snowballs(self.source, self.steps, self.group, self.maps, model, config)


def case(cube: np.ndarray, folder: Path) -> Case:
    """Run the stages before the rule."""
    source, config = source_of(cube, folder), DetectorConfig()
    model = covariance_of(source.ramp)
    block, first = load_block(source, slice(None))
    noise = measure(block.data, block.stop, np.zeros((HEIGHT, WIDTH), bool), model, 1.5)
    steps, *_, maps = analyse(block, noise, model, 1.5, config)
    steps = steps.select(steps.amplitude > 0)
    tolerance = read_tolerance(steps.amplitude, maps.noise[steps.row, steps.col])
    group = link_steps(steps.row, steps.col, steps.read, tolerance, (HEIGHT, WIDTH))
    return Case(source, steps, group, replace(maps, first_usable=first))


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Case:
    return case(exposure([Ball()]), tmp_path_factory.mktemp("one"))


def overlap(event: Event, ball: Ball, reads: int = READS) -> float:
    """Return intersection over union with the pixels above three errors of a step."""
    model = difference_covariance(np.arange(float(reads)))
    places = np.array([[ball.read], [reads]])
    error = step_errors(*places, np.array([NOISE]), np.zeros(1), model)[0]
    seen = ball.step() > 3 * error
    found = np.zeros_like(seen)
    found[event.rows, event.cols] = True
    return float((seen & found).sum() / (seen | found).sum())


# Disks


@pytest.mark.parametrize("radius", [3.0, 5.3, 12.0])
def test_disk_of_known_size(radius):
    row, col = np.indices((40, 40))
    (disk,) = fit_disks(np.hypot(row - 19.3, col - 20.6) <= radius, np.ones((40, 40), bool))
    assert (disk.row, disk.col) == pytest.approx((19.3, 20.6), abs=0.3)
    assert disk.radius == pytest.approx(radius, abs=0.4)
    assert disk.circularity > 0.85
    assert not disk.cut


def test_disk_behind_the_edge_is_completed():
    row, col = np.indices((30, 12))
    (disk,) = fit_disks(np.hypot(row - 15, col + 2) <= 7, np.ones((30, 12), bool))
    assert (disk.row, disk.col, disk.radius) == pytest.approx((15, -2, 7), abs=0.7)
    assert disk.cut


def test_hidden_pixels_do_not_spoil_a_disk():
    row, col = np.indices((30, 30))
    inside, hidden = np.hypot(row - 15, col - 15) <= 6, np.hypot(row - 15, col - 21) <= 4
    (disk,) = fit_disks(inside & ~hidden, ~hidden)
    assert (disk.row, disk.col, disk.radius) == pytest.approx((15, 15, 6), abs=0.5)
    assert disk.circularity > 0.9


def test_track_is_no_disk_and_a_pair_is_two():
    row, col = np.indices((30, 30))
    everywhere = np.ones((30, 30), bool)
    (track,) = fit_disks((abs(row - 15) <= 1) & (abs(col - 15) <= 8), everywhere)
    assert track.circularity < 0.6
    pair = (np.hypot(row - 10, col - 10) <= 5) | (np.hypot(row - 17, col - 15) <= 4)
    found = sorted(fit_disks(pair, everywhere, 2))
    assert [(d.row, d.col, d.radius) for d in found] == [
        pytest.approx((10, 10, 5), abs=0.6),
        pytest.approx((17, 15, 4), abs=0.6),
    ]


# Halo


def still(amplitude: np.ndarray, error: float, rise: np.ndarray | None = None) -> StepImage:
    errors = np.full(amplitude.shape, error)
    return StepImage(amplitude, errors, errors, amplitude if rise is None else rise)


@cache
def rings() -> np.ndarray:
    return np.hypot(*(np.indices((61, 61)) - 30.0))


def test_profile_of_an_exponential_halo_among_noise_and_hits():
    rng, away = np.random.default_rng(1), rings()
    truth = 200 * np.exp(-(away - 4) / 6)
    image = still(truth + rng.normal(0, 5, away.shape), 5.0)
    image.amplitude[rng.random(away.shape) < 0.03] += 300
    profile = radial_profile(away, image, np.ones(away.shape, bool), 4.0, 1e9)
    places = np.array([6.0, 10.0, 20.0])
    assert profile.at(places) == pytest.approx(200 * np.exp(-(places - 4) / 6), abs=4)
    assert np.all(np.diff(profile.level) <= 0)


def test_profile_without_pixels_is_zero():
    away = rings()
    profile = radial_profile(away, still(away, 1.0), np.zeros(away.shape, bool), 4.0, 1.0)
    assert not profile.at(away[away > 5]).any()


def test_later_charge_lifts_the_profile_near_the_core_only():
    away = rings()
    landed, ring = 100 * np.exp(-(away - 4) / 4), 40 * np.exp(-(((away - 6) / 1) ** 2) / 2)
    noise = np.random.default_rng(2).normal(0, 4, away.shape)
    image = still(landed, 4.0, landed + ring + 17 + noise)
    everywhere = np.ones(away.shape, bool)
    first = radial_profile(away, image, everywhere, 4.0, 1e9)
    total = with_later_signal(first, away, image, everywhere, 9.0)
    assert total.at(6.0) - first.at(6.0) == pytest.approx(40, abs=8)
    assert total.at(15.0) == pytest.approx(first.at(15.0), abs=1)


def test_footprint_follows_the_profile_and_a_trail():
    rng, away = np.random.default_rng(3), rings()
    truth = 100 * np.exp(-(away - 4) / 5)
    amplitude = truth + rng.normal(0, 6, away.shape)
    amplitude[30, 34:56] += 400
    image, everywhere = still(amplitude, 6.0), np.ones(away.shape, bool)
    profile = radial_profile(away, image, everywhere, 4.0, 1e9)
    member = footprint(away, image, (profile, profile), away <= 4, everywhere, 1e9)
    assert member[30, 34:56].all()
    seen = truth > 18
    seen[30, 34:56] = True
    assert (member & seen).sum() / (member | seen).sum() > 0.93


# Step images


def test_step_image_gives_steps_and_their_errors(tmp_path):
    cube = np.random.default_rng(4).normal(0, NOISE, (READS, HEIGHT, WIDTH)).astype(np.float32)
    cube[10:] += 100
    found = case(cube, tmp_path)
    window, empty = np.s_[8:40, 16:60], join_steps([])
    model = covariance_of(found.source.ramp)
    image = step_image(found.source, found.maps, model, window, 10, empty, {}, 5)
    assert image.amplitude.shape == (32, 44)
    assert np.mean(image.amplitude) == pytest.approx(100, abs=1)
    assert np.std(image.amplitude) == pytest.approx(np.median(image.error), rel=0.1)
    assert np.mean(image.later_signal) == pytest.approx(100, abs=2)
    assert image.error == pytest.approx(image.error_if_single_step)


def test_step_image_leaves_other_steps_out(tmp_path):
    cube = np.random.default_rng(4).normal(0, NOISE, (READS, HEIGHT, WIDTH)).astype(np.float32)
    cube[10:] += 100
    cube[16:, 20, 30] += 5000
    found = case(cube, tmp_path)
    window = np.s_[16:32, 16:48]
    model = covariance_of(found.source.ramp)
    image = step_image(found.source, found.maps, model, window, 10, found.steps, {}, 5)
    assert abs(image.amplitude[4, 14] - 100) < 5 * image.error[4, 14]
    assert image.error[4, 14] > image.error_if_single_step[4, 14]


# The rule


def test_one_snowball(one):
    (event,), claimed = one.find()
    ball = Ball()
    assert event.label == Label.SNOWBALL
    assert event.first_frame == 10
    assert event.confidence > 0.9
    assert overlap(event, ball) > 0.85
    assert event.extra["core_radius"] == pytest.approx(5, abs=0.6)
    assert event.extra["circularity"] > 0.85
    assert event.extra["saturated"]
    assert not event.extra["trailed"]
    assert not event.extra["cut_by_edge"]
    near = np.hypot(one.steps.row - ball.row, one.steps.col - ball.col) < 12
    assert claimed[near & (one.steps.read == 10)].all()


@pytest.mark.parametrize(
    "changes",
    [
        {"snowball_min_confidence": 1.0},
        {"snowball_min_intensity": 400.0},
        {"snowball_min_radius": 6.0},
        {"snowball_circularity_threshold": 0.99},
        {"snowball_min_area": 2000},
        {"cosmic_ray_max_spatial_extent": 3000},
    ],
)
def test_every_limit_acts(one, changes):
    assert len(one.find()[0]) == 1
    events, claimed = one.find(**changes)
    assert not events
    assert not claimed.any()


@pytest.mark.parametrize(
    "changes",
    [
        {"snowball_max_intensity": 40.0},
        {"snowball_max_radius": 4.0},
        {"snowball_max_area": 200},
    ],
)
def test_upper_limits_exclude_cores_that_are_not_full(one, tmp_path, changes):
    faint = case(exposure([Ball(core=4000.0)]), tmp_path)
    assert len(faint.find()[0]) == 1
    assert not faint.find(**changes)[0]
    (usual,), (event,) = one.find()[0], one.find(**changes)[0]
    assert not usual.extra["oversized"]
    assert event.extra["oversized"] == ("snowball_max_intensity" not in changes)
    assert len(event.rows) == len(usual.rows)


@pytest.mark.parametrize("changes", [{}, {"snowball_max_radius": 4.0}])
@pytest.mark.parametrize("core", [2 * FULL, 4000.0])
def test_rules_and_network_find_the_same_core(tmp_path, core, changes):
    """The core of a snowball that saturates may be of any size for both."""
    ball = Ball(core=core)
    found, config = case(exposure([ball]), tmp_path), DetectorConfig(**changes)
    stop, seed = found.maps.stop, SnowballSeed(10, *np.nonzero(ball.step() > 100))
    context = SnowballContext(
        found.source,
        found.steps,
        found.group,
        found.maps,
        covariance_of(found.source.ramp),
        stop,
        config,
    )
    of_rules = find_cores(found.steps, found.group, stop, config)
    of_network = core_of(seed, context)
    assert of_rules == ([] if of_network is None else [of_network])
    assert bool(of_rules) == (core > FULL or not changes)


def test_growth_belongs_to_the_snowball_as_far_as_it_is_expected(tmp_path):
    ball = Ball()
    cube = exposure([ball])
    away = np.hypot(*(np.indices((HEIGHT, WIDTH)) - np.array([30.0, 40.0])[:, None, None]))
    rim = (away > 6) & (away < 6.6)
    cube[14:, rim] += 3000
    found = case(cube, tmp_path)
    later = found.steps.read == 14
    assert later.sum() > 8
    assert found.find()[1][later].all()
    assert not found.find(snowball_expansion_rate=0.0)[1][later].any()


@pytest.mark.parametrize("width", [1.0, 2.0])
@pytest.mark.parametrize("later", [2, 3])
def test_rim_that_rises_by_a_part_of_the_full_well_is_no_second_core(tmp_path, width, later):
    ball = Ball(radius=3.2, rim=2000.0, length=8.0)
    cube = exposure([ball])
    away = np.hypot(*(np.indices((HEIGHT, WIDTH)) - np.array([30.0, 40.0])[:, None, None]))
    rim = (away > ball.radius + 0.5) & (away < ball.radius + 0.5 + width)
    cube[ball.read + later :, rim] += 0.3 * FULL
    found = case(cube, tmp_path)
    assert np.count_nonzero(found.steps.read == ball.read + later) > 15
    stop = found.maps.stop
    cores = find_cores(found.steps, found.group, stop, DetectorConfig())
    assert [core.read for core in cores] == [ball.read]
    (event,), _ = found.find()
    assert overlap(event, ball) > 0.9


def test_cosmic_ray_inside_the_halo_stays_one(tmp_path):
    cube = exposure([Ball()])
    cube[18:, 30, 50:54] += 800
    cube[4:, 40, 40] += 800
    found = case(cube, tmp_path)
    (event,), claimed = found.find()
    assert event.first_frame == 10
    others = np.isin(found.steps.read, [4, 18])
    assert others.sum() >= 5
    assert not claimed[others].any()


@pytest.mark.parametrize(
    "ball",
    [
        Ball(core=4000.0),
        Ball(row=0.0),
        Ball(row=-1.5, radius=6.0),
        Ball(read=1),
        Ball(read=2),
        Ball(read=READS - 1),
        Ball(read=READS - 2),
        Ball(radius=3.0),
        Ball(radius=14.0),
    ],
    ids=lambda ball: f"{ball.row}-{ball.read}-{ball.radius}-{ball.core}",
)
def test_awkward_snowballs(tmp_path, ball):
    (event,), _ = case(exposure([ball]), tmp_path).find()
    assert event.first_frame == ball.read
    assert event.extra["core_radius"] == pytest.approx(ball.radius, abs=0.8)
    assert event.extra["cut_by_edge"] == (ball.row <= 0)
    assert event.extra["saturated"] == (ball.core > FULL)
    assert overlap(event, ball) > 0.75


@pytest.mark.parametrize("reads", [3, 5, 8])
def test_short_ramps(tmp_path, reads):
    (event,), _ = case(exposure([Ball(read=2, rim=400.0)], reads), tmp_path).find()
    assert event.first_frame == 2


@pytest.mark.parametrize("second", [Ball(col=49.0), Ball(col=49.0, read=17), Ball(col=60, read=11)])
def test_two_that_overlap(tmp_path, second):
    first = Ball(row=31.0, col=38.0)
    events, _ = case(exposure([first, second]), tmp_path).find()
    assert sorted(event.first_frame for event in events) == [first.read, second.read]
    for ball in (first, second):
        best = max(events, key=lambda event: overlap(event, ball))
        assert overlap(best, ball) > 0.6


def test_what_is_no_snowball(tmp_path):
    away = np.hypot(*(np.indices((HEIGHT, WIDTH)) - np.array([30.0, 40.0])[:, None, None]))
    star = np.where(away < 5, 6e4, 2e4 * np.exp(-(away - 5) / 2))
    rng = np.random.default_rng(7)
    flash, track, cluster, blob = (exposure([]) for _ in range(4))
    flash[10:] += 200
    track[10:, 30:32, 20:60] += 2000
    for row, col in rng.integers(24, 40, (40, 2)):
        cluster[10:, row, col] += rng.uniform(100, 3000)
    blob[10:] += (5000 * np.exp(-(away**2) / 2 / 2.5**2)).astype(np.float32)
    for cube in (
        exposure([], rate=star),
        exposure([], rate=star / 10),
        flash,
        track,
        cluster,
        blob,
    ):
        events, claimed = case(cube, tmp_path).find()
        assert not events
        assert not claimed.any()


@pytest.mark.parametrize("reads", [8, READS, 200])
def test_star_that_is_full_from_the_first_read_on(tmp_path, reads):
    away = np.hypot(*(np.indices((HEIGHT, WIDTH)) - np.array([30.0, 40.0])[:, None, None]))
    cube = exposure([], reads, 1e6 * (1 + (away / 2) ** 2) ** -3)
    # What the full pixels couple into their neighbours comes in one read.
    cube[1:, (away > 3) & (away < 6)] += 270
    assert not case(cube, tmp_path).find()[0]


def test_nothing_at_all(tmp_path):
    found = case(exposure([]), tmp_path)
    events, claimed = found.find()
    assert not events
    assert claimed.shape == found.steps.row.shape


def test_flipped_and_transposed_windows_give_the_same(tmp_path):
    ball = Ball(row=28.0, col=44.0)
    cube = exposure([ball])
    (event,), _ = case(cube, tmp_path).find()
    (flipped,), _ = case(cube[:, ::-1, ::-1].copy(), tmp_path).find()
    same = set(zip(event.rows.tolist(), event.cols.tolist(), strict=True))
    back = {
        (HEIGHT - 1 - r, WIDTH - 1 - c) for r, c in zip(flipped.rows, flipped.cols, strict=True)
    }
    assert len(same & back) / len(same | back) > 0.97
