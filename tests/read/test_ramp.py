"""Planes: what is read is what was written, for every type, window and order."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ohana.errors import OhanaError
from ohana.ramp import Planes, row_blocks

TYPES = [">i2", "<u2", "<i2", ">u2", "u1", ">i4", "<i4", ">f4", "<f4", ">f8", "<f8", "<f2"]


def written(path: Path, cube: np.ndarray, head: int = 7, **more) -> Planes:
    """Write a cube after some other bytes and return its planes."""
    path.write_bytes(b"x" * head + cube.tobytes() + b"the end")
    offsets = head + np.arange(len(cube)) * cube[0].nbytes
    return Planes(path, offsets, cube.shape[1:], cube.dtype, **more)


windows = st.builds(slice, st.integers(0, 8) | st.none(), st.integers(0, 8) | st.none())
steps = st.builds(slice, st.none(), st.none(), st.integers(1, 9))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    kind=st.sampled_from(TYPES), rows=windows | steps, cols=windows | steps, head=st.integers(0, 9)
)
def test_windows_are_what_was_written(tmp_path, kind, rows, cols, head):
    cube = np.random.default_rng(1).integers(0, 120, (4, 6, 7)).astype(kind)
    planes = written(tmp_path / "cube", cube, head)
    got = planes.read(rows, cols)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, cube[:, rows, cols])
    np.testing.assert_array_equal(planes.read_stored(rows, cols), cube[:, rows, cols])


def test_every_unsigned_16_bit_value_survives_its_offset(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256)
    stored = (values.astype(np.int32) - 32768).astype(">i2")
    planes = written(tmp_path / "cube", stored, zero=32768.0)
    np.testing.assert_array_equal(planes.read(), values)


def test_reversed_reads_with_their_own_scale_and_zero(tmp_path):
    cube = np.arange(24, dtype="<f4").reshape(3, 2, 4)
    planes = written(tmp_path / "cube", cube, scale=np.array([0.0, 2.0, 4.0]), zero=np.arange(3.0))
    backwards = planes.select(slice(None, None, -1))
    expected = (cube * np.array([0, 2, 4])[:, None, None] + np.arange(3)[:, None, None])[::-1]
    np.testing.assert_array_equal(backwards.read(), expected)
    assert len(planes.select(np.array([2]))) == 1


def test_large_integers_lose_nothing_to_their_offset(tmp_path):
    values = np.array([[[0, 5, 2**24 - 1]]])
    stored = (values - 2**31).astype(">i4")
    np.testing.assert_array_equal(written(tmp_path / "c", stored, zero=2.0**31).read(), values)


@pytest.mark.parametrize("kind", [">i2", "<i2", ">i4"])
def test_blank_values_are_nan(tmp_path, kind):
    cube = np.array([[[1, -32768], [3, 4]]] * 2).astype(kind)
    got = written(tmp_path / "c", cube, blank=-32768, zero=10.0).read()
    np.testing.assert_array_equal(got, [[[11, np.nan], [13, 14]]] * 2)


def test_a_file_cut_short_is_an_error_not_a_crash(tmp_path):
    planes = written(tmp_path / "cube", np.ones((3, 4, 4), ">f4"))
    (tmp_path / "cube").write_bytes(b"x" * 60)
    with pytest.raises(OhanaError, match="cube: has become shorter"):
        planes.read()
    (tmp_path / "cube").unlink()
    with pytest.raises(OhanaError, match="cube: cannot be read: No such file"):
        planes.read()


def test_slices_backwards_are_refused(tmp_path):
    planes = written(tmp_path / "cube", np.ones((3, 4, 4), ">f4"))
    with pytest.raises(ValueError, match="positive steps"):
        planes.read(slice(None, None, -1))


def test_row_blocks_cover_every_row_once():
    rows = [r for block in row_blocks(100, 32) for r in range(block.start, block.stop)]
    assert rows == list(range(100))
    with pytest.raises(ValueError, match="multiple of 16"):
        list(row_blocks(100, 20))
