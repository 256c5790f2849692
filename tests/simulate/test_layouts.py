"""Simulated exposures in the file layouts of instruments."""

import itertools
import json

import numpy as np
import pytest
from astropy.io import fits

from ohana import DetectorConfig, Predictor
from ohana.errors import OhanaError
from ohana.evaluate import evaluate
from ohana.read import open_exposure
from ohana.simulate import (
    SimulationConfig,
    preset,
    simulate_exposure,
    simulate_to_fits,
    write_exposure,
)
from ohana.simulate.layouts.orientation import file_shape, to_file, to_file_pixels

ORIENTATIONS = [
    (fast, slow)
    for fast, slow in itertools.product((1, 2, -1, -2), repeat=2)
    if abs(fast) != abs(slow)
]
JWST = {"layout": "jwst", "instrument": "NIRCAM", "detector": "NRCALONG", "gain": 1.82}
WFC3 = {"layout": "wfc3", "border": 5, "gain": 2.5, "outputs": 1, "first_interval": 2.5}
SIZE = {"reads": 6, "rows": 24, "cols": 32}


def noise(config):
    """Return reads with all values of the converter, as they lie in the file."""
    shape = (config.reads, *file_shape(config))
    return np.random.default_rng(3).integers(0, 65536, shape, dtype=np.uint16)


def written(path, **settings):
    config = SimulationConfig(**(SIZE | settings))
    frames = noise(config)
    write_exposure(path, iter(frames), config)
    with fits.open(path) as hdus:
        hdus.verify("exception")
    assert path.stat().st_size % 2880 == 0
    [ramp] = open_exposure(path)
    np.testing.assert_array_equal(ramp.planes.read(), frames)
    np.testing.assert_allclose(np.diff(ramp.times), np.diff(config.read_times), rtol=1e-12)
    assert not any("not plausible" in note for note in ramp.notes)
    return config, ramp, fits.getheader(path)


@pytest.mark.parametrize(("fast", "slow"), ORIENTATIONS)
def test_pixels_and_images_turn_alike(fast, slow):
    config = SimulationConfig(rows=9, cols=12, fast_axis=fast, slow_axis=slow)
    image = np.arange(9 * 12).reshape(9, 12)
    turned = to_file(image, config)
    assert np.shares_memory(turned, image)
    assert turned.shape == file_shape(config)
    rows, cols = np.indices(image.shape)
    np.testing.assert_array_equal(turned[to_file_pixels(rows, cols, config)], image)
    np.testing.assert_array_equal(to_file(image[None, None], config)[0, 0], turned)


def test_axes_mean_what_jwst_says():
    image = np.arange(6).reshape(2, 3)
    config = SimulationConfig(fast_axis=-1, slow_axis=2)
    np.testing.assert_array_equal(to_file(image, config), [[2, 1, 0], [5, 4, 3]])
    config = SimulationConfig(fast_axis=2, slow_axis=1)
    np.testing.assert_array_equal(to_file(image, config), image.T)
    # NIRISS and NRS2: pixels of a line downwards, lines from right to left.
    config = SimulationConfig(fast_axis=-2, slow_axis=-1)
    np.testing.assert_array_equal(to_file(image, config), [[5, 2], [4, 1], [3, 0]])


@pytest.mark.parametrize(("fast", "slow"), [(1, 2), (-2, -1)])
def test_cube_tells_all_about_the_detector(tmp_path, fast, slow):
    axes = {"fast_axis": fast, "slow_axis": slow}
    timing = {"frame_time": 2.0, "nframes": 4, "groupgap": 1}
    config, ramp, _ = written(tmp_path / "a.fits", **axes, **timing)
    facts = ramp.facts
    np.testing.assert_allclose(ramp.times, config.read_times)
    assert (facts.gain, facts.outputs, facts.border) == (1.5, 4, 4)
    assert facts.border_sides == (True,) * 4
    assert (facts.frame_time, facts.nframes, facts.groupgap) == (2.0, 4, 1)
    assert (facts.fast_axis, facts.slow_axis) == (fast, slow)
    assert facts.read_noise == pytest.approx(10.0 / 1.5)
    assert facts.saturation == int(config.saturation)


