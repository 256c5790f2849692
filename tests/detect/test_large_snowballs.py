"""Snowballs of every size and halo through the whole pipeline: one event, the right pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohana import DetectorConfig, Predictor, find_anomalies
from ohana.evaluate.truth.confusion import overlaps
from ohana.evaluate.truth.pairs import compare
from ohana.results.catalogue import Detection, read_catalogue
from ohana.simulate import SimulationConfig, simulate_to_fits

FULL = 55000.0


def settings(size: int, radius: float, ratio: float, decay: float, **changes: Any):
    """Return settings of a snowball: core radius, halo over core, decay of the halo [pixel]."""
    given: dict[str, Any] = {
        "rows": size,
        "cols": size,
        "reads": 12,
        "border": 0,
        "outputs": 1,
        "gain": 1.062,
        "full_well": 59600.0,
        "read_noise": 21.0,
        "snowballs": 1,
        "snowball_radius": (radius, radius),
        "snowball_halo": (ratio, ratio),
        "snowball_halo_length": (decay / radius, decay / radius),
        "trail_fraction": 0.0,
    }
    return SimulationConfig(**given | changes)


def simulate_and_predict(
    config: SimulationConfig, seed: int, folder: Path, **detector: Any
) -> tuple[list[Detection], np.ndarray]:
    """Simulate and predict; returns the events, and the overlap of each snowball's footprint."""
    truth = simulate_to_fits(config, np.random.default_rng(seed), folder / "ramp.fits")
    predictor = Predictor(config=DetectorConfig(**detector))
    predictor.predict(folder / "ramp.fits", folder / "out", processed=False)
    events = read_catalogue(folder / "out" / "detections.json")
    return events, overlaps(truth, compare(truth, events, 5.0))


def others(events: list[Detection], least: int) -> list[Detection]:
    """Return what is no snowball and has so many pixels."""
    return [e for e in events if e["type"] != "snowball" and e["spatial_extent"] >= least]


@pytest.mark.parametrize("radius", [2.9, 3.1, 3.4])
def test_rim_that_fills_up_after_the_landing_is_no_second_core(tmp_path, radius):
    # The rim gains about a quarter of the full well in each of the next reads.
    config = settings(80, radius, 0.06, 12.0, snowball_core=(1.2, 1.2), snowball_growth=0.24)
    for seed in (0, 3, 5):
        events, overlap = simulate_and_predict(config, seed, tmp_path)
        assert [event["type"] for event in events] == ["snowball"]
        assert overlap == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("decay", [3.0, 30.0])
@pytest.mark.parametrize("ratio", [0.02, 0.15])
@pytest.mark.parametrize("radius", [5.0, 60.0])
def test_size_and_halo_as_specified(tmp_path, radius, ratio, decay):
    events, overlap = simulate_and_predict(settings(144, radius, ratio, decay), 4, tmp_path)
    (ball,) = [event for event in events if event["type"] == "snowball"]
    assert ball["confidence"] > (0.6 if radius < 10 else 0.95)
    assert ball["core_radius"] == pytest.approx(radius, abs=0.8)
    assert ball["oversized"] == (radius > 15)
    assert overlap[0] > 0.9
    assert not others(events, 4)


def test_halo_that_covers_the_whole_array(tmp_path):
    events, overlap = simulate_and_predict(settings(192, 8.0, 0.15, 30.0), 1, tmp_path)
    assert [event["type"] for event in events] == ["snowball"]
    assert overlap[0] > 0.95


def test_radius_200_cut_by_the_edge(tmp_path):
    config = settings(320, 200.0, 0.05, 10.0, edge_fraction=1.0, snowball_afterglow=0.0)
    # With this seed rows are nearly full from read 1 on: few differences are left for the noise.
    events, overlap = simulate_and_predict(config, 2, tmp_path)
    (ball,) = [event for event in events if event["type"] == "snowball"]
    assert ball["cut_by_edge"]
    assert ball["oversized"]
    assert ball["core_radius"] == pytest.approx(200, abs=2)
    assert overlap[0] > 0.95


def test_several_in_one_exposure(tmp_path):
    config = settings(224, 18.0, 0.05, 8.0, snowballs=3, edge_fraction=0.5, reads=20)
    events, overlap = simulate_and_predict(config, 6, tmp_path)
    assert sum(event["type"] == "snowball" for event in events) == 3
    assert overlap.min() > 0.9
    assert not others(events, 4)


