"""Truth against detections: completeness, purity, first reads, and limits set by noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohana.classes import MASK_PRIORITY, Label
from ohana.evaluate.bins import Bin, adaptive_bins, interval, one_two_five, read_grid
from ohana.evaluate.reliability import Reliability, measure_reliability
from ohana.evaluate.truth.confusion import event_confusion, overlaps, pixel_confusion
from ohana.evaluate.truth.dates import Dating, date_events
from ohana.evaluate.truth.limits import chance_to_find
from ohana.evaluate.truth.pairs import AXES, Pairing, Table, compare, members_mask
from ohana.evaluate.truth.pixels import PixelScore, score_pixels
from ohana.simulate.truth import Truth

#: Edges of the bins of S/N and significance, before neighbours are joined.
SNR_GRID = np.array([0.5, 2, 3, 4, 5, 6, 8, 12, 20, 50, 200, 1000, 1e9])


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes
    ----------
    label : Label
        The class.
    injected, detectable, found : int
        True events; those that stand out of the noise (`ohana.evaluate.is_detectable`); those
        found of these.
    detected, real, other : int
        Detections; those that belong to a true event of the class; those that belong to true
        events of other classes alone. The rest is false.
    split, merged : int
        True events that more than one detection belongs to; detections that more than one true
        event belongs to.
    complete : dict of list of Bin
        Found part of the true events against each of `AXES`: against S/N and amplitude of all
        that could be recognised if bright, against read and rate of the detectable ones.
    pure : dict of list of Bin
        Real part of the detections against each of `AXES`.
    reliability : Reliability
        Of the confidences.
    dating : Dating
        Of the first reads.
    overlaps : list of float
        Intersection over union of each detectable event's footprint and its detection's; 0 for
        those that are missed.
    """

    label: Label
    injected: int
    detectable: int
    found: int
    detected: int
    real: int
    other: int
    split: int
    merged: int
    complete: dict[str, list[Bin]]
    pure: dict[str, list[Bin]]
    reliability: Reliability
    dating: Dating
    overlaps: list[float]

    @property
    def completeness(self) -> float:
        """Fraction of the detectable events found; NaN without any."""
        return self.found / self.detectable if self.detectable else np.nan

    @property
    def completeness_interval(self) -> tuple[float, float]:
        """Its interval; see `ohana.evaluate.interval`."""
        return interval(self.found, self.detectable)

    @property
    def purity(self) -> float:
        """Fraction of real detections; NaN without any."""
        return self.real / self.detected if self.detected else np.nan

    @property
    def purity_interval(self) -> tuple[float, float]:
        """Its interval; see `ohana.evaluate.interval`."""
        return interval(self.real, self.detected)

    @property
    def false(self) -> int:
        """Detections that belong to no true event of any class."""
        return self.detected - self.real - self.other


@dataclass(frozen=True)
class Evaluation:
    """Everything that `evaluate` measures.

    Attributes
    ----------
    shape : tuple of int
        (T, H, W) of the exposure.
    area : float
        Of its pixels that see light [cm2].
    time : float
        From its first to its last read [s].
    threshold : float
        Of detection [sigma].
    integration : int
        Integration that was scored.
    classes : list of ClassScore
        In the order cosmic ray, telegraph noise, snowball.
    event_confusion, pixel_confusion : ndarray of int64, shape (n, n)
        True class by detected class; see `ohana.evaluate.truth.scores`.
    pixels : PixelScore
        Single pixels against what noise allows.
    """

    shape: tuple[int, int, int]
    area: float
    time: float
    threshold: float
    integration: int
    classes: list[ClassScore]
    event_confusion: np.ndarray
    pixel_confusion: np.ndarray
    pixels: PixelScore

    @property
    def megapixel_reads(self) -> float:
        """Millions of pixels that see light, times reads that a step can come with."""
        light = self.pixel_confusion.sum()
        return 1e-6 * float(light) * (self.shape[0] - 1)


