"""Judged detections as labels: what counts, and training on them from end to end."""

import hashlib
import json

import numpy as np
import pytest
import torch

from ohana.classes import Label
from ohana.cli.create_training import main
from ohana.config import DetectorConfig
from ohana.correction.load import load_block
from ohana.errors import OhanaError
from ohana.pipeline import predict
from ohana.results.prediction import open_prediction
from ohana.results.verdicts import Verdict
from ohana.training.config import TrainConfig
from ohana.training.dataset import OhanaDataset
from ohana.training.learner import loss
from ohana.training.train import train
from ohana.training_sets.judged import judged_runs, store_judged
from ohana.training_sets.labels import IGNORE, is_partial, paint
from ohana.training_sets.stored_exposure import stored_source
from training_sets import make

NONE, RAY, NOISE, BALL = Label
READS = 10


def entry(label, pixels, first, **more):
    return {
        "type": label.key, "pixels": [list(p) for p in pixels], "first_frame": first,
        "significance": 50.0, "integration": 0,
    } | more  # fmt: skip


def labels_of(detections, judged, stop=None):
    """Return what each pixel of a row of four is labelled, as one text for each pixel."""
    stop = np.full((1, 4), READS) if stop is None else stop
    verdicts = [Verdict(i, Label[detections[i]["type"].upper()], label) for i, label in judged]
    runs = judged_runs(verdicts, detections, stop)
    dense = paint(runs, (0, 0), 0, (READS, 1, 4))
    return ["".join(".RTS-"[min(v, 4)] for v in dense[:, 0, x]) for x in range(4)]


UNKNOWN = "-" * READS


@pytest.mark.parametrize(
    ("found", "judged", "expected"),
    [
        (RAY, RAY, "....-R-..."),
        (RAY, NONE, ".........."),
        (RAY, BALL, "....-S----"),
        (RAY, NOISE, "TTTTTTTTTT"),
        (BALL, BALL, "....-S----"),
    ],
)
def test_one_detection(found, judged, expected):
    got = labels_of([entry(found, [(0, 1)], 5)], [(0, judged)])
    assert got == [UNKNOWN, expected, UNKNOWN, UNKNOWN]


def test_telegraph_noise():
    found = [entry(NOISE, [(0, 2)], None)]
    stop = np.full((1, 4), 7)
    assert labels_of(found, [(0, NOISE)], stop)[2] == "TTTTTTT---"
    assert labels_of(found, [(0, NONE)], stop)[2] == ".......---"
    # A hit, but when?
    assert labels_of(found, [(0, RAY)], stop)[2] == UNKNOWN


def test_what_was_not_judged_does_not_count():
    found = [entry(RAY, [(0, 0), (0, 1)], 2), entry(RAY, [(0, 1), (0, 2)], 6)]
    assert labels_of(found, [(0, RAY)]) == [".-R-......", ".-R-.-----", UNKNOWN, UNKNOWN]
    assert labels_of(found, [(0, NONE), (1, RAY)])[1] == ".....-R-.."
    assert labels_of(found, []) == ["." * READS] * 4  # no judged exposure at all


def test_other_integrations_do_not_matter():
    found = [entry(RAY, [(0, 0)], 2), entry(RAY, [(0, 0)], 6, integration=1)]
    assert labels_of(found, [(0, RAY)])[0] == ".-R-......"


def test_loss_of_nothing():
    logits = torch.randn(1, 4, 2, 3, 3, requires_grad=True)
    value = loss(logits, torch.full((1, 2, 3, 3), IGNORE))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


# On disk


@pytest.fixture(scope="module", params=[True, False], ids=["cube", "no-cube"])
def judged(request, tmp_path_factory):
    """Give a judged exposure: folder of its results, file of verdicts."""
    place = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(1)
    cube = np.round(1000 + rng.normal(0, 4, (12, 80, 70))).astype(np.float32)
    for k in range(6):
        cube[3 + k :, 10 * k + 5, 66] += 800
    cube[7:, 40, 20] = 40000
    cube[2, 30, 30] = np.nan
    np.save(place / "dark.npy", cube)
    config = DetectorConfig(gain=1.5, saturation=30000)
    predict(place / "dark.npy", place / "out", config, processed=request.param)
    text = (place / "out/detections.json").read_bytes()
    entries = json.loads(text)
    verdicts = [
        {"event": i, "type": e["type"], "verdict": "wrong" if i == 2 else "right"}
        for i, e in enumerate(entries[:4])
    ]
    (place / "verdicts.json").write_text(
        json.dumps(
            {
                "format": "ohana-verdicts-1",
                "exposure": "dark",
                "detections": hashlib.sha256(text).hexdigest(),
                "verdicts": verdicts,
            }
        )
    )
    return place / "out", place / "verdicts.json"


