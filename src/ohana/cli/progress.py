"""How far a run has come: a bar on a terminal, a line for each stage otherwise."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger("ohana")

#: Time between lines about a stage that goes on [s].
LINE_EVERY = 30.0

#: Called with the name of a stage, the parts done and the parts in all.
Progress = Callable[[str, int, int], None]


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
        Show nothing.
    unit : str
        What the parts of a stage are, to show how many are done per second.
    """
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _bar(unit) as report:
            yield report
    else:
        yield _lines(unit)


def _lines(unit: str) -> Progress:
    """Log one line when a stage is done; if its parts have a unit, now and then one before."""
    started: dict[str, float] = {}
    told: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        start = started.setdefault(stage, now)
        speed = f", {_rate(done, now - start, unit)}" if unit else ""
        if done >= total:
            log.info(f"{stage}: done in {now - start:.1f} s{speed}")
            del started[stage]
        elif unit and now - told.setdefault(stage, start) > LINE_EVERY:
            left = (now - start) * (total - done) / max(done, 1)
            log.info(f"{stage}: {done / total:.0%}{speed}, {left / 60:.0f} min left")
            told[stage] = now

    return report


def _rate(done: float, seconds: float, unit: str) -> str:
    """Say how fast it goes."""
    return f"{done / max(seconds, 1e-9) / 1e6:.3g} million {unit}/s"


@contextmanager
def _bar(unit: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    look = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()]
    if unit:
        look.append(TextColumn("{task.fields[speed]}"))
    with Bars(*look, TimeRemainingColumn(), console=console(), transient=True) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, speed="")
            elapsed = bars.tasks[tasks[stage]].elapsed or 0.0
            speed = _rate(done, elapsed, unit) if done and elapsed else ""
            bars.update(tasks[stage], completed=done, total=total, speed=speed)

        yield report
