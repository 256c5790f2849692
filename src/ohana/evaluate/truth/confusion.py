"""Confusion of classes for events and pixels, and overlap of footprints."""

from __future__ import annotations

import numpy as np

from ohana.classes import MASK_PRIORITY, Label
from ohana.evaluate.truth.pairs import Pairing
from ohana.simulate.truth import Truth

KINDS = len(Label)


def event_confusion(compared: Pairing) -> np.ndarray:
    """Count true events by class (rows) and the class they are detected as (columns).

    Row 0 holds false detections, those that belong to no true event; column 0 detectable
    events that were missed. An event that is not detected as its own class counts for the
    detection that shares most pixels with it, of those that are not detections of their own
    class already. Events that nobody could detect are left out.

    Returns
    -------
    ndarray of int64, shape (n, n)
        Indices are `ohana.classes.Label`.
    """
    true, found = compared.true, compared.found
    taken_for = np.where(compared.detections_of > 0, true.label, 0)
    stray = (compared.events_of == 0)[compared.pair_found]
    free = (taken_for == 0)[compared.pair_true] & stray
    label = found.label[compared.pair_found[free]]
    largest_last = np.lexsort((label, compared.pair_pixels[free]))
    taken_for[compared.pair_true[free][largest_last]] = label[largest_last]
    table = np.zeros((KINDS, KINDS), np.int64)
    detectable = compared.detectable
    np.add.at(table, (true.label[detectable], taken_for[detectable]), 1)
    false = ~np.isin(np.arange(len(found)), compared.pair_found)
    table[0] += np.bincount(found.label[false], minlength=KINDS)
    return table


def overlaps(truth: Truth, compared: Pairing) -> np.ndarray:
    """Return the intersection over union of each true event's footprint and its detection's.

    The best of the detections of its class that belong to it; 0 where there is none.
    """
    visible = np.concatenate([np.empty(0, bool), *(event.footprint for event in truth.events)])
    footprint = compared.true.members.select(visible[compared.true.members.order])
    members = compared.found.members
    own, others, both = footprint.matches(members, np.full(footprint.size, np.inf))
    same = compared.pair_same
    pairs = compared.pair_true[same] * members.size + compared.pair_found[same]
    keep = np.isin(own * members.size + others, pairs)
    own, others, both = own[keep], others[keep], both[keep]
    size = np.bincount(footprint.event, minlength=footprint.size)
    size_found = np.bincount(members.event, minlength=members.size)
    best = np.zeros(footprint.size)
    np.maximum.at(best, own, both / (size[own] + size_found[others] - both))
    return best


def truth_mask(truth: Truth) -> np.ndarray:
    """Return the class of every pixel, uint8 (H, W): footprints, in the priority of the mask."""
    mask = np.zeros(truth.shape[1:], np.uint8)
    for label in MASK_PRIORITY:
        for event in truth.of(label):
            mask[event.rows[event.footprint], event.cols[event.footprint]] = label
    return mask


def pixel_confusion(truth: Truth, mask: np.ndarray) -> np.ndarray:
    """Count the pixels that see light by true class (rows) and class in a mask (columns).

    Returns
    -------
    ndarray of int64, shape (n, n)
        Indices are `ohana.classes.Label`.
    """
    if mask.shape != truth.shape[1:]:
        raise ValueError(f"mask: wanted shape {truth.shape[1:]}, got {mask.shape}")
    inside = np.s_[truth.config.border : -truth.config.border or None]
    both = KINDS * truth_mask(truth).astype(np.int64) + mask
    counts = np.bincount(both[inside, inside].ravel(), minlength=KINDS**2)
    return counts.reshape(KINDS, KINDS)