def test_jwst_exposure_is_an_uncal_file(tmp_path):
    timing = {"frame_time": 10.73677, "nframes": 8, "groupgap": 12, "reads": 7}
    axes = {"fast_axis": 2, "slow_axis": -1}
    config, ramp, primary = written(tmp_path / "x_uncal.fits", **JWST, **timing, **axes)
    facts = ramp.facts
    np.testing.assert_allclose(ramp.times, config.read_times)
    assert (facts.gain, facts.outputs, facts.border) == (1.82, 4, 4)
    assert (facts.nframes, facts.groupgap, facts.frame_time) == (8, 12, 10.73677)
    assert (facts.fast_axis, facts.slow_axis) == (2, -1)
    assert not ramp.reference_done
    assert ramp.flags is None
    # Seven groups of DEEP8 take 1374.3 s.
    assert primary["EFFINTTM"] == pytest.approx(1374.3, abs=0.05)
    assert primary["TGROUP"] == pytest.approx(214.735, abs=1e-3)
    expected = {"READPATT": "DEEP8", "NINTS": 1, "NGROUPS": 7, "SUBSIZE1": 24, "SUBSIZE2": 32}
    expected |= {"TELESCOP": "JWST", "EXP_TYPE": "NRC_DARK", "SUBARRAY": "GENERIC"}
    assert {key: primary[key] for key in expected} == expected
    with fits.open(tmp_path / "x_uncal.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI"]
        assert (hdus[1].shape, hdus[1].data.dtype) == ((1, 7, 32, 24), np.uint16)


def test_jwst_array_lies_in_a_corner_or_beside_the_border(tmp_path):
    _, ramp, _ = written(tmp_path / "a.fits", **JWST, sky=1.0)
    assert ramp.facts.border_sides == (True, False, True, False)
    assert ramp.facts.outputs == 4
    _, ramp, primary = written(tmp_path / "b.fits", **JWST, border=0)
    assert ramp.facts.border == 0
    assert (primary["SUBSTRT1"], primary["SUBSTRT2"]) == (5, 5)


def test_jwst_full_frame(tmp_path):
    config = SimulationConfig(reads=3, rows=2048, cols=2048, **JWST)
    path = tmp_path / "a_uncal.fits"
    write_exposure(path, (np.full((2048, 2048), t, np.uint16) for t in range(3)), config)
    [ramp] = open_exposure(path)
    assert (ramp.facts.outputs, ramp.facts.border) == (4, 4)
    assert ramp.facts.border_sides == (True,) * 4
    np.testing.assert_array_equal(ramp.planes.read(slice(2, 3), slice(5, 6)).ravel(), [0, 1, 2])
    assert fits.getval(path, "SUBARRAY") == "FULL"


