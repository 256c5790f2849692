"""Read-out structure from the data: outputs, border, direction of counts, order of reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ohana.arrays import find_anomalies
from ohana.config import DetectorConfig
from ohana.ramp import DetectorInfo, Ramp, side_widths
from ohana.read import complete, open_exposure
from ohana.read.array import planes_of_array
from ohana.read.detector import gather, read_times
from ohana.refpix.border import border_mask, border_strips

GAIN = 1.6


def expose(rng, reads=20, shape=(128, 128), border=4, sky=20.0, hot=2e-3, light=None):
    """Return raw reads [e-]: a pedestal with a pattern, sky, hot pixels, read noise."""
    height, width = shape
    lit = np.zeros(shape)
    lit[border : height - border, border : width - border] = 1 if border else 0
    if not border:
        lit[:] = 1
    rate = sky * lit * rng.normal(1, 0.01, shape)
    rate += lit * (rng.random(shape) < hot) * np.exp(rng.uniform(3, 7, shape))
    light = np.ones(reads) if light is None else light
    charge = np.cumsum(rng.poisson(np.maximum(rate, 0) * light[:, None, None]), axis=0)
    pedestal = rng.normal(10000, 500, shape)
    return pedestal + charge + rng.normal(0, 12, charge.shape)


def walks(rng, reads, outputs, size, step=4.0):
    """Return offsets that wander from read to read, one column for each pixel of a line."""
    steps = rng.normal(0, step, (reads, outputs))
    return np.cumsum(steps, axis=0)[:, np.arange(size) * outputs // size]


def to_adc(electrons):
    return np.clip(np.rint(electrons / GAIN), 0, 65535).astype(np.uint16)


def opened(cube, **settings):
    planes = planes_of_array(cube)
    facts, notes = gather([], DetectorConfig(**settings), planes)
    times = read_times(len(cube), facts)
    ramp = Ramp("x", Path("x"), planes, times, facts, notes=tuple(notes))
    return complete([ramp])[0]


def claims(ramp):
    """Return what has been measured of the read-out."""
    names = ("outputs", "border", "polarity", "read_order")
    return {n: getattr(ramp.facts, n) for n in names if ramp.facts.sources[n] == "measured"}


def sides(ramp):
    return side_widths(ramp.facts.border, ramp.facts.border_sides)


# ---------------------------------------------------------------- outputs and border


@pytest.mark.parametrize("outputs", [1, 2, 4, 8])
def test_outputs_are_counted(outputs):
    rng = np.random.default_rng(outputs)
    cube = to_adc(expose(rng) + walks(rng, 20, outputs, 128)[:, None])
    ramp = opened(cube)
    assert ramp.facts.outputs == outputs
    assert ("outputs" in claims(ramp)) == (outputs > 1)
    assert (f"outputs: {outputs}, measured" in " ".join(ramp.notes)) == (outputs > 1)


def test_outputs_along_rows_turn_the_axes():
    rng = np.random.default_rng(1)
    ramp = opened(to_adc(expose(rng) + walks(rng, 20, 4, 128)[:, :, None]))
    assert (ramp.facts.outputs, ramp.facts.fast_axis, ramp.facts.slow_axis) == (4, 2, 1)


def test_quadrants_are_told_and_treated_as_one_output():
    rng = np.random.default_rng(1)
    half = walks(rng, 20, 2, 128, 8)[:, None] + walks(rng, 20, 2, 128, 8)[:, :, None]
    ramp = opened(to_adc(expose(rng) + half))
    assert ramp.facts.outputs == 1
    assert any("(quadrants?) are treated as one; set `outputs`" in note for note in ramp.notes)


@pytest.mark.parametrize("border", [0, 2, 4, 5, 8])
def test_border_is_where_no_light_is(border):
    ramp = opened(to_adc(expose(np.random.default_rng(border), border=border)))
    assert sides(ramp) == (border,) * 4
    assert ramp.facts.sources["border"] == "measured"


def test_each_side_has_its_own_border():
    cube = to_adc(expose(np.random.default_rng(1), shape=(140, 132)))
    ramp = opened(cube[:, 1:-12, :-4])
    assert sides(ramp) == (3, 0, 4, 0)
    mask = border_mask(ramp)
    assert mask[:3].all()
    assert mask[:, :4].all()
    assert not mask[3:, 4:].any()
    strips = border_strips(ramp)
    assert np.isfinite(strips.bottom[:, :3]).all()
    assert np.isnan(strips.bottom[:, 3]).all()
    assert np.isnan(strips.right).all()
    assert "border: 3, 0, 4, 0 pixels (first rows, last rows," in " ".join(ramp.notes)


def test_full_frame_without_border_is_seen():
    cube = to_adc(expose(np.random.default_rng(1), 6, (1024, 1024), border=0, sky=50.0))
    assert opened(cube).facts.border == 0
    assert opened(to_adc(expose(np.random.default_rng(1), 6, (1024, 1024), sky=0.0))).facts.border


@pytest.mark.parametrize(
    "profile",
    [
        1 / (1 + np.exp(-(np.arange(128) - 6) / 2)),  # a shadow
        np.where(np.arange(128) < 3, 0.5, 1),  # insensitive rows
        np.where(np.arange(128) < 1, 0.0, 1),  # one dead row
        np.where(np.arange(128) < 3, 2.0, 1),  # a glow at the edge
        np.where(np.arange(128) < 20, 0.0, 1),  # a mask
    ],
)
def test_a_shadow_is_no_border(profile):
    rng = np.random.default_rng(1)
    light = expose(rng, border=0, sky=50.0) - 10000
    ramp = opened(to_adc(10000 + light * profile[:, None]))
    assert sides(ramp) == (0, 0, 0, 0)


def test_settings_and_headers_win():
    rng = np.random.default_rng(1)
    cube = to_adc(expose(rng) + walks(rng, 20, 4, 128)[:, None])
    ramp = opened(cube, outputs=2, border_sides=[0, 4, 2, 0], polarity="rising")
    assert claims(ramp) == {}
    assert (ramp.facts.outputs, sides(ramp)) == (2, (0, 4, 2, 0))
    assert ramp.facts.sources["border_sides"] == "config"


def test_segments_with_saturated_ends_still_show_outputs_and_border():
    rng = np.random.default_rng(1)
    cube = expose(rng, sky=60.0) + walks(rng, 20, 4, 128, 12)[:, None]
    facts = opened(to_adc(cube), saturation=7000.0).facts
    assert (facts.outputs, facts.border) == (4, 4)


# ---------------------------------------------------------------- direction


@pytest.mark.parametrize(("sky", "hot"), [(20.0, 2e-3), (0.0, 5e-3), (2000.0, 0.0)])
def test_falling_counts_and_backward_reads(sky, hot):
    cube = to_adc(expose(np.random.default_rng(1), sky=sky, hot=hot))
    usual = opened(cube)
    assert not claims(usual).keys() & {"polarity", "read_order"}
    falling = opened(65535 - cube)
    assert claims(falling)["polarity"] == "falling"
    np.testing.assert_array_equal(falling.planes.read(), cube)
    assert falling.facts.saturation == usual.facts.saturation
    backward = opened(cube[::-1])
    assert claims(backward)["read_order"] == "backward"
    np.testing.assert_array_equal(backward.planes.read(), cube)
    np.testing.assert_allclose(backward.times, usual.times)
    assert "the last is stored first (measured)" in " ".join(backward.notes)


def test_other_types_are_mirrored_about_zero():
    cube = to_adc(expose(np.random.default_rng(1))).astype(np.float32)
    ramp = opened(-cube)
    np.testing.assert_array_equal(ramp.planes.read(), cube)
    assert "counts: they fall with light and are mirrored (measured)" in ramp.notes


def test_settings_decide_the_direction():
    cube = to_adc(expose(np.random.default_rng(1), reads=5, sky=0.0, hot=0))
    both = opened(cube, polarity="falling", read_order="backward", saturation=500.0)
    np.testing.assert_array_equal(both.planes.read(), 65535 - cube[::-1].astype(np.float32))
    assert both.facts.saturation == 65035
    rail = opened(cube, polarity="falling", saturation=60000.0)  # above all counts: no use here
    assert rail.facts.saturation == 65535


def test_flags_and_frames_are_turned_with_the_reads():
    cube = to_adc(expose(np.random.default_rng(1), reads=5))
    facts = DetectorInfo(nframes=2, read_order="backward", sources={"read_order": "config"})
    flags = np.zeros(cube.shape, np.uint8)
    flags[0] = 1
    ramp = Ramp(
        "x",
        Path("x"),
        planes_of_array(cube),
        np.array([0.0, 1, 2, 3, 10]),
        facts,
        flags=planes_of_array(flags),
        frames=np.array([1, 1, 1, 1, 2]),
    )
    turned = complete([ramp])[0]
    assert turned.flags.read_stored()[:, 0, 0].tolist() == [0, 0, 0, 0, 1]
    assert turned.averaged.tolist() == [2, 1, 1, 1, 1]
    assert turned.times.tolist() == [0, 7, 8, 9, 10]
    assert not complete([replace(ramp, facts=DetectorInfo())])[0].notes


def test_integrations_follow_the_first(tmp_path):
    rng = np.random.default_rng(1)
    both = np.stack([expose(rng) + walks(rng, 20, 4, 128)[:, None], expose(rng, sky=0.0, hot=0)])
    np.save(tmp_path / "x.npy", 65535 - to_adc(both))
    ramps = open_exposure(tmp_path / "x.npy")
    assert [(r.facts.outputs, r.facts.border, r.facts.polarity) for r in ramps] == [
        (4, 4, "falling")
    ] * 2
    np.testing.assert_array_equal(ramps[1].planes.read(), to_adc(both[1]))


# ---------------------------------------------------------------- nothing is claimed


def settling(rng, size, tau, reads):
    return size * rng.normal(1, 0.4, (128, 128)) * np.exp(-np.arange(reads) / tau)[:, None, None]


def test_dark_without_light_claims_nothing():
    """Of 100 darks of 4 to 60 reads, none."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        reads, size = rng.choice([4, 5, 8, 12, 20, 60]), rng.choice([8, 40, 64, 72])
        cube = to_adc(rng.normal(10000, 500, (size, size)) + rng.normal(0, 12, (reads, size, size)))
        assert claims(opened(cube)) == {}, seed