def evaluate(
    truth: Truth,
    detections: Sequence[Any],
    threshold: float = 5.0,
    integration: int = 0,
    rate: np.ndarray | None = None,
) -> Evaluation:
    """Compare the catalogue of one integration with the truth.

    A detection and a true event of one class match where they share a pixel and their first
    reads differ by no more than one read; for steps of the order of the noise of one read, which
    only long ramps show, by no more than the noise makes of them.

    Parameters
    ----------
    truth : Truth
        What was simulated.
    detections : sequence of dict
        Entries of ``detections.json``.
    threshold : float
        Threshold of detection, for what is detectable and expected [sigma].
    integration : int
        Detections to score.
    rate : ndarray, shape (H, W), optional
        Count rate of each pixel [DN/s]; without it nothing is binned by rate.

    Raises
    ------
    ValueError
        A detection lies outside the exposure.

    Examples
    --------
    >>> from ohana.simulate import preset, simulate_exposure
    >>> config = preset("dark", reads=5, rows=32, cols=32, cosmic_rays=3)
    >>> made = simulate_exposure(config, np.random.default_rng(1))
    >>> score = evaluate(made.truth, []).classes[0]
    >>> score.injected, score.found, score.completeness_interval[0]
    (3, 0, 0.0)
    """
    entries = [entry for entry in detections if entry["integration"] == integration]
    compared = compare(truth, entries, threshold, rate)
    chance = np.array([chance_to_find(event, threshold) for event in truth.events])
    overlap = overlaps(truth, compared)
    return Evaluation(
        truth.shape,
        float(np.prod(truth.config.active_shape)) * (1e-4 * truth.config.pixel_pitch) ** 2,
        truth.config.exposure_time,
        threshold,
        integration,
        [_class_score(truth, compared, label, chance, overlap) for label in MASK_PRIORITY],
        event_confusion(compared),
        pixel_confusion(truth, members_mask(compared.found, truth.shape[1:])),
        score_pixels(truth, compared, threshold),
    )


def _class_score(
    truth: Truth, compared: Pairing, label: Label, chance: np.ndarray, overlap: np.ndarray
) -> ClassScore:
    mine, theirs = compared.true.label == label, compared.found.label == label
    found, real = compared.detections_of > 0, compared.events_of > 0
    detectable = mine & compared.detectable
    related = np.isin(np.arange(len(theirs)), compared.pair_found)
    expected = chance if label.traits.has_first_read else None
    reads = truth.shape[0]
    complete = {
        name: _against(
            compared.true,
            name,
            mine & compared.possible if name in ("snr", "amplitude") else detectable,
            found,
            reads,
            expected if name == "snr" else None,
        )
        for name in AXES
    }
    return ClassScore(
        label,
        injected=int(mine.sum()),
        detectable=int(detectable.sum()),
        found=int((detectable & found).sum()),
        detected=int(theirs.sum()),
        real=int((theirs & real).sum()),
        other=int((theirs & related & ~real).sum()),
        split=int((compared.detections_of[mine] > 1).sum()),
        merged=int((compared.events_of[theirs] > 1).sum()),
        complete=complete,
        pure={name: _against(compared.found, name, theirs, real, reads) for name in AXES},
        reliability=measure_reliability(compared.confidence[theirs], real[theirs]),
        dating=date_events(truth, compared, label),
        overlaps=overlap[detectable].tolist(),
    )


def _against(
    table: Table,
    name: str,
    which: np.ndarray,
    good: np.ndarray,
    reads: int,
    expected: np.ndarray | None = None,
) -> list[Bin]:
    """Count those of ``which`` that are good, in bins of one of `AXES`."""
    values = table.axes[name][which]
    grids = {"snr": SNR_GRID, "read": read_grid(reads)}
    grid = grids[name] if name in grids else one_two_five(values)
    return adaptive_bins(values, good[which], grid, None if expected is None else expected[which])
