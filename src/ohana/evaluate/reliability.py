"""Calibration of confidences: of the detections at 0.9, nine in ten should be real."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ohana.evaluate.bins import interval

#: Bin edges of the confidence; finer where most detections are. Chosen.
CONFIDENCE_EDGES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class ConfidenceBin:
    """Detections of about the same confidence.

    Attributes
    ----------
    low, high : float
        Edges of the bin.
    count, real : int
        Detections, and those that belong to a true event of their class.
    mean : float
        Mean confidence.
    spread : float
        Standard deviation that `real` / `count` has if the confidences are right.
    """

    low: float
    high: float
    count: int
    real: int
    mean: float
    spread: float

    @property
    def fraction(self) -> float:
        """Fraction of real detections."""
        return self.real / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the real fraction; see `ohana.evaluate.bins.interval`."""
        return interval(self.real, self.count)


@dataclass(frozen=True)
class Reliability:
    """Confidence against the fraction of real detections.

    Attributes
    ----------
    bins : list of ConfidenceBin
        Those that hold a detection.
    error : float
        Expected calibration error: the distance of mean confidence and real part, averaged over
        the detections. NaN without any.
    chance : float
        What `error` would be on average if the confidences were right, from the numbers alone.
    """

    bins: list[ConfidenceBin]
    error: float
    chance: float


def measure_reliability(confidence: np.ndarray, real: np.ndarray) -> Reliability:
    """Compare confidences with the fraction of real detections.

    Parameters
    ----------
    confidence : ndarray, shape (n,)
        Of each detection.
    real : ndarray of bool, shape (n,)
        Whether it belongs to a true event of its class.

    Examples
    --------
    >>> result = measure_reliability(np.array([0.6, 0.6]), np.array([True, False]))
    >>> result.bins[0].fraction, round(result.error, 3), round(result.chance, 3)
    (0.5, 0.1, 0.276)
    """
    which = np.digitize(confidence, CONFIDENCE_EDGES[1:-1])
    bins = []
    for k, (low, high) in enumerate(itertools.pairwise(CONFIDENCE_EDGES)):
        here = which == k
        count = int(here.sum())
        if count:
            some = confidence[here]
            spread = float(np.sqrt(np.sum(some * (1 - some))) / count)
            bins.append(
                ConfidenceBin(low, high, count, int(real[here].sum()), float(some.mean()), spread)
            )
    if not bins:
        return Reliability([], np.nan, np.nan)
    weight = np.array([each.count for each in bins]) / len(confidence)
    distance = np.abs([each.fraction - each.mean for each in bins])
    # The mean absolute value of a normal deviate is the root of 2 / pi of its spread.
    scatter = np.sqrt(2 / np.pi) * np.array([each.spread for each in bins])
    return Reliability(bins, float(weight @ distance), float(weight @ scatter))
