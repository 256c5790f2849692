"""Exposures of Roman and other ASDF files, made to look like the archive's."""

import sys

import asdf
import numpy as np
import pytest

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.rampfit.covariance import covariance_of
from ohana.read import open_exposure

RNG = np.random.default_rng(8)
PATTERN = [[1], [2, 3], [4, 5, 6, 7], [9, 10]]


def roman(path, data=None, pattern=PATTERN, compression=None, more=None, **exposure):
    """Write a file with the tree of a level 1 product; ``exposure`` goes to its metadata."""
    data = RNG.integers(0, 65536, (4, 64, 64), dtype=np.uint16) if data is None else data
    meta = {"exposure": {"frame_time": 3.0, "read_pattern": pattern} | exposure}
    tree = {"meta": meta, "data": data, "amp33": np.zeros((4, 64, 2), np.uint16)} | (more or {})
    asdf.AsdfFile({"roman": tree}).write_to(path, all_array_compression=compression)
    return data


@pytest.mark.parametrize("compression", [None, "zlib", "bzp2", "lz4"])
def test_level_1(tmp_path, compression):
    path = tmp_path / "r0001_wfi01_uncal.asdf"
    data = roman(path, compression=compression)
    [ramp] = open_exposure(path)
    assert (ramp.name, ramp.shape) == ("r0001_wfi01_uncal", (4, 64, 64))
    np.testing.assert_array_equal(ramp.planes.read(), data)
    np.testing.assert_array_equal(ramp.planes.read(slice(3, 9), slice(2, 5)), data[:, 3:9, 2:5])
    np.testing.assert_allclose(ramp.times, [3.0, 7.5, 16.5, 28.5])
    assert ramp.averaged.tolist() == [1, 2, 4, 2]
    facts = ramp.facts
    assert (facts.frame_time, facts.nframes, facts.border, facts.outputs) == (3.0, 4, 4, 32)
    assert facts.sources["frame_time"] == "meta.exposure.frame_time"
    assert (facts.saturation, facts.gain) == (65535, 2.0)
    model = covariance_of(ramp)
    np.testing.assert_allclose(model.dt, [1.5, 3, 4])
    np.testing.assert_allclose(model.read, [1.5, 0.75, 0.75])
    assert (ramp.scratch[0] is None) == (compression is None)
    assert not ramp.notes


def test_data_are_read_where_they_lie(tmp_path):
    data = roman(tmp_path / "x.asdf")
    [ramp] = open_exposure(tmp_path / "x.asdf")
    assert ramp.planes.path == tmp_path / "x.asdf"
    stored = (tmp_path / "x.asdf").read_bytes()
    assert stored[ramp.planes.offsets[1] :].startswith(data[1].tobytes())


def test_even_pattern_and_config(tmp_path):
    roman(tmp_path / "x.asdf", pattern=[[1, 2], [3, 4], [5, 6], [7, 8]])
    [ramp] = open_exposure(tmp_path / "x.asdf", DetectorConfig(gain=1.5, frame_time=2.0))
    assert ramp.frames is None
    assert (ramp.facts.nframes, ramp.facts.gain) == (2, 1.5)
    np.testing.assert_allclose(ramp.times, [3, 7, 11, 15])


def test_without_a_pattern_reads_are_even(tmp_path):
    roman(tmp_path / "x.asdf", pattern=None)
    [ramp] = open_exposure(tmp_path / "x.asdf")
    np.testing.assert_allclose(np.diff(ramp.times), 3.0)
    assert any("no read pattern" in note for note in ramp.notes)


def test_reference_read_is_put_back(tmp_path):
    base = RNG.integers(0, 9000, (64, 64), dtype=np.uint16)
    data = roman(tmp_path / "x.asdf", more={"reference_read": base})
    [ramp] = open_exposure(tmp_path / "x.asdf")
    np.testing.assert_array_equal(ramp.planes.read(), data.astype(np.float32) + base)
    some = ramp.planes.select(slice(1, 3)).read(slice(5, 7))
    np.testing.assert_array_equal(some, data[1:3, 5:7].astype(np.float32) + base[5:7])
    roman(tmp_path / "y.asdf", more={"reference_read": base[:9]})
    with pytest.raises(OhanaError, match=r"wanted reference_read of \(64, 64\), got \(9, 64\)"):
        open_exposure(tmp_path / "y.asdf")


