"""The network over an exposure: windows leave no trace, whatever their size."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.fit import corrected_ramp
from ohana.correction.load import CorrectedRamp, load_block
from ohana.detect.row_block import Searched
from ohana.errors import OhanaError
from ohana.events import PixelMaps
from ohana.network import device as backend
from ohana.network import inference as predict
from ohana.network import unet3d
from ohana.network.inference import run_network
from ohana.network.inputs import CHANNELS, OF_READS, USABLE, NetworkInput, network_input
from ohana.network.model_file import Network
from ohana.network.tiling import Tiling, spans, tile
from ohana.network.tuning import TUNING
from ohana.network.unet3d import Architecture, UNet3D
from ohana.pipeline import search_pixels
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import covariance_of
from ohana.rampfit.curves import curve_shapes
from ohana.rampfit.scan import Ramps, step_at
from ohana.read import open_exposure
from ohana.simulate import SimulationConfig, simulate_exposure, write_fits

#: Results are compared with those of the model as it is, which is float32.
CONFIG = DetectorConfig(threads=1, network_precision="float32")
TOLERANCE = 1e-5
#: Sizes, and how the detector is read out.
EXPOSURES = {
    "long": {"reads": 33, "rows": 64, "cols": 80},
    "odd": {"reads": 7, "rows": 61, "cols": 43, "outputs": 1},
    "transposed": {
        "reads": 5,
        "rows": 43,
        "cols": 61,
        "outputs": 1,
        "fast_axis": -2,
        "slow_axis": 1,
    },
    "short": {"reads": 4, "rows": 40, "cols": 56, "border": 4},
}


@pytest.fixture(autouse=True)
def _one_thread():
    """Small windows take longer on several threads, by far if others want them too."""
    with backend.using_threads(1):
        yield


#: Of a network of three levels.
STRIDES = ((2, 2, 2), (1, 2, 2))


def silent(stage, done, total):
    pass


def random_network(seed=3, **architecture):
    """A small network whose output differs from place to place."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = UNet3D(Architecture(widths=(6, 8, 10), strides=STRIDES, **architecture)).eval()
        for name, value in model.state_dict().items():
            if "running_var" in name:
                value.uniform_(0.02, 0.1)
            elif "running_mean" in name:
                value.normal_(0, 0.2)
        model.unfold.weight.data *= 3
        model.unfold.bias.data[0] += 4.0
    return Network(model)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Exposures with all classes, saturation and hot pixels, and what the rules know of them."""
    made = {}
    for name, size in EXPOSURES.items():
        config = SimulationConfig(
            cosmic_rays=12,
            telegraph_pixels=10,
            snowballs=1,
            snowball_radius=(4.0, 4.5),
            trail_fraction=0.0,
            saturating_fraction=0.02,
            hot_fraction=0.02,
            **size,
        )
        path = tmp_path_factory.mktemp(name) / "exposure.fits"
        write_fits(simulate_exposure(config, np.random.default_rng(5)), path)
        [ramp] = open_exposure(path, CONFIG)
        source = corrected_ramp(ramp, CONFIG)[0]
        made[name] = search_pixels(source, CONFIG, None, silent)
    return made


def asked_whole(source, steps, maps, network):
    """Probabilities (classes, T, H, W) from one window, and the input (C, T, H, W) it had."""
    block, _ = load_block(source, slice(0, source.ramp.shape[1]))
    np.testing.assert_array_equal(block.stop, maps.stop)
    x = network_input(block, maps, steps, covariance_of(source.ramp), 1).whole()
    with torch.inference_mode():
        logits = network.model(torch.from_numpy(x)[None])
    return torch.softmax(logits[0], 0).numpy(), x


def small_windows(monkeypatch, reads, side):
    def small(shape, model):
        (t, y, x), (dt, dy, dx) = model.context, model.stride
        assert (reads % dt, side % dy, side % dx) == (0, 0, 0)
        return Tiling(*map(spans, shape, (reads, side, side), (t, y, x)))

    monkeypatch.setattr(predict, "tile", small)


@pytest.mark.parametrize("name", EXPOSURES)
@pytest.mark.parametrize(("reads", "side"), [(8, 16), (4, 24), (400, 400)])
def test_windows_leave_no_trace(seen, monkeypatch, name, reads, side):
    source, steps, maps = seen[name][:3]
    network = random_network()
    small_windows(monkeypatch, reads, side)
    output = run_network(seen[name], network, CONFIG, silent)
    chance, x = asked_whole(source, steps, maps, network)

    usable = x[USABLE] > 0
    mean = (chance[Label.TELEGRAPH_NOISE] * usable).sum(0) / np.maximum(usable.sum(0), 1)
    np.testing.assert_allclose(output.telegraph, mean, atol=TOLERANCE)
    assert mean.std() > 0.01

    voxels = output.voxels
    at = (voxels.read, voxels.row, voxels.col)
    np.testing.assert_allclose(voxels.p_cosmic_ray, chance[Label.COSMIC_RAY][at], atol=TOLERANCE)
    np.testing.assert_allclose(voxels.p_snowball, chance[Label.SNOWBALL][at], atol=TOLERANCE)
    jump = np.arange(x.shape[1])[:, None, None] == maps.stop
    known = np.isfinite(maps.noise) & (maps.noise > 0)
    allowed = usable | (jump & known)
    allowed[0] = False
    highest = np.maximum(chance[Label.COSMIC_RAY], chance[Label.SNOWBALL])
    listed = np.zeros(x.shape[1:], int)
    np.add.at(listed, at, 1)
    sure = allowed & (abs(highest - TUNING.store_threshold) > TOLERANCE)
    np.testing.assert_array_equal(listed[sure], highest[sure] > TUNING.store_threshold)
    assert not listed[~allowed].any()
    assert 0.01 < listed[allowed].mean() < 0.9
    assert (np.diff(np.ravel_multi_index(at, listed.shape)) > 0).all()


def test_cuts_change_no_amplitude(seen, monkeypatch):
    source = seen["long"].source
    network, found = random_network(), []
    for reads, side in ((400, 400), (12, 16)):
        small_windows(monkeypatch, reads, side)
        found.append(run_network(seen["long"], network, CONFIG, silent).voxels)
    whole, parts = found
    both = np.intersect1d(
        *(np.ravel_multi_index((v.read, v.row, v.col), source.ramp.shape) for v in found),
        return_indices=True,
    )
    assert len(both[0]) > 0.99 * len(whole.row)
    for name in ("amplitude", "error", "significance"):
        one, other = getattr(whole, name)[both[1]], getattr(parts, name)[both[2]]
        np.testing.assert_array_equal(one, other)


def test_amplitudes(seen):
    source, steps, maps = seen["long"][:3]
    voxels = run_network(seen["long"], random_network(), CONFIG, silent).voxels
    block, _ = load_block(source, slice(0, source.ramp.shape[1]))
    step_of = {at: i for i, at in enumerate(zip(steps.read, steps.row, steps.col, strict=True))}
    pixels_of_steps = set(zip(steps.row, steps.col, strict=True))
    kinds = {"known": 0, "beside": 0, "alone": 0, "into saturation": 0, "unlikely": 0}
    rng = np.random.default_rng(1)
    near = [(r, c) in pixels_of_steps for r, c in zip(voxels.row, voxels.col, strict=True)]
    some = np.concatenate([np.flatnonzero(near), rng.choice(len(near), 50)])
    for i in some:
        read, row, col = (int(getattr(voxels, name)[i]) for name in ("read", "row", "col"))
        got = [float(getattr(voxels, name)[i]) for name in ("amplitude", "error")]
        if (read, row, col) in step_of:
            j = step_of[read, row, col]
            kinds["into saturation" if steps.saturating[j] else "known"] += 1
            assert got == [steps.amplitude[j], steps.error[j]]
            assert voxels.significance[i] == steps.significance[j]
            continue
        if voxels.p_cosmic_ray[i] < TUNING.member_threshold:
            kinds["unlikely"] += 1
            assert [*got, voxels.significance[i]] == [0, np.inf, 0]
            continue
        others = steps.read[(steps.row == row) & (steps.col == col)]
        kinds["beside" if len(others) else "alone"] += 1
        excluded = np.zeros((len(block.data), 1), bool)
        excluded[others] = True
        ramp = Ramps(
            np.ascontiguousarray(block.data[:, row, [col]]),
            maps.stop[row, [col]],
            maps.noise[row, [col]].astype(float) ** 2,
            maps.shot[row, [col]],
            excluded,
            np.maximum(maps.curve[row, [col]].astype(int), -1),
            shapes=curve_shapes(covariance_of(source.ramp)),
        )
        wanted = step_at(ramp, covariance_of(source.ramp), np.array([read]))
        np.testing.assert_allclose(got, np.ravel(wanted), rtol=1e-5, atol=1e-6)
    assert min(kinds.values()) > 0, kinds


def test_slab_edges_do_not_count(seen, monkeypatch):
    """Ramps end where the walk said, even if what ended them lies outside of the window."""
    source, steps, maps = seen["long"][:3]
    stop = maps.stop.copy()
    stop[::3] = np.minimum(stop[::3], 9)
    maps = PixelMaps(**{**vars(maps), "stop": stop})
    steps = steps.select(steps.read < stop[steps.row, steps.col])
    block, _ = load_block(source, slice(0, source.ramp.shape[1]))
    model, network = covariance_of(source.ramp), random_network()
    x = network_input(RampBlock(block.data, stop), maps, steps, model, 1).whole()
    with torch.inference_mode():
        logits = network.model(torch.from_numpy(x)[None])
    chance = torch.softmax(logits[0], 0)[Label.TELEGRAPH_NOISE].numpy()
    usable = x[USABLE] > 0
    small_windows(monkeypatch, 400, 24)
    output = run_network(Searched(source, steps, maps, []), network, CONFIG, silent)
    mean = (chance * usable).sum(0) / np.maximum(usable.sum(0), 1)
    np.testing.assert_allclose(output.telegraph, mean, atol=TOLERANCE)
    voxels = output.voxels
    assert (voxels.read <= stop[voxels.row, voxels.col]).all()


def test_progress_and_threads(seen, monkeypatch):
    source = seen["short"].source
    small_windows(monkeypatch, 4, 16)
    told, before = [], torch.get_num_threads()
    network = random_network()
    state = {name: value.clone() for name, value in network.model.state_dict().items()}
    config = DetectorConfig(threads=before + 1)
    run_network(seen["short"], network, config, lambda *what: told.append(what))
    total = np.prod(source.ramp.shape)
    assert told == [("network", total * done // 12, total) for done in range(13)]
    assert torch.get_num_threads() == before
    for name, value in network.model.state_dict().items():
        assert torch.equal(value, state[name])


def test_outputs_are_read_by_the_names_of_their_classes(seen):
    network = random_network()
    order = [0, 3, 1, 2]
    with torch.no_grad():
        other = copy.deepcopy(network.model)
        other.decide.weight[:] = network.model.decide.weight[order]
        other.decide.bias[:] = network.model.decide.bias[order]
    names = {"classes": [network.classes[i] for i in order]}
    turned = replace(network, model=other, facts=names)
    one, two = (run_network(seen["short"], each, CONFIG, silent) for each in (network, turned))
    assert len(one.voxels.row)
    for name in one.voxels._fields:
        np.testing.assert_allclose(
            getattr(one.voxels, name), getattr(two.voxels, name), rtol=1e-4, atol=1e-6
        )
    np.testing.assert_allclose(one.telegraph, two.telegraph, rtol=1e-4)


def test_classes_that_a_network_does_not_have_are_not_seen(seen):
    network = replace(random_network(classes=2), facts={"classes": ["background", "snowball"]})
    said = run_network(seen["short"], network, CONFIG, silent)
    assert said.classes == {Label.SNOWBALL}
    assert not said.telegraph.any()
    assert not said.voxels.p_cosmic_ray.any()
    assert said.voxels.p_snowball.any()


def test_too_few_reads(tmp_path):
    cube = np.random.default_rng(1).normal(1e4, 10, (3, 16, 24)).astype(np.uint16)
    np.save(tmp_path / "three.npy", cube)
    [ramp] = open_exposure(tmp_path / "three.npy", CONFIG)
    searched = search_pixels(CorrectedRamp(ramp), CONFIG, None, silent)
    output = run_network(searched, random_network(), CONFIG, silent)
    assert not len(output.voxels.row)
    assert output.telegraph.shape == (16, 24)
    assert not output.telegraph.any()


def test_cut_covers_everything_once():
    model = UNet3D(Architecture(widths=(6, 8, 10), strides=STRIDES))
    shapes = [(450, 2048, 2048), (4, 16, 16), (33, 17, 61), (1500, 300, 4096), (5, 1, 1)]
    for shape in shapes:
        for most in (10**6, 10**8, 2 * 10**9):
            parts = tile(shape, model, most)
            rules = zip(parts, shape, model.stride, model.context, strict=True)
            for axis, length, stride, context in rules:
                kept = [i for span in axis for i in range(length)[span.kept]]
                assert kept == list(range(length))
                for span in axis:
                    assert span.kept.start % stride == span.whole.start % stride == 0
                    assert span.whole.start == max(span.kept.start - context, 0)
                    assert span.whole.stop == min(span.kept.stop + context, length)
                    inside = range(length)[span.whole][span.inside]
                    assert inside == range(length)[span.kept]


def test_cut_keeps_the_bound():
    model, shape = UNet3D(), (450, 2048, 2048)
    worked = []
    for most in (10**9, 2 * 10**9, 4 * 10**9, 10**12):
        times, rows, cols = tile(shape, model, most)
        t, h, w = (max(s.whole.stop - s.whole.start for s in axis) for axis in (times, rows, cols))
        network = (4 * len(CHANNELS) + 48) * t * h * w
        assert 4 * 450 * h * w * (1 + OF_READS) + network <= most
        sums = [sum(s.whole.stop - s.whole.start for s in axis) for axis in (times, rows, cols)]
        worked.append(np.prod(sums) / np.prod(shape))
    assert worked == sorted(worked, reverse=True)
    assert worked[-1] == 1


def on_gpu(monkeypatch, bfloat16):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)


@pytest.mark.parametrize("tiles", [True, False])
def test_precision_on_processors_is_float32_whatever_they_have(monkeypatch, tiles):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    assert backend.running_on("auto") == ("cpu", "float32")
    assert backend.running_on("bfloat16") == ("cpu", "bfloat16")
    with pytest.raises(OhanaError) as error:
        backend.running_on("float16")
    assert str(error.value) == (
        "network_precision: wanted one of auto, float32, bfloat16 on cpu, got float16"
    )


def test_precision_on_gpus(monkeypatch):
    on_gpu(monkeypatch, bfloat16=True)
    for precision, wanted in (("auto", "bfloat16"), ("float16", "float16"), ("float32", "float32")):
        assert backend.running_on(precision) == ("cuda", wanted)
    on_gpu(monkeypatch, bfloat16=False)
    assert backend.running_on("auto") == ("cuda", "float16")
    with pytest.raises(OhanaError) as error:
        backend.running_on("bfloat16")
    assert str(error.value) == (
        "network_precision: wanted one of auto, float16, float32 on cuda, got bfloat16"
    )


def test_bfloat16_is_used_and_has_nearly_the_same_output(seen):
    network, found = random_network(), []
    for precision in ("float32", "bfloat16"):
        config = CONFIG.model_copy(update={"network_precision": precision})
        found.append(run_network(seen["short"], network, config, silent).telegraph)
    # A product has eight bits: parts in 256, which add up over the layers.
    assert 1e-4 < abs(found[0] - found[1]).max() < 0.1


def test_engine_equals_the_model():
    network, rng = random_network(), np.random.default_rng(2)
    size = (7, 17, 19)
    seen = NetworkInput(
        rng.normal(size=(OF_READS, *size)).astype(np.float32),
        rng.normal(size=(len(CHANNELS) - OF_READS, *size[1:])).astype(np.float32),
    )
    engine = backend.for_inference(network.model, "float32")
    with torch.inference_mode():
        got = engine.model(engine.input(seen, slice(1, 7)))[0, :, :6, :17, :19]
        wanted = network.model(torch.from_numpy(seen.whole()[:, 1:])[None])[0]
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("piece", [1, 700, 10**9])
def test_pieces_leave_no_trace(seen, monkeypatch, piece):
    network, found = random_network(), []
    small_windows(monkeypatch, 400, 24)
    for voxels in (unet3d.PIECE, piece):
        monkeypatch.setattr(unet3d, "PIECE", voxels)
        found.append(run_network(seen["short"], network, CONFIG, silent))
    np.testing.assert_allclose(found[0].telegraph, found[1].telegraph, atol=TOLERANCE)
    assert abs(len(found[0].voxels.row) - len(found[1].voxels.row)) < 3


def test_channels_of_pixels_are_those_of_every_read():
    rng = np.random.default_rng(3)
    seen = NetworkInput(rng.normal(size=(4, 5, 2, 3)), rng.normal(size=(3, 2, 3)))
    whole = seen.whole()
    np.testing.assert_array_equal(whole[:4], seen.reads)
    for read in range(5):
        np.testing.assert_array_equal(whole[4:, read], seen.pixels)
