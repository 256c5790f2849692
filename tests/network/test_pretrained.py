"""The network that ships: what it is, and that it sees what the rules cannot."""

import numpy as np
import pytest

from ohana.classes import Label
from ohana.config_file import load_config
from ohana.correction.load import CorrectedRamp
from ohana.network.model_file import load_network
from ohana.pipeline import find_events
from ohana.read import open_exposure
from ohana.simulate import SimulationConfig, simulate_to_fits
from ohana.training.calibrate import are_real

MAX_BYTES = 8e6


@pytest.fixture(scope="module")
def network():
    return load_network("pretrained")


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Many faint tracks, most of whose pixels stay below five sigma: ramp and truth."""
    path = tmp_path_factory.mktemp("tracks") / "tracks.fits"
    config = SimulationConfig(
        reads=20,
        rows=128,
        cols=128,
        frame_time=3.0,
        gain=1.5,
        read_noise=12.0,
        cosmic_rays=110,
        cosmic_ray_charge=38.0,  # in each pixel of path, where a step has an error of 10 e-
        cosmic_ray_length=(2.0, 7.0),
        cosmic_ray_index=1.1,
        delta_fraction=0.0,
    )
    truth = simulate_to_fits(config, np.random.default_rng(8), path)
    settings = load_config("sensitive")
    return CorrectedRamp(open_exposure(path, settings)[0]), truth, settings


def test_it_is_small_calibrated_and_described(network):
    from importlib import resources

    folder = resources.files("ohana.network") / "pretrained"
    size = len((folder / "unet3d.safetensors").read_bytes())
    assert size < MAX_BYTES
    assert network.calibration is not None
    assert "Model card" in network.facts["card"]
    assert network.facts["card"] == (folder / "MODEL_CARD.md").read_text("utf-8")


def test_it_finds_faint_tracks_that_the_rules_miss(network, tracks):
    source, truth, settings = tracks
    brightest = np.array([event.snr.max(initial=0) for event in truth.events])
    found = {}
    for name, model in (("rules", None), ("both", network)):
        events = find_events(source, settings, lambda *_: None, network=model).events
        sure = [event for event in events if event.confidence >= 0.5]
        rays = [event for event in sure if event.label == Label.COSMIC_RAY]
        found[name] = int(are_real(truth, rays).sum())
        # Two thirds of what is found at a confidence of a half or more is real, at the least.
        assert found[name] > 2 / 3 * len(rays)
    assert np.sum((brightest > 2.5) & (brightest < 5)) > 50
    assert found["both"] > 1.5 * found["rules"]


def test_nothing_of_the_rules_is_lost(network, tracks):
    source, _, settings = tracks
    plain = find_events(source, settings, lambda *_: None).events
    both = find_events(source, settings, lambda *_: None, network=network).events
    kept = {(row, col) for event in both for row, col in zip(event.rows, event.cols, strict=True)}
    assert all((event.rows[0], event.cols[0]) in kept for event in plain)


def test_the_rules_need_no_network(tracks):
    source, _, settings = tracks
    events = find_events(source, settings, lambda *_: None).events
    assert {event.source for event in events} == {"rules"}
    assert not any("network_score" in event.extra for event in events)