def test_flags_of_a_ramp(tmp_path):
    flags, bad = np.zeros((4, 64, 64), np.uint8), np.zeros((64, 64), np.uint32)
    flags[2, 5, 5], bad[7, 7], bad[8, 8] = 2, 1, 4
    more = {"groupdq": flags, "pixeldq": bad}
    data = RNG.normal(0, 1, (4, 64, 64)).astype(np.float32)
    roman(tmp_path / "x.asdf", data, more=more)
    [ramp] = open_exposure(tmp_path / "x.asdf")
    np.testing.assert_array_equal(ramp.planes.read(), data)
    np.testing.assert_array_equal(ramp.flags.read_stored(), flags)
    assert np.argwhere(ramp.bad_pixels).tolist() == [[7, 7]]
    roman(tmp_path / "y.asdf", data, more={"groupdq": flags[:3]})
    with pytest.raises(OhanaError, match="mixed shapes: wanted groupdq of"):
        open_exposure(tmp_path / "y.asdf")


def test_cube_of_no_mission(tmp_path):
    data = RNG.normal(0, 1, (5, 8, 9))
    tree = {"data": data.astype(">f8"), "gain": 1.7, "more": {"cube": data[:3]}}
    asdf.AsdfFile(tree).write_to(tmp_path / "x.asdf")
    [ramp] = open_exposure(tmp_path / "x.asdf")
    np.testing.assert_array_equal(ramp.planes.read(), data.astype(np.float32))
    assert (ramp.facts.gain, ramp.facts.border, ramp.frames) == (1.7, 0, None)
    [other] = open_exposure(tmp_path / "x.asdf", DetectorConfig(dataset="more/cube"))
    assert other.shape == (3, 8, 9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.ones((64, 64), np.float32)}, r"got roman.data of shape \(64, 64\), as in"),
        ({"data": np.ones((2, 64, 64), np.uint16)}, "wanted at least 3 reads, got 2"),
        (
            {"data": np.ones((4, 64, 64), complex)},
            "roman.data: wanted real numbers, got complex128",
        ),
        ({"pattern": PATTERN[:3]}, "wanted one entry for each of 4 resultants, got 3"),
        ({"pattern": [[1], [2, 4], [5], [6]]}, "wanted ascending reads, those of a resultant in a"),
        ({"pattern": [[1], [], [5], [6]]}, "wanted ascending reads"),
        ({"pattern": "ab"}, "read_pattern: wanted lists of reads, got 'ab'"),
    ],
)
def test_what_is_no_ramp_is_refused(tmp_path, changes, message):
    roman(tmp_path / "x.asdf", **changes)
    with pytest.raises(OhanaError, match=r"x\.asdf: .*" + message):
        open_exposure(tmp_path / "x.asdf")


def test_without_data(tmp_path):
    asdf.AsdfFile({"roman": {"meta": {}}}).write_to(tmp_path / "x.asdf")
    with pytest.raises(OhanaError, match="wanted an array roman.data or data, got meta"):
        open_exposure(tmp_path / "x.asdf")
    with pytest.raises(OhanaError, match="wanted an array roman.dark, got meta"):
        open_exposure(tmp_path / "x.asdf", DetectorConfig(dataset="roman.dark"))


@pytest.mark.parametrize("compression", [None, "zlib", "lz4"])
def test_truncated(tmp_path, compression):
    path = tmp_path / "x.asdf"
    roman(path, compression=compression, more={"amp33": 0})
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(OhanaError, match=r"x.asdf: .*truncated"):
        open_exposure(path)


def test_damaged_tree_and_unknown_compression(tmp_path):
    path = tmp_path / "x.asdf"
    path.write_bytes(b"#ASDF 1.0.0\n%YAML 1.1\n--- {a: [}\n...\n")
    with pytest.raises(OhanaError, match="x.asdf: damaged or truncated ASDF file"):
        open_exposure(path)
    roman(path, compression="zlib")
    path.write_bytes(path.read_bytes().replace(b"zlib\0", b"abcd\0"))
    with pytest.raises(
        OhanaError, match="wanted a block without compression, or by zlib, .*'abcd'"
    ):
        open_exposure(path)


@pytest.mark.parametrize("package", ["asdf", "lz4"])
def test_names_the_extra(tmp_path, monkeypatch, package):
    roman(tmp_path / "x.asdf", compression="lz4")
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(OhanaError, match=rf"x.asdf: needs {package}: pip install 'ohana\[roman\]'"):
        open_exposure(tmp_path / "x.asdf")


def test_data_elsewhere_or_in_another_order(tmp_path):
    path = tmp_path / "x.asdf"
    data = np.ones((4, 8, 8), np.uint16)
    asdf.AsdfFile({"data": data}).write_to(path, all_array_storage="external")
    with pytest.raises(OhanaError, match="data: wanted its data in this file, got 'x0000.asdf'"):
        open_exposure(path)
    asdf.AsdfFile({"data": np.asfortranarray(data)}).write_to(path)
    with pytest.raises(OhanaError, match="data: wanted an array in C order"):
        open_exposure(path)
