"""Times, numbers and deposited charge of events, for all sources.

Time is counted in the frames of ``config.frame_times``, which are averaged into reads. Of charge
that arrives at frame ``f``, the read with that frame contains a fraction, since it is the mean of
frames before and after, and the next read all. Without averaging a frame is a read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.simulate.config import SimulationConfig


class Deposits(NamedTuple):
    """Charge that appears in pixels, one entry per pixel and frame.

    ``row``, ``col`` count in the active part of the array; ``frame`` is the first frame that
    contains the ``charge`` [e-].
    """

    row: np.ndarray
    col: np.ndarray
    frame: np.ndarray
    charge: np.ndarray


@dataclass(frozen=True)
class ChargeEvent:
    """Charge of one event in the pixels, before coupling, saturation and read-out.

    ``frame`` is the first that contains it, ``facts`` are plain values for the truth.
    """

    label: Label
    frame: int
    deposits: Deposits
    facts: dict[str, object] = field(default_factory=dict)


def draw_count(wanted: int | None, expected: float, rng: np.random.Generator) -> int:
    """Return the number wanted, or a Poisson draw if none is given."""
    return int(rng.poisson(expected)) if wanted is None else wanted


def draw_frames(count: int, config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """Draw the first frames of events.

    They are uniform in time between the first and the last frame, except for a fraction that is
    moved to the first frames of the first or last two reads after read 0.
    """
    waits = np.diff(config.frame_times)
    frames = 1 + rng.choice(len(waits), count, p=waits / waits.sum())
    ends = np.unique(np.clip([1, 2, config.reads - 2, config.reads - 1], 1, config.reads - 1))
    moved = rng.random(count) < config.ends_fraction
    return np.where(moved, config.first_frames[rng.choice(ends, count)], frames)


def first_read(frame: np.ndarray, averaged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first read with a frame, and the fraction of charge from that frame on in it.

    Parameters
    ----------
    frame : ndarray of int
        First frame with the charge.
    averaged : ndarray of int, shape (T,)
        Frames averaged into each read.

    Examples
    --------
    >>> first_read(np.array([0, 1, 2, 4, 5]), np.array([1, 4, 2]))
    (array([0, 1, 1, 1, 2]), array([1.  , 1.  , 0.75, 0.25, 1.  ]))
    """
    begins = np.cumsum(averaged) - averaged
    read = np.searchsorted(begins, frame, "right") - 1
    return read, 1 - (frame - begins[read]) / averaged[read]


def join_deposits(sources: list[ChargeEvent]) -> Deposits:
    """Return the deposits of all sources in order of their frames."""
    empty = Deposits(*(np.empty(0, kind) for kind in (np.int32, np.int32, np.int32, np.float32)))
    columns = zip(empty, *(source.deposits for source in sources), strict=True)
    every = Deposits(*(np.concatenate(column) for column in columns))
    order = np.argsort(every.frame, kind="stable")
    return Deposits(*(column[order] for column in every))
