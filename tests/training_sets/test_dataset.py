"""Training sets as torch reads them."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader

from ohana import OhanaDataset
from ohana.errors import OhanaError
from ohana.training_sets.labels import paint
from ohana.training_sets.store import load_reference
from training_sets import make, stored


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("set")
    make(path, num_exposure_events=5, num_frames=10, test_fraction=0.2, overlap=4)
    return path


def test_items_are_windows_of_reads_and_labels(folder):
    data, exposures = OhanaDataset(folder), stored(folder)
    assert data.names == [exposure.name for exposure in exposures]
    assert (data.window, data.num_classes, data.starts) == (4, 4, [0, 4, 6])
    assert len(data) == 4 * 9 * 3
    seen = set()
    for item in range(len(data)):
        reads, labels, place = data[item]
        assert (reads.dtype, labels.dtype) == (torch.uint16, torch.uint8)
        assert reads.shape == labels.shape == (4, 20, 20)
        number, patch, first = place.tolist()
        seen.add((number, patch, first))
        exposure = exposures[number]
        row, col = exposure.group["corners"][patch]
        cut = np.s_[first : first + 4, row : row + 20, col : col + 20]
        assert np.array_equal(reads.numpy(), exposure.cube[cut])
        runs = exposure.runs.select(exposure.runs.snr >= 3)
        assert np.array_equal(labels.numpy(), paint(runs, (0, 0), 0, (10, 40, 40))[cut])
    assert len(seen) == len(data)
    assert sorted({first for _, _, first in seen}) == [0, 4, 6]


def test_windows_of_any_length(folder):
    data = OhanaDataset(folder, window=7)
    assert data.starts == [0, 3]
    assert np.array_equal(data[1].reads.numpy(), OhanaDataset(folder, window=10)[0].reads[3:])
    assert OhanaDataset(folder, window=99).starts == [0]
    with pytest.raises(ValueError, match="window: wanted at least 1 read, got -1"):
        OhanaDataset(folder, window=-1)


def test_fainter_pixels_are_labelled_if_wanted(folder):
    bright, usual, faint = (
        sum(int((data[i].labels > 0).sum()) for i in range(len(data)))
        for data in (OhanaDataset(folder, min_snr=snr) for snr in (50.0, 3.0, 1.0))
    )
    assert 0 < bright < usual < faint


def test_splits_and_exposures_can_be_chosen(folder):
    test = OhanaDataset(folder, "test")
    assert len(test.names) == 1
    assert test.names[0] not in OhanaDataset(folder).names
    some = OhanaDataset(folder, exposures=OhanaDataset(folder).names[1:3])
    assert len(some) == 2 * 9 * 3
    with pytest.raises(OhanaError, match=r"training.zarr: no exposure moon"):
        OhanaDataset(folder, exposures=["moon"])


def test_correction_comes_with_an_exposure(folder):
    opened = OhanaDataset(folder).open(1)
    wanted = load_reference(stored(folder)[1].group)
    assert np.array_equal(opened.reference.common, wanted.common)
    assert opened.corners.shape == (9, 2)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_read_the_same(folder, start):
    data = OhanaDataset(folder)
    _ = data[0]  # open in this process, too
    loader = DataLoader(data, 5, num_workers=2, multiprocessing_context=start)
    batches = list(loader)
    assert batches[0].reads.shape == (5, 4, 20, 20)
    places = torch.cat([batch.place for batch in batches])
    assert torch.equal(places, torch.stack([data[i].place for i in range(len(data))]))
    last = batches[-1]
    assert torch.equal(last.reads[-1], data[len(data) - 1].reads)
    assert torch.equal(last.labels[-1], data[len(data) - 1].labels)


def test_item_out_of_range(folder):
    data = OhanaDataset(folder)
    with pytest.raises(IndexError, match="item: wanted 0 to 107, got 108"):
        data[108]


def test_no_training_set(tmp_path):
    with pytest.raises(OhanaError, match=r"training.zarr: no training set: wanted what ohana-cre"):
        OhanaDataset(tmp_path)
    zarr.create_group(tmp_path / "training.zarr", attributes={"ohana_format": 1})
    with pytest.raises(OhanaError, match=r"training.zarr: no exposures in it yet"):
        OhanaDataset(tmp_path)


def test_set_of_another_format(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "set")
    root = zarr.open_group(tmp_path / "set" / "training.zarr")
    root.attrs["ohana_format"] = 7
    with pytest.raises(OhanaError, match="wanted a training set of format 1, got 7"):
        OhanaDataset(tmp_path / "set")


@pytest.mark.parametrize("part", ["patches", "corners", "labels/start", "reference/common"])
def test_missing_arrays_are_told(folder, tmp_path, part):
    shutil.copytree(folder, tmp_path / "set")
    name = OhanaDataset(folder).names[1]
    shutil.rmtree(tmp_path / "set" / "training.zarr" / name / part)
    data = OhanaDataset(tmp_path / "set")
    with pytest.raises(OhanaError, match=rf"{name}: incomplete exposure: .*{part}"):
        data[27]


def test_damaged_reads_are_told(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "set")
    name = OhanaDataset(folder).names[0]
    shard = next((tmp_path / "set/training.zarr" / name / "patches/c").rglob("0"))
    shard = next(p for p in shard.parent.rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(OhanaError, match=rf"{name}: cannot read: "):
        _ = [OhanaDataset(tmp_path / "set")[i] for i in range(27)]


def test_missing_torch_is_told():
    code = "import sys; sys.modules['torch'] = None; from ohana import OhanaDataset"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == (
        "ImportError: ohana.OhanaDataset needs PyTorch: pip install 'ohana[unet]'"
    )
