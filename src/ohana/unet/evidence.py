"""How strongly the network speaks for an event, whoever has found it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from ohana.events import Event, Steps
from ohana.labels import Label
from ohana.linking import dating_error
from ohana.rules.cores import SAME
from ohana.unet.opinion import FLOOR, Opinion, Voxels

#: Probability from which on the network counts as having seen an event itself. Low, because what
#: becomes of it is a matter of the calibrated confidence.
SEEN = {Label.COSMIC_RAY: 0.2, Label.TELEGRAPH_NOISE: 0.3, Label.SNOWBALL: 0.3}
#: No voxel is believed more than this, so that odds stay finite.
CERTAIN = 1.0 - 1e-6


class Entries(NamedTuple):
    """Pixels of a list of events, one entry each: event, pixel, first read, and reads of slack."""

    event: np.ndarray
    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    slack: np.ndarray


def network_score(events: Sequence[Event], opinion: Opinion, noise: np.ndarray) -> np.ndarray:
    """Return the log-odds that the network gives each event, shape (n,).

    Parameters
    ----------
    events : sequence of Event
        n events of any classes and origin.
    opinion : Opinion
        What the network says.
    noise : ndarray, shape (H, W)
        Read noise [DN].

    Notes
    -----
    A pixel of a cosmic ray may have been hit in any of the reads that its date leaves open, and
    the odds of all pixels add up: any of them is enough. A snowball has the mean probability of
    its pixels, telegraph noise that of its pixel.
    """
    score: np.ndarray = np.zeros(len(events))
    for label, of_class in (
        (Label.COSMIC_RAY, _rays),
        (Label.SNOWBALL, _balls),
        (Label.TELEGRAPH_NOISE, _telegraph),
    ):
        mine = [i for i, event in enumerate(events) if event.label == label]
        if mine:
            score[mine] = of_class(_entries([events[i] for i in mine], noise), opinion)
    return score


def reads_of_slack(events: Sequence[Event], noise: np.ndarray) -> np.ndarray:
    """Return by how many reads each event may be off, from its best dated pixel, shape (n,)."""
    if not events:
        return np.empty(0, np.int32)
    entries = _entries(events, noise)
    return np.minimum.reduceat(entries.slack, np.flatnonzero(np.diff(entries.event, prepend=-1)))


def odds_of_groups(probability: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the summed odds of the pixels of each group."""
    probability = np.minimum(probability, CERTAIN)
    return np.bincount(group, probability / (1 - probability), groups)


def any_of(probability: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the probability of each group that any of its members is real.

    The network asks itself of every read anew, so the probabilities of neighbouring reads may
    well exceed 1 together.
    """
    none = np.bincount(group, np.log1p(-np.minimum(probability, CERTAIN)), groups)
    return -np.expm1(none)


def _entries(events: Sequence[Event], noise: np.ndarray) -> Entries:
    """List the pixels of at least one event."""
    row, col, read, size = (
        np.concatenate([getattr(event, name) for event in events])
        for name in ("rows", "cols", "reads", "amplitude")
    )
    steps = Steps(row, col, read, size, size, size, size, size)
    number = np.repeat(np.arange(len(events)), [len(event.rows) for event in events])
    return Entries(number, row, col, read, dating_error(steps, noise))


def _voxels_of(entries: Entries, voxels: Voxels, shape) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of an entry and a voxel of the same pixel."""
    pixel = np.ravel_multi_index((voxels.row, voxels.col), shape)
    order = np.argsort(pixel, kind="stable")
    wanted = np.ravel_multi_index((entries.row, entries.col), shape)
    low, high = (np.searchsorted(pixel[order], wanted, side) for side in ("left", "right"))
    entry = np.repeat(np.arange(len(wanted)), high - low)
    within = np.arange(len(entry)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    return entry, order[np.repeat(low, high - low) + within]


def _rays(entries: Entries, opinion: Opinion) -> np.ndarray:
    entry, voxel = _voxels_of(entries, opinion.voxels, opinion.telegraph.shape)
    near = np.abs(opinion.voxels.read[voxel] - entries.read[entry]) <= entries.slack[entry]
    size = len(entries.event)
    total = any_of(opinion.voxels.ray[voxel[near]].astype(float), entry[near], size)
    odds = odds_of_groups(total, entries.event, entries.event[-1] + 1)
    return np.log(np.maximum(odds, FLOOR))


def _balls(entries: Entries, opinion: Opinion) -> np.ndarray:
    entry, voxel = _voxels_of(entries, opinion.voxels, opinion.telegraph.shape)
    since = opinion.voxels.read[voxel] - entries.read[entry]
    near = (since >= -SAME) & (since <= SAME)
    highest = np.zeros(len(entries.event))
    np.maximum.at(highest, entry[near], opinion.voxels.ball[voxel[near]])
    mean = np.bincount(entries.event, highest) / np.bincount(entries.event)
    return special.logit(np.clip(mean, FLOOR, CERTAIN))


def _telegraph(entries: Entries, opinion: Opinion) -> np.ndarray:
    highest = np.zeros(entries.event[-1] + 1)
    np.maximum.at(highest, entries.event, opinion.telegraph[entries.row, entries.col])
    return special.logit(np.clip(highest, FLOOR, CERTAIN))
