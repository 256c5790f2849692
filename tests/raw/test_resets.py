"""Resets in the middle of a ramp."""

import numpy as np
import pytest

from ohana import find_anomalies, open_exposure
from ohana.raw.resets import find_resets

READS, RESET, SHAPE = 60, 25, (64, 96)
HITS = ((8, 30, 30, 2500), (19, 20, 25, 900), (33, 40, 50, 1500), (48, 30, 31, 700))


def scene(reset=RESET, rate=6.0, seed=1):
    """Return a ramp in DN (gain 2) that is reset, with hits."""
    rng = np.random.default_rng(seed)
    charge = rng.poisson(rate, (READS, *SHAPE)).cumsum(0) / 2.0
    for read, row, col, size in HITS:
        charge[read:, row, col] += size
    if reset:
        charge[reset:] -= charge[reset - 1] + rng.normal(0, 15, SHAPE)
    cube = 5000 + rng.normal(0, 30, SHAPE) + charge + rng.normal(0, 6, charge.shape)
    return np.clip(np.rint(cube), 0, 65535).astype(np.uint16)


def sampled(cube):
    return cube.reshape(len(cube), -1).astype(np.float32)[:, ::3]


def test_hits_on_both_sides_of_a_reset_are_found():
    found = find_anomalies(scene(), gain=2.0)
    events = [(event["type"], event["first_frame"], *event["position"]) for event in found.events]
    wanted = [("cosmic_ray", *hit[:3]) for hit in HITS]
    assert sorted(events) == sorted(wanted)
    assert np.nanmedian(found.rate) == pytest.approx(3.0, abs=0.03)


def test_a_notice_tells_of_a_reset(tmp_path):
    np.save(tmp_path / "reset.npy", scene())
    [ramp] = open_exposure(tmp_path / "reset.npy")
    assert ramp.resets == (RESET,)
    assert any("read 25: all pixels fall to their level of the first read" in n for n in ramp.notes)


@pytest.mark.parametrize("reset", [4, 25, READS - 1])
def test_resets_are_found_wherever_they_are(reset):
    cube = scene(reset, rate=20.0)
    assert find_resets(sampled(cube), np.arange(float(READS))) == (reset,)


def test_several_resets():
    cube = np.concatenate([scene(20, seed=2)[:40], scene(20, seed=2)[:30]])
    times = np.arange(float(len(cube)))
    assert find_resets(sampled(cube), times) == (20, 40, 60)


@pytest.mark.parametrize("jump", [40, 400])
def test_what_is_no_reset(jump):
    times = np.arange(float(READS))
    steady = sampled(scene(None))
    assert find_resets(steady, times) == ()
    # An offset that comes and goes, light that goes out, and reads that are lost.
    moved = steady.copy()
    moved[10:25] += jump
    assert find_resets(moved, times) == ()
    lower = steady.copy()
    lower[25:] -= jump // 40
    assert find_resets(lower, times) == ()
    lost = steady.copy()
    lost[20:30] = np.nan
    assert find_resets(lost, times) == ()
    assert find_resets(steady[:, :50], times) == ()
    assert find_resets(steady[:4], times[:4]) == ()


def test_a_reset_beside_a_saturated_pixel_and_a_lost_read():
    cube = scene()
    cube[20:RESET, 10, 10] = 65535
    cube[10] = 0
    found = find_anomalies(cube, gain=2.0)
    assert found.saturated_from[10, 10] == 20
    rays = [(event["first_frame"], *event["position"]) for event in found.events]
    assert sorted(rays) == sorted([*(hit[:3] for hit in HITS), (20, 10, 10)])
