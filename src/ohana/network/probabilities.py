"""What the network says of an exposure, sparse: no part of this needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from ohana.classes import EVENT_LABELS, Label
from ohana.detect.linking import read_tolerance
from ohana.detect.snowballs.tuning import TUNING as SNOWBALLS
from ohana.events import Event, Steps

#: A pixel and read is listed where the network gives a cosmic ray or a snowball this probability.
STORE_THRESHOLD = 0.02
#: Probability from which on a pixel and read can be part of a cosmic ray: its step is measured.
MEMBER_THRESHOLD = 0.08
#: No voxel is believed more than this, so that odds stay finite.
CERTAIN = 1.0 - 1e-6


class Voxels(NamedTuple):
    """Pixels and reads in which the network thinks a hit possible, one entry each.

    Attributes
    ----------
    row, col, read : ndarray of int32
        Pixel, and the read that the step from the one before leads to: 1 to T - 1, up to the
        one that is saturated first.
    p_cosmic_ray, p_snowball : ndarray of float32
        Probability of a cosmic ray and of a snowball; one of them is at least `STORE_THRESHOLD`.
    amplitude, error : ndarray of float32
        Generalised-least-squares step at that read, known steps at other reads left free, and its
        standard error [DN]; 0 and infinity where it cannot be told from the rest of the ramp, and
        where a cosmic ray is less likely than `MEMBER_THRESHOLD` and no step is known.
    significance : ndarray of float32
        Gaussian-equivalent significance [sigma].
    """

    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    p_cosmic_ray: np.ndarray
    p_snowball: np.ndarray
    amplitude: np.ndarray
    error: np.ndarray
    significance: np.ndarray

    def select(self, which: np.ndarray) -> Voxels:
        """Return the voxels that an index or boolean array picks."""
        return Voxels(*(column[which] for column in self))


class NetworkOutput(NamedTuple):
    """What the network says of one integration.

    Attributes
    ----------
    voxels : Voxels
        Where hits are possible, sorted by read, row and column.
    telegraph : ndarray of float32, shape (H, W)
        Probability of telegraph noise, mean over the usable reads; 0 where there are none.
    classes : frozenset of Label
        Classes that the network knows.
    """

    voxels: Voxels
    telegraph: np.ndarray
    classes: frozenset[Label] = frozenset(EVENT_LABELS)


#: dtypes of the columns of `Voxels`.
VOXEL_TYPES = (*[np.int32] * 3, *[np.float32] * 5)


def join_voxels(parts: list[Voxels]) -> Voxels:
    """Concatenate lists of voxels and sort them by read, row and column.

    Examples
    --------
    >>> one = Voxels(*(np.ones(1, kind) for kind in VOXEL_TYPES))
    >>> join_voxels([one, one._replace(row=np.zeros(1, np.int32))]).row
    array([0, 1], dtype=int32)
    """
    empty = [np.empty(0, kind) for kind in VOXEL_TYPES]
    joined = Voxels(*(np.concatenate(columns) for columns in zip(empty, *parts, strict=True)))
    return joined.select(np.lexsort((joined.col, joined.row, joined.read)))


class Entries(NamedTuple):
    """Pixels of a list of events, one entry each: event, pixel, first read, and reads of slack."""

    event: np.ndarray
    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    slack: np.ndarray


def network_score(events: Sequence[Event], opinion: NetworkOutput, noise: np.ndarray) -> np.ndarray:
    """Return the log-odds that the network gives each event, shape (n,); NaN if it cannot tell.

    Parameters
    ----------
    events : sequence of Event
        n events of any classes and origin.
    opinion : NetworkOutput
        What the network says.
    noise : ndarray, shape (H, W)
        Read noise [DN].

    Notes
    -----
    A pixel of a cosmic ray may have been hit in any of the reads that its date leaves open, and
    the odds of all pixels add up: any of them is enough. A snowball has the mean probability of
    its pixels, telegraph noise that of its pixel.
    """
    score: np.ndarray = np.full(len(events), np.nan)
    for label, of_class in (
        (Label.COSMIC_RAY, _rays),
        (Label.SNOWBALL, _balls),
        (Label.TELEGRAPH_NOISE, _telegraph),
    ):
        mine = [i for i, event in enumerate(events) if event.label == label]
        if mine and label in opinion.classes:
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
    return Entries(number, row, col, read, read_tolerance(steps, noise))


def _voxels_of(entries: Entries, voxels: Voxels, shape) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of an entry and a voxel of the same pixel."""
    pixel = np.ravel_multi_index((voxels.row, voxels.col), shape)
    order = np.argsort(pixel, kind="stable")
    wanted = np.ravel_multi_index((entries.row, entries.col), shape)
    low, high = (np.searchsorted(pixel[order], wanted, side) for side in ("left", "right"))
    entry = np.repeat(np.arange(len(wanted)), high - low)
    within = np.arange(len(entry)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    return entry, order[np.repeat(low, high - low) + within]


def _rays(entries: Entries, opinion: NetworkOutput) -> np.ndarray:
    entry, voxel = _voxels_of(entries, opinion.voxels, opinion.telegraph.shape)
    near = np.abs(opinion.voxels.read[voxel] - entries.read[entry]) <= entries.slack[entry]
    size = len(entries.event)
    total = any_of(opinion.voxels.p_cosmic_ray[voxel[near]].astype(float), entry[near], size)
    odds = odds_of_groups(total, entries.event, entries.event[-1] + 1)
    return np.log(np.maximum(odds, STORE_THRESHOLD))


def _balls(entries: Entries, opinion: NetworkOutput) -> np.ndarray:
    entry, voxel = _voxels_of(entries, opinion.voxels, opinion.telegraph.shape)
    since = opinion.voxels.read[voxel] - entries.read[entry]
    near = (since >= -SNOWBALLS.core_read_tolerance) & (since <= SNOWBALLS.core_read_tolerance)
    highest = np.zeros(len(entries.event))
    np.maximum.at(highest, entry[near], opinion.voxels.p_snowball[voxel[near]])
    mean = np.bincount(entries.event, highest) / np.bincount(entries.event)
    return special.logit(np.clip(mean, STORE_THRESHOLD, CERTAIN))


def _telegraph(entries: Entries, opinion: NetworkOutput) -> np.ndarray:
    highest = np.zeros(entries.event[-1] + 1)
    np.maximum.at(highest, entries.event, opinion.telegraph[entries.row, entries.col])
    return special.logit(np.clip(highest, STORE_THRESHOLD, CERTAIN))
