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

#: Called with the name of a stage, the parts done and the parts in all.
Progress = Callable[[str, int, int], None]


@cache
def console() -> Console:
    """Return the terminal that messages and bars share, so that neither overwrites the other."""
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def show_progress(quiet: bool = False) -> Iterator[Progress]:
    """Give a function that shows progress on standard error until the block ends."""
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _lines()


def _lines() -> Progress:
    """Log one line when a stage is done."""
    started: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        start = started.setdefault(stage, time.perf_counter())
        if done >= total:
            log.info(f"{stage}: done in {time.perf_counter() - start:.1f} s")
            del started[stage]

    return report


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    look = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Bars(*look, TimeRemainingColumn(), console=console(), transient=True) as bars:
        tasks = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
