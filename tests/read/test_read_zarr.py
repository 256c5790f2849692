"""Zarr stores: arrays and groups, folders and zip files, both versions of the format."""

import numpy as np
import pytest
import zarr
from zarr.storage import ZipStore

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.read import open_exposure
from ohana.read import unpack as scratch
from ohana.results.corrected_cube import fingerprint

RNG = np.random.default_rng(9)
CUBE = RNG.integers(0, 65536, (7, 40, 33), dtype=np.uint16)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("chunks", [(1, 40, 33), (7, 16, 8), (3, 7, 33)])
@pytest.mark.parametrize("block", [100, 1 << 27])
def test_array(tmp_path, monkeypatch, version, chunks, block):
    monkeypatch.setattr(scratch, "BLOCK_BYTES", block)
    path = tmp_path / "dark.zarr"
    array = zarr.create_array(
        path, shape=CUBE.shape, dtype=CUBE.dtype, chunks=chunks, zarr_format=version
    )
    array[:] = CUBE
    array.attrs["gain"] = 1.9
    [ramp] = open_exposure(path)
    assert (ramp.name, ramp.shape) == ("dark", CUBE.shape)
    assert (ramp.facts.gain, ramp.facts.saturation) == (1.9, 65535)
    np.testing.assert_array_equal(ramp.planes.read(), CUBE)
    np.testing.assert_array_equal(ramp.planes.read(slice(5, 9)), CUBE[:, 5:9])


def test_group_with_shards_and_integrations(tmp_path):
    group = zarr.create_group(tmp_path / "x", attributes={"FRAME_TIME": 5.0, "NFRAMES": 2})
    data = RNG.normal(0, 1, (2, 4, 32, 16)).astype(np.float32)
    array = group.create_array(
        "data", shape=data.shape, dtype=data.dtype, chunks=(1, 2, 8, 8), shards=(1, 4, 16, 16)
    )
    array[:] = data
    group.create_array("other", shape=(3, 4, 4), dtype=np.float32)
    ramps = open_exposure(tmp_path / "x")
    for ramp, expected in zip(ramps, data, strict=True):
        np.testing.assert_array_equal(ramp.planes.read(), expected)
    assert [ramp.integration for ramp in ramps] == [0, 1]
    assert (ramps[0].facts.frame_time, ramps[0].facts.nframes) == (5.0, 2)
    [other] = open_exposure(tmp_path / "x", DetectorConfig(dataset="other"))
    assert other.shape == (3, 4, 4)


def test_zip_file(tmp_path):
    with ZipStore(tmp_path / "dark.zarr.zip", mode="w") as store:
        zarr.create_array(store, data=CUBE, name="cube", chunks=(1, 40, 33))
    [ramp] = open_exposure(tmp_path / "dark.zarr.zip")
    assert ramp.name == "dark"
    np.testing.assert_array_equal(ramp.planes.read(), CUBE)


def test_a_changed_chunk_changes_the_fingerprint(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", data=CUBE, chunks=(1, 40, 33))
    config = DetectorConfig()
    [ramp] = open_exposure(tmp_path / "x.zarr")
    before = fingerprint(ramp, config)
    assert fingerprint(ramp, config) == before
    array[3, 2, 1] += 1
    assert fingerprint(ramp, config) != before


def test_without_data(tmp_path):
    group = zarr.create_group(tmp_path / "x.zarr")
    with pytest.raises(OhanaError, match="x.zarr: wanted an array 'data', got none; set `dataset`"):
        open_exposure(tmp_path / "x.zarr")
    group.create_array("a", shape=(3, 4, 4), dtype=np.uint16)
    group.create_array("b", shape=(3, 4, 4), dtype=np.uint16)
    with pytest.raises(OhanaError, match="x.zarr: wanted an array 'data', got a, b; set `dataset`"):
        open_exposure(tmp_path / "x.zarr")
    with pytest.raises(OhanaError, match="wanted an array 'c', got a, b"):
        open_exposure(tmp_path / "x.zarr", DetectorConfig(dataset="c"))


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((8, 8), "u2", "wanted real numbers of shape .* got uint16 of shape \\(8, 8\\)"),
        ((4, 8, 8), "c8", "wanted real numbers of shape .* got complex64"),
        ((2, 8, 8), "u2", "wanted at least 3 reads, got 2"),
    ],
)
def test_what_is_no_ramp_is_refused(tmp_path, shape, dtype, message):
    zarr.create_array(tmp_path / "x.zarr", shape=shape, dtype=dtype)
    with pytest.raises(OhanaError, match=r"x\.zarr: .*" + message):
        open_exposure(tmp_path / "x.zarr")


def test_damaged(tmp_path):
    path = tmp_path / "x.zarr"
    zarr.create_array(path, data=CUBE, chunks=(1, 40, 33))
    (path / "c" / "2" / "0" / "0").write_bytes(b"nothing")
    with pytest.raises(OhanaError, match=r"x.zarr: cannot be read as zarr"):
        open_exposure(path)
    (tmp_path / "y.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(OhanaError, match=r"y.zip: cannot be read as zarr"):
        open_exposure(tmp_path / "y.zip")
