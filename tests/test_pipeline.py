"""The whole job on small exposures: what is written, what is found, and what must not matter."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from astropy.io import fits

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.evaluate import evaluate
from ohana.pipeline import predict
from ohana.results.catalogue import member_pixels, read_catalogue
from ohana.simulate import SimulationConfig, simulate_exposure, write_fits

SMALL = SimulationConfig(
    reads=24,
    rows=64,
    cols=96,
    cosmic_ray_length=(0.3, 6.0),
    telegraph_amplitude=(150.0, 300.0),
    telegraph_period=(6.0, 12.0),
    snowball_radius=(4.0, 4.5),
    trail_fraction=0.0,
)
BARE = DetectorConfig(gain=1.5, border=0, threads=1)


def simulated(seed=0, **changes):
    config = SimulationConfig(**SMALL.model_dump() | changes)
    return simulate_exposure(config, np.random.default_rng(seed))


def run(path, output, config=None, **more):
    """Return summary, catalogue and mask."""
    summary = predict(path, output, config or DetectorConfig(), **more)
    mask = np.load(output / "prediction_mask.npy", allow_pickle=False)
    return summary, read_catalogue(output / "detections.json"), mask


def counts(detections):
    kinds = [entry["type"] for entry in detections]
    return tuple(kinds.count(label.key) for label in list(Label)[1:])


def contents(folder):
    """Return all that does not depend on when and how fast it was made."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "run.json"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """An exposure with all classes, its truth, and the folder of its results."""
    folder = tmp_path_factory.mktemp("everything")
    made = simulated(cosmic_rays=12, telegraph_pixels=8, snowballs=1)
    write_fits(made, folder / "all.fits")
    before = (folder / "all.fits").read_bytes()
    summary, *_ = run(folder / "all.fits", folder / "out", DetectorConfig(threads=1))
    assert (folder / "all.fits").read_bytes() == before
    return made, folder / "all.fits", folder / "out", summary


# What is written


def test_files_and_summary(everything):
    made, path, out, summary = everything
    names = {"all_processed.npy", "all_temporal.npz", "prediction_mask.npy", "detections.json"}
    names |= {"run.json"}
    assert set(os.listdir(out)) == names
    assert {file.name for file in summary.files} == names
    assert (summary.source, summary.shape, summary.integrations) == (path, (24, 64, 96), 1)
    assert summary.noise == pytest.approx(10 / 1.5, rel=0.05)
    detections = read_catalogue(out / "detections.json")
    assert tuple(item.events for item in summary.classes) == counts(detections)
    assert all(item.density == pytest.approx(item.events / 6144e-6) for item in summary.classes)
    assert str(path) in str(summary)


def test_mask(everything):
    made, _, out, _ = everything
    mask = np.load(out / "prediction_mask.npy", allow_pickle=False)
    assert (mask.dtype, mask.shape) == (np.uint8, (64, 96))
    painted = np.zeros_like(mask)
    detections = read_catalogue(out / "detections.json")
    for label in (Label.COSMIC_RAY, Label.TELEGRAPH_NOISE, Label.SNOWBALL):
        for entry in detections:
            if entry["type"] == label.key:
                painted[member_pixels(entry)] = label
    np.testing.assert_array_equal(mask, painted)
    border = np.ones(mask.shape, bool)
    border[4:-4, 4:-4] = False
    assert not mask[border & (mask != Label.TELEGRAPH_NOISE)].any()


def test_processed_cube(everything):
    made, _, out, _ = everything
    cube = np.load(out / "all_processed.npy", mmap_mode="r", allow_pickle=False)
    assert (cube.dtype, cube.shape) == (np.float32, (23, 64, 96))
    raw = made.cube[1:].astype(np.float32) - made.cube[0]
    quiet = made.stop == 24
    assert np.abs(cube - raw)[:, quiet].max() < 20  # the correction is of the order of the noise


def test_features(everything):
    _, _, out, summary = everything
    with np.load(out / "all_temporal.npz", allow_pickle=False) as file:
        maps = {name: file[name] for name in file.files}
    whole = {"first_appearance", "persistence_count", "transition_count", "best_read"}
    real = {"max_intensity", "intensity_variance", "rate", "noise", "best_step"}
    for name in whole | real | {"best_significance"}:
        assert maps[name].shape == (64, 96)
        assert maps[name].dtype == (np.int32 if name in whole else np.float32)
    assert all(values.dtype.kind != "O" for values in maps.values())
    assert set(np.unique(maps["first_appearance"])) <= set(range(-1, 24)) - {0}
    assert ((maps["first_appearance"] > 0) >= (maps["persistence_count"] > 0)).all()
    assert float(maps["frame_time"]) == pytest.approx(1.4)


def test_detections_have_the_promised_fields(everything):
    _, _, out, _ = everything

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    detections = json.loads((out / "detections.json").read_text("utf-8"), parse_constant=refuse)
    assert isinstance(detections, list)
    common = {
        "type", "centroid", "position", "first_frame", "mean_intensity", "max_intensity",
        "spatial_extent", "confidence", "significance", "source", "integration", "bbox",
    }  # fmt: skip
    special = {
        "cosmic_ray": {"step_amplitude", "step_error", "fit_quality"},
        "telegraph_noise": {
            "transitions", "low", "high", "amplitude", "dwell_low", "dwell_high", "fit_quality",
        },
        "snowball": {"core_radius", "halo_radius", "circularity", "growth"},
    }  # fmt: skip
    assert {entry["type"] for entry in detections} == set(special)
    for entry in detections:
        assert common | special[entry["type"]] <= set(entry)
        assert ("pixels" in entry) != ("runs" in entry)
        assert len(member_pixels(entry)[0]) == entry["spatial_extent"]
        assert (entry["first_frame"] is None) == (entry["type"] == "telegraph_noise")
        assert (entry["source"], entry["integration"]) == ("rules", 0)
        assert 0 <= entry["confidence"] <= 1
        top, left, bottom, right = entry["bbox"]
        assert top <= entry["position"][0] < bottom
        assert left <= entry["position"][1] < right


def test_without_the_processed_cube(everything, tmp_path):
    _, path, out, _ = everything
    summary, *_ = run(path, tmp_path / "out", processed=False)
    got, expected = contents(tmp_path / "out"), contents(out)
    assert set(expected) - set(got) == {"all_processed.npy"}
    assert {file.name for file in summary.files} == set(got) | {"run.json"}
    for name in ("detections.json", "prediction_mask.npy"):
        assert got[name] == expected[name]


# What is found


def test_finds_what_was_put_in(everything):
    made, _, out, _ = everything
    scores = evaluate(made.truth, read_catalogue(out / "detections.json")).classes
    assert [score.injected for score in scores] == [12, 8, 1]
    for score in scores:
        # One may hide under another.
        assert score.found >= score.detectable - 1
        assert score.real == score.detected
        assert score.split == 0


@pytest.mark.parametrize(
    ("kind", "number"), [("cosmic_rays", 15), ("telegraph_pixels", 15), ("snowballs", 1)]
)
def test_one_class_is_not_taken_for_another(tmp_path, kind, number):
    which = ["cosmic_rays", "telegraph_pixels", "snowballs"].index(kind)
    others = 0
    for seed in range(4):
        made = simulated(seed, **{kind: number})
        write_fits(made, tmp_path / f"{seed}.fits")
        _, detections, _ = run(tmp_path / f"{seed}.fits", tmp_path / str(seed), processed=False)
        score = evaluate(made.truth, detections).classes[which]
        assert score.found >= 0.8 * score.detectable
        assert score.real == score.detected
        others += len(detections) - counts(detections)[which]
    # Telegraph noise with one transition is no different from a cosmic ray: one in ten.
    assert others <= (6 if kind == "telegraph_pixels" else 0)


@pytest.mark.parametrize("reads", range(3, 10))
def test_short_ramps(tmp_path, reads):
    made = simulated(1, reads=reads, cosmic_rays=8, telegraph_pixels=5)
    write_fits(made, tmp_path / "x.fits")
    summary, detections, _ = run(tmp_path / "x.fits", tmp_path / "out")
    score = evaluate(made.truth, detections).classes[0]
    assert score.found >= score.detectable - 2
    assert "telegraph noise: needs 10 reads, not looked for" in summary.notices
    assert counts(detections)[1] == 0


# Arrays by hand


def quiet(shape=(20, 64, 96), seed=3, noise=8.0):
    return np.random.default_rng(seed).normal(500, noise, shape).astype(np.float32)


HITS = [
    # row, col, read, steps of pixels (row, col, DN)
    (5, 10, 4, [(0, 0, 900), (0, 1, 300), (1, 1, 200)]),
    (15, 40, 9, [(0, 0, 500), (1, 0, 500)]),
    (16, 63, 1, [(0, 0, 400), (0, 1, 600)]),
    (31, 64, 19, [(0, 0, 800), (1, 1, 700)]),
    (40, 95, 10, [(0, 0, 300)]),
    (63, 0, 10, [(0, 0, 300)]),
    (50, 50, 6, [(0, 0, 2000), (0, 1, 1500), (1, 2, 900), (1, 3, 400)]),
]


def with_hits(cube):
    cube = cube.copy()
    for row, col, read, pixels in HITS:
        for down, right, amplitude in pixels:
            cube[read:, row + down, col + right] += amplitude
    return cube


def events_of(cube, folder, config=BARE):
    """Events as (type, first frame, pixels), sorted, and the steps in the same order."""
    folder.mkdir()
    np.save(folder / "x.npy", cube)
    _, detections, _ = run(folder / "x.npy", folder / "out", config)
    table = {}
    for entry in detections:
        pixels = sorted(zip(*(axis.tolist() for axis in member_pixels(entry)), strict=True))
        table[entry["first_frame"], tuple(pixels)] = entry["max_intensity"]
    return table


def assert_same(table, other, tolerance):
    """The same events, their steps to a tolerance in DN."""
    assert sorted(table) == sorted(other)
    for key, amplitude in table.items():
        assert other[key] == pytest.approx(amplitude, abs=tolerance)


def test_hits_by_hand(tmp_path):
    expected = {
        (read, tuple((row + r, col + c) for r, c, _ in sorted(pixels))): max(p[2] for p in pixels)
        for row, col, read, pixels in HITS
    }
    # A step at the second or last read rests on one read: five times its noise.
    assert_same(events_of(with_hits(quiet()), tmp_path / "a"), expected, 40)


def test_no_events(tmp_path):
    np.save(tmp_path / "x.npy", quiet(noise=5.0))
    summary, detections, mask = run(tmp_path / "x.npy", tmp_path / "out", BARE)
    assert detections == []
    assert (tmp_path / "out" / "detections.json").read_text() == "[]\n"
    assert not mask.any()
    assert all(item.events == 0 for item in summary.classes)
    assert "snowball" in str(summary)


def test_a_constant_array(tmp_path):
    np.save(tmp_path / "x.npy", np.full((12, 32, 64), 700, np.uint16))
    _, detections, _ = run(tmp_path / "x.npy", tmp_path / "out", BARE)
    assert detections == []


def test_everything_saturated(tmp_path):
    np.save(tmp_path / "x.npy", np.full((12, 32, 64), 65535, np.uint16))
    summary, detections, mask = run(tmp_path / "x.npy", tmp_path / "out", BARE)
    assert detections == []
    assert np.isnan(summary.noise)
    assert str(summary)


def blank(where):
    cube = quiet()
    cube[where] = np.nan
    return cube


@pytest.mark.parametrize(
    ("cube", "border"),
    [
        (quiet((20, 1, 1)), 0),
        (quiet((20, 1, 96)), 0),
        (quiet((20, 64, 1)), 0),
        (quiet((20, 17, 65)), 0),
        (blank(np.s_[1:]), 0),
        (blank(np.s_[::2]), 0),
        (blank(np.s_[:, :16]), 0),
        (blank(np.s_[:, 4:-4, 4:-4]), 4),
        (-quiet(), 0),
    ],
)
def test_odd_arrays_without_events(tmp_path, cube, border):
    np.save(tmp_path / "x.npy", cube)
    config = DetectorConfig(gain=1.5, border=border)
    _, detections, _ = run(tmp_path / "x.npy", tmp_path / "out", config)
    assert detections == []


def test_a_flash_is_no_event(tmp_path):
    cube = quiet()
    cube[10:] += 300
    np.save(tmp_path / "x.npy", cube)
    summary, detections, mask = run(tmp_path / "x.npy", tmp_path / "out", BARE)
    assert detections == []
    assert not mask.any()
    assert any("shared changes" in notice for notice in summary.notices)


def test_a_flash_is_no_event_without_the_shared_model(tmp_path):
    cube = quiet()
    cube[10:] += 300
    np.save(tmp_path / "x.npy", cube)
    bare = BARE.model_copy(update={"shared_correction": False})
    summary, events, mask = run(tmp_path / "x.npy", tmp_path / "out", bare)
    assert events == []
    assert not mask.any()
    assert summary.warnings == ["100 % of all pixels step in read 10: not believable"]
    # What is left without a minimum confidence is one extended event.
    all_of_them = bare.model_copy(update={"min_confidence": 0.0})
    _, [event], mask = run(tmp_path / "x.npy", tmp_path / "all", all_of_them)
    assert (event["type"], event["first_frame"], event["extended"]) == ("cosmic_ray", 10, True)
    assert event["confidence"] < 0.1
    assert mask.all()


def test_dead_pixels_and_gaps(tmp_path):
    cube = with_hits(quiet())
    expected = events_of(cube, tmp_path / "whole")
    cube[:, :, 70:73] = np.nan
    cube[:, 34:37, :] = 500.0
    cube[3, 20:30] = np.nan
    cube[0, :, 20:30] = np.nan
    cube[:, 0:16, 80:] = np.nan
    assert_same(events_of(cube, tmp_path / "gaps"), expected, 2)


# What must not matter


def test_number_of_threads(everything, tmp_path):
    _, path, out, _ = everything
    run(path, tmp_path / "out", DetectorConfig(threads=2))
    assert contents(tmp_path / "out") == contents(out)


def test_mirrors(tmp_path):
    cube = with_hits(quiet((20, 64, 128)))
    plain = events_of(cube, tmp_path / "plain")
    assert len(plain) == len(HITS)
    for name, axis, size in (("rows", 1, 64), ("cols", 2, 128)):
        table = events_of(np.ascontiguousarray(np.flip(cube, axis)), tmp_path / name)
        back = {}
        for (read, pixels), amplitude in table.items():
            mirrored = [
                (size - 1 - row, col) if axis == 1 else (row, size - 1 - col) for row, col in pixels
            ]
            back[read, tuple(sorted(mirrored))] = amplitude
        # Tiles over which noise is pooled are the same: only sums in another order.
        assert_same(plain, back, 0.01)


def test_transposing(tmp_path):
    cube = with_hits(quiet((20, 64, 128)))
    plain = events_of(cube, tmp_path / "plain")
    table = events_of(np.ascontiguousarray(cube.swapaxes(1, 2)), tmp_path / "other")
    back = {
        (read, tuple(sorted((row, col) for col, row in pixels))): amplitude
        for (read, pixels), amplitude in table.items()
    }
    # Noise is pooled over other tiles; steps change by far less than their error of 5 DN.
    assert_same(plain, back, 1)


def test_pedestal(tmp_path):
    cube = with_hits(quiet())
    pedestal = np.random.default_rng(9).integers(-200, 2000, (64, 96))
    lifted = events_of(cube + pedestal.astype(np.float32), tmp_path / "lifted")
    assert_same(events_of(cube, tmp_path / "plain"), lifted, 0.05)


def test_scale(tmp_path):
    cube, floors = with_hits(quiet()), {"cosmic_ray_min_intensity": 0, "cosmic_ray_min_step": 0}
    config = BARE.model_dump() | floors
    plain = events_of(cube, tmp_path / "plain", DetectorConfig(**config))
    config["gain"] /= 2
    double = events_of(2 * cube, tmp_path / "double", DetectorConfig(**config))
    assert_same({key: 2 * value for key, value in plain.items()}, double, 0.01)


def test_reference_pixels_join_no_event(tmp_path):
    # Beside hits in the first row that sees light, steps in the border that are too faint to be
    # found on their own.
    cube = quiet()
    for col, amplitude in zip(range(6, 90, 6), np.linspace(25, 38, 14), strict=True):
        cube[10:, 4, col] += 500
        cube[10:, 3, col] += amplitude
    np.save(tmp_path / "x.npy", cube)
    rows = []
    for border in (4, 0):
        config = DetectorConfig(gain=1.5, border=border, reference_correction=False)
        _, _, mask = run(tmp_path / "x.npy", tmp_path / str(border), config, processed=False)
        rows.append([int((mask[row] > 0).sum()) for row in (3, 4)])
    assert rows[0] == [0, 14]
    assert rows[1][0] >= 5


# Other kinds of files


def test_several_integrations(tmp_path):
    # Hits in the second and a few in the first; the header says there is no border.
    cube = np.stack([quiet(seed=4), with_hits(quiet(seed=5))])
    cube[0, 7:, 30, 30] += 400
    header = {"SUBSTRT1": 900, "SUBSTRT2": 900, "SUBSIZE1": 96, "SUBSIZE2": 64}
    primary = fits.PrimaryHDU()
    primary.header.update({"TELESCOP": "JWST", "INSTRUME": "NIRCAM", "DETECTOR": "NRCA1"} | header)
    primary.header["TFRAME"] = 10.0
    science = fits.ImageHDU(np.round(cube).astype(np.uint16), name="SCI")
    fits.HDUList([primary, science]).writeto(tmp_path / "a_uncal.fits")
    summary, detections, mask = run(tmp_path / "a_uncal.fits", tmp_path / "out")
    assert summary.integrations == 2
    assert [entry["integration"] for entry in detections] == [0] + [1] * len(HITS)
    assert detections[0]["position"] == [30, 30]
    assert mask[30, 30] == mask[5, 10] == Label.COSMIC_RAY
    names = {f"a_uncal_int{i}_{kind}" for i in (0, 1) for kind in ("processed.npy", "temporal.npz")}
    names |= {"prediction_mask.npy", "detections.json", "run.json"}
    assert set(os.listdir(tmp_path / "out")) == names
    again, *_ = run(tmp_path / "a_uncal.fits", tmp_path / "out")
    assert sum("used again" in notice for notice in again.notices) == 2


def test_last_read_first(tmp_path):
    # HST stores its reads in reverse.
    cube = np.round(with_hits(quiet())).astype(np.uint16)
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update({"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "IR"})
    for version, t in enumerate(reversed(range(20)), 1):
        for name in ("SCI", "ERR", "DQ", "SAMP", "TIME"):
            hdu = fits.ImageHDU(cube[t] if name == "SCI" else None, name=name, ver=version)
            if name != "SCI":
                hdu.header.update({"NPIX1": 96, "NPIX2": 64, "PIXVALUE": 0})
            else:
                hdu.header.update({"BUNIT": "COUNTS", "SAMPTIME": 3.0 * t, "DELTATIM": 3.0})
            hdus.append(hdu)
    fits.HDUList(hdus).writeto(tmp_path / "x_raw.fits")
    _, detections, _ = run(tmp_path / "x_raw.fits", tmp_path / "out", BARE)
    plain = events_of(cube, tmp_path / "plain")
    table = {
        (
            entry["first_frame"],
            tuple(sorted(zip(*(axis.tolist() for axis in member_pixels(entry)), strict=True))),
        ): entry["max_intensity"]
        for entry in detections
    }
    assert_same(plain, table, 1e-6)


def test_folder_of_frames_with_the_results_inside(tmp_path):
    cube = np.round(with_hits(quiet())).astype(np.uint16)
    folder = tmp_path / "frames"
    folder.mkdir()
    for t, frame in enumerate(cube):
        tifffile.imwrite(folder / f"{t:03}.tif", frame)
    first, detections, _ = run(folder, folder / "out", BARE)
    assert len(detections) == len(HITS)
    assert (folder / "out" / "frames_processed.npy").exists()
    again, *_ = run(folder, folder / "out", BARE)
    assert used_again(again)


# The corrected cube of an earlier run


def used_again(summary):
    return any("used again" in notice for notice in summary.notices)


@pytest.fixture
def exposure(everything, tmp_path):
    """A copy of the exposure and of its results."""
    _, path, out, _ = everything
    copy = tmp_path / "all.fits"
    copy.write_bytes(path.read_bytes())
    first, *_ = run(copy, tmp_path / "out")
    assert not used_again(first)
    return copy, tmp_path / "out", contents(tmp_path / "out")


@pytest.mark.parametrize("processed", [True, False])
def test_second_run_uses_the_cube(exposure, processed):
    path, out, before = exposure
    modified = (out / "all_processed.npy").stat().st_mtime_ns
    summary, *_ = run(path, out, processed=processed)
    assert used_again(summary)
    assert contents(out) == before
    assert (out / "all_processed.npy").stat().st_mtime_ns == modified


def test_third_run_too(exposure):
    path, out, before = exposure
    for _ in range(2):
        assert used_again(run(path, out)[0])
    assert contents(out) == before


@pytest.mark.parametrize(
    ("settings", "again"),
    [
        ({"sigma_threshold": 6}, True),
        ({"cosmic_ray_min_intensity": 100}, True),
        ({"threads": 1}, True),
        ({"reference_correction": False}, False),
        ({"odd_even": False}, False),
        ({"gain": 2.0}, False),
        ({"read_noise": 30.0}, False),
        ({"saturation": 30000}, False),
    ],
)
def test_settings_that_shape_the_cube(exposure, tmp_path, settings, again):
    path, out, _ = exposure
    config = DetectorConfig(**settings)
    summary, detections, mask = run(path, out, config)
    assert used_again(summary) == again
    _, expected, expected_mask = run(path, tmp_path / "fresh", config)
    assert detections == expected
    np.testing.assert_array_equal(mask, expected_mask)


def test_a_run_without_cube_leaves_no_wrong_one(exposure, tmp_path):
    # The features then belong to other settings than the cube that lies beside them.
    path, out, _ = exposure
    config = DetectorConfig(reference_correction=False)
    run(path, out, config, processed=False)
    summary, *_ = run(path, out, config)
    assert not used_again(summary)
    run(path, tmp_path / "fresh", config)
    cube = "all_processed.npy"
    assert contents(out)[cube] == contents(tmp_path / "fresh")[cube]


def test_another_input(exposure):
    path, out, _ = exposure
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[30000:30010] = b"\x40" * 10
    path.write_bytes(data)
    assert not used_again(run(path, out)[0])
    # The same bytes, but touched since: rather once more than wrong.
    assert used_again(run(path, out)[0])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    assert not used_again(run(path, out)[0])


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-100])


def overwrite(path):
    path.write_bytes(b"x" * 1000)


def change(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["all_processed.npy", "all_temporal.npz"])
@pytest.mark.parametrize("damage", [cut_short, overwrite, change, Path.unlink])
def test_damaged_files_are_made_anew(exposure, name, damage):
    path, out, before = exposure
    damage(out / name)
    summary, *_ = run(path, out)
    assert not used_again(summary)
    after = contents(out)
    for file in ("all_processed.npy", "detections.json", "prediction_mask.npy"):
        assert after[file] == before[file]


# When it cannot be written


def test_full_disk(everything, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OhanaError, match="all_processed.npy: cannot write: No space left"):
        run(everything[1], tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []


def test_too_little_space(everything, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=5120)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OhanaError, match=r"all_processed.npy: needs .* --no-processed"):
        run(everything[1], tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []
    run(everything[1], tmp_path / "out", processed=False)


def test_output_that_is_a_file(everything, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OhanaError, match="out: cannot make this folder"):
        run(everything[1], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_progress_reaches_its_end(everything, tmp_path):
    told = []
    run(everything[1], tmp_path / "out", progress=lambda *step: told.append(step))
    blocks, part = range(5), 24 * 16 * 96
    steps = [step[1:] for step in told if step[0] == "steps"]
    assert steps == [(i * part, 4 * part) for i in blocks]
    assert told[-1] == ("writing", 1, 1)
