"""Products: flags by hand, rates against the truth, files in the form of each mission."""

import gzip
import importlib
import sys
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from ohana import DetectorConfig, OhanaError, Predictor, Truth, open_exposure
from ohana.classes import Label
from ohana.cli.predict import main
from ohana.products import write_products
from ohana.products.fit import fit_integration
from ohana.products.flags import (
    SNOWBALL_READS,
    Jumps,
    group_flags,
    pixel_flags,
    ray_jumps,
    saturated_from,
    snowball_jumps,
)
from ohana.products.write import integration_of
from ohana.read.array import planes_of_array
from ohana.results.catalogue import member_pixels
from ohana.results.prediction import open_prediction
from ohana.simulate import preset, simulate_to_fits
from ohana.simulate.exposure import draw_scene, mean_rate, read_out, truth_of
from ohana.simulate.layouts import write_exposure

SMALL = {"rows": 64, "cols": 96, "stars": 2, "snowballs": 0, "persistence": 0, "stuck_fraction": 0}


def predicted(folder, name, seed=1, **changes):
    """Simulate an exposure into a folder and predict it: path, truth, prediction."""
    config = preset(name, **SMALL | changes)
    path = folder / ("x_uncal.fits" if config.layout == "jwst" else "x.fits")
    truth = simulate_to_fits(config, np.random.default_rng(seed), path)
    Predictor().predict(path, folder / "out", processed=False)
    return path, truth, open_prediction(folder / "out")


@pytest.fixture(scope="module")
def ramp_file(tmp_path_factory):
    """Return a JWST exposure that is read along columns, and what was written of it."""
    folder = tmp_path_factory.mktemp("nirspec")
    changes = {"cosmic_ray_rate": 8.0, "telegraph_fraction": 2e-3, "telegraph_border": False}
    path, truth, prediction = predicted(folder, "nirspec", **changes)
    return path, truth, prediction, write_products(prediction)


def strong(truth):
    """Give first read, row and column of the brightest pixel of each clear, lonely hit."""
    for event in truth.of(Label.COSMIC_RAY):
        best = int(np.argmax(event.snr))
        if event.snr[best] > 40 and event.first_frame:
            yield event.reads[best], event.rows[best], event.cols[best]


# Flags by hand


def test_saturation_and_what_must_not_be_used_take_no_jump():
    before = np.zeros((4, 1, 3), np.uint8)
    before[1, 0, 0], before[2, 0, 2] = 1, 16
    jumps = Jumps(np.array([1, 1, 2]), np.array([0, 0, 0]), np.array([0, 1, 2]))
    full = np.array([[4, 1, 3]])
    flags = np.array(list(group_flags(jumps, full, 4, planes_of_array(before))))
    assert flags.dtype == np.uint8
    assert flags[:, 0].T.tolist() == [[0, 1, 0, 0], [0, 2, 2, 2], [0, 0, 20, 2]]


def snowball(**changes):
    pixels = [[row, col] for row in range(18, 23) for col in range(28, 33)]
    return {
        "type": "snowball",
        "first_frame": 5,
        "centroid": [20.0, 30.0],
        "core_radius": 1.0,
        "pixels": pixels,
    } | changes


def test_core_of_a_snowball_saturates_and_its_halo_jumps_and_grows():
    shape = (20, 40, 60)
    full = saturated_from([snowball()], np.full(shape[1:], 20))
    assert np.argwhere(full == 5).tolist() == [[19, 30], [20, 29], [20, 30], [20, 31], [21, 30]]
    jumps = snowball_jumps([snowball()], shape)
    assert np.unique(jumps.read).tolist() == list(range(5, 13))
    assert (jumps.row.min(), jumps.row.max(), jumps.col.min(), jumps.col.max()) == (13, 27, 23, 37)
    flags = np.array(list(group_flags(jumps, full, 20)))
    assert flags[4:7, 20, 30].tolist() == [0, 2, 2]
    assert flags[4:6, 18, 28].tolist() == [0, 4]


