"""What the sources of events have in common: when they come, how many, what they leave behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ohana.labels import Label
from ohana.simulate.config import SimulationConfig


class Deposits(NamedTuple):
    """Charge that appears in pixels, one entry per pixel and read.

    ``row``, ``col`` count in the active part of the array; ``read`` is the first read that
    contains the ``charge`` [e-].
    """

    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    charge: np.ndarray


@dataclass(frozen=True)
class Source:
    """One event as put into the pixels, before they couple, fill up and are read.

    ``facts`` are plain values for the truth.
    """

    label: Label
    first_frame: int
    deposits: Deposits
    facts: dict[str, object] = field(default_factory=dict)


def draw_count(wanted: int | None, expected: float, rng: np.random.Generator) -> int:
    """Return the number wanted, or a Poisson draw if none is given."""
    return int(rng.poisson(expected)) if wanted is None else wanted


def draw_reads(count: int, config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the first reads of events: uniform, a part of them moved to either end of the ramp."""
    reads = rng.integers(1, config.reads, count)
    ends = np.unique(np.clip([1, 2, config.reads - 2, config.reads - 1], 1, None))
    moved = rng.random(count) < config.ends_fraction
    return np.where(moved, rng.choice(ends, count), reads)


def join_deposits(sources: list[Source]) -> Deposits:
    """Return the deposits of all sources in order of their reads."""
    empty = Deposits(*(np.empty(0, kind) for kind in (np.int32, np.int32, np.int32, np.float32)))
    columns = zip(empty, *(source.deposits for source in sources), strict=True)
    every = Deposits(*(np.concatenate(column) for column in columns))
    order = np.argsort(every.read, kind="stable")
    return Deposits(*(column[order] for column in every))
