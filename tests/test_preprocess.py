import numpy as np
import pytest

from ohana import DetectorConfig, Preprocessor
from ohana.errors import OhanaError


@pytest.fixture
def drifting(tmp_path):
    """A ramp of 10 DN per read that drifts by whole reads, with a border that sees the drift."""
    rng = np.random.default_rng(1)
    cube = np.zeros((6, 64, 64), np.float32) + rng.normal(0, 30, (64, 64)).astype(np.float32)
    cube[:, 4:-4, 4:-4] += 10 * np.arange(6, dtype=np.float32)[:, None, None]
    cube += np.array([0, 5, -7, 20, 3, 1], np.float32)[:, None, None]
    np.save(tmp_path / "ramp.npy", cube)
    return tmp_path


def test_drift_and_first_read_are_gone(drifting):
    config = DetectorConfig(border=4)
    path = Preprocessor(config).process(drifting / "ramp.npy", drifting / "out.npy")
    out = np.load(path)
    assert (out.shape, out.dtype) == ((5, 64, 64), np.float32)
    rise = 10 * np.arange(1, 6)[:, None, None]
    np.testing.assert_allclose(out[:, 4:-4, 4:-4], np.broadcast_to(rise, (5, 56, 56)), atol=1e-3)


def test_without_correction_the_drift_stays(drifting):
    config = DetectorConfig(border=4, reference_correction=False, shared_correction=False)
    out = np.load(Preprocessor(config).process(drifting / "ramp.npy", drifting / "out.npy"))
    np.testing.assert_allclose(out[:, 30, 30], [15, 13, 50, 43, 51], atol=1e-3)


def test_names_the_integration(drifting):
    with pytest.raises(OhanaError, match="wanted integration 3, the file has only 0"):
        Preprocessor().process(drifting / "ramp.npy", drifting / "out.npy", integration=3)
