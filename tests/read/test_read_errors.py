"""Bad input: one line that names the file, what was wanted and what came."""

import errno
import os
import pickle
import resource
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from astropy.io import fits

from ohana.errors import OhanaError
from ohana.read import open_exposure

CUBE = np.arange(4 * 30 * 30, dtype=np.uint16).reshape(4, 30, 30)


def refused(path, words: str) -> None:
    """See that opening fails with one line that has the name and the words, in this order."""
    with pytest.raises(OhanaError, match=words) as caught:
        open_exposure(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def fits_file(path: Path, *images, names=None, primary=None) -> Path:
    hdus = [fits.PrimaryHDU(primary)]
    hdus += [
        fits.ImageHDU(image, name=names[i] if names else None) for i, image in enumerate(images)
    ]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def test_missing_file(tmp_path):
    refused(tmp_path / "none.fits", "no such file or folder")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.fits", b"hello world", "not a FITS file: it starts with b'hello world'"),
        ("a.h5", b"hello world", "not a HDF5 file"),
        ("a.npy", pickle.dumps([1, 2]), "not a .npy file: it starts with b"),
        ("a.fits.gz", b"hello world", "not a gzip file"),
        ("a.docx", b"hello world", "wanted FITS .* or a folder of TIFF frames, got .*'.docx'"),
        ("README", b"hello world", "got a file with no ending and unknown content"),
        ("a.fits", b"", "the file is empty"),
    ],
)
def test_unknown_content(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, words)


@pytest.mark.parametrize("keep", [0.99, 0.5, 0.4])
def test_truncated_cube(tmp_path, keep):
    path = fits_file(tmp_path / "a.fits", primary=CUBE)
    size = 2880 + CUBE.nbytes
    path.write_bytes(path.read_bytes()[: int(keep * size)])
    refused(path, f"truncated: the data of extension 0 end at byte {size}, .* {int(keep * size)}")


def test_lost_padding_is_no_truncation(tmp_path):
    path = fits_file(tmp_path / "a.fits", primary=CUBE)
    path.write_bytes(path.read_bytes()[: 2880 + CUBE.nbytes])
    [ramp] = open_exposure(path)
    np.testing.assert_array_equal(ramp.planes.read(), CUBE)


def test_truncated_extension_or_header(tmp_path):
    path = fits_file(tmp_path / "a.fits", *CUBE)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2000])
    refused(path, "truncated: the data of extension 4 end at byte")
    last = whole.rindex(b"XTENSION")
    path.write_bytes(whole[: last + 100])
    refused(path, "truncated: the header of extension 4 is cut short")
    path.write_bytes(whole[:200])
    refused(path, "damaged or truncated FITS file: ")


def test_truncated_compressed_file(tmp_path):
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(CUBE)]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    whole = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(whole[: len(whole) - 2880])
    refused(tmp_path / "a.fits", "truncated: the data of extension 1")
    fits.writeto(tmp_path / "b.fits.gz", CUBE)
    whole = (tmp_path / "b.fits.gz").read_bytes()
    (tmp_path / "b.fits.gz").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "b.fits.gz", "damaged or truncated gzip file")