@pytest.mark.parametrize("tau", [3, 15, 60])
@pytest.mark.parametrize("size", [150, 1500, -150])
def test_settling_is_neither_light_that_falls_nor_a_ramp_backwards(tau, size):
    rng = np.random.default_rng(tau)
    for reads in (10, 30):
        cube = expose(rng, reads, border=0, sky=0.0, hot=0) + settling(rng, size, tau, reads)
        ramp = opened(to_adc(cube))
        assert claims(ramp).keys() <= {"border"}
        assert not ramp.facts.border


@pytest.mark.parametrize("lost", [0, 1, 10, 19, slice(12, 20)])
@pytest.mark.parametrize("sky", [0.0, 20.0])
def test_lost_reads_claim_nothing_wrong(lost, sky):
    cube = to_adc(expose(np.random.default_rng(1), sky=sky))
    cube[lost] = 0
    ramp = opened(cube)
    assert claims(ramp).keys() <= {"border"}
    assert ramp.facts.border in (0, 4)


def odd_columns(rng):
    noise = np.zeros((20, 1, 128))
    noise[:, :, rng.integers(0, 128, 6)] = 60 * (rng.random((20, 1, 6)) < 0.5)
    return noise


def odd_even(rng):
    return rng.normal(0, 5, (20, 1, 1)) * (np.arange(128) % 2)


