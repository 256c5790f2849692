"""Generic FITS files: cubes and one read per extension, mapped or unpacked."""

import gzip
import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.read import open_exposure

SHAPE = (5, 6, 8)


def uint16_cube(shape=SHAPE, seed=0):
    cube = np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16)
    cube.flat[:3] = 0, 32768, 65535
    return cube


def per_extension(path: Path, cube: np.ndarray, name=lambda t: None, **more) -> Path:
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(x, name=name(t)) for t, x in enumerate(cube))]
    fits.HDUList(hdus).writeto(path, **more)
    return path


def read_one(path, config=None) -> np.ndarray:
    [ramp] = open_exposure(path, config)
    return ramp.planes.read()


def test_unsigned_cube_is_read_in_place(tmp_path):
    cube, path = uint16_cube(), tmp_path / "dark.v2.fits"
    fits.writeto(path, cube)
    before = hashlib.sha256(path.read_bytes()).digest()
    [ramp] = open_exposure(path)
    np.testing.assert_array_equal(ramp.planes.read(), cube)
    assert ramp.planes.path == path
    assert (ramp.name, ramp.shape, ramp.integration) == ("dark.v2", SHAPE, 0)
    assert ramp.facts.saturation == 65535
    assert ramp.scratch is None
    assert hashlib.sha256(path.read_bytes()).digest() == before


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(
    kind=st.sampled_from(["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"]),
    shape=st.tuples(st.integers(3, 5), st.integers(1, 7), st.integers(1, 7)),
    where=st.sampled_from(["primary", "extension", "each"]),
    data=st.data(),
)
def test_any_cube_comes_back(tmp_path, kind, shape, where, data):
    cube = np.random.default_rng(3).integers(0, 127, shape).astype(kind)
    path = tmp_path / "x.fits"
    if where == "each":
        per_extension(path, cube, overwrite=True)
    elif where == "primary":
        fits.writeto(path, cube, overwrite=True)
    else:
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube)]).writeto(path, overwrite=True)
    rows = data.draw(st.slices(shape[1]).filter(lambda s: (s.step or 1) > 0))
    cols = data.draw(st.slices(shape[2]).filter(lambda s: (s.step or 1) > 0))
    [ramp] = open_exposure(path)
    np.testing.assert_array_equal(ramp.planes.read(rows, cols), cube[:, rows, cols])


@pytest.mark.parametrize("method", ["RICE_1", "GZIP_1"])
def test_tile_compressed_files_are_unpacked(tmp_path, method):
    cube = uint16_cube((4, 32, 32))
    kind = {"compression_type": method}
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(cube, **kind)]).writeto(tmp_path / "c.fits")
    hdus = [fits.PrimaryHDU(), *(fits.CompImageHDU(x, **kind) for x in cube)]
    fits.HDUList(hdus).writeto(tmp_path / "e.fits.fz")
    np.testing.assert_array_equal(read_one(tmp_path / "c.fits"), cube)
    assert open_exposure(tmp_path / "c.fits")[0].facts.saturation == 65535
    np.testing.assert_array_equal(read_one(tmp_path / "e.fits.fz"), cube)


def test_gzipped_files_are_unpacked_and_cleaned_up(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    cube, path = uint16_cube(), tmp_path / "dark.fits.gz"
    fits.writeto(path, cube)
    [ramp] = open_exposure(path)
    np.testing.assert_array_equal(ramp.planes.read(), cube)
    assert ramp.name == "dark"
    assert ramp.source == path
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    del ramp
    assert list((tmp_path / "tmp").iterdir()) == []


def test_blank_and_scaled_values(tmp_path):
    hdu = fits.PrimaryHDU(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    hdu.header["BLANK"] = 7
    hdu.writeto(tmp_path / "b.fits")
    expected = np.arange(60, dtype=np.float32)
    expected[7] = np.nan
    np.testing.assert_array_equal(read_one(tmp_path / "b.fits").ravel(), expected)
    hdu = fits.PrimaryHDU(np.arange(60, dtype=np.int32).reshape(3, 4, 5))
    hdu.writeto(tmp_path / "s.fits")
    with fits.open(tmp_path / "s.fits", mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 0.5, 100.0
    got = read_one(tmp_path / "s.fits").ravel()
    np.testing.assert_array_equal(got, np.arange(60) / 2 + 100)


def test_one_read_per_extension_in_the_order_of_the_file(tmp_path):
    cube = uint16_cube((12, 4, 4))
    np.testing.assert_array_equal(read_one(per_extension(tmp_path / "a.fits", cube)), cube)
    named = per_extension(tmp_path / "b.fits", cube, lambda t: f"READ_{t + 1}")
    np.testing.assert_array_equal(read_one(named), cube)


def test_first_read_in_the_primary(tmp_path):
    cube = uint16_cube((4, 4, 4))
    hdus = [fits.PrimaryHDU(cube[0]), *(fits.ImageHDU(x, name="FRAME") for x in cube[1:])]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_one(tmp_path / "a.fits"), cube)


def test_errors_flags_and_tables_are_never_reads(tmp_path):
    cube = uint16_cube((4, 4, 4)).astype(np.float32)
    table = fits.BinTableHDU.from_columns([fits.Column("t", "E", array=[1.0, 2.0])])
    hdus = [fits.PrimaryHDU(), table]
    for t, image in enumerate(cube, 1):
        hdus.append(fits.ImageHDU(image, name="SCI", ver=t))
        hdus.append(fits.ImageHDU(image + 1, name="ERR", ver=t))
        hdus.append(fits.ImageHDU(np.zeros((4, 4), np.int16), name="DQ", ver=t))
    fits.HDUList([*hdus, table.copy()]).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_one(tmp_path / "a.fits"), cube)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(cube, name="SCI"), fits.ImageHDU(cube, name="ERR")]
    fits.HDUList(hdus).writeto(tmp_path / "b.fits")
    np.testing.assert_array_equal(read_one(tmp_path / "b.fits"), cube)


