"""Model files: what is written comes back, and anything else is refused in one line."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ohana.errors import OhanaError
from ohana.network import model_file as weights
from ohana.network.calibration import Calibration, Logistic
from ohana.network.inputs import CHANNELS
from ohana.network.model_file import Network, load_network, save_network
from ohana.network.unet3d import Architecture, UNet3D

FACTS = {"window": [64, 64, 64], "training": "0a1b", "scores": {"f1": 0.5}, "card": "A card."}
CALIBRATION = Calibration(snowball=Logistic(base=-0.5, score=0.75))
ENDINGS = (".pth", ".safetensors")


def random_network(seed=1, **architecture):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = UNet3D(Architecture(**architecture)).eval()
        for name, value in model.state_dict().items():
            if "running" in name:
                value.uniform_(0.5, 1.5)
    return Network(model, CALIBRATION, FACTS)


def stored(tmp_path, **changes):
    """Write a sound ``.pth`` with some entries changed, or left out if None."""
    path = tmp_path / "model.pth"
    save_network(path, random_network())
    content = torch.load(path, weights_only=True) | changes
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def refusal(path):
    with pytest.raises(OhanaError) as caught:
        load_network(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert "wanted " in message
    assert ", got " in message
    return message


@pytest.mark.parametrize("ending", ENDINGS)
def test_comes_back(tmp_path, ending):
    network, path = random_network(), tmp_path / f"model{ending}"
    save_network(path, network)
    again = load_network(str(path))
    assert not again.model.training
    assert not any(value.requires_grad for value in again.model.parameters())
    assert again.model.architecture == network.model.architecture
    assert again.calibration == network.calibration
    assert FACTS.items() <= again.facts.items()
    assert again.facts["channels"] == list(CHANNELS)
    assert again.facts["classes"] == ["background", "cosmic_ray", "telegraph_noise", "snowball"]
    assert set(again.facts["versions"]) == {"ohana", "torch"}
    x = torch.randn(1, len(CHANNELS), 5, 9, 11)
    with torch.inference_mode():
        torch.testing.assert_close(again.model(x), network.model(x), rtol=0, atol=0)


def test_both_kinds_hold_the_same(tmp_path):
    facts = FACTS | {"window": (64, 64, 64)}  # a tuple, which JSON does not know
    paths = [tmp_path / f"model{ending}" for ending in ENDINGS]
    for path in paths:
        save_network(path, Network(random_network().model, None, facts))
    torch_file, safe_file = map(load_network, paths)
    assert torch_file.facts == safe_file.facts
    assert torch_file.facts["window"] == [64, 64, 64]
    assert torch_file.calibration is None
    for name, value in torch_file.model.state_dict().items():
        assert torch.equal(value, safe_file.model.state_dict()[name])


def test_half_precision(tmp_path):
    path = stored(tmp_path)
    content = torch.load(path, weights_only=True)
    for name, value in content["state_dict"].items():
        content["state_dict"][name] = value.half() if value.is_floating_point() else value
    torch.save(content, path)
    values = load_network(path).model.parameters()
    assert all(value.dtype == torch.float32 for value in values)


def test_outputs_go_by_the_names_of_their_classes(tmp_path):
    classes = ["background", "snowball", "cosmic_ray", "telegraph_noise"]
    path = stored(tmp_path, classes=classes)
    assert load_network(path).classes == classes
    fewer = tmp_path / "fewer.pth"
    save_network(fewer, replace(random_network(classes=2), facts={"classes": classes[:2]}))
    assert load_network(fewer).classes == classes[:2]


def test_saving_again_keeps_what_is_known(tmp_path):
    first, second = tmp_path / "a.pth", tmp_path / "b.safetensors"
    save_network(first, random_network())
    save_network(second, load_network(first))
    assert load_network(second).facts == load_network(first).facts
    assert load_network(second).calibration == CALIBRATION


def test_what_cannot_be_saved(tmp_path):
    network = random_network()
    with pytest.raises(ValueError, match=r"wanted a name that ends in .pth or .safetensors"):
        save_network(tmp_path / "model.bin", network)
    for value in (float("nan"), np.zeros(2)):
        with pytest.raises(ValueError, match="facts: wanted plain finite values"):
            save_network(tmp_path / "model.pth", Network(network.model, None, {"loss": value}))
    with pytest.raises(OhanaError, match="cannot write: No such file or directory"):
        save_network(tmp_path / "nowhere" / "model.pth", network)
    assert not list(tmp_path.iterdir())


def test_no_file(tmp_path):
    assert "got No such file or directory" in refusal(tmp_path / "model.pth")
    assert "got Is a directory" in refusal(tmp_path)


def test_pretrained(tmp_path, monkeypatch):
    monkeypatch.setattr(weights.resources, "files", lambda package: tmp_path)
    with pytest.raises(OhanaError, match="pretrained: this installation holds no trained network"):
        load_network("pretrained")
    (tmp_path / "pretrained").mkdir()
    save_network(tmp_path / "pretrained" / "unet3d.safetensors", random_network())
    assert load_network("pretrained").facts["card"] == "A card."


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("keep", [0, 5, 0.3, 0.9, -1])
def test_cut_short(tmp_path, ending, keep):
    path = tmp_path / f"model{ending}"
    save_network(path, random_network())
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if 0 < keep < 1 else keep])
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_other_content(tmp_path, ending):
    path = tmp_path / f"model{ending}"
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    assert "damaged" in refusal(path)
    path.write_text("a: 1\n" * 100)
    assert "damaged" in refusal(path)


def test_foreign_torch_files(tmp_path):
    path = tmp_path / "model.pth"
    for content in (torch.zeros(3), [1, 2], torch.nn.Linear(2, 2).state_dict(), {"format": 1}):
        torch.save(content, path)
        assert "wanted a model that ohana-train has written" in refusal(path)
        assert "got a torch file with other content" in refusal(path)
    torch.save({"pytorch-lightning_version": "2.6.6", "state_dict": {}}, path)
    assert "got a checkpoint of Lightning: the model is in best_model_unet3d.pth" in refusal(path)
    torch.save({"model": torch.nn.Linear(2, 2)}, path)
    assert "a pickle with other things than weights" in refusal(path)


def test_foreign_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert "got a safetensors file with other content" in refusal(path)
    for text in ("[1]", '{"format": "other"}'):
        save_file({"weight": torch.zeros(2)}, path, {"ohana": text})
        assert "got a safetensors file with other content" in refusal(path)
    save_file({"weight": torch.zeros(2)}, path, {"ohana": "{"})
    assert "damaged" in refusal(path)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_is_executed(tmp_path, zipped):
    path, trace = tmp_path / "model.pth", tmp_path / "trace"
    content = {"format": "ohana.UNet3D", "version": 1, "state_dict": {}, "card": Bomb(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert "a pickle with other things than weights (posix.mkdir)" in refusal(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # it would have been
    assert trace.exists()


def test_wrong_entries(tmp_path):
    assert "model file of version 1, got 2" in refusal(stored(tmp_path, version=2))
    assert "got None" in refusal(stored(tmp_path, version=None))
    assert "got step, noise" in refusal(stored(tmp_path, channels=["step", "noise"]))
    wanted = "wanted 4 of the classes background, cosmic_ray, telegraph_noise, snowball, the "
    known = ["background", "cosmic_ray", "telegraph_noise", "snowball"]
    for classes in (known[1:] + known[:1], known[:3], [*known[:3], "shower"], known[:2] * 2):
        message = refusal(stored(tmp_path, classes=classes))
        assert wanted in message
        assert message.endswith(", ".join(classes))
    assert wanted in refusal(stored(tmp_path, classes=[[], {}, 1, None]))
    for entry in ("architecture", "classes"):
        assert f"wanted the entry {entry}" in refusal(stored(tmp_path, **{entry: None}))
    assert "wanted weights under 'state_dict', got NoneType" in refusal(
        stored(tmp_path, state_dict=None)
    )
    message = refusal(stored(tmp_path, calibration={"snowball": {}}))
    assert "calibration: wanted cosmic_ray, telegraph_noise, snowball, known, faint, got" in message
    assert "plain values beside" in refusal(stored(tmp_path, scores={"f1": torch.zeros(1)}))
    assert "plain values beside" in refusal(stored(tmp_path, scores={"f1": float("nan")}))


def test_wrong_architectures(tmp_path):
    sound = json.loads(json.dumps(asdict(Architecture())))
    assert "wanted an architecture of " in refusal(stored(tmp_path, architecture={"depth": 3}))
    assert "got list" in refusal(stored(tmp_path, architecture=[1]))
    for absurd in (10**9, -1, [8] * 10**4, [10**9, 10**9], 1e30, [0, 0], "x" * 1000):
        message = refusal(stored(tmp_path, architecture=sound | {"widths": absurd}))
        assert "wanted a sensible architecture, widths up to 1024" in message
        assert len(message) < 500
    for wrong in ("many", None, [1.5, 2.5], []):
        message = refusal(stored(tmp_path, architecture=sound | {"widths": wrong}))
        assert "wanted an architecture that can be built" in message
    many = [1024] * len(sound["widths"])
    assert "at most 50000000 weights" in refusal(
        stored(tmp_path, architecture=sound | {"widths": many})
    )


def test_wrong_weights(tmp_path):
    sound = random_network().model.state_dict()
    name = next(name for name, value in sound.items() if value.dim() > 1)
    tensor = sound[name]
    without = {key: value for key, value in sound.items() if key != name}
    assert f"wanted the weights {name}, got" in refusal(stored(tmp_path, state_dict=without))
    assert "got extra too" in refusal(stored(tmp_path, state_dict=sound | {"extra": tensor}))
    broken = tensor.clone()
    broken.view(-1)[3] = torch.nan
    for wrong, what in (
        (tensor[:1], "of shape"),
        (torch.zeros(1).expand(10**6, 10**6), "of shape"),
        (tensor.to(torch.int32), "got torch.int32"),
        (tensor.to(torch.complex64), "got torch.complex64"),
        (tensor.to_sparse(), "as a plain tensor"),
        ([1.0], "as a plain tensor, got list"),
        (broken, "finite weights in"),
    ):
        message = refusal(stored(tmp_path, state_dict=sound | {name: wrong}))
        assert what in message
        assert name in message
