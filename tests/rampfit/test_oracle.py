"""Reads of strong hits, as found by ohana and by the two-point differences of stcal."""

from __future__ import annotations

import numpy as np
import pytest

from ohana.config import DetectorConfig
from ohana.evaluate.other_codes import two_point
from ohana.ramp import DetectorInfo
from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.noise import Noise, measure
from ohana.rampfit.scan import Ramps, scan
from ohana.rampfit.step_search import find_steps

pytestmark = pytest.mark.oracle

pytest.importorskip("stcal.jump.jump", reason="stcal is not installed (extra test)")

READS, SHAPE = 40, (32, 64)
NOISE, GAIN, RATE = 10.0, 1.5, 2.0
#: Dimmest hit, in errors of a difference of two reads: that is what two-point differences see.
DIMMEST = 20.0


def hit_ramps(rng, hits):
    """Return ramps [DN] with some hits in each pixel, and where these are (T, R, W)."""
    data = np.cumsum(rng.poisson(RATE * GAIN, (READS, *SHAPE)) / GAIN, axis=0)
    data += rng.normal(0, NOISE, data.shape)
    # Never next to each other: two-point differences would be right to see one hit there.
    read = 2 * rng.permuted(np.tile(np.arange(1, READS // 2), (*SHAPE, 1)), axis=2)[..., :hits]
    struck = np.zeros(data.shape, bool)
    np.put_along_axis(struck, np.moveaxis(read, -1, 0), True, axis=0)
    error = np.sqrt(2 * NOISE**2 + RATE / GAIN)
    amplitude = error * rng.uniform(DIMMEST, 10 * DIMMEST, data.shape)
    data += np.cumsum(struck * amplitude, axis=0)
    return (data - data[0]).astype(np.float32), struck


def ohana_reads(data):
    """Tell the reads in which ohana finds a step up (T, R, W)."""
    model, stop = difference_covariance(np.arange(float(READS))), np.full(SHAPE, READS, np.int32)
    noise = measure(data, stop, np.zeros(SHAPE, bool), model, GAIN)
    noise = Noise(*(values.ravel() for values in noise))
    pixels = data.reshape(READS, -1)
    ramps = Ramps(pixels, stop.ravel(), noise.variance, noise.shot, guess=noise.rate)
    scanned = scan(ramps, model, quick=True)
    steps = find_steps(ramps, noise.dof, scanned, model, DetectorConfig()).steps
    found = np.zeros(pixels.shape, bool)
    up = steps.amplitude > 0
    found[steps.read[up], steps.col[up]] = True
    return found.reshape(data.shape)


def stcal_reads(data):
    """Tell the reads in which stcal flags a jump (T, R, W)."""
    flags, noise = np.zeros(data.shape, np.uint8), np.full(SHAPE, NOISE)
    return two_point(data, flags, noise, DetectorInfo(gain=GAIN), DetectorConfig().sigma_threshold)


@pytest.mark.parametrize("hits", [1, 3])
def test_agree_on_strong_hits(hits):
    data, struck = hit_ramps(np.random.default_rng(hits), hits)
    ours, theirs = ohana_reads(data), stcal_reads(data)
    assert struck.sum() == hits * SHAPE[0] * SHAPE[1]
    assert theirs[struck].mean() >= 0.99
    assert ours[struck].mean() >= 0.99
    assert (ours == theirs)[struck].mean() >= 0.99


def test_agree_that_nothing_is_there():
    data, _ = hit_ramps(np.random.default_rng(9), 0)
    # Five sigma in 80 000 differences: nothing is expected; Student's tails allow a few.
    assert ohana_reads(data).sum() <= 5
    assert stcal_reads(data).sum() <= 5
