"""Telegraph noise that many pixels share is none: a real pixel switches on its own.

The levels of a pixel with telegraph noise are those of one trap. Light that varies, drifts of the
read-out and columns with a noisy transistor make many pixels switch in the same reads, in the same
direction. How many transitions coincide beyond chance tells how many of the events are false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from ohana.config import DetectorConfig
from ohana.detect.telegraph.tuning import TUNING
from ohana.events import Event

#: Transitions of a row or column that each is compared with: bounds time and memory.
COMPANY = 1000


class Transitions(NamedTuple):
    """Changes of level: the event of each, its read, and whether it is upward."""

    event: np.ndarray
    read: np.ndarray
    up: np.ndarray


def transitions_of(events: Sequence[Event]) -> Transitions:
    """Collect the changes of level of events of telegraph noise.

    Parameters
    ----------
    events : sequence of Event
        With ``rise_reads`` and ``fall_reads`` in their ``extra``.
    """
    parts = [(np.empty(0, int), np.empty(0, int), np.empty(0, bool))]
    for number, event in enumerate(events):
        for name, up in (("rise_reads", True), ("fall_reads", False)):
            read = np.array(event.extra[name], int)
            parts.append((np.full(len(read), number), read, np.full(len(read), up)))
    return Transitions(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def without_coherent(
    events: list[Event], shape: tuple[int, int, int], config: DetectorConfig
) -> list[Event]:
    """Lower the confidence of telegraph noise that switches with other pixels, or drop it.

    Parameters
    ----------
    events : list of Event
        Telegraph noise of the whole array.
    shape : tuple of int
        (T, H, W).
    config : DetectorConfig
        ``rtn_min_confidence`` acts here.
    """
    if len(events) < TUNING.coherent_events:
        return events
    moves = transitions_of(events)
    row, col = (np.array([getattr(e, name)[0] for e in events], int) for name in ("rows", "cols"))
    shared = _of_all(moves, len(events), shape[0])
    for line, beside in ((row, col), (col, row)):
        shared = np.maximum(shared, _of_lines(moves, line, beside, shape[0]))
    judged = [
        replace(event, confidence=event.confidence * (1 - part)) if part > 0 else event
        for event, part in zip(events, shared.tolist(), strict=True)
    ]
    return [event for event in judged if event.confidence >= config.rtn_min_confidence]


def _of_all(moves: Transitions, size: int, reads: int) -> np.ndarray:
    """Return the part of the transitions of each event that the whole array shares, (size,)."""
    near = np.zeros(len(moves.read))
    for up in (True, False):
        mine = moves.up == up
        count = np.bincount(moves.read[mine], minlength=reads + 1)
        window = np.convolve(count, np.ones(3), "same")
        usual = float(np.median(window[1:reads]))
        # One event may not make its own company.
        others = window[moves.read[mine]] - 1
        expected = max(usual, 1e-3)
        unlikely = stats.poisson.sf(others - 1, expected) < TUNING.coherent_chance
        many = unlikely & (others >= TUNING.coherent_events)
        near[mine] = np.where(many, 1 - expected / np.maximum(others, 1), 0.0)
    number = np.bincount(moves.event, minlength=size)
    return np.maximum(np.bincount(moves.event, near, size), 0) / np.maximum(number, 1)


def _of_lines(moves: Transitions, line: np.ndarray, beside: np.ndarray, reads: int) -> np.ndarray:
    """Return the part of the transitions of each event that its row or column shares.

    ``line`` is the row (or column) of each event, ``beside`` its place in it. Pixels side by side
    are no company: they share charge.
    """
    out = np.zeros(len(line))
    lines = np.flatnonzero(np.bincount(line) >= 2)
    for number in lines:
        inside = np.flatnonzero(line[moves.event] == number)
        event, read, up = (column[inside] for column in moves)
        # Some of very many are company enough.
        some = slice(None, None, len(event) // COMPANY + 1)
        far = np.abs(beside[event][:, None] - beside[event[some]]) > TUNING.coherent_distance
        same = far & (up[:, None] == up[some])
        met = (same & (np.abs(read[:, None] - read[some]) <= 1)).any(axis=1)
        chance = 1 - (1 - 3 / reads) ** same.sum(axis=1)
        unlikely = TUNING.coherent_chance / len(lines)
        if stats.binom.sf(met.sum() - 1, len(met), chance.mean()) > unlikely:
            continue
        for each in np.unique(event):
            mine = event == each
            by_chance = chance[mine].mean()
            out[each] = max((met[mine].mean() - by_chance) / max(1 - by_chance, 1e-3), 0.0)
    return out