@pytest.mark.parametrize(
    ("reads", "first", "last"),
    [(60, 20, 20 + SNOWBALL_READS), (10, 1, 5), (10, 8, 9), (10, 5, 9), (3, 1, 1)],
)
def test_something_is_left_of_a_short_ramp_with_a_snowball(reads, first, last):
    jumps = snowball_jumps([snowball(first_frame=first)], (reads, 40, 60))
    assert np.unique(jumps.read).tolist() == list(range(first, last + 1))


def test_edges_of_the_array_cut_what_grows():
    event = snowball(pixels=[[0, 0], [0, 1]], first_frame=18)
    jumps = snowball_jumps([event], (20, 3, 3))
    assert set(jumps.read.tolist()) == {18, 19}
    assert len(jumps.read) == 2 * 9
    assert len(ray_jumps([event], (20, 3, 3)).read) == 0


def test_telegraph_noise_is_a_flag_of_the_pixel():
    event = {"type": "telegraph_noise", "first_frame": None, "pixels": [[1, 2]]}
    before = np.array([[1, 0, 0], [0, 0, 1 << 31]])
    flags = pixel_flags([event], before)
    assert flags.dtype == np.uint32
    assert flags.tolist() == [[1, 0, 0], [0, 0, (1 << 31) + 32768]]
    assert len(ray_jumps([event], (9, 3, 3)).read) == 0


# Rates


@pytest.fixture(scope="module", params=["l2", "nircam"])
def fitted(request, tmp_path_factory):
    """Rates of an exposure with many hits, with and without its events, and the true ones."""
    folder = tmp_path_factory.mktemp(request.param)
    config = preset(
        request.param, rows=96, cols=96, border=0, ipc=0.0, nonlinearity=0.0, stars=0,
        persistence=0, transient=0.0, hot_fraction=0.0, warm_fraction=0.0, saturating_fraction=0.0,
        dead_fraction=0.0, stuck_fraction=0.0, cosmic_ray_rate=30.0 if request.param == "l2" else 6,
        snowballs=1, snowball_radius=(3.0, 3.5), telegraph_pixels=20, pink_common=0.0,
        pink_output=0.0,
    )  # fmt: skip
    scene = draw_scene(config, np.random.default_rng(2))
    path = folder / "x_uncal.fits"
    write_exposure(path, read_out(scene), config)
    Predictor().predict(path, folder / "out", processed=False)
    prediction, [ramp] = open_prediction(folder / "out"), open_exposure(path)
    with_events = fit_integration(integration_of(prediction, ramp, 0))
    # As if nothing had been found, in the catalogue or in the ramps.
    blind = integration_of(replace(prediction, events=[]), ramp, 0)
    maps = dict(blind.maps) | {"best_significance": np.zeros((96, 96))}
    maps["neighbour_noise"] = maps["noise"]
    without = fit_integration(blind._replace(maps=maps))
    true = mean_rate(scene)[:, :: np.sign(config.fast_axis)] / config.gain
    return prediction, truth_of(scene), with_events, without, true


def pixels_of(prediction, kind):
    some = np.zeros(prediction.shape[1:], bool)
    for event in prediction.events:
        if event["type"] == kind:
            some[member_pixels(event)] = True
    return some


def bias_and_scatter(fit, true, where):
    """Return the mean and the RMS of the error of rates in units of their standard error."""
    off = ((fit.rate - true) / fit.error)[where & np.isfinite(fit.rate)]
    return off.mean(), np.sqrt(np.mean(off**2))


def test_hits_leave_no_bias_in_rates(fitted):
    prediction, _, with_events, without, true = fitted
    hit = pixels_of(prediction, "cosmic_ray") & (prediction.mask == Label.COSMIC_RAY)
    assert hit.sum() > 300
    assert np.isfinite(with_events.rate[hit]).mean() > 0.97
    bias, scatter = bias_and_scatter(with_events, true, hit)
    ignored, wild = bias_and_scatter(without, true, hit)
    assert ignored > 20
    assert abs(bias) < 0.3
    assert 0.8 < scatter < 2 < 20 < wild


