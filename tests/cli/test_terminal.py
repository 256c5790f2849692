"""What a run shows on a terminal, in plain lines, and in the log beside its results."""

import errno
import io
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import ohana.utils.log_file
from ohana.classes import Label
from ohana.cli import progress
from ohana.cli.outcome import outcome, show_summary
from ohana.cli.predict import main
from ohana.cli.progress import show_progress
from ohana.errors import OhanaError
from ohana.ramp import DetectorInfo
from ohana.results.summary import ClassSummary, Summary
from ohana.utils.log_file import LOG, writing_log

SUMMARY = Summary(
    source=Path("night/dark.fits"),
    name="dark",
    folder=Path("out"),
    shape=(24, 64, 96),
    integrations=2,
    facts=DetectorInfo(gain=1.5, sources={"gain": "header GAIN"}),
    noise=6.5,
    rate=0.1,
    classes=(
        ClassSummary(Label.COSMIC_RAY, 12, 40, 976.6, 812.04, 0.987),
        ClassSummary(Label.TELEGRAPH_NOISE, 0, 0, 0.0, np.nan, np.nan),
        ClassSummary(Label.SNOWBALL, 1, 400, 81.4, 5e4, 0.5),
    ),
    notices=("no reference pixels", "what is longer than a line " * 5),
    files=(Path("out/" + "long/" * 30 + "dark_temporal.npz"), Path("out/run.json")),
    stages={"reading": 0.5, "steps": 2.0},
)

TABLE = """\
class            events  per Mpix  median step [DN]  confidence  pixels
cosmic ray           12     976.6             812.0        0.99      40
telegraph noise       0       0.0                 -           -       0
snowball              1      81.4           50000.0        0.50     400
"""


@pytest.fixture
def exposure(tmp_path):
    """Write a small exposure with one cosmic ray."""
    rng = np.random.default_rng(1)
    cube = 1000 + np.cumsum(rng.normal(1, 2, (12, 32, 32)), 0).astype(np.float32)
    cube[6:, 18, 18] += 500
    np.save(tmp_path / "dark.npy", cube)
    return tmp_path / "dark.npy"


def on_terminal(what, width=100):
    """Return what a terminal shows, without its colours."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor"
    )
    console.print(what, crop=False)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())


# The outcome


def test_plain_outcome(capsys):
    show_summary(SUMMARY)
    out = capsys.readouterr().out
    assert out.startswith("night/dark.fits: 24 reads of 64 x 96, 2 integrations\n  gain ")
    assert TABLE in out
    assert "\n  note: no reference pixels\n" in out
    assert out.endswith("  out/run.json\n2.5 s\n")


@pytest.mark.parametrize("width", [80, 120])
def test_outcome_on_a_terminal(width):
    shown = on_terminal(outcome(SUMMARY), width)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert all(" ".join(row.split()) in lines for row in TABLE.splitlines())
    # What a user copies is not cut in two.
    assert all(f"  {path}\n" in shown for path in SUMMARY.files)
    assert "note: no reference pixels" in shown
    assert max(len(line) for line in shown.splitlines() if "out/" not in line) <= width


def test_nothing_found_on_a_terminal():
    none = tuple(replace(item, events=0) for item in SUMMARY.classes)
    shown = on_terminal(outcome(replace(SUMMARY, classes=none)))
    assert re.search(r"snowball +0 +81.4 +- +- ", shown)


# Progress


@pytest.fixture
def bars(monkeypatch):
    """Pretend that standard error is a terminal, and give what it shows."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "console", lambda: console)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    return shown


def test_bars_tell_rate_and_share(bars, caplog):
    caplog.set_level("DEBUG", "ohana")
    with show_progress(unit="pixel-reads") as report:
        report("reading", 0, 1)
        report("reading", 1, 1)
        for done in range(3):
            report("steps", done * 10**6, 2 * 10**6)
        report("steps", 0, 2 * 10**6)  # the next integration
        report("steps", 10**6, 2 * 10**6)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", bars.getvalue()).splitlines()
    last = {line.split()[0]: line for line in text if line.strip()}
    assert "50%" in last["steps"]
    assert "pixel-reads/s" in last["steps"]
    assert "100%" in last["reading"]
    assert "pixel-reads" not in last["reading"]
    assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG"]


