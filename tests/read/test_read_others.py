"""HDF5, .npy and TIFF."""

import h5py
import numpy as np
import pytest
import tifffile

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.read import numpy_file, open_exposure
from ohana.read import unpack as scratch

CUBE = np.random.default_rng(5).integers(0, 65536, (7, 10, 12), dtype=np.uint16)


def read_one(path, config=None) -> np.ndarray:
    [ramp] = open_exposure(path, config)
    return ramp.planes.read()


def hdf5_file(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file[name] = data
    return path


def test_contiguous_hdf5_is_read_in_place(tmp_path):
    path = hdf5_file(tmp_path / "a.h5", data=CUBE, err=CUBE + 1)
    with h5py.File(path, "a") as file:
        file["data"].attrs.update({"gain": 2.0, "frame_time": 1.5, "border": 2})
        file.attrs["read_noise"] = np.array([10.0])
    [ramp] = open_exposure(path)
    assert ramp.planes.path == path
    np.testing.assert_array_equal(ramp.planes.read(), CUBE)
    facts = ramp.facts
    assert (facts.gain, facts.frame_time, facts.read_noise) == (2.0, 1.5, 5.0)
    assert (facts.border, facts.sources["border"]) == (2, "header BORDER")


@pytest.mark.parametrize("chunks", [(1, 10, 12), (2, 4, 5), (7, 3, 12)])
@pytest.mark.parametrize("block", [1 << 27, 100])
def test_chunked_hdf5_is_unpacked(tmp_path, monkeypatch, chunks, block):
    monkeypatch.setattr(scratch, "BLOCK_BYTES", block)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x/reads", data=CUBE, chunks=chunks, compression="gzip")
        file["table"] = np.arange(3)
    np.testing.assert_array_equal(read_one(tmp_path / "a.h5"), CUBE)


@pytest.mark.parametrize("kind", [">i2", ">u2", ">f4", "<f8", "<i4"])
@pytest.mark.parametrize("ending", ["h5", "npy"])
def test_types_and_byte_orders(tmp_path, kind, ending):
    cube, path = (CUBE // 4).astype(kind), tmp_path / f"a.{ending}"
    if ending == "h5":
        hdf5_file(path, data=cube)
    else:
        np.save(path, cube)
    np.testing.assert_array_equal(read_one(path), cube)


def test_the_data_set_can_be_named(tmp_path):
    path = hdf5_file(tmp_path / "a.h5", **{"first": CUBE, "run/second": CUBE[::-1]})
    with pytest.raises(OhanaError, match="wanted a data set 'data', got first, run/second; set"):
        open_exposure(path)
    config = DetectorConfig(dataset="/run/second")
    np.testing.assert_array_equal(read_one(path, config), CUBE[::-1])


@pytest.mark.parametrize("chunks", [None, (1, 2, 5, 6)])
def test_integrations_in_hdf5(tmp_path, chunks):
    cubes = np.stack([CUBE, CUBE[::-1]])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=cubes, chunks=chunks)
    ramps = open_exposure(tmp_path / "a.h5")
    np.testing.assert_array_equal([ramp.planes.read() for ramp in ramps], cubes)


@pytest.mark.parametrize("block", [1 << 28, 1])
def test_npy_in_any_order(tmp_path, monkeypatch, block):
    monkeypatch.setattr(numpy_file, "BLOCK_BYTES", block)
    np.save(tmp_path / "c.npy", CUBE)
    np.save(tmp_path / "f.npy", np.asfortranarray(CUBE))
    assert open_exposure(tmp_path / "c.npy")[0].scratch is None
    np.testing.assert_array_equal(read_one(tmp_path / "c.npy"), CUBE)
    np.testing.assert_array_equal(read_one(tmp_path / "f.npy"), CUBE)
    np.save(tmp_path / "n.npy", np.asfortranarray(np.stack([CUBE, CUBE + 1])))
    ramps = open_exposure(tmp_path / "n.npy")
    np.testing.assert_array_equal(ramps[1].planes.read(), CUBE + 1)


def test_what_is_infinite_is_not_known(tmp_path):
    cube = CUBE.astype(np.float32)
    cube[2, 3, 4], cube[5, 6, 7] = np.inf, -np.inf
    np.save(tmp_path / "a.npy", cube)
    read = read_one(tmp_path / "a.npy")
    assert np.argwhere(~np.isfinite(read)).tolist() == [[2, 3, 4], [5, 6, 7]]
    assert np.isnan(read[2, 3, 4])
    assert np.isnan(read[5, 6, 7])


def frames(folder, cube, name="frame_{}.tif", **more):
    folder.mkdir()
    for t, image in enumerate(cube):
        tifffile.imwrite(folder / name.format(t + 6), image, **more)
    return folder


def test_tiff_frames_in_natural_order(tmp_path):
    folder = frames(tmp_path / "night", CUBE)
    (folder / "notes.txt").write_text("clouds")
    (folder / ".hidden.tif").write_text("no frame")
    assert sorted(path.name for path in folder.glob("f*"))[0] == "frame_10.tif"
    [ramp] = open_exposure(folder)
    np.testing.assert_array_equal(ramp.planes.read(), CUBE)
    assert (ramp.name, ramp.facts.saturation) == ("night", 65535)
    assert len(ramp.notes) == 1


def test_tiff_detectors_side_by_side(tmp_path):
    folder = frames(tmp_path / "night", CUBE, compression="zlib")
    for index, cols in enumerate((slice(0, 6), slice(6, 12))):
        config = DetectorConfig(detectors_side_by_side=2, detector_index=index)
        np.testing.assert_array_equal(read_one(folder, config), CUBE[:, :, cols])
    with pytest.raises(OhanaError, match=r"frame_6.tif: wanted 5 detectors .*, got 12 columns"):
        open_exposure(folder, DetectorConfig(detectors_side_by_side=5))


def test_tiff_pages(tmp_path):
    tifffile.imwrite(tmp_path / "a.tiff", CUBE)
    np.testing.assert_array_equal(read_one(tmp_path / "a.tiff"), CUBE)


def test_a_missing_frame_is_noticed(tmp_path):
    folder = frames(tmp_path / "night", CUBE)
    (folder / "frame_8.tif").unlink()
    [ramp] = open_exposure(folder)
    assert "frame 9 follows frame 7: taken as evenly spaced all the same" in ramp.notes


def test_frames_that_differ_are_refused(tmp_path):
    folder = frames(tmp_path / "night", CUBE)
    tifffile.imwrite(folder / "frame_9.tif", CUBE[0, :5])
    with pytest.raises(OhanaError, match=r"frame_9.tif: mixed frames: wanted .*\(10, 12\)"):
        open_exposure(folder)
    tifffile.imwrite(folder / "frame_9.tif", CUBE[0].astype(np.float32))
    with pytest.raises(OhanaError, match=r"frame_9.tif: mixed frames: .* got float32"):
        open_exposure(folder)
    (folder / "frame_9.tif").write_bytes(b"II*\0 nonsense")
    with pytest.raises(OhanaError, match=r"frame_9.tif: wanted one frame in each file, got 0"):
        open_exposure(folder)
    whole = (folder / "frame_8.tif").read_bytes()
    (folder / "frame_9.tif").write_bytes(whole[: len(whole) - 50])
    with pytest.raises(OhanaError, match=r"frame_9.tif: cannot be read as TIFF"):
        open_exposure(folder)
    tifffile.imwrite(folder / "frame_9.tif", np.zeros((10, 12, 3), np.uint8), photometric="rgb")
    with pytest.raises(OhanaError, match=r"frame_9.tif: wanted a grey frame"):
        open_exposure(folder)
    tifffile.imwrite(folder / "frame_9.tif", CUBE[:2])
    with pytest.raises(OhanaError, match=r"frame_9.tif: wanted one frame in each file, got 2"):
        open_exposure(folder)
