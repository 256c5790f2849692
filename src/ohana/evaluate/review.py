"""Purity of detections from the verdicts of a reviewer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ohana.classes import Label, label_of
from ohana.evaluate.bins import interval
from ohana.evaluate.reliability import Reliability, measure_reliability
from ohana.results.catalogue import Detection
from ohana.results.verdicts import Verdict
from ohana.utils.files import make_folder, replacing
from ohana.utils.formatting import columns, json_safe

#: Name of the file with the results.
REVIEW = "review.json"


@dataclass(frozen=True)
class ClassReview:
    """Verdicts on the detections of one class.

    Attributes
    ----------
    label : Label
        The class, as found.
    detections, judged, right : int
        Detections in the catalogue, those reviewed, and those whose class was confirmed.
    reliability : Reliability
        Confidence against the confirmed fraction of those reviewed.
    """

    label: Label
    detections: int
    judged: int
    right: int
    reliability: Reliability

    @property
    def purity(self) -> float:
        """Confirmed fraction of the reviewed detections; NaN without any."""
        return self.right / self.judged if self.judged else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the purity; see `ohana.evaluate.bins.interval`."""
        return interval(self.right, self.judged)


@dataclass(frozen=True)
class Review:
    """Verdicts on the detections of an exposure.

    Attributes
    ----------
    classes : tuple of ClassReview
        One for each class.
    every : Reliability
        Confidence against the confirmed fraction, all classes together.
    confusion : ndarray of int, shape (n, n)
        Reviewed detections by class as found and class of the reviewer (0: no event).
    """

    classes: tuple[ClassReview, ...]
    every: Reliability
    confusion: np.ndarray


def review(verdicts: Sequence[Verdict], detections: Sequence[Detection]) -> Review:
    """Count verdicts by class and confidence.

    Parameters
    ----------
    verdicts : sequence of Verdict
        See `ohana.results.verdicts.read_verdicts`.
    detections : sequence of dict
        The catalogue they are on.
    """
    found = np.array([verdict.found for verdict in verdicts], int)
    judged = np.array([verdict.judged for verdict in verdicts], int)
    confidence = np.array([detections[v.event]["confidence"] for v in verdicts], float)
    right = found == judged
    confusion = np.zeros((len(Label), len(Label)), int)
    np.add.at(confusion, (found, judged), 1)
    total = np.bincount([label_of(entry["type"]) for entry in detections], minlength=len(Label))
    classes = []
    for label in list(Label)[1:]:
        mine = found == label
        trust = measure_reliability(confidence[mine], right[mine])
        counts = int(total[label]), int(mine.sum()), int(right[mine].sum())
        classes.append(ClassReview(label, *counts, trust))
    return Review(tuple(classes), measure_reliability(confidence, right), confusion)


def review_tables(result: Review) -> str:
    """Format the results for a terminal: purity, reliability, confusion."""
    purity = [
        (
            i.label.title,
            f"{i.detections}",
            f"{i.judged}",
            f"{i.right}",
            _percent(i.right, i.judged),
        )
        for i in result.classes
    ]
    trust = [
        (f"{b.low:g} to {b.high:g}", f"{b.count}", f"{b.mean:.3f}", _percent(b.real, b.count))
        for b in result.every.bins
    ]
    names = [label.title for label in list(Label)[1:]]
    confused = [
        (name, *map(str, row)) for name, row in zip(names, result.confusion[1:], strict=True)
    ]
    return "\n\n".join(
        [
            columns([("class", "detections", "judged", "right", "purity (68 %)"), *purity]),
            columns([("confidence", "judged", "mean", "right (68 %)"), *trust]),
            columns([("found as \\ judged", "no event", *names), *confused]),
        ]
    )


def _percent(right: int, count: int) -> str:
    if not count:
        return "-"
    low, high = interval(right, count)
    return f"{right / count:.1%} ({low:.1%} to {high:.1%})"


def _plain_class(item: ClassReview) -> dict[str, Any]:
    low, high = item.interval
    more = {"label": item.label.key, "purity": item.purity, "purity_interval": [low, high]}
    return asdict(item) | more


def save_review(result: Review, folder: Path) -> Path:
    """Write the results as JSON.

    Raises
    ------
    OhanaError
        If that is not possible.
    """
    path = make_folder(folder) / REVIEW
    keys = [label.key for label in Label]
    content = {
        "classes": [_plain_class(item) for item in result.classes],
        "reliability": asdict(result.every),
        "confusion": {
            key: dict(zip(keys, row, strict=True))
            for key, row in zip(keys[1:], result.confusion[1:].tolist(), strict=True)
        },
    }
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(json_safe(content), indent=1, allow_nan=False) + "\n", "utf-8"
        )
    return path