def test_surroundings_of_hits_and_snowballs_are_not_biased_either(fitted):
    prediction, truth, with_events, without, true = fitted
    ball = prediction.mask == Label.SNOWBALL
    assert ball.sum() > 50
    # It lands in read 1 of the short ramp and grows until its end: some of that is left.
    left, ignored = (bias_and_scatter(fit, true, ball)[0] for fit in (with_events, without))
    assert abs(left) < 2
    assert abs(left) < 0.1 * ignored
    faint = np.zeros(ball.shape, bool)
    for event in truth.of(Label.COSMIC_RAY):
        faint[event.rows, event.cols] = True
    faint &= prediction.mask == 0
    assert abs(bias_and_scatter(with_events, true, faint)[0]) < 0.3
    assert bias_and_scatter(without, true, faint)[0] > bias_and_scatter(with_events, true, faint)[0]


@pytest.mark.parametrize("fitted", ["l2"], indirect=True)  # the other is too short
def test_levels_of_telegraph_noise_are_taken_off(fitted):
    prediction, _, with_events, without, true = fitted
    jumping = prediction.mask == Label.TELEGRAPH_NOISE
    assert jumping.sum() > 5
    good, bad = (np.abs(fit.rate - true)[jumping] for fit in (with_events, without))
    assert np.median(good) < 0.5 * np.median(bad)


def test_quiet_pixels_have_rates_with_errors_that_are_true(fitted):
    prediction, truth, with_events, without, true = fitted
    quiet = prediction.mask == 0
    for event in truth.events:
        quiet[event.rows, event.cols] = False
    bias, scatter = bias_and_scatter(with_events, true, quiet)
    assert abs(bias) < 0.2
    assert 0.9 < scatter < 1.2
    same = with_events.rate[quiet] == without.rate[quiet]
    assert same.mean() > 0.8  # the others are next to a hit


# Files


def test_jwst_flags_lie_where_the_file_has_the_pixels(ramp_file):
    path, truth, prediction, [flagged, products] = ramp_file
    assert (flagged.name, products.name) == ("x_uncal_flagged.fits", "x_uncal_products.fits")
    shape = prediction.shape
    assert shape[1] != shape[2]
    with fits.open(flagged) as units, fits.open(path) as source:
        units.verify("exception")
        assert [unit.name for unit in units] == ["PRIMARY", "SCI", "PIXELDQ", "GROUPDQ"]
        assert units[0].header["DATAMODL"] == "RampModel"
        assert units[0].header["S_JUMP"] == "COMPLETE"
        assert units[0].header["FASTAXIS"] == source[0].header["FASTAXIS"] == 2
        assert units["SCI"].data.dtype == ">f4"
        np.testing.assert_array_equal(units["SCI"].data, source["SCI"].data)
        groups, pixels = units["GROUPDQ"].data, units["PIXELDQ"].data
        assert (groups.dtype, groups.shape) == (np.uint8, (1, *shape))
        assert (pixels.dtype, pixels.shape) == (np.uint32, shape[1:])
        hits = list(strong(truth))
        assert len(hits) > 20
        marked = [bool(groups[0, read, row, col] & 6) for read, row, col in hits]
        assert np.mean(marked) > 0.9
        before = [bool(groups[0, read - 1, row, col] & 6) for read, row, col in hits]
        assert np.mean(before) < 0.2
        assert not (groups & 4 > 0)[groups & 3 > 0].any()
        found = [event["position"] for event in prediction.events if event["first_frame"] is None]
        assert sorted(np.argwhere(pixels & 32768).tolist()) == sorted(found)
    with fits.open(products) as units:
        assert [unit.name for unit in units] == ["PRIMARY", "MASK", "RATE", "ERR"]
        np.testing.assert_array_equal(units["MASK"].data, prediction.mask)
        assert units["RATE"].header["BUNIT"] == units["ERR"].header["BUNIT"] == "DN/s"
        assert units[0].header["OHANACFG"] == DetectorConfig().fingerprint()


def several(path, place):
    """Write an exposure of two integrations with flags of its own, the second upside down."""
    with fits.open(path) as units:
        first = units["SCI"].data
        both = np.concatenate([first, first[:, :, ::-1]])
        units["SCI"].data = both
        groups, pixels = np.zeros(both.shape, np.uint8), np.zeros(both.shape[2:], np.uint32)
        groups[1, :3, 7, 9], groups[:, :, 0, 0] = 1, 32
        pixels[30, 40], pixels[31, 41] = 1, 1 << 31
        units += [fits.ImageHDU(pixels, name="PIXELDQ"), fits.ImageHDU(groups, name="GROUPDQ")]
        table = fits.BinTableHDU.from_columns([fits.Column("number", "J", array=[1, 2])])
        table.name = "INT_TIMES"
        units.append(table)
        units.writeto(place)


