"""True events and detections as columns, and their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohana.classes import EVENT_LABELS, label_of
from ohana.detect.matching import Members
from ohana.evaluate.truth.limits import date_tolerance, is_detectable, is_possible
from ohana.results.catalogue import member_pixels
from ohana.results.maps import paint
from ohana.simulate.truth import TrueEvent, Truth

#: Quantities against which completeness and purity are binned.
AXES = ("snr", "amplitude", "read", "rate")
#: Lower limit applied to count rates [DN/s]. Chosen.
LOWEST_RATE = 1e-3


@dataclass(frozen=True)
class Table:
    """Events of one side, one entry each.

    Attributes
    ----------
    label : ndarray of int
        `ohana.classes.Label`.
    members : Members
        Their pixels.
    axes : dict of ndarray
        For each of `AXES` the value of every event, of its brightest pixel; NaN where it is not
        known. ``snr`` is the matched-filter S/N of a true event (the root of chi-squared for
        telegraph noise), and the significance of a detection.
    """

    label: np.ndarray
    members: Members
    axes: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class Pairing:
    """True events, detections, and their pairs.

    Attributes
    ----------
    true, found : Table
        True events and detections.
    possible, detectable : ndarray of bool
        True events that could be recognised if bright; those that stand out of the noise.
    confidence : ndarray
        Of each detection.
    pair_true, pair_found, pair_pixels : ndarray of int
        Pairs of a true event and a detection, of any classes, and how many pixels they share.
    """

    true: Table
    found: Table
    possible: np.ndarray
    detectable: np.ndarray
    confidence: np.ndarray
    pair_true: np.ndarray
    pair_found: np.ndarray
    pair_pixels: np.ndarray

    @property
    def pair_same(self) -> np.ndarray:
        """Return which pairs are of one class."""
        return self.true.label[self.pair_true] == self.found.label[self.pair_found]

    @property
    def detections_of(self) -> np.ndarray:
        """Number of detections of its own class that belong to each true event."""
        return np.bincount(self.pair_true[self.pair_same], minlength=len(self.true))

    @property
    def events_of(self) -> np.ndarray:
        """Number of true events of its own class that each detection belongs to."""
        return np.bincount(self.pair_found[self.pair_same], minlength=len(self.found))


def compare(
    truth: Truth, entries: Sequence[Any], threshold: float, rate: np.ndarray | None = None
) -> Pairing:
    """Pair true events and detections that share a pixel at about the same time."""
    true, found = true_table(truth, rate), found_table(entries, truth.shape, rate)
    brightest = np.array([event.charge.max(initial=0) for event in truth.events])
    return Pairing(
        true,
        found,
        np.array([is_possible(event) for event in truth.events], bool),
        np.array([is_detectable(event, threshold) for event in truth.events], bool),
        np.array([entry["confidence"] for entry in entries], float),
        *true.members.matches(found.members, date_tolerance(truth, brightest)),
    )


def gather_truth(truth: Truth) -> Members:
    """Return the pixels of all true events."""
    events = [(event.rows, event.cols, event.first_frame) for event in truth.events]
    return Members.gather(events, truth.shape[2])


def true_table(truth: Truth, rate: np.ndarray | None = None) -> Table:
    """Return the columns of true events."""
    events = truth.events
    columns = {
        "snr": [event.snr.max(initial=0) for event in events],
        "amplitude": [event.amplitude.max(initial=0) for event in events],
        "read": [event.first_frame for event in events],
        "rate": _rates(rate, [_brightest(event) for event in events]),
    }
    return Table(
        np.array([event.label for event in events], int),
        gather_truth(truth),
        {name: np.array(values, float) for name, values in columns.items()},
    )


def found_table(
    entries: Sequence[Any], shape: tuple[int, int, int], rate: np.ndarray | None = None
) -> Table:
    """Return the columns of entries of a catalogue.

    Raises
    ------
    ValueError
        An entry lies outside the array or after its last read.
    """
    reads, height, width = shape
    members = [(*member_pixels(entry), entry["first_frame"]) for entry in entries]
    for number, (rows, cols, first) in enumerate(members):
        if rows.max(initial=0) >= height or cols.max(initial=0) >= width or (first or 0) >= reads:
            raise ValueError(
                f"entry {number}: wanted pixels and first_frame within {reads} reads of "
                f"{height} x {width}, got pixels up to [{rows.max()}, {cols.max()}] "
                f"and first_frame {first}"
            )
    columns = {
        "snr": [entry["significance"] for entry in entries],
        "amplitude": [entry["max_intensity"] for entry in entries],
        "read": [entry["first_frame"] for entry in entries],
        "rate": _rates(rate, [tuple(entry["position"]) for entry in entries]),
    }
    return Table(
        np.array([label_of(entry["type"]) for entry in entries], int),
        Members.gather(members, width),
        {name: np.array(values, float) for name, values in columns.items()},
    )


def _brightest(event: TrueEvent) -> tuple[int, ...]:
    """Return row and column of the pixel with most charge; nothing if there is no pixel."""
    peak = event.charge.argmax() if len(event.charge) else 0
    return tuple(int(axis[peak]) for axis in (event.rows, event.cols) if len(axis))


def _rates(rate: np.ndarray | None, at: list[tuple[int, ...]]) -> list[float]:
    """Look up a map at some pixels, from `LOWEST_RATE` on; NaN without a map or a pixel."""
    known = [float(rate[place]) if rate is not None and place else np.nan for place in at]
    return np.maximum(known, LOWEST_RATE).tolist()


def members_mask(table: Table, shape: tuple[int, int]) -> np.ndarray:
    """Return the class of every pixel, uint8 (H, W), in the priority of the mask."""
    label = table.label[table.members.event]
    members = [
        (each, np.unravel_index(table.members.pixel[label == each], shape)) for each in EVENT_LABELS
    ]
    return paint(members, shape)