def half_lit(rng):
    return 200.0 * (np.arange(20) >= 10)[:, None, None] * (np.arange(128) >= 64)


def gradient(rng):
    return rng.normal(0, 30, (20, 1, 1)) * np.linspace(-1, 1, 128) ** 2


def row_noise(rng):
    return np.cumsum(rng.normal(0, 1, (20, 128, 1)), axis=1)


def lines_that_fall(rng):
    fall = np.zeros((1, 128, 1))
    fall[:, [4, 123]] = -100
    return fall * np.arange(20)[:, None, None]


@pytest.mark.parametrize(
    "effect", [odd_columns, odd_even, half_lit, gradient, row_noise, lines_that_fall]
)
@pytest.mark.parametrize("sky", [0.0, 20.0])
def test_other_effects_make_neither_outputs_nor_direction(effect, sky):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        ramp = opened(to_adc(expose(rng, sky=sky, hot=1e-3) + effect(rng)))
        assert claims(ramp).keys() <= {"border"}
        assert max(sides(ramp)) in (0, 4)


@pytest.mark.parametrize("light", ["flash", "oscillating", "rising"])
def test_light_that_varies_changes_no_claim(light):
    time = np.arange(20)
    factor = {
        "flash": np.where(time == 10, 30.0, 1.0),
        "oscillating": 1 + np.sin(time / 15 * 2 * np.pi),
        "rising": np.linspace(0.1, 2, 20),
    }[light]
    ramp = opened(to_adc(expose(np.random.default_rng(1), light=factor)))
    assert claims(ramp) == {"border": 4}


@pytest.mark.parametrize("value", [0, 100, 65535])
def test_constant_data_claim_nothing(value):
    assert claims(opened(np.full((12, 64, 64), value, np.uint16))) == {}


def test_data_with_gaps_claim_nothing_wrong():
    cube = expose(np.random.default_rng(1)) / GAIN
    cube[:, ::2] = np.nan
    assert claims(opened(cube.astype(np.float32))).keys() <= {"border"}
    cube[0] = np.nan
    assert claims(opened(cube.astype(np.float32))).keys() <= {"border"}


# ---------------------------------------------------------------- what it is for


def test_drift_of_unknown_outputs_makes_no_events():
    rng = np.random.default_rng(3)
    cube = to_adc(expose(rng, 40, sky=3.0, hot=5e-3) + walks(rng, 40, 4, 128)[:, None])
    config = DetectorConfig(
        gain=GAIN, cosmic_ray_min_intensity=0, cosmic_ray_min_step=0, rtn_amplitude_range=(0, 300)
    )
    known = config.model_copy(update={"outputs": 4, "border": 4})
    for data in (cube, 65535 - cube, cube[::-1]):
        found = find_anomalies(data, config=config)
        np.testing.assert_array_equal(found.mask, find_anomalies(cube, config=known).mask)
    assert (found.mask > 0).mean() < 1e-3