def test_wfc3_exposure_is_a_raw_file(tmp_path):
    config, ramp, primary = written(tmp_path / "x_raw.fits", **WFC3, frame_time=100.0, sky=1.0)
    facts = ramp.facts
    np.testing.assert_allclose(ramp.times, [0, 2.5, 102.5, 202.5, 302.5, 402.5])
    assert (facts.gain, facts.frame_time, facts.border) == (2.5, 100.0, 5)
    assert facts.border_sides == (False, False, True, True)
    assert (facts.outputs, facts.nframes) == (1, 1)
    assert not ramp.reference_done
    assert ramp.flags is None
    expected = {"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "IR", "NSAMP": 6, "NEXTEND": 30}
    expected |= {"SAMP_SEQ": "SPARS100", "EXPTIME": 402.5, "ZOFFCORR": "PERFORM"}
    assert {key: primary[key] for key in expected} == expected
    with fits.open(tmp_path / "x_raw.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:6]] == ["SCI", "ERR", "DQ", "SAMP", "TIME"]
        last, first = hdus["SCI", 1].header, hdus["SCI", 6].header
        assert (last["SAMPNUM"], last["SAMPTIME"], last["DELTATIM"]) == (5, 402.5, 100.0)
        assert (first["SAMPNUM"], first["SAMPTIME"], first["DELTATIM"]) == (0, 0.0, 0.0)
        np.testing.assert_array_equal(hdus["SCI", 1].data, noise(config)[5])
        time, sample = hdus["TIME", 1], hdus["SAMP", 1].header
        assert (time.header["PIXVALUE"], time.header["NPIX1"], time.data) == (402.5, 32, None)
        assert sample["PIXVALUE"] == 6


@pytest.mark.parametrize("layout", [{}, JWST, WFC3])
def test_a_crash_leaves_the_older_file(tmp_path, layout):
    config = SimulationConfig(**(SIZE | layout))
    path = tmp_path / "a.fits"
    path.write_text("older")

    def broken():
        yield from noise(config)[:3]
        raise RuntimeError("power failure")

    with pytest.raises(RuntimeError, match="power failure"):
        write_exposure(path, broken(), config)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("layout", [{}, JWST, WFC3])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frames: frames[:5], "frames: wanted 6, got 5"),
        (lambda frames: frames[:0], "frames: wanted 6, got 0"),
        (lambda frames: itertools.chain(frames, frames), "frames: wanted 6, got more"),
        (lambda frames: frames.astype(np.int32), r"uint16 \(24, 32\), got int32 \(24, 32\) in r"),
        (
            lambda frames: frames[:, 1:],
            r"wanted uint16 \(24, 32\), got uint16 \(23, 32\) in read 0",
        ),
    ],
)
def test_wrong_frames_are_refused(tmp_path, layout, change, message):
    config = SimulationConfig(**(SIZE | layout))
    with pytest.raises(ValueError, match=message):
        write_exposure(tmp_path / "a.fits", change(noise(config)), config)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first_interval": 9.0}, "first_interval: wanted None in the layout cube, got 9.0"),
        (JWST | {"border": 5}, "border: wanted 0 or 4 in the layout jwst, got 5"),
        (WFC3 | {"border": 4}, "border: wanted 5 in the layout wfc3, got 4"),
        (WFC3 | {"groupgap": 1}, "groupgap: wanted 0 in the layout wfc3, got 1"),
        (WFC3 | {"fast_axis": 2, "slow_axis": 1}, "fast_axis: wanted 1 or -1 in the layout wfc3"),
        (JWST | {"rows": 2052}, "that fit a detector of 2048 x 2048, got 2052 x 32 with border 4"),
    ],
)
def test_what_a_file_cannot_tell_is_refused(tmp_path, settings, message):
    config = SimulationConfig(**(SIZE | settings))
    with pytest.raises(ValueError, match=message):
        write_exposure(tmp_path / "a.fits", noise(config), config)
    assert not list(tmp_path.iterdir())


def test_folder_that_is_not_there(tmp_path):
    config = SimulationConfig(**SIZE)
    with pytest.raises(OhanaError, match="a.fits: cannot write: No such file"):
        write_exposure(tmp_path / "none" / "a.fits", noise(config), config)


@pytest.fixture(scope="module")
def bright_rays():
    """Cosmic rays of hundreds of sigma in 1/f noise that the reference pixels share."""
    config = SimulationConfig(
        reads=20, rows=64, cols=64, cosmic_rays=8, pink_common=8.0, pink_output=4.0, odd_even=4.0
    )
    return simulate_exposure(config, np.random.default_rng(11))


def found(path, folder):
    """Return (row, col, first_frame) of all detections."""
    # Tiles of what pixels share lie along rows: turned, they differ a little.
    Predictor(config=DetectorConfig(shared_correction=False)).predict(path, folder, processed=True)
    catalogue = json.loads((folder / "detections.json").read_text())
    return {(*event["position"], event["first_frame"]) for event in catalogue}


