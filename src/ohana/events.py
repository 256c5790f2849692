"""What the stages hand on: steps of single pixels, per-pixel maps, and events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np

from ohana.classes import Label


class Steps(NamedTuple):
    """Significant steps of single pixels, one entry each (sparse).

    Attributes
    ----------
    row, col, read : ndarray of int32
        Pixel, and the first read that contains the step.
    amplitude, error : ndarray of float32
        Generalised-least-squares step and its standard error [DN]; negative when downward.
    significance : ndarray of float32
        Gaussian-equivalent significance [sigma], with the sign of the amplitude.
    saturating : ndarray of bool
        The step drove the pixel into saturation: its amplitude is a lower limit.
    fit : ndarray of float32
        Reduced chi-squared of the ramp with all its steps fitted.
    """

    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    amplitude: np.ndarray
    error: np.ndarray
    significance: np.ndarray
    saturating: np.ndarray
    fit: np.ndarray

    def select(self, which: np.ndarray) -> Steps:
        """Return the steps of an index or boolean array."""
        return Steps(*(column[which] for column in self))

    def within(self, rows: slice, cols: slice) -> Steps:
        """Return the steps of a window, rows and columns relative to its corner."""
        row, col = self.row - np.int32(rows.start), self.col - np.int32(cols.start)
        inside = (row >= 0) & (row < rows.stop - rows.start)
        inside &= (col >= 0) & (col < cols.stop - cols.start)
        return self._replace(row=row, col=col).select(inside)


#: dtypes of the columns of `Steps`.
STEP_TYPES = (
    np.int32,
    np.int32,
    np.int32,
    np.float32,
    np.float32,
    np.float32,
    np.bool_,
    np.float32,
)


def join_steps(parts: list[Steps]) -> Steps:
    """Concatenate lists of steps; an empty list gives empty columns."""
    empty = [np.empty(0, kind) for kind in STEP_TYPES]
    return Steps(*(np.concatenate(columns) for columns in zip(empty, *parts, strict=True)))


@dataclass(frozen=True)
class PixelMaps:
    """Per-pixel results, all of shape (H, W).

    Attributes
    ----------
    rate : ndarray of float32
        Count rate [DN per frame time], steps excluded; NaN where it cannot be measured.
    noise : ndarray of float32
        Read noise of one frame [DN].
    neighbour_noise : ndarray of float32
        Typical read noise of the pixels around [DN].
    shot : ndarray of float32
        Poisson variance per frame time [DN^2].
    dof : ndarray of float32
        Degrees of freedom behind the noise.
    best_step, best_significance, best_read : ndarray
        Most significant upward step: amplitude [DN], significance [sigma], read (-1: none).
    fall_step, fall_significance, fall_read : ndarray
        The same of the most significant downward step, with positive amplitude and significance.
    flicker : ndarray of float32
        Screening statistic of telegraph noise, 0 for a quiet ramp: see
        `ohana.detect.telegraph.screen`.
    curve : ndarray of int16
        Curve in which the ramp bends, see `ohana.rampfit.curves.curve_shapes`; -1 where it is
        straight, -2 where too few reads tell a curve from a step.
    first_usable, stop : ndarray of int32
        First usable read, and first saturated read (T where there is none).
    first_appearance, persistence_count, transition_count : ndarray of int32
        See `ohana.rampfit.temporal`.
    max_intensity, intensity_variance : ndarray of float32
        Largest difference above the median one [DN], and mean square of all differences about
        it [DN^2], events included.
    """

    rate: np.ndarray
    noise: np.ndarray
    neighbour_noise: np.ndarray
    shot: np.ndarray
    dof: np.ndarray
    best_step: np.ndarray
    best_significance: np.ndarray
    best_read: np.ndarray
    fall_step: np.ndarray
    fall_significance: np.ndarray
    fall_read: np.ndarray
    flicker: np.ndarray
    curve: np.ndarray
    first_usable: np.ndarray
    stop: np.ndarray
    first_appearance: np.ndarray
    persistence_count: np.ndarray
    transition_count: np.ndarray
    max_intensity: np.ndarray
    intensity_variance: np.ndarray

    def window(self, rows: slice, cols: slice) -> PixelMaps:
        """Return the maps of a window."""
        return PixelMaps(*(getattr(self, f.name)[rows, cols] for f in fields(self)))


@dataclass(frozen=True)
class Event:
    """One anomaly.

    Attributes
    ----------
    label : Label
        Its class.
    rows, cols : ndarray of int32, shape (n,)
        Member pixels.
    reads : ndarray of int32, shape (n,)
        First read of the event in each member pixel; -1 for telegraph noise.
    amplitude : ndarray of float32, shape (n,)
        Step of each member pixel above its ramp [DN].
    significance : ndarray of float32, shape (n,)
        Significance of each member's step [sigma].
    first_frame : int or None
        First read that contains the event.
    confidence : float
        Calibrated probability that the event is real and of this class.
    source : str
        ``rules``, ``unet`` or ``both``.
    integration : int
        Integration of the exposure.
    extra : dict
        Catalogue fields of the class, plain numbers, strings and lists.
    """

    label: Label
    rows: np.ndarray
    cols: np.ndarray
    reads: np.ndarray
    amplitude: np.ndarray
    significance: np.ndarray
    first_frame: int | None
    confidence: float
    source: str = "rules"
    integration: int = 0
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def peak(self) -> tuple[int, int]:
        """Row and column of the pixel with the largest step."""
        largest = int(np.argmax(np.nan_to_num(self.amplitude, nan=-np.inf)))
        return int(self.rows[largest]), int(self.cols[largest])


def pixels_of(events: Iterable[Event], shape: tuple[int, int]) -> np.ndarray:
    """Return which pixels of the array are part of an event, bool (H, W)."""
    covered = np.zeros(shape, bool)
    for event in events:
        covered[event.rows, event.cols] = True
    return covered