def test_images_of_other_names_are_left_out_with_a_notice(tmp_path):
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(np.eye(4), name=f"READ{t}") for t in range(4))]
    fits.HDUList([*hdus, fits.ImageHDU(np.ones((9, 9)), name="DARK")]).writeto(tmp_path / "a.fits")
    [ramp] = open_exposure(tmp_path / "a.fits")
    assert ramp.shape == (4, 4, 4)
    assert "left out 1 images with other names, e.g. 'DARK'" in ramp.notes


def test_several_integrations(tmp_path):
    cube = uint16_cube((2, 5, 4, 4))
    fits.writeto(tmp_path / "a.fits", cube)
    ramps = open_exposure(tmp_path / "a.fits")
    assert [ramp.integration for ramp in ramps] == [0, 1]
    for ramp, expected in zip(ramps, cube, strict=True):
        np.testing.assert_array_equal(ramp.planes.read(), expected)


def test_450_extensions_open_quickly(tmp_path):
    path = per_extension(tmp_path / "bench.fits", np.zeros((450, 8, 8), np.uint16))
    open_exposure(path)
    start = time.perf_counter()
    [ramp] = open_exposure(path)
    assert time.perf_counter() - start < 2  # 0.25 s on a quiet machine
    assert len(ramp.planes) == 450


