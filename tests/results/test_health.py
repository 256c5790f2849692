"""Health of an exposure: what is told, and when a warning is given."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ohana.classes import Label
from ohana.cli.outcome import outcome
from ohana.config import DetectorConfig
from ohana.events import STEP_TYPES, Event, PixelMaps, Steps
from ohana.pipeline import predict
from ohana.ramp import DetectorInfo
from ohana.results.health import FalseSteps, Health, ReadReport, health_of
from ohana.results.run_record import read_run
from ohana.results.summary import Summary

SHAPE, READS = (40, 50), 20
CALM = FalseSteps(0, 0.1)


def maps():
    values = {name: np.zeros(SHAPE, np.float32) for name in PixelMaps.__dataclass_fields__}
    return PixelMaps(**values | {"noise": np.ones(SHAPE, np.float32)})


def steps(number, read, up=True):
    place = np.divmod(np.arange(number), SHAPE[1])
    ones = np.ones(number)
    sign = 1 if up else -1
    columns = (*place, read * ones, sign * 50 * ones, 5 * ones, sign * 10 * ones, ones > 2, ones)
    return Steps(*(np.array(c).astype(kind) for c, kind in zip(columns, STEP_TYPES, strict=True)))


def event(label, rows, cols):
    ones = np.ones(len(rows))
    return Event(label, np.array(rows), np.array(cols), ones, ones, ones, None, 0.9)


def health(some=None, events=(), false=CALM, dropped=0, suspect=None, report=None):
    border = np.zeros(SHAPE, bool)
    found = (steps(0, 1) if some is None else some), maps(), list(events)
    return health_of(found, READS, border, suspect, false, dropped, report)


def test_nothing_to_tell():
    calm = health()
    assert calm.warnings == ()
    assert calm.rises.shape == calm.falls.shape == (READS,)
    assert [line.split(maxsplit=1)[0] for line in calm.lines()] == ["steps", "shared", "left"]
    assert "nothing taken off" in calm.lines()[1]
    assert calm.lines()[2].endswith("nothing")


def test_rises_and_falls_outside_telegraph_noise():
    flicker = event(Label.TELEGRAPH_NOISE, [0], [0])
    some = health(steps(5, 3), [flicker])
    assert some.rises[3] == 4
    assert health(steps(5, 3, up=False)).falls.tolist() == [0, 0, 0, 5] + [0] * 16
    suspect = np.zeros(SHAPE, np.uint8)
    suspect[0, :7] = 2
    assert health(suspect=suspect).suspect == 7


def test_too_many_pixels_step_in_a_read():
    [warning] = health(steps(240, 3)).warnings
    assert warning == "12 % of all pixels step in read 3: not believable"
    assert health(steps(19, 3)).warnings == ()


def test_a_snowball_of_many_pixels_is_believable():
    rows, cols = np.divmod(np.arange(300), SHAPE[1])
    ball = event(Label.SNOWBALL, rows, cols)
    assert health(steps(300, 5)).warnings != ()
    calm = health(steps(300, 5), [ball])
    assert calm.warnings == ()
    assert calm.rises[5] == 300


def test_only_the_worst_reads_are_named():
    both = [steps(100 + read, read) for read in range(2, 8)]
    joined = Steps(*(np.concatenate(columns) for columns in zip(*both, strict=True)))
    told = health(joined).warnings
    assert [text.split("read ")[1].split(":")[0] for text in told[:3]] == ["5", "6", "7"]
    assert told[3] == "the same in 3 more reads"


def test_few_reads_have_no_usual_one():
    found = steps(600, 1), maps(), []
    border = np.zeros(SHAPE, bool)
    [warning] = health_of(found, 3, border, None, CALM, 0).warnings
    assert warning.startswith("30 % of all pixels step in read 1")


@pytest.mark.parametrize(("decoys", "noise", "number"), [(50, 0.4, 1), (9, 0.4, 0), (150, 120, 0)])
def test_falls_that_noise_does_not_explain(decoys, noise, number):
    told = health(false=FalseSteps(decoys, noise)).warnings
    assert len(told) == number
    if number:
        assert told[0] == "falls outnumber what noise makes by 50: confidences lowered"


def test_too_many_pixels_in_events():
    everywhere = event(Label.COSMIC_RAY, *np.indices(SHAPE).reshape(2, -1))
    assert health(events=[everywhere]).warnings == (
        "100 % of all pixels are in events: not believable",
    )
    flickers = [event(Label.TELEGRAPH_NOISE, [0], [col]) for col in range(40)]
    assert health(events=flickers).warnings == (
        "2 % of all pixels have telegraph noise: not believable",
    )
    assert health(dropped=7).warnings == (
        "7 pixels switch level in the same reads: no telegraph noise",
    )


def test_what_was_measured_of_the_reads():
    series = {"light [%]": np.array([0.0, 3.0, np.nan]), "offset [DN]": np.full(3, np.nan)}
    left = {3: "unsettled", 4: "flash", 5: "flash", 9: "flash"}
    some = health(report=ReadReport(series, left, ("64 rows of read 2 are zero",)))
    assert "light 0 to 3 %, offset unknown" in some.lines()[1]
    assert some.lines()[2].endswith(
        "read 3 (unsettled); read 4 (flash); read 5 (flash); 1 more reads; "
        "64 rows of read 2 are zero"
    )
    entry = some.record()
    assert entry["reads"]["light [%]"] == [0, 3, None]
    assert entry["not_searched"][0] == {"read": 3, "reason": "unsettled"}
    assert entry["missing"] == ["64 rows of read 2 are zero"]


def test_in_the_record_and_the_summary(tmp_path):
    rng = np.random.default_rng(0)
    cube = np.cumsum(rng.normal(3, 1, (20, 48, 48)), 0) + rng.normal(0, 5, (20, 48, 48))
    cube[9:] += rng.uniform(100, 200, (48, 48))
    np.save(tmp_path / "x.npy", cube.astype(np.float32))
    summary = predict(
        tmp_path / "x.npy", tmp_path / "out", DetectorConfig(border=0, shared_correction=False)
    )
    [entry] = read_run(tmp_path / "out")["health"]
    wanted = ["integration", "rises", "falls", "decoys", "decoys_by_noise", "pixels_in_events"]
    wanted += ["suspect_pixels", "reads", "not_searched", "missing", "warnings"]
    assert list(entry) == wanted
    assert len(entry["reads"]["rises"]) == len(entry["reads"]["falls"]) == 20
    assert entry["reads"]["rises"][9] > 0.9 * 48 * 48
    assert "% of all pixels step in read 9: not believable" in entry["warnings"][0]
    assert f"  warning: {entry['warnings'][0]}" in str(summary).splitlines()
    # One event of all pixels in one read is none.
    assert all(item.pixels < 100 for item in summary.classes)


def test_warnings_name_the_integration():
    one = Health(np.zeros(3, int), np.zeros(3, int), CALM, 0.0, 0, warnings=("a",), integration=2)
    empty = Path(), "x", Path(), (3, *SHAPE), 2, DetectorInfo(), 1.0, 1.0, (), (), (), {}
    assert Summary(*empty, health=(one,)).warnings == ["a"]
    both = Summary(*empty, health=(one, one))
    assert both.warnings == ["integration 2: a"] * 2
    console = Console(file=io.StringIO(), width=100)
    console.print(outcome(both))
    assert "warning: integration 2: a" in console.file.getvalue()
