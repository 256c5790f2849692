"""Scores on disk: ``evaluation.json`` and one page of plots.

Every part of a whole is an object ``{"count", "found", "fraction", "low", "high"}``: what was
looked at, what was found of it, and the 68.3 % interval of the fraction; null where nothing was
counted. Bins add ``from`` and ``to`` (the edges; null for no upper edge), ``few`` (too few to rely
on) and ``expected`` (the fraction that Gaussian noise allows, null where that is not defined).

======================  ==========================================================================
key                     content
======================  ==========================================================================
``ohana``               version
``shape``               reads, rows, columns
``area_cm2``, ``time_s``  pixels that see light; first to last read
``integration``         the one looked at
``threshold_sigma``     taken for what is detectable and expected
``classes``             for each class, see below
``event_confusion``     ``classes`` names rows and columns; ``counts`` has true events by class
                        (rows) and the class they are detected as (columns); the first row is false
                        detections, the first column missed events
``pixel_confusion``     the same for pixels of the mask
``noise_limits``        single pixels: ``cosmic_ray_pixels`` by S/N,
                        ``false_pixels_per_million`` and what noise gives, ``telegraph`` by
                        chi-squared, ``telegraph_false_per_million``, ``telegraph_as_cosmic_ray``
======================  ==========================================================================

Of each class:

=======================  =========================================================================
key                      content
=======================  =========================================================================
``injected``             true events; ``completeness`` counts the detectable ones among them
``completeness``         found part of the detectable events
``purity``               real part of the detections
``of_other_class``       detections that belong to true events of other classes alone
``false``                detections that belong to no true event
``split``, ``merged``    true events with several detections; detections with several true events
``rates``                per cm2 and s: ``injected_per_cm2_s``, ``detected_per_cm2_s``; false ones
                         per million pixels and read: ``false_per_mpix_read``
``completeness_against``  bins of ``snr``, ``amplitude`` [DN], ``read``, ``rate`` [DN/s]
``purity_against``       the same; ``snr`` is the significance of the detection
``reliability``          ``bins`` of confidence, ``expected_calibration_error``, and what that
                         would be ``by_chance`` if all confidences were right
``dating``               ``exact``, ``within_one_read`` of bright events found at their place, and
                         ``offsets``: [reads late, events]
``footprint_iou``        intersection over union of detectable events, 0 for missed ones:
                         ``count``, ``median``, ``mean``, ``histogram`` (20 bins from 0 to 1)
=======================  =========================================================================
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohana import __version__
from ohana.classes import Label
from ohana.evaluate.bins import Bin, interval
from ohana.evaluate.reliability import Reliability
from ohana.evaluate.truth.pixels import PixelScore
from ohana.evaluate.truth.scores import ClassScore, Evaluation
from ohana.utils.files import make_folder, replacing
from ohana.utils.formatting import json_safe


def save_evaluation(evaluation: Evaluation, folder: str | Path) -> list[Path]:
    """Write ``evaluation.json`` and ``evaluation.png`` into a folder; return both paths.

    Raises
    ------
    OhanaError
        They cannot be written.
    """
    from ohana.evaluate.truth.plots import evaluation_figure

    numbers, page = (make_folder(Path(folder)) / f"evaluation.{end}" for end in ("json", "png"))
    with replacing(numbers) as temporary:
        temporary.write_text(json.dumps(as_plain(evaluation), indent=1, allow_nan=False) + "\n")
    with replacing(page) as temporary:
        evaluation_figure(evaluation).savefig(temporary)
    return [numbers, page]


def as_plain(evaluation: Evaluation) -> dict[str, Any]:
    """Return all scores as plain numbers, strings and lists; None for what is not defined."""
    return {
        "ohana": __version__,
        "shape": list(evaluation.shape),
        "area_cm2": evaluation.area,
        "time_s": evaluation.time,
        "integration": evaluation.integration,
        "threshold_sigma": evaluation.threshold,
        "classes": {score.label.key: _class(score, evaluation) for score in evaluation.classes},
        "event_confusion": _matrix(evaluation.event_confusion),
        "pixel_confusion": _matrix(evaluation.pixel_confusion),
        "noise_limits": _limits(evaluation.pixels),
    }


def _class(score: ClassScore, evaluation: Evaluation) -> dict[str, Any]:
    exposure = evaluation.area * evaluation.time
    dating, late = score.dating, Counter(score.dating.offsets)
    return {
        "injected": score.injected,
        "completeness": _part(score.found, score.detectable),
        "purity": _part(score.real, score.detected),
        "of_other_class": score.other,
        "false": score.false,
        "split": score.split,
        "merged": score.merged,
        "rates": {
            "injected_per_cm2_s": json_safe(score.injected / exposure),
            "detected_per_cm2_s": json_safe(score.detected / exposure),
            "false_per_mpix_read": json_safe(score.false / evaluation.megapixel_reads),
        },
        "completeness_against": {name: _bins(bins) for name, bins in score.complete.items()},
        "purity_against": {name: _bins(bins) for name, bins in score.pure.items()},
        "reliability": _reliability(score.reliability),
        "dating": {
            "exact": _part(dating.exact.found, dating.exact.count),
            "within_one_read": plain_bin(dating.within_one),
            "offsets": [[offset, late[offset]] for offset in sorted(late)],
        },
        "footprint_iou": {
            "count": len(score.overlaps),
            "median": json_safe(np.median(score.overlaps) if score.overlaps else np.nan),
            "mean": json_safe(np.mean(score.overlaps) if score.overlaps else np.nan),
            "histogram": np.histogram(score.overlaps, 20, (0, 1))[0].tolist(),
        },
    }


def _limits(pixels: PixelScore) -> dict[str, Any]:
    return {
        "cosmic_ray_pixels": _bins(pixels.rays),
        "false_pixels_per_million": json_safe(pixels.false),
        "expected_false_pixels_per_million": json_safe(pixels.expected_false),
        "telegraph": _bins(pixels.telegraph),
        "telegraph_false_per_million": json_safe(pixels.telegraph_false),
        "telegraph_as_cosmic_ray": plain_bin(pixels.telegraph_as_cosmic_ray),
    }


def _reliability(result: Reliability) -> dict[str, Any]:
    return {
        "expected_calibration_error": json_safe(result.error),
        "by_chance": json_safe(result.chance),
        "bins": [
            {"from": each.low, "to": each.high, "mean_confidence": json_safe(each.mean)}
            | _part(each.real, each.count)
            for each in result.bins
        ],
    }


def _bins(bins: Sequence[Bin]) -> list[dict[str, Any]]:
    return [plain_bin(each) for each in bins]


def plain_bin(each: Bin) -> dict[str, Any]:
    """Return a bin as plain numbers."""
    edges = {"from": json_safe(each.low), "to": json_safe(each.high)}
    rest = {"few": each.few, "expected": json_safe(each.expected_fraction)}
    return edges | _part(each.found, each.count) | rest


def _part(found: int, count: int) -> dict[str, Any]:
    low, high = interval(found, count)
    fraction = found / count if count else np.nan
    parts = {"fraction": json_safe(fraction), "low": json_safe(low), "high": json_safe(high)}
    return {"count": count, "found": found} | parts


def _matrix(counts: np.ndarray) -> dict[str, Any]:
    return {"classes": [label.key for label in Label], "counts": counts.tolist()}