def test_lines_tell_rate_and_time_left(caplog, monkeypatch):
    now = iter([0.0, 10.0, 40.0, 100.0, 100.0, 101.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(now))
    caplog.set_level("INFO", "ohana")
    with show_progress(unit="pixel-reads") as report:
        for done in (0, 1, 4, 10):
            report("steps", done * 10**6, 10**7)
        for done in (0, 1):
            report("writing", done, 1)
    assert caplog.messages == [
        "steps: 40%, 0.1 million pixel-reads/s, 1 min left",
        "steps: done in 100.0 s, 0.1 million pixel-reads/s",
        "writing: done in 1.0 s",
    ]


def test_quiet_shows_no_bars(bars):
    with show_progress(quiet=True) as report:
        report("steps", 1, 1)
    assert bars.getvalue() == ""


# A run as a whole


def test_a_run_on_a_terminal(exposure, tmp_path):
    leader, follower = pty.openpty()
    command = "from ohana.cli.predict import main; raise SystemExit(main())"
    arguments = ["--input", str(exposure), "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        stdout=follower,
        stderr=follower,
        env=os.environ | {"COLUMNS": "100", "TERM": "xterm-256color"},
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 4096)
        except OSError:  # how a terminal says that nobody is left
            break
    os.close(leader)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "pixel-reads/s" in text
    assert re.search(r"cosmic ray +1 +976\.6", text)
    assert f"  {tmp_path / 'out' / 'run.json'}" in text


def test_a_run_in_plain_lines(exposure, tmp_path, capsys):
    assert main(["--input", str(exposure), "--output", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    stages = [line.partition(":")[0] for line in err.splitlines()]
    assert stages == ["reading", "reference", "steps", "events", "writing"]
    assert "\x1b" not in out + err
    lines = (tmp_path / "out" / LOG).read_text("utf-8").splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ DETAIL  ohana 0\.", lines[0])
    assert sum("done in" in line for line in lines) == 5
    assert out in (tmp_path / "out" / LOG).read_text("utf-8")


# The log


def test_quiet_runs_are_logged_too(exposure, tmp_path, capsys):
    argv = ["--input", str(exposure), "--output", str(tmp_path / "out"), "--quiet"]
    assert main(argv) == 0
    assert capsys.readouterr() == ("", "")
    text = (tmp_path / "out" / LOG).read_text("utf-8")
    assert "INFO    steps: done in" in text
    assert "cosmic ray" in text


def test_what_went_wrong_is_in_the_log(tmp_path, capsys):
    np.save(tmp_path / "flat.npy", np.zeros((5, 5)))
    for _ in range(2):
        assert main(["--input", str(tmp_path / "flat.npy"), "--output", str(tmp_path / "out")]) == 1
    assert "Traceback" not in capsys.readouterr().err
    text = (tmp_path / "out" / LOG).read_text("utf-8")
    assert text.count("ERROR   " + str(tmp_path / "flat.npy")) == 2
    assert text.count("Traceback") == 2


def test_the_log_says_how_a_run_was_cut_off(tmp_path):
    log = ohana.utils.log_file.log
    before = log.level, log.handlers[:]
    with pytest.raises(KeyboardInterrupt), writing_log(tmp_path):
        raise KeyboardInterrupt
    assert (log.level, log.handlers) == before
    assert (tmp_path / LOG).read_text("utf-8").rstrip().endswith("ended by KeyboardInterrupt")


def test_a_log_that_cannot_be_written(tmp_path):
    (tmp_path / LOG).mkdir()
    with pytest.raises(OhanaError, match=r"ohana.log: cannot write: Is a directory"):
        writing_log(tmp_path).__enter__()


def test_a_full_disk_does_not_end_the_run(tmp_path, capsys, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with writing_log(tmp_path):
        handler = ohana.utils.log_file.log.handlers[-1]
        monkeypatch.setattr(handler, "flush", full)
        ohana.utils.log_file.log.info("lost")
        monkeypatch.undo()
    assert capsys.readouterr().err == ""
