"""Counts, histograms and telegraph noise of the exposures of one detector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ohana.classes import EVENT_LABELS, Label
from ohana.detect.telegraph.fit import MIN_READS
from ohana.export.columns import Columns
from ohana.export.exposure import Detector, ExposureMetadata

#: Bin edges of all spectra [DN or e-], ten per decade: from 0.1 to the charge of a snowball.
EDGES = 10.0 ** (np.arange(-10, 101) / 10)
#: Columns with spectra, and their units.
SPECTRA = {"max_intensity": "DN", "charge": "electron"}


class Count(NamedTuple):
    """Events of one class in one exposure, outside the reference border.

    ``real`` is the sum of their confidences, ``pixels`` the number of pixels they cover.
    """

    events: int
    real: float
    pixels: int


class Flickering(NamedTuple):
    """Telegraph noise of one pixel in one integration; dwell times in seconds."""

    row: int
    col: int
    exposure: int
    amplitude: float
    dwell_low: float
    dwell_high: float


@dataclass
class Tally:
    """Sums over the exposures of one detector.

    Attributes
    ----------
    detector : Detector
        The detector.
    exposures : list of ExposureMetadata
        In order of time.
    counts : list of dict
        For each exposure the `Count` of each class.
    spectra : dict
        Column -> class -> events in each bin of `EDGES`.
    exposed : dict
        Column -> of the exposures that have it: area times time [cm2 s] and pixels [Mpix].
    flickering : list of Flickering
        All telegraph noise, reference pixels included.
    """

    detector: Detector
    exposures: list[ExposureMetadata] = field(default_factory=list)
    counts: list[dict[Label, Count]] = field(default_factory=list)
    spectra: dict[str, dict[Label, np.ndarray]] = field(
        default_factory=lambda: {
            name: {label: np.zeros(len(EDGES) - 1, np.int64) for label in EVENT_LABELS}
            for name in SPECTRA
        }
    )
    exposed: dict[str, list[float]] = field(
        default_factory=lambda: {name: [0.0, 0.0] for name in SPECTRA}
    )
    flickering: list[Flickering] = field(default_factory=list)

    def add(self, exposure: ExposureMetadata, columns: Columns) -> None:
        """Count the events of another exposure."""
        kind, lit = columns["type"].data, _lit(exposure, columns)
        here = {label: lit & (kind == label.key) for label in EVENT_LABELS}
        self.counts.append({label: _count(columns, which) for label, which in here.items()})
        for name in SPECTRA:
            if name == "charge" and exposure.gain is None:
                continue
            self.exposed[name][0] += exposure.area_time
            self.exposed[name][1] += megapixels(exposure)
            for label, which in here.items():
                known = columns[name][which].compressed()
                self.spectra[name][label] += np.histogram(known, EDGES)[0]
        self._keep_flickering(exposure, columns)
        self.exposures.append(exposure)

    def _keep_flickering(self, exposure: ExposureMetadata, columns: Columns) -> None:
        flickers = np.flatnonzero(columns["type"].data == Label.TELEGRAPH_NOISE.key)
        names = ("row", "col", "amplitude", "dwell_low", "dwell_high")
        table = [np.ma.filled(columns[name][flickers].astype(float), np.nan) for name in names]
        for row, col, amplitude, *dwell in zip(*table, strict=True):
            stays = (each * exposure.interval for each in dwell)
            place = int(row), int(col), len(self.exposures)
            self.flickering.append(Flickering(*place, float(amplitude), *map(float, stays)))

    @property
    def searched(self) -> int:
        """Number of exposures with enough reads to be searched for telegraph noise."""
        return sum(len(exposure.times) >= MIN_READS for exposure in self.exposures)


def megapixels(exposure: ExposureMetadata) -> float:
    """Return the pixels that see light, those of each integration by themselves [Mpix]."""
    return exposure.active * exposure.integrations / 1e6


def _lit(exposure: ExposureMetadata, columns: Columns) -> np.ndarray:
    rows, cols = exposure.lit
    row, col = columns["row"].data, columns["col"].data
    return (row >= rows.start) & (row < rows.stop) & (col >= cols.start) & (col < cols.stop)


def _count(columns: Columns, which: np.ndarray) -> Count:
    real = float(columns["confidence"].data[which].sum())
    return Count(int(which.sum()), real, int(columns["spatial_extent"].data[which].sum()))