def test_reads_are_those_of_the_prediction(judged, tmp_path):
    [path] = store_judged(*judged, tmp_path / "set")
    source, prediction = stored_source(path), open_prediction(judged[0])
    assert source.ramp.shape == prediction.shape
    assert (source.ramp.facts.gain, source.ramp.facts.saturation) == (1.5, 30000)
    np.testing.assert_array_equal(source.ramp.times, np.arange(1, 13))
    block, first = load_block(source, slice(20, 60), slice(10, 70))
    expected = prediction.cube(slice(None), slice(20, 60), slice(10, 70))
    np.testing.assert_array_equal(block.data, expected)
    np.testing.assert_array_equal(block.stop, prediction.maps["stop"][20:60, 10:70])
    assert first[10, 20] == 0
    assert block.stop[20, 10] == 7


def test_uneven_reads_stay_uneven(judged, tmp_path):
    folder, verdicts = judged
    before = (folder / "run.json").read_text("utf-8")
    frames = [1, 2] * 6
    try:
        (folder / "run.json").write_text(json.dumps(json.loads(before) | {"frames": frames}))
        [path] = store_judged(folder, verdicts, tmp_path / "set")
    finally:
        (folder / "run.json").write_text(before, "utf-8")
    assert stored_source(path).ramp.frames.tolist() == frames


def test_items_have_labels_of_what_was_judged(judged, tmp_path):
    store_judged(*judged, tmp_path / "set")
    data = OhanaDataset(tmp_path / "set")
    assert is_partial(data.open(0).runs)
    labels = np.concatenate([window.labels.numpy().ravel() for window in data])
    assert set(np.unique(labels)) == {NONE, RAY, IGNORE}
    assert (labels == IGNORE).mean() > 0.95


def test_a_set_holds_one_shape_and_no_exposure_twice(judged, tmp_path):
    output = tmp_path / "set"
    [path] = store_judged(*judged, output)
    with pytest.raises(OhanaError, match=f"{path}: exists already: remove it"):
        store_judged(*judged, output)
    (output / "settings.json").write_text('{"source": "verdicts", "shape": [5, 8, 8]}')
    with pytest.raises(OhanaError, match=r"shape was \[5, 8, 8\], now \[12, 80, 70\]"):
        store_judged(*judged, output)


def test_nothing_judged_and_nothing_known(judged, tmp_path):
    folder, verdicts = judged
    content = json.loads(verdicts.read_text())
    (tmp_path / "none.json").write_text(json.dumps(content | {"verdicts": []}))
    with pytest.raises(OhanaError, match="none.json: wanted at least one verdict, got none"):
        store_judged(folder, tmp_path / "none.json", tmp_path / "set")
    run = (folder / "run.json").read_bytes()
    (folder / "run.json").unlink()
    try:
        with pytest.raises(OhanaError):
            store_judged(folder, verdicts, tmp_path / "set")
    finally:
        (folder / "run.json").write_bytes(run)


def test_training_on_judged_and_simulated_exposures(judged, tmp_path, capsys):
    folder, verdicts = judged
    argv = ["--prediction", str(folder), "--verdicts", str(verdicts)]
    assert main([*argv, "--output", str(tmp_path / "mine")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'mine' / 'training.zarr' / 'dark'}\n"
    make(tmp_path / "simulated", last_index=1)
    config = TrainConfig(
        data=(str(tmp_path / "mine"), str(tmp_path / "simulated")),
        output_dir=str(tmp_path / "model"),
        widths=(8, 8),
        crop=16,
        window=8,
        samples_per_epoch=8,
        validation_samples=4,
        epochs=1,
        workers=0,
        device="cpu",
    )
    [row] = train(config, calibration=False)
    assert np.isfinite([row["train_loss"], row["val_loss"]]).all()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: --config, --start_index, --end_index"),
        (["--verdicts", "v"], "required: --prediction, --output"),
        (
            ["--verdicts", "v", "--prediction", "p", "--output", "o", "--seed", "0"],
            "--seed: only for simulated exposures, not with --verdicts",
        ),
    ],
)
def test_wrong_usage(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
