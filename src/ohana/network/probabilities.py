"""Probabilities of the network in an exposure, stored sparsely; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from ohana.classes import EVENT_LABELS, Label
from ohana.detect.linking import read_tolerance
from ohana.detect.snowballs.tuning import TUNING as SNOWBALLS
from ohana.events import Event
from ohana.network.tuning import TUNING


class Voxels(NamedTuple):
    """Pixels and reads in which the network finds a hit possible, one entry each.

    Attributes
    ----------
    row, col, read : ndarray of int32
        Pixel, and the read at the end of the step: 1 to T - 1, at most the first saturated one.
    p_cosmic_ray, p_snowball : ndarray of float32
        Probability of a cosmic ray and of a snowball; one of them is at least
        ``TUNING.store_threshold``.
    amplitude, error : ndarray of float32
        Generalised-least-squares step at that read, with known steps at other reads as free
        parameters, and its standard error [DN]; 0 and infinity where the ramp does not determine
        it, and where a cosmic ray is less likely than ``TUNING.member_threshold`` and no step is
        known.
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
        """Return the voxels at an index or boolean array."""
        return Voxels(*(column[which] for column in self))


class NetworkOutput(NamedTuple):
    """Probabilities of the network in one integration.

    Attributes
    ----------
    voxels : Voxels
        Possible hits, sorted by read, row and column.
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
    """Pixels of a list of events, one entry each: event, pixel, first read, read tolerance."""

    event: np.ndarray
    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    tolerance: np.ndarray


def network_log_odds(
    events: Sequence[Event], output: NetworkOutput, noise: np.ndarray
) -> np.ndarray:
    """Return the log-odds of the network for each event, shape (n,); NaN for unknown classes.

    Parameters
    ----------
    events : sequence of Event
        n events of any classes and origin.
    output : NetworkOutput
        Probabilities of the network.
    noise : ndarray, shape (H, W)
        Read noise [DN].

    Notes
    -----
    For a cosmic ray, the probabilities of a pixel are combined over the reads within its
    tolerance, and the odds of all pixels are summed. A snowball has the mean probability of its
    pixels, telegraph noise the highest.
    """
    score: np.ndarray = np.full(len(events), np.nan)
    for label, of_class in (
        (Label.COSMIC_RAY, _cosmic_rays),
        (Label.SNOWBALL, _snowballs),
        (Label.TELEGRAPH_NOISE, _telegraph_noise),
    ):
        mine = [i for i, event in enumerate(events) if event.label == label]
        if mine and label in output.classes:
            score[mine] = of_class(_entries([events[i] for i in mine], noise), output)
    return score


def event_read_tolerance(events: Sequence[Event], noise: np.ndarray) -> np.ndarray:
    """Return the read tolerance of each event, that of its best dated pixel, shape (n,)."""
    if not events:
        return np.empty(0, np.int32)
    entries = _entries(events, noise)
    return np.minimum.reduceat(
        entries.tolerance, np.flatnonzero(np.diff(entries.event, prepend=-1))
    )


def summed_odds(probability: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the summed odds of the pixels of each group."""
    probability = np.minimum(probability, TUNING.max_probability)
    return np.bincount(group, probability / (1 - probability), groups)


def probability_of_any(probability: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the probability that at least one member of each group is real.

    Each read has a probability of its own, so those of neighbouring reads can sum to more than 1.
    """
    none = np.bincount(group, np.log1p(-np.minimum(probability, TUNING.max_probability)), groups)
    return -np.expm1(none)


def _entries(events: Sequence[Event], noise: np.ndarray) -> Entries:
    """List the pixels of at least one event."""
    row, col, read, size = (
        np.concatenate([getattr(event, name) for event in events])
        for name in ("rows", "cols", "reads", "amplitude")
    )
    number = np.repeat(np.arange(len(events)), [len(event.rows) for event in events])
    return Entries(number, row, col, read, read_tolerance(size, noise[row, col]))


def _voxels_of(entries: Entries, voxels: Voxels, shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of all pairs of an entry and a voxel of the same pixel."""
    pixel = np.ravel_multi_index((voxels.row, voxels.col), shape)
    order = np.argsort(pixel, kind="stable")
    wanted = np.ravel_multi_index((entries.row, entries.col), shape)
    low, high = (np.searchsorted(pixel[order], wanted, side) for side in ("left", "right"))
    entry = np.repeat(np.arange(len(wanted)), high - low)
    within = np.arange(len(entry)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    return entry, order[np.repeat(low, high - low) + within]


def _cosmic_rays(entries: Entries, output: NetworkOutput) -> np.ndarray:
    entry, voxel = _voxels_of(entries, output.voxels, output.telegraph.shape)
    near = np.abs(output.voxels.read[voxel] - entries.read[entry]) <= entries.tolerance[entry]
    size = len(entries.event)
    total = probability_of_any(
        output.voxels.p_cosmic_ray[voxel[near]].astype(float), entry[near], size
    )
    odds = summed_odds(total, entries.event, entries.event[-1] + 1)
    return np.log(np.maximum(odds, TUNING.store_threshold))


def _snowballs(entries: Entries, output: NetworkOutput) -> np.ndarray:
    entry, voxel = _voxels_of(entries, output.voxels, output.telegraph.shape)
    since = output.voxels.read[voxel] - entries.read[entry]
    near = (since >= -SNOWBALLS.core_read_tolerance) & (since <= SNOWBALLS.core_read_tolerance)
    highest = np.zeros(len(entries.event))
    np.maximum.at(highest, entry[near], output.voxels.p_snowball[voxel[near]])
    mean = np.bincount(entries.event, highest) / np.bincount(entries.event)
    return special.logit(np.clip(mean, TUNING.store_threshold, TUNING.max_probability))


def _telegraph_noise(entries: Entries, output: NetworkOutput) -> np.ndarray:
    highest = np.zeros(entries.event[-1] + 1)
    np.maximum.at(highest, entries.event, output.telegraph[entries.row, entries.col])
    return special.logit(np.clip(highest, TUNING.store_threshold, TUNING.max_probability))