def test_what_is_no_ramp(tmp_path):
    start = "wanted at least 3 reads of one detector, got "
    path = fits_file(tmp_path / "a.fits", primary=CUBE[0])
    refused(path, f"{start}it is a two-dimensional image")
    refused(fits_file(path), f"{start}it holds no data")
    table = fits.BinTableHDU.from_columns([fits.Column("t", "E", array=[1.0])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    refused(path, f"{start}it holds only tables")
    refused(fits_file(path, CUBE, CUBE), f"{start}several cubes, in extensions 1 .no name., 2")
    refused(fits_file(path, *CUBE[:2], names=["ERR", "DQ"]), f"{start}no image that could be")
    names = ["SIGNAL", "QUALITY", "SLOPE"]
    refused(fits_file(path, *CUBE[:3], names=names), f"{start}images of different kinds: SIGNAL,")


def test_euclid_le1_is_no_ramp(tmp_path):
    names = [f"DET{i}{j}.{kind}" for i in (1, 2) for j in (1, 2) for kind in ("SCI", "CHI2")]
    path = fits_file(tmp_path / "a.fits", *[CUBE[0]] * 8, names=names)
    refused(path, "one image for each of 4 detectors, as in Euclid LE1")


def test_too_few_reads(tmp_path):
    refused(fits_file(tmp_path / "a.fits", primary=CUBE[:2]), "wanted at least 3 reads, got 2")
    refused(fits_file(tmp_path / "b.fits", *CUBE[:2]), "wanted at least 3 reads, got 2")
    np.save(tmp_path / "c.npy", CUBE[:2])
    refused(tmp_path / "c.npy", "wanted at least 3 reads, got 2")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["data"] = CUBE[:2]
    refused(tmp_path / "d.h5", "wanted at least 3 reads, got 2")
    (tmp_path / "e").mkdir()
    tifffile.imwrite(tmp_path / "e" / "1.tif", CUBE[0])
    refused(tmp_path / "e", "wanted at least 3 reads, got 1")


def test_mixed_reads(tmp_path):
    path = fits_file(tmp_path / "a.fits", CUBE[0], CUBE[1], CUBE[2, :20])
    refused(path, r"mixed reads: wanted the same shape in all, got \(30, 30\) in extension 1")
    path = fits_file(tmp_path / "a.fits", CUBE[0], CUBE[1], CUBE[2].astype(np.float32))
    refused(path, "mixed reads: wanted the same type in all, got >i2 .* and >f4 in extension 3")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_finite(tmp_path, value):
    cube = np.full(CUBE.shape, value, np.float32)
    refused(fits_file(tmp_path / "a.fits", primary=cube), "not one finite value in all 4 reads")
    cube[3, 29, 29] = 1  # one is enough
    assert len(open_exposure(fits_file(tmp_path / "b.fits", primary=cube))) == 1


def test_wrong_arrays(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([[[{}]] * 3], dtype=object), allow_pickle=True)
    refused(path, "wanted an array of real numbers, got object")
    np.save(path, CUBE.astype(complex))
    refused(path, "wanted an array of real numbers, got complex128")
    np.save(path, CUBE[0])
    refused(path, r"wanted an array \(reads, rows, columns\), got shape \(30, 30\)")
    np.save(path, CUBE)
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "truncated: the data end at byte 7328, the file at 7327")
    path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': broken")
    refused(path, "damaged .npy file")


def test_wrong_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = CUBE.astype(complex)
    refused(path, "data set '/data': wanted real numbers .* got complex128")
    with h5py.File(path, "w") as file:
        file["data"] = CUBE
    path.write_bytes(path.read_bytes()[:-2000])
    refused(path, "truncated")
    with h5py.File(path, "w") as file:
        file["notes"] = "text"
    refused(path, "wanted a data set 'data', got notes")


def test_folders_without_frames(tmp_path):
    refused(tmp_path, "wanted a folder of TIFF frames, got an empty folder")
    (tmp_path / "a.txt").write_text("")
    refused(tmp_path, "wanted a folder of TIFF frames, got 1 other files")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission_at_all(tmp_path):
    path = fits_file(tmp_path / "a.fits", primary=CUBE)
    path.chmod(0)
    refused(path, "cannot be read: Permission denied")


def test_no_permission(tmp_path, monkeypatch):
    def denied(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", denied)
    refused(tmp_path, "cannot be read: Permission denied")


@pytest.fixture
def full_disk():
    """Let no file grow beyond a few bytes, which is what a full disk looks like to a program."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("kind", ["fits.gz", "npy"])
def test_full_disk(tmp_path, monkeypatch, full_disk, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, np.asfortranarray(CUBE))
    else:
        fits.writeto(path, CUBE)
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    full_disk()
    words = f"room: wanted room to unpack a.{kind}, got: File too large; set TMPDIR"
    with pytest.raises(OhanaError, match=words) as caught:
        open_exposure(path)
    del caught
    assert not list(room.iterdir())
