"""Scores of detections: against a known truth, and with events added to an exposure."""

from ohana.evaluate.bins import Bin, interval
from ohana.evaluate.reliability import Reliability, measure_reliability
from ohana.evaluate.truth.confusion import pixel_confusion, truth_mask
from ohana.evaluate.truth.folder import evaluate_prediction
from ohana.evaluate.truth.limits import MIN_TRANSITIONS, expected_false, is_detectable
from ohana.evaluate.truth.report import save_evaluation
from ohana.evaluate.truth.scores import ClassScore, Evaluation, evaluate

__all__ = [
    "MIN_TRANSITIONS",
    "Bin",
    "ClassScore",
    "Evaluation",
    "Reliability",
    "evaluate",
    "evaluate_prediction",
    "expected_false",
    "interval",
    "is_detectable",
    "measure_reliability",
    "pixel_confusion",
    "save_evaluation",
    "truth_mask",
]