def test_integrations_flags_and_tables_of_the_input_stay(ramp_file, tmp_path):
    several(ramp_file[0], tmp_path / "y_ramp.fits")
    Predictor().predict(tmp_path / "y_ramp.fits", tmp_path / "out", processed=False)
    prediction = open_prediction(tmp_path / "out")
    flagged, products = write_products(prediction)
    with fits.open(flagged) as units, fits.open(products) as images:
        assert [unit.name for unit in units][1:] == ["SCI", "PIXELDQ", "GROUPDQ", "INT_TIMES"]
        assert units["INT_TIMES"].data["number"].tolist() == [1, 2]
        groups, pixels = units["GROUPDQ"].data, units["PIXELDQ"].data
        assert groups.shape[0] == 2
        assert groups[1, :3, 7, 9].tolist() == [1, 1, 1]
        assert (groups[:, :, 0, 0] & 32 > 0).all()
        assert (pixels[30, 40], pixels[31, 41]) == (1, 1 << 31)
        np.testing.assert_array_equal(np.isnan(images["RATE"].data[:, 30, 40]), True)
        assert images["RATE"].data.shape == (2, *prediction.shape[1:])
        for event in prediction.events:
            if event["type"] == "cosmic_ray" and event["confidence"] > 0.9:
                row, col = event["position"]
                near = slice(max(event["first_frame"] - 1, 0), event["first_frame"] + 2)
                assert (groups[event["integration"], near, row, col] & 7).any()


def test_hst_flags_last_from_the_hit_to_the_last_read(tmp_path):
    changes = {"cosmic_ray_rate": 6.0, "reads": 12, "telegraph_fraction": 2e-3}
    path, truth, prediction = predicted(tmp_path, "wfc3", **changes)
    flagged, products = write_products(prediction)
    hits = list(strong(truth))
    assert len(hits) > 10
    with fits.open(flagged) as units, fits.open(path) as source:
        units.verify("exception")
        assert [(u.name, u.ver) for u in units] == [(u.name, u.ver) for u in source]
        # The first IMSET is the last read.
        np.testing.assert_array_equal(units["SCI", 1].data, source["SCI", 1].data)
        assert units["DQ", 1].header.get("PIXVALUE") is None
        quality = np.array([units["DQ", 12 - read].data for read in range(12)])
        assert quality.dtype == np.int16
        seen = quality & (8192 | 256) > 0
        assert np.mean([seen[read:, row, col].all() for read, row, col in hits]) > 0.9
        assert np.mean([seen[:read, row, col].any() for read, row, col in hits]) < 0.2
        telegraph = {tuple(e["position"]) for e in prediction.events if e["first_frame"] is None}
        marked = {tuple(pixel) for pixel in np.argwhere((quality & 32 > 0).all(0)).tolist()}
        assert marked == telegraph
    with fits.open(products) as units:
        assert [unit.name for unit in units] == ["PRIMARY", "MASK", "RATE", "ERR"]


