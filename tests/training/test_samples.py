"""Windows to train on, and what is kept of a training set for them."""

import numpy as np
import pytest
import torch

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.network.inputs import CHANNELS, LEVEL, SIGNIFICANCE, STEP
from ohana.pipeline import search_pixels
from ohana.training import rule_maps as preparing
from ohana.training import samples as sampling
from ohana.training.rule_maps import STAGE, cache_rule_maps, load_prepared
from ohana.training.samples import Batches, Samples, folder_of
from ohana.training.window import flip_and_transpose, invert_telegraph_noise
from ohana.training_sets.labels import IGNORE
from ohana.training_sets.store import split_path
from ohana.training_sets.stored_exposure import stored_source
from training_sets import make


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A training set of two exposures with a border, prepared."""
    folder = tmp_path_factory.mktemp("set")
    exposures = make(folder, num_exposure_events=2, border=4, rtn_per_exp_range=(2, 2))
    store, names = split_path(folder, "training"), [exposure.name for exposure in exposures]
    reports = []
    cache_rule_maps(store, names, workers=1, progress=lambda *report: reports.append(report))
    assert reports == [(STAGE, 0, 2), (STAGE, 1, 2), (STAGE, 2, 2)]
    return folder, exposures


def samples(made, size=6, **changes):
    folder, exposures = made
    settings = {"crop": 16, "window": 6, "seed": 3} | changes
    return Samples([folder_of(folder, [e.name for e in exposures])], size, **settings)


def test_a_stored_exposure_is_the_ramp_that_was_simulated(made):
    folder, exposures = made
    ramp, reference, *_ = stored_source(split_path(folder, "training") / exposures[0].name)
    cube = exposures[0].cube
    assert ramp.shape == cube.shape
    assert np.array_equal(ramp.planes.read(), cube)
    rows, cols = slice(3, 29), slice(17, 40)
    assert np.array_equal(ramp.planes.read(rows, cols), cube[:, rows, cols])
    assert ramp.planes.read(slice(40, 42)).shape == (8, 0, 40)
    assert ramp.facts.border == 4
    assert reference is not None


def test_what_is_kept_is_what_the_rules_find(made):
    folder, exposures = made
    store = split_path(folder, "training")
    source = stored_source(store / exposures[1].name)
    _, steps, maps = search_pixels(source, DetectorConfig(), None, lambda *_: None)[:3]
    kept = load_prepared(store, exposures[1].name)
    assert len(steps.row)
    for column, ours in zip(steps, kept.steps, strict=True):
        assert np.array_equal(column, ours)
    assert np.array_equal(maps.noise, kept.maps.noise, equal_nan=True)
    assert np.array_equal(maps.flicker, kept.maps.flicker)


def test_nothing_is_found_twice(made, monkeypatch):
    folder, exposures = made
    store, names = split_path(folder, "training"), [e.name for e in exposures]
    place = store.with_suffix(".rules") / f"{names[0]}.npz"
    before = place.stat().st_mtime_ns
    cache_rule_maps(store, names)
    assert place.stat().st_mtime_ns == before
    assert preparing._is_kept(place)
    monkeypatch.setattr(preparing, "VERSION", "another")
    assert not preparing._is_kept(place)
    place.write_bytes(place.read_bytes()[:200])
    assert not preparing._is_kept(place)
    monkeypatch.undo()
    cache_rule_maps(store, names, workers=1)
    assert preparing._is_kept(place)


def test_an_incomplete_exposure_is_named(tmp_path):
    (tmp_path / "training.zarr" / "one").mkdir(parents=True)
    with pytest.raises(OhanaError, match="one: incomplete exposure"):
        cache_rule_maps(tmp_path / "training.zarr", ["one"], workers=1)


def test_items_depend_on_seed_and_epoch_alone(made):
    first, second = samples(made), samples(made)
    x, y = first[2]
    assert x.shape == (len(CHANNELS), 6, 16, 16)
    assert x.dtype == torch.float32
    assert y.shape == (6, 16, 16)
    assert y.dtype == torch.uint8
    again = second[2]
    assert torch.equal(x, again[0])
    assert torch.equal(y, again[1])
    second.set_epoch(1)
    assert not torch.equal(x, second[2][0])
    assert not torch.equal(x, samples(made, seed=4)[2][0])
    with pytest.raises(IndexError, match="item: wanted 0 to 5, got 6"):
        first[6]


def test_a_short_ramp_gets_larger_windows(made):
    x, _ = samples(made, crop=16, window=32)[0]
    assert x.shape[1:] == (8, 32, 32)


def test_hits_are_labelled_where_they_are_seen(made):
    """Voxels labelled as hits stand out; where there is no event, few do."""
    drawn = samples(made, size=60, augment=False)
    hit, nothing = [], []
    for x, y in (drawn[i] for i in range(60)):
        z = x[SIGNIFICANCE]
        hit.append(z[y == Label.COSMIC_RAY])
        nothing.append(z[y == Label.BACKGROUND])
    assert torch.cat(hit).median() > 3
    assert torch.cat(nothing).abs().median() < 1


def test_reads_without_a_step_do_not_count(made):
    drawn = samples(made, size=40, augment=False, window=8)
    first = torch.cat([drawn[i][1][0].ravel() for i in range(40)])
    assert set(first.tolist()) <= {IGNORE, int(Label.TELEGRAPH_NOISE)}


def test_more_noise_hides_faint_events(made):
    """The same windows with twice the noise: fewer labels, and steps half as significant."""
    from ohana.training.samples import _open, cut_sample

    folder, exposures = made
    exposure = _open(split_path(folder, "training"), exposures[0].name)
    where = slice(0, 8), slice(0, 40), slice(0, 40)
    rng = np.random.default_rng(0)
    plain, labels = cut_sample(exposure, where, 0.0, rng)
    noisy, fewer = cut_sample(exposure, where, np.sqrt(3.0), rng)
    quiet = (labels == 0) & (fewer == 0)
    assert noisy[STEP][quiet].std() == pytest.approx(plain[STEP][quiet].std(), rel=0.1)
    assert ((fewer > 0) & (fewer < IGNORE)).sum() < ((labels > 0) & (labels < IGNORE)).sum()
    hit = (labels == Label.COSMIC_RAY) & (plain[STEP] > 2) & (plain[STEP] < 4)
    if hit.any():
        assert noisy[STEP][hit].mean() < plain[STEP][hit].mean()


def test_augmentation_keeps_pixels_and_labels_together():
    rng = np.random.default_rng(0)
    x, y = rng.random((3, 2, 8, 8), np.float32), rng.integers(0, 4, (2, 8, 8)).astype(np.uint8)
    x[0] = y
    seen = set()
    for _ in range(60):
        turned, labels = flip_and_transpose(x, y, rng)
        assert np.array_equal(turned[0], labels)
        seen.add(labels.tobytes())
    assert len(seen) == 8


def test_telegraph_noise_upside_down():
    x = np.ones((len(CHANNELS), 4, 1, 200), np.float32)
    y = np.zeros((4, 1, 200), np.uint8)
    y[:, 0, 100:] = Label.TELEGRAPH_NOISE
    invert_telegraph_noise(x, y, np.random.default_rng(0))
    dynamic = [STEP, SIGNIFICANCE, LEVEL]
    assert (x[..., :100] == 1).all()
    assert 30 < (x[STEP, 0, 0, 100:] == -1).sum() < 70
    assert (x[dynamic] == x[STEP]).all()
    assert (np.delete(x, dynamic, axis=0) == 1).all()


def test_batches_hold_one_kind_of_exposure(made):
    folder, exposures = made
    one = folder_of(folder, [exposures[0].name])
    two = folder_of(folder, [exposures[1].name])
    drawn = Samples([one, two], 11, crop=16, window=6)
    batches = list(Batches(drawn, 2))
    assert sorted(i for batch in batches for i in batch) == list(range(11))
    assert all(len({drawn.folder_of(i) for i in batch}) == 1 for batch in batches)
    assert len(Batches(drawn, 2)) == len(batches)
    drawn.set_epoch(1)
    assert list(Batches(drawn, 2)) != batches


def test_samples_want_exposures():
    with pytest.raises(ValueError, match="folders: wanted at least one, got none"):
        Samples([], 3)


def test_little_is_kept_in_memory(made, monkeypatch):
    folder, exposures = made
    store, (one, other) = split_path(folder, "training"), [e.name for e in exposures]
    monkeypatch.setattr(sampling, "_kept", {})
    first = sampling._open(store, one)
    second = sampling._open(store, other)
    assert sampling._open(store, one) is first
    assert list(sampling._kept.values()) == [second, first]
    monkeypatch.setattr(sampling, "MAX_KEPT", sampling._size(first) + 1)
    sampling._open(store, one)
    assert list(sampling._kept.values()) == [first]
    monkeypatch.setattr(sampling, "MAX_KEPT", 1)
    assert sampling._open(store, one) is first