def test_landing_in_the_third_read_of_a_large_core(tmp_path):
    # Noise is hardly known from the two differences before the core saturates.
    events, overlap = simulate_and_predict(settings(192, 40.0, 0.15, 30.0, reads=16), 126, tmp_path)
    (ball,) = [event for event in events if event["type"] == "snowball"]
    assert ball["first_frame"] == 3
    assert overlap[0] > 0.95


def landing(radius: float, ratio: float, decay: float, sky: float, growth: float) -> np.ndarray:
    """Return reads (24, 128, 128) [DN] of a full core at read 12 in a halo, on light.

    ``sky`` is the part of the well that is full by then, ``growth`` the part of the well by which
    the rim, 1.2 pixels wide, rises in each of the next four reads.
    """
    rng, full = np.random.default_rng(int(10 * radius)), 60000.0
    row, col = np.indices((128, 128))
    away = np.hypot(row - 64.3, col - 63.8) - radius
    signal = np.zeros((24, 128, 128))
    signal[12:] += np.where(away <= 0, 1.2, ratio * np.exp(-away / decay)) * full
    for read in range(13, 17):
        signal[read:] += growth * full * ((away > 0) & (away <= 1.2))
    light = rng.poisson(sky * full / 12, signal.shape).cumsum(0)
    return np.minimum(signal + light, full) + rng.normal(0, 12, signal.shape)


@pytest.mark.parametrize(("ratio", "decay"), [(0.02, 5.0), (0.15, 20.0)])
@pytest.mark.parametrize("radius", [2.9, 3.2, 3.4])
def test_rim_that_rises_by_a_quarter_of_the_well_in_each_read(radius, ratio, decay):
    reads = landing(radius, ratio, decay, sky=0.0, growth=0.25)
    found = find_anomalies(reads.astype(np.float32), gain=1.0, saturation=59000.0)
    large = [e for e in found.events if e["spatial_extent"] > 20]
    assert [(e["type"], e["first_frame"]) for e in large] == [("snowball", 12)]


@pytest.mark.parametrize("radius", [3.2, 9.0])
@pytest.mark.parametrize("sky", [0.3, 0.5])
def test_bright_halo_where_the_well_was_full_in_part(sky, radius):
    reads = landing(radius, 0.15, 30.0, sky, growth=0.0)
    found = find_anomalies(reads.astype(np.float32), gain=1.0, saturation=59000.0)
    large = [e for e in found.events if e["spatial_extent"] > 20]
    assert [(e["type"], e["first_frame"]) for e in large] == [("snowball", 12)]


def lit(light: np.ndarray, read: int, folder: Path) -> list[Detection]:
    """Return the events of a dark exposure with light that falls at one read (0: all of them)."""
    rng = np.random.default_rng(7)
    reads = np.arange(16)[:, None, None]
    signal = np.minimum(np.where(reads >= read, light, 0) if read else light * reads, FULL)
    cube = 9000 + rng.normal(0, 300, light.shape) + signal + rng.normal(0, 20, signal.shape)
    np.save(folder / "ramp.npy", cube.clip(0, 65535).astype(np.uint16))
    predictor = Predictor(config=DetectorConfig(gain=1.0, saturation=62000.0, border=0))
    predictor.predict(folder / "ramp.npy", folder / "out", processed=False)
    return read_catalogue(folder / "out" / "detections.json")


def test_light_is_no_snowball(tmp_path):
    row, col = np.indices((128, 128))
    away = np.hypot(row - 60, col - 70)
    round_spot = np.exp(-((away / 40) ** 2) / 2)
    for light, read in (
        (1.2 * FULL * round_spot, 8),  # a flash that fills a round part of the array
        (3 * FULL * round_spot, 1),
        (20000 * round_spot, 0),  # a lamp
        (2 * FULL * (col < 60), 8),  # half of the array, or a rectangle
        (2 * FULL * ((abs(row - 60) < 40) & (abs(col - 60) < 20)), 8),
        (2 * FULL * (row + col < 50), 8),
        (2 * FULL * np.ones(away.shape), 8),
    ):
        assert all(event["type"] != "snowball" for event in lit(light, read, tmp_path))