def test_roman_input_comes_back_with_flags(tmp_path):
    asdf = pytest.importorskip("asdf")
    rng = np.random.default_rng(3)
    data = rng.normal(1000, 5, (6, 32, 48)).round().astype(np.uint16)
    data[3:, 10, 20] += 600
    given = np.zeros(data.shape[1:], np.uint32)
    given[5, 5] = 1
    pattern = [[1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]
    tree = {"data": data, "pixeldq": given, "meta": {"exposure": {"read_pattern": pattern}}}
    asdf.AsdfFile({"roman": tree}).write_to(tmp_path / "r1_uncal.asdf")
    summary = Predictor().predict(tmp_path / "r1_uncal.asdf", tmp_path / "out", products=True)
    assert [path.name for path in summary.files[-2:]] == [
        "r1_uncal_flagged.asdf",
        "r1_uncal_products.fits",
    ]
    with asdf.open(tmp_path / "out" / "r1_uncal_flagged.asdf") as file:
        roman = file["roman"]
        np.testing.assert_array_equal(roman["data"], data)
        assert roman["meta"]["exposure"]["read_pattern"] == pattern
        groups, pixels = np.asarray(roman["groupdq"]), np.asarray(roman["pixeldq"])
        assert (groups.dtype, pixels.dtype) == (np.uint8, np.uint32)
        assert groups[3, 10, 20] == 4
        assert not groups[:3, 10, 20].any()
        assert pixels[5, 5] == 1
        assert file["ohana"]["ohanacfg"] == DetectorConfig().fingerprint()
    assert data[3, 10, 20] > 1500  # the input stays as it was


def test_any_other_input_gets_one_file(tmp_path, capsys):
    rng = np.random.default_rng(3)
    data = rng.normal(1000, 5, (12, 32, 48)).astype(np.float32)
    data[6:, 10, 20] += 600
    np.save(tmp_path / "dark.npy", data)
    folder = tmp_path / "out"
    code = main(["--input", str(tmp_path / "dark.npy"), "--output", str(folder), "--products"])
    assert code == 0
    assert "dark_products.fits" in capsys.readouterr().out
    assert not (folder / "dark_flagged.fits").exists()
    with fits.open(folder / "dark_products.fits") as units:
        units.verify("exception")
        names = ["PRIMARY", "MASK", "RATE", "ERR", "GROUPDQ", "PIXELDQ"]
        assert [unit.name for unit in units] == names
        groups = units["GROUPDQ"].data
        assert groups.shape == data.shape
        assert np.flatnonzero(groups[:, 10, 20]).tolist() == [6]
        rate, error = units["RATE"].data[10, 20], units["ERR"].data[10, 20]
        assert abs(rate) < 5 * error < 10


@pytest.mark.parametrize("name", ["süd.npy", "süd_uncal.fits"])
def test_names_that_no_header_can_hold(ramp_file, tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".npy":
        np.save(path, np.random.default_rng(3).normal(1000, 5, (6, 32, 48)))
    else:
        path.write_bytes(ramp_file[0].read_bytes())
    Predictor().predict(path, tmp_path / "out", products=True)
    header = fits.getheader(tmp_path / "out" / f"{path.stem}_products.fits")
    assert header["EXPOSURE"] == path.stem.replace("ü", r"\xfc")
    for flagged in (tmp_path / "out").glob("*_flagged.fits"):
        assert fits.getheader(flagged)["FILENAME"] == r"s\xfcd_uncal_flagged.fits"


def test_compressed_input(ramp_file, tmp_path):
    packed = tmp_path / "x_uncal.fits.gz"
    packed.write_bytes(gzip.compress(ramp_file[0].read_bytes(), 1))
    Predictor().predict(packed, tmp_path / "out", processed=False)
    flagged, _ = write_products(open_prediction(tmp_path / "out"))
    with fits.open(flagged) as units, fits.open(ramp_file[3][0]) as same:
        np.testing.assert_array_equal(units["GROUPDQ"].data, same["GROUPDQ"].data)


def test_prediction_without_its_record_or_input_is_refused(tmp_path):
    np.save(tmp_path / "dark.npy", np.random.default_rng(1).normal(0, 5, (6, 16, 16)))
    Predictor().predict(tmp_path / "dark.npy", tmp_path / "out")
    prediction = open_prediction(tmp_path / "out")
    (tmp_path / "dark.npy").unlink()
    with pytest.raises(OhanaError, match="the input of .* is no longer there"):
        write_products(prediction)
    with pytest.raises(OhanaError, match=r"out: wanted a prediction with its run\.json"):
        write_products(replace(prediction, run={}))


def test_step_without_the_pipeline_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "jwst.stpipe", None)
    monkeypatch.delitem(sys.modules, "ohana.jwst", raising=False)
    with pytest.raises(
        ImportError, match=r'wanted the JWST pipeline \(pip install "ohana\[jwst\]"'
    ):
        importlib.import_module("ohana.jwst")


def test_truth_is_in_the_orientation_of_the_file(ramp_file):
    # What the tests above rest on.
    assert isinstance(ramp_file[1], Truth)
    assert ramp_file[1].shape == ramp_file[2].shape
