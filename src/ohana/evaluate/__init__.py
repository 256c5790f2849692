"""Truth against detections, and detections on exposures with events added."""

from ohana.evaluate.scores import (
    MIN_TRANSITIONS,
    Bin,
    ClassScore,
    Evaluation,
    confusion,
    evaluate,
    expected_false,
    is_detectable,
    truth_mask,
)

__all__ = [
    "MIN_TRANSITIONS",
    "Bin",
    "ClassScore",
    "Evaluation",
    "confusion",
    "evaluate",
    "expected_false",
    "is_detectable",
    "truth_mask",
]
