"""Progress of a job: the type of the function that receives it, and the time of each stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

#: Called with the name of a stage, the parts done and the parts in all.
Progress = Callable[[str, int, int], None]


def no_progress(stage: str, done: int, total: int) -> None:
    """Discard progress."""


class Stopwatch:
    """Measures how long each stage takes, from the progress reports that it passes on.

    Attributes
    ----------
    started : datetime
        When it was made.
    seconds : dict
        Stage -> seconds, from its begin until the next stage begins; repeated stages add up.

    Examples
    --------
    >>> clock = Stopwatch(lambda stage, done, total: print(stage, done, total))
    >>> clock("steps", 0, 2)
    steps 0 2
    >>> clock.stop()
    >>> list(clock.seconds)
    ['steps']
    """

    def __init__(self, progress: Progress = no_progress) -> None:
        self.started = datetime.now(UTC)
        self.seconds: dict[str, float] = {}
        self._report = progress
        self._stage, self._since = "", time.perf_counter()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Pass a report on; a new stage begins the next measurement."""
        if stage != self._stage:
            self.begin(stage)
        self._report(stage, done, total)

    def begin(self, stage: str) -> None:
        """Begin a stage without a report."""
        self.stop()
        self._stage = stage

    def stop(self) -> None:
        """End the stage that runs."""
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = "", now
