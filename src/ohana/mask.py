"""The two-dimensional mask: one class per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ohana.events import Event
from ohana.files import replacing
from ohana.labels import MASK_PRIORITY


def paint_mask(events: Sequence[Event], shape: tuple[int, int]) -> np.ndarray:
    """Mark the pixels of all events with their class.

    Parameters
    ----------
    events : sequence of Event
        In any order.
    shape : tuple of int
        (H, W) of the detector.

    Returns
    -------
    ndarray of uint8, shape (H, W)
        `ohana.labels.Label` of each pixel, 0 for background. Where classes overlap, a snowball
        covers telegraph noise and telegraph noise covers a cosmic ray.

    Examples
    --------
    >>> from ohana.labels import Label
    >>> def pixel(label, col):
    ...     zero = np.zeros(1, np.int32)
    ...     return Event(label, zero, zero + col, zero, zero, zero, 0, 1.0)
    >>> paint_mask([pixel(Label.SNOWBALL, 1), pixel(Label.COSMIC_RAY, 1)], (1, 3))
    array([[0, 3, 0]], dtype=uint8)
    """
    mask = np.zeros(shape, np.uint8)
    for label in MASK_PRIORITY:
        for event in events:
            if event.label == label:
                mask[event.rows, event.cols] = label
    return mask


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask as ``.npy``, whole or not at all."""
    with replacing(path) as temporary:
        np.save(temporary, mask, allow_pickle=False)
