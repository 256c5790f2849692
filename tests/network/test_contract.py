"""The contract for networks: another network goes through model files and inference as it is."""

from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.network import networks
from ohana.network.contract import Network3D
from ohana.network.device import for_inference
from ohana.network.inputs import CHANNELS, OF_READS, NetworkInput
from ohana.network.model_file import Network, load_network, save_network
from ohana.network.tiling import tile
from ohana.network.unet3d import Architecture, UNet3D


@dataclass(frozen=True)
class Size:
    channels: int = len(CHANNELS)
    classes: int = len(Label)

    def as_dict(self):
        return asdict(self)


class VoxelByVoxel(Network3D):
    """Sees nothing but the voxel itself."""

    stride, context, bytes_per_voxel = (1, 1, 1), (0, 0, 0), 100.0

    def __init__(self, architecture=None):
        super().__init__()
        self.architecture = architecture or Size()
        self.only = torch.nn.Conv3d(self.architecture.channels, self.architecture.classes, 1)

    def forward(self, x):
        return self.only(x)

    def logits(self, x, kept):
        times, rows, cols = kept
        for read in range(times.start, times.stop):
            part = x[:, :, read : read + 1, rows, cols]
            yield slice(read, read + 1), self.only(part)[0]

    def for_inference(self):
        return VoxelByVoxel(self.architecture).eval().requires_grad_(False)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "tests.VoxelByVoxel", (VoxelByVoxel, Size))


def test_a_network_without_what_the_contract_asks_for_cannot_be_made():
    class Half(Network3D):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half()


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_model_file_says_which_network_it_holds(tmp_path, ending):
    for model in (VoxelByVoxel(), UNet3D(Architecture(widths=(4,), strides=()))):
        path = tmp_path / f"model{ending}"
        save_network(path, Network(model.eval()))
        again = load_network(path).model
        assert type(again) is type(model)
        assert again.architecture == model.architecture


def test_a_network_that_is_not_registered_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "tests.VoxelByVoxel", (VoxelByVoxel, Size))
    save_network(tmp_path / "model.pth", Network(VoxelByVoxel().eval()))
    monkeypatch.delitem(networks.NETWORKS, "tests.VoxelByVoxel")
    with pytest.raises(OhanaError, match="wanted a model that ohana-train has written, got a tor"):
        load_network(tmp_path / "model.pth")


@pytest.mark.parametrize(
    "model", [VoxelByVoxel(), UNet3D(Architecture(widths=(4, 6), strides=((1, 2, 2),)))]
)
def test_logits_of_a_part_are_those_of_the_whole(model):
    model = model.eval()
    side = [4 * n for n in model.stride]
    x = torch.randn(1, len(CHANNELS), *side, generator=torch.Generator().manual_seed(1))
    kept = slice(2, side[0]), slice(1, side[1] - 1), slice(0, side[2] - 3)
    with torch.inference_mode():
        whole = model(x)[0]
        reads = [(slice_, part) for slice_, part in model.logits(x, kept)]
    assert [read for slice_, _ in reads for read in range(slice_.start, slice_.stop)] == list(
        range(2, side[0])
    )
    part = torch.cat([part for _, part in reads], 1)
    torch.testing.assert_close(part, whole[:, *kept], rtol=1e-4, atol=1e-5)


def test_inference_asks_for_nothing_else():
    assert tile((20, 30, 40), VoxelByVoxel()).times[0].kept == slice(0, 20)
    engine = for_inference(VoxelByVoxel(), "float32")
    seen = NetworkInput(
        np.zeros((OF_READS, 5, 6, 7), np.float32),
        np.zeros((len(CHANNELS) - OF_READS, 6, 7), np.float32),
    )
    assert engine.input(seen, slice(0, 5)).shape == (1, len(CHANNELS), 5, 6, 7)