@pytest.mark.parametrize(("fast", "slow"), ORIENTATIONS)
def test_events_are_found_in_any_orientation(tmp_path, bright_rays, fast, slow):
    plain = bright_rays.config
    write_exposure(tmp_path / "plain.fits", bright_rays.cube, plain)
    turned = plain.model_copy(update={"fast_axis": fast, "slow_axis": slow})
    write_exposure(tmp_path / "turned.fits", to_file(bright_rays.cube, turned), turned)
    expected = found(tmp_path / "plain.fits", tmp_path / "plain")
    assert len(expected) >= 8
    rows, cols, reads = np.array(sorted(expected)).T
    moved = zip(*to_file_pixels(rows, cols, turned), reads, strict=True)
    assert found(tmp_path / "turned.fits", tmp_path / "turned") == set(moved)
    # The same correction, to rounding.
    before = np.load(tmp_path / "plain" / "plain_processed.npy")
    after = np.load(tmp_path / "turned" / "turned_processed.npy")
    np.testing.assert_allclose(after, to_file(before, turned), atol=0.05)


@pytest.mark.parametrize(
    "settings",
    [
        JWST | {"fast_axis": -2, "slow_axis": -1},
        JWST | {"fast_axis": 2, "slow_axis": 1, "nframes": 4, "groupgap": 1},
        WFC3 | {"fast_axis": -1, "slow_axis": -2, "frame_time": 50.0},
    ],
    ids=["NIRISS", "NRS1 in groups", "WFC3"],
)
def test_simulated_exposure_goes_straight_into_prediction(tmp_path, settings):
    noise = {"pink_common": 8.0, "pink_output": 4.0, "odd_even": 4.0}
    size = {"reads": 16, "rows": 64, "cols": 64}
    config = SimulationConfig(cosmic_rays=12, **(size | noise | settings))
    truth = simulate_to_fits(config, np.random.default_rng(5), tmp_path / "x.fits")
    Predictor().predict(tmp_path / "x.fits", tmp_path / "out")
    detections = json.loads((tmp_path / "out" / "detections.json").read_text())
    score = evaluate(truth, detections).classes[0]
    assert (score.found, score.detectable) == (12, 12)
    assert (score.real, len(detections)) == (12, 12)


@pytest.mark.parametrize("name", ["euclid", "nircam", "nirspec", "wfc3"])
def test_readers_take_presets_for_what_they_are(tmp_path, name):
    config = preset(name, rows=64, cols=64, reads=5)
    simulate_to_fits(config, np.random.default_rng(2), tmp_path / "x.fits")
    [ramp] = open_exposure(tmp_path / "x.fits")
    facts = ramp.facts
    assert ramp.shape == config.shape
    np.testing.assert_allclose(np.diff(ramp.times), np.diff(config.read_times), rtol=1e-12)
    for fact in ("gain", "border", "nframes", "groupgap", "frame_time"):
        assert getattr(facts, fact) == getattr(config, fact), fact
    if name != "wfc3":  # whose files say nothing of that
        for fact in ("outputs", "fast_axis", "slow_axis"):
            assert getattr(facts, fact) == getattr(config, fact), fact
    assert not any("unknown" in note for note in ramp.notes)


@pytest.mark.parametrize(("name", "pattern"), [("nircam", "SHALLOW4"), ("nirspec", "NRS")])
def test_read_out_patterns_have_their_names(tmp_path, name, pattern):
    config = preset(name, rows=16, cols=16, reads=3)
    write_exposure(tmp_path / "x.fits", noise(config), config)
    assert fits.getval(tmp_path / "x.fits", "READPATT") == pattern
    assert fits.getval(tmp_path / "x.fits", "EXP_TYPE") == f"{config.detector[:3]}_IMAGE"
