"""The level at which pixels are full, measured where a file does not say it."""

import numpy as np
import pytest

from ohana.config import DetectorConfig
from ohana.read import open_exposure
from ohana.read.saturation import MIN_PIXELS, full_level
from ohana.simulate import preset, simulate_to_fits

SHAPE, FULL, PEDESTAL = (64, 64), 50000.0, 10000.0
STARS = {"rows": 256, "cols": 256, "stars": 40, "star_flux": (2e4, 2e5)}


def three_reads(rng, full=60, brightest=0.5):
    """Return first, middle and last read: some pixels full by the middle, others on their way."""
    rise = np.zeros((3, *SHAPE))
    rate = rng.uniform(0, brightest * FULL, SHAPE)
    rise[1], rise[2] = rate / 2, rate
    pixels = rng.choice(rate.size, full, replace=False)
    rise[1:].reshape(2, -1)[:, pixels] = FULL * rng.normal(1, 0.005, full)
    return (PEDESTAL + rise + rng.normal(0, 10, rise.shape)).astype(np.float32)


def test_level_of_pixels_that_stay():
    level = full_level(*three_reads(np.random.default_rng(1)))
    assert level == pytest.approx(PEDESTAL + 0.97 * FULL * 0.99, rel=0.01)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_level_follows_the_gain(scale):
    reads = three_reads(np.random.default_rng(2))
    assert full_level(*(scale * reads)) == pytest.approx(scale * full_level(*reads), rel=1e-4)


def test_too_few_pixels():
    assert full_level(*three_reads(np.random.default_rng(3), full=MIN_PIXELS - 1)) is None


def test_what_changes_everywhere_is_no_saturation():
    reads = three_reads(np.random.default_rng(4), full=0, brightest=0.0)
    reads[1:] += 20000
    assert full_level(*reads) is None


def test_pixels_above_are_not_full():
    reads = three_reads(np.random.default_rng(5), brightest=0.0)
    reads[2, :8] += 2 * FULL  # rising past the level
    assert full_level(*reads) is None


def test_hits_of_all_sizes_are_not_full():
    rng = np.random.default_rng(6)
    reads = np.full((3, *SHAPE), PEDESTAL, np.float32)
    reads[1:].reshape(2, -1)[:, :200] += rng.uniform(1000, 40000, 200)
    assert full_level(*reads) is None


def test_reads_that_are_not_known():
    reads = three_reads(np.random.default_rng(7))
    wanted = full_level(*reads)
    reads[:, :2] = np.nan
    assert full_level(*reads) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("name", ["nircam", "nirspec", "wfc3"])
def test_level_of_an_instrument(name, tmp_path):
    config = preset(name, **STARS)
    simulate_to_fits(config, np.random.default_rng(8), tmp_path / "x_uncal.fits")
    [ramp] = open_exposure(tmp_path / "x_uncal.fits")
    pedestal = config.pedestal / config.gain
    height = (ramp.facts.saturation - pedestal) / (config.saturation - pedestal)
    assert ramp.facts.sources["saturation"] == "measured, where pixels stay"
    assert 0.95 < height < 1.03


def test_dark_ramps_tell_nothing(tmp_path):
    config = preset("nircam", rows=128, cols=128, stars=0, cosmic_ray_rate=30.0)
    simulate_to_fits(config, np.random.default_rng(9), tmp_path / "x_uncal.fits")
    [ramp] = open_exposure(tmp_path / "x_uncal.fits")
    assert ramp.facts.saturation == 65535
    assert ramp.facts.sources["saturation"].startswith("default")


def test_what_is_known_is_not_measured(tmp_path):
    simulate_to_fits(preset("nircam", **STARS), np.random.default_rng(10), tmp_path / "x.fits")
    [ramp] = open_exposure(tmp_path / "x.fits", DetectorConfig(saturation=60000))
    assert (ramp.facts.saturation, ramp.facts.sources["saturation"]) == (60000, "config")
    cube = preset("sky", rows=256, cols=256, stars=40, star_flux=(2e4, 2e5))
    simulate_to_fits(cube, np.random.default_rng(10), tmp_path / "cube.fits")
    [ramp] = open_exposure(tmp_path / "cube.fits")
    assert ramp.facts.sources["saturation"] == "header SATURATE"


def test_few_reads_and_other_numbers_tell_nothing(tmp_path):
    reads = three_reads(np.random.default_rng(11))
    np.save(tmp_path / "short.npy", reads.astype(np.uint16))
    np.save(tmp_path / "float.npy", reads[[0, 1, 2, 2, 2]])
    for name in ("short", "float"):
        [ramp] = open_exposure(tmp_path / f"{name}.npy")
        assert ramp.facts.sources["saturation"].startswith("default")
    np.save(tmp_path / "enough.npy", reads[[0, 1, 1, 2, 2]].astype(np.uint16))
    [ramp] = open_exposure(tmp_path / "enough.npy")
    assert ramp.facts.sources["saturation"].startswith("measured")