def sparse_cube(path: Path, reads: int, size: int, extensions: bool = False) -> Path:
    """Write headers only; the data are a hole in the file."""
    header = fits.ImageHDU().header if extensions else fits.PrimaryHDU().header
    header["BITPIX"], header["NAXIS"] = 16, 2 if extensions else 3
    axes = [size, size] if extensions else [size, size, reads]
    for axis, length in enumerate(axes, 1):
        header.insert(2 + axis, (f"NAXIS{axis}", length))
    header["BZERO"] = 32768
    head = header.tostring().encode()
    with open(path, "wb") as file:
        if extensions:
            file.write(fits.PrimaryHDU().header.tostring().encode())
        for _ in range(reads if extensions else 1):
            file.write(head)
            file.seek(-(-2 * size * size * (1 if extensions else reads) // 2880) * 2880, 1)
        file.truncate()
    return path


def test_full_h2rg_on_the_bench(tmp_path):
    [ramp] = open_exposure(sparse_cube(tmp_path / "a.fits", 3, 2048, extensions=True))
    assert (ramp.facts.border, ramp.facts.outputs) == (4, 32)
    assert ramp.facts.sources["border"] == "default (full frame)"
    [ramp] = open_exposure(sparse_cube(tmp_path / "b.fits", 3, 2048))
    assert (ramp.facts.border, ramp.facts.outputs) == (4, 1)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = sparse_cube(tmp_path / "big.fits", 128, 2048)  # 1 GB
    script = (
        "import sys, resource\n"
        "from ohana.read import open_exposure\n"
        "from ohana.ramp import row_blocks\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "[ramp] = open_exposure(sys.argv[1])\n"
        "ramp.planes.read(slice(0, 16))\n"
        "before = used()\n"
        "for rows in row_blocks(512):\n"
        "    assert (ramp.planes.read(rows) == 32768).all()\n"
        "print(used() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    unit = 1024 if sys.platform != "darwin" else 1
    assert int(done.stdout) * unit < 60e6


def test_header_config_and_defaults_in_that_order_of_weight(tmp_path):
    hdu = fits.PrimaryHDU(uint16_cube((3, 16, 16)))
    cards = {"GAIN": 2.0, "RDNOISE": 12.0, "SATURATE": 60000, "FRAMTIME": 1.5, "NOUTPUTS": 4}
    hdu.header.update(cards)
    hdu.header["REFBORD"] = 2
    hdu.writeto(tmp_path / "a.fits")
    [ramp] = open_exposure(tmp_path / "a.fits")
    facts = ramp.facts
    assert (facts.gain, facts.read_noise, facts.saturation) == (2.0, 6.0, 60000)
    assert (facts.frame_time, facts.outputs, facts.border) == (1.5, 4, 2)
    np.testing.assert_allclose(ramp.times, [1.5, 3.0, 4.5])
    for name, key in zip(("gain", "read_noise", "saturation", "frame_time"), cards, strict=False):
        assert facts.sources[name] == f"header {key}"
    assert ramp.notes == ()
    config = DetectorConfig(gain=4.0, read_noise=8.0, saturation=5e4, frame_time=3.0, border=0)
    [ramp] = open_exposure(tmp_path / "a.fits", config)
    facts = ramp.facts
    assert (facts.gain, facts.read_noise, facts.saturation) == (4.0, 2.0, 5e4)
    assert (facts.frame_time, facts.border, facts.outputs) == (3.0, 0, 4)
    assert facts.sources["gain"] == "config"
    assert facts.sources["outputs"] == "header NOUTPUTS"


def test_facts_of_a_bare_file(tmp_path):
    fits.writeto(tmp_path / "a.fits", np.ones(SHAPE, np.float32))
    [ramp] = open_exposure(tmp_path / "a.fits")
    assert ramp.facts.saturation == np.inf
    assert (ramp.facts.gain, ramp.facts.border, ramp.facts.outputs) == (1.0, 0, 1)
    assert set(ramp.facts.sources.values()) == {"default", "default (none)"}
    assert any("gain unknown" in note for note in ramp.notes)


def test_frame_time_from_the_exposure_time(tmp_path):
    hdu = fits.PrimaryHDU(uint16_cube())
    hdu.header["EXPTIME"] = 10.0
    hdu.writeto(tmp_path / "a.fits")
    [ramp] = open_exposure(tmp_path / "a.fits")
    assert ramp.facts.frame_time == 2.0
    assert ramp.facts.sources["frame_time"] == "derived from header EXPTIME"


def test_senseless_header_values_are_left_out_with_a_notice(tmp_path):
    hdu = fits.PrimaryHDU(uint16_cube())
    hdu.header.update({"GAIN": -1.0, "NOUTPUTS": 3, "REFPIX": 30, "SATURATE": "high"})
    hdu.writeto(tmp_path / "a.fits")
    [ramp] = open_exposure(tmp_path / "a.fits")
    assert (ramp.facts.gain, ramp.facts.outputs, ramp.facts.border) == (1.0, 1, 0)
    notes = " | ".join(ramp.notes)
    for words in ("GAIN = -1 is not plausible", "outputs = 3", "border = 30"):
        assert words in notes


def test_config_that_does_not_fit_the_array_is_refused(tmp_path):
    fits.writeto(tmp_path / "a.fits", uint16_cube())
    with pytest.raises(OhanaError, match="config: outputs: wanted .* 8 pixels of a line, got 3"):
        open_exposure(tmp_path / "a.fits", DetectorConfig(outputs=3))
    with pytest.raises(OhanaError, match="config: border: .* leave pixels in 6 x 8, got 3"):
        open_exposure(tmp_path / "a.fits", DetectorConfig(border=3))


def test_odd_headers_warn_nobody(tmp_path):
    fits.writeto(tmp_path / "a.fits", uint16_cube())
    raw = (tmp_path / "a.fits").read_bytes()
    raw = raw.replace(b"EXTEND  =                    T", b"gain = 2 not a standard card  ", 1)
    (tmp_path / "a.fits").write_bytes(raw)
    assert read_one(tmp_path / "a.fits").shape == SHAPE


def test_missing_extensions_are_noticed(tmp_path):
    path = per_extension(tmp_path / "a.fits", uint16_cube())
    fits.setval(path, "NEXTEND", value=9)
    [ramp] = open_exposure(path)
    assert "the header promises 9 extensions, 5 are there" in ramp.notes


def test_gzip_of_something_else(tmp_path):
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(b"hello, this is text"))
    with pytest.raises(
        OhanaError, match="a.fits.gz: wanted FITS inside gzip, got b'hello, t' at its start"
    ):
        open_exposure(tmp_path / "a.fits.gz")
