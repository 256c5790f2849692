"""Verdicts on detections: what is refused, purities that can be computed by hand."""

import hashlib
import json

import numpy as np
import pytest

from ohana.classes import Label
from ohana.cli.evaluate import main
from ohana.errors import OhanaError
from ohana.evaluate.review import review, save_review
from ohana.predictor import Predictor
from ohana.results.run_record import RUN
from ohana.results.verdicts import Verdict, read_verdicts

RAY, NOISE, BALL = list(Label)[1:]
#: Row, column and read of cosmic rays.
HITS = ((10, 10, 6), (10, 30, 12), (30, 20, 18))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give the results for an exposure with three cosmic rays."""
    place = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(1)
    cube = 1000 + rng.normal(0, 4, (24, 48, 40)).astype(np.float32)
    for row, col, read in HITS:
        cube[read:, row, col] += 800
    np.save(place / "dark.npy", cube)
    Predictor().predict(place / "dark.npy", place / "out")
    return place / "out"


def content(folder, *verdicts, **changes):
    """Return what the page would export, with the verdicts on the first detections."""
    text = (folder / "detections.json").read_bytes()
    entries = json.loads(text)
    file = {
        "format": "ohana-verdicts-1",
        "exposure": "dark",
        "detections": hashlib.sha256(text).hexdigest(),
        "verdicts": [
            {
                "event": i,
                "type": entries[i]["type"],
                "position": entries[i]["position"],
                "first_frame": entries[i]["first_frame"],
                "integration": entries[i]["integration"],
                "verdict": verdict,
            }
            for i, verdict in enumerate(verdicts)
        ],
    }
    return file | changes


@pytest.fixture
def judge(folder, tmp_path):
    """Return a function that writes a file of verdicts."""

    def write(*verdicts, **changes):
        path = tmp_path / "verdicts.json"
        path.write_text(json.dumps(content(folder, *verdicts, **changes)))
        return path

    return write


# The file


def test_verdicts_are_read(judge, folder):
    verdicts, detections = read_verdicts(judge("right", "wrong", "snowball"), folder)
    assert verdicts == [
        Verdict(0, RAY, RAY),
        Verdict(1, RAY, Label.BACKGROUND),
        Verdict(2, RAY, BALL),
    ]
    assert [entry["first_frame"] for entry in detections] == [6, 12, 18]


def test_a_class_as_found_is_right(judge, folder):
    assert read_verdicts(judge("cosmic_ray"), folder)[0] == [Verdict(0, RAY, RAY)]


def test_the_order_does_not_matter(judge, folder):
    entries = content(folder, "right", "wrong")["verdicts"]
    verdicts, _ = read_verdicts(judge(verdicts=entries[::-1]), folder)
    assert [verdict.event for verdict in verdicts] == [0, 1]


def test_without_a_record_of_the_run(judge, folder):
    record = (folder / RUN).read_bytes()
    (folder / RUN).unlink()
    try:
        assert len(read_verdicts(judge("right"), folder)[0]) == 1
    finally:
        (folder / RUN).write_bytes(record)


def one(folder, **changes):
    return {"verdicts": [content(folder, "right")["verdicts"][0] | changes]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": "ohana-verdicts-2"},
            r"format: wanted ohana-verdicts-1, got ohana-v.*2",
        ),
        ({"exposure": "flat"}, r"wanted verdicts on dark, the exposure of .*out, got .* on flat"),
        (
            {"detections": "0123456789abcdef" * 4},
            r"wanted verdicts on the detections in .*detections.json \(SHA-256 [0-9a-f]{12}...\), "
            r"got those on others \(0123456789ab...\), as of an earlier run",
        ),
        ({"verdicts": {}}, r"json: verdicts: Input should be a valid array"),
        ({"detections": None}, r"json: detections: Input should be a valid string"),
    ],
)
def test_another_file_is_refused(judge, folder, changes, message):
    with pytest.raises(OhanaError, match=message):
        read_verdicts(judge("right", **changes), folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "maybe"}, r"json: verdicts.0.verdict: Input should be 'right', 'wrong', 'cos"),
        ({"event": 3}, r"event 3: wanted one of 3 detections, from 0"),
        ({"event": -1}, r"verdicts.0.event: Input should be greater than or equal to 0"),
        ({"event": "0"}, r"verdicts.0.event: Input should be a valid integer"),
        ({"type": "snowball"}, r"event 0: wanted type cosmic_ray, as found, got snowball"),
        ({"type": "star"}, r"verdicts.0.type: Input should be 'cosmic_ray'"),
    ],
)
def test_other_verdicts_are_refused(judge, folder, changes, message):
    with pytest.raises(OhanaError, match=message):
        read_verdicts(judge(**one(folder, **changes)), folder)


def test_two_verdicts_on_one_event(judge, folder):
    twice = one(folder)["verdicts"] * 2
    with pytest.raises(OhanaError, match="event 0: wanted one verdict, got two"):
        read_verdicts(judge(verdicts=twice), folder)


def test_no_file(folder, tmp_path):
    with pytest.raises(OhanaError, match=r"none.json: cannot read verdicts: No such file"):
        read_verdicts(tmp_path / "none.json", folder)
    (tmp_path / "text.json").write_text("right")
    with pytest.raises(OhanaError, match=r"text.json: file: Invalid JSON"):
        read_verdicts(tmp_path / "text.json", folder)


def test_no_prediction(judge, tmp_path):
    with pytest.raises(OhanaError, match="wanted a folder that ohana-predict has written"):
        read_verdicts(judge("right"), tmp_path)


# Purity


def entries(*confidences, kind="cosmic_ray"):
    return [{"type": kind, "confidence": confidence} for confidence in confidences]


def test_purity_by_class_and_confidence():
    detections = entries(0.95, 0.92, 0.6, 0.6) + entries(0.4, 0.4, kind="snowball")
    verdicts = [
        Verdict(0, RAY, RAY),
        Verdict(1, RAY, RAY),
        Verdict(2, RAY, Label.BACKGROUND),
        Verdict(4, BALL, RAY),
    ]
    result = review(verdicts, detections)
    ray, noise, ball = result.classes
    assert (ray.detections, ray.judged, ray.right, ray.purity) == (4, 3, 2, 2 / 3)
    assert (ball.detections, ball.judged, ball.right, ball.purity) == (2, 1, 0, 0)
    assert ball.interval == (0.0, 0.5)  # Wilson's, for none of one
    assert (noise.detections, noise.judged) == (0, 0)
    assert np.isnan(noise.purity)
    assert [(b.low, b.count, b.real) for b in result.every.bins] == [
        (0.3, 1, 0),
        (0.5, 1, 0),
        (0.9, 1, 1),
        (0.95, 1, 1),
    ]
    expected = np.zeros((4, 4), int)
    expected[RAY, RAY], expected[RAY, 0], expected[BALL, RAY] = 2, 1, 1
    np.testing.assert_array_equal(result.confusion, expected)


def test_nothing_judged(tmp_path):
    result = review([], entries(0.9))
    saved = json.loads(save_review(result, tmp_path).read_text())
    assert [item["purity"] for item in saved["classes"]] == [None] * 3
    assert saved["reliability"]["bins"] == []


def test_command(judge, folder, tmp_path, capsys):
    argv = ["--prediction", str(folder), "--verdicts", str(judge("right", "right", "wrong"))]
    assert main([*argv, "--output", str(tmp_path / "review")]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "cosmic ray 3 3 2 66.7% (38.6% to 86.4%)" in lines
    assert "cosmic ray 1 2 0 0" in lines
    assert lines[-1] == str(tmp_path / "review" / "review.json")
    saved = json.loads((tmp_path / "review" / "review.json").read_text())
    assert saved["classes"][0]["right"] == 2
    assert saved["classes"][0]["label"] == "cosmic_ray"
    assert saved["confusion"]["cosmic_ray"]["background"] == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--verdicts", "v.json"], "--verdicts needs --prediction DIR, which it is on"),
        (
            ["--verdicts", "v.json", "--prediction", "p", "--truth", "t", "--inject"],
            "--verdicts needs --prediction alone: leave --truth and --inject out",
        ),
    ],
)
def test_wrong_usage(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
