"""Truth against detections, and detections on exposures with events added."""

from ohana.evaluate.bins import Bin, interval
from ohana.evaluate.confusion import pixel_confusion, truth_mask
from ohana.evaluate.limits import MIN_TRANSITIONS, expected_false, is_detectable
from ohana.evaluate.reliability import Reliability, measure_reliability
from ohana.evaluate.scores import ClassScore, Evaluation, evaluate

__all__ = [
    "MIN_TRANSITIONS",
    "Bin",
    "ClassScore",
    "Evaluation",
    "Reliability",
    "evaluate",
    "expected_false",
    "interval",
    "is_detectable",
    "pixel_confusion",
    "measure_reliability",
    "truth_mask",
]
