"""Progress of a run: a bar on a terminal, a line for each stage otherwise."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from ohana.utils.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

log = logging.getLogger("ohana")
#: Interval between lines about a running stage [s]. Chosen.
LINE_EVERY = 30.0


@cache
def console() -> Console:
    """Return the terminal that messages and bars share, so that neither overwrites the other."""
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def show_progress(quiet: bool = False, unit: str = "") -> Iterator[Progress]:
    """Give a function that shows progress on standard error until the block ends.

    Parameters
    ----------
    quiet : bool
        Show no bar; lines are logged all the same.
    unit : str
        What the parts of a stage are, to show how many are done per second. A stage of a
        single part has no speed.
    """
    if quiet or not sys.stderr.isatty():
        yield _lines(unit)
        return
    log_line = _lines(unit, logging.DEBUG)
    with _bars(unit) as move_bar:

        def report(stage: str, done: int, total: int) -> None:
            move_bar(stage, done, total)
            log_line(stage, done, total)

        yield report


def _lines(unit: str, level: int = logging.INFO) -> Progress:
    """Log one line when a stage is done; if its parts have a unit, now and then one before."""
    started: dict[str, float] = {}
    logged: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        start = started.setdefault(stage, now)
        speed = f", {_rate(done, now - start, unit)}" if unit and total > 1 else ""
        if done >= total:
            log.log(level, f"{stage}: done in {now - start:.1f} s{speed}")
            del started[stage]
        elif speed and now - logged.setdefault(stage, start) > LINE_EVERY:
            left = (now - start) * (total - done) / max(done, 1)
            log.log(level, f"{stage}: {done / total:.0%}{speed}, {left / 60:.0f} min left")
            logged[stage] = now

    return report


def _rate(done: float, seconds: float, unit: str) -> str:
    """Describe the speed."""
    speed = done / max(seconds, 1e-9)
    return f"{speed:.2g} {unit}/s" if speed < 1e4 else f"{speed / 1e6:.3g} million {unit}/s"


@contextmanager
def _bars(unit: str) -> Iterator[Progress]:
    """Show one bar per stage: progress, speed, time left; finally its duration."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    fields = [
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[speed]}", style="progress.data.speed"),
    ]
    with Bars(*fields, console=console(), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=None, speed="")
            elif not done:  # once more, for another integration
                bars.reset(tasks[stage], total=None, speed="")
            # A bar of one part would stand still: without a total it moves.
            whole = total if total > 1 or done else None
            bars.update(tasks[stage], completed=done, total=whole)
            elapsed = bars.tasks[tasks[stage]].elapsed
            if unit and total > 1 and done and elapsed:
                bars.update(tasks[stage], speed=_rate(done, elapsed, unit))

        yield report
