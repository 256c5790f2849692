"""FIXME docstring."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    pass

#: Called with the name of a stage, the parts done and the parts in all.
Progress = Callable[[str, int, int], None]


class Stopwatch:
    """Takes the time of each stage from the progress that is told, and tells it on.

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

    def __init__(self, progress: Callable[[str, int, int], None] | None = None) -> None:
        self.started = datetime.now(UTC)
        self.seconds: dict[str, float] = {}
        self._tell = progress
        self._stage, self._since = "", time.perf_counter()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Begin a stage, if it is another one, and tell how far it is."""
        if stage != self._stage:
            self.begin(stage)
        if self._tell is not None:
            self._tell(stage, done, total)

    def begin(self, stage: str) -> None:
        """Begin a stage without telling anyone."""
        self.stop()
        self._stage = stage

    def stop(self) -> None:
        """End the stage that runs."""
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = "", now
