"""Scores as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ohana.classes import Label
from ohana.evaluate import ClassScore, Evaluation, interval
from ohana.utils.formatting import columns

if TYPE_CHECKING:
    pass

LEGEND = """\
detectable: stands out of the noise; found, complete: of these
real: belongs to an injected event"""
QUALITY_LEGEND = """\
complete, pure: with 68 % intervals; other: belongs to an event of another class alone
dated: first read right to one read, of bright ones; IoU: median overlap of footprints
calibration: mean difference of confidence and fraction of real events (by chance alone)"""


def score_table(found: Evaluation) -> str:
    """Compare detections with injected events, one class per line."""
    heading = ("class", "injected", "detectable", "found", "complete", "detections", "real")
    return f"{columns([heading, *map(_score_row, found.classes)])}\n{LEGEND}"


def _score_row(score: ClassScore) -> tuple[str, ...]:
    counts = (score.injected, score.detectable, score.found)
    complete = f"{score.completeness:.1%}" if score.detectable else "-"
    return (score.label.title, *map(str, counts), complete, str(score.detected), str(score.real))


def quality_table(found: Evaluation) -> str:
    """Return the quality of the detections, one class per line."""
    heading = ("class", "complete", "pure", "false", "other", "split", "merged")
    more = ("dated", "IoU", "calibration")
    rows = [heading + more, *map(_quality_row, found.classes)]
    return f"{columns(rows)}\n{QUALITY_LEGEND}"


def _quality_row(score: ClassScore) -> tuple[str, ...]:
    dated, trust = score.dating.within_one, score.reliability
    counts = (score.false, score.other, score.split, score.merged)
    return (
        score.label.title,
        percent_range(score.found, score.detectable),
        percent_range(score.real, score.detected),
        *map(str, counts),
        f"{dated.fraction:.1%}" if dated.count and score.label.traits.has_first_read else "-",
        f"{np.median(score.overlaps):.2f}" if score.overlaps else "-",
        f"{trust.error:.3f} ({trust.chance:.3f})" if trust.bins else "-",
    )


def percent_range(found: int, count: int) -> str:
    """Return a fraction in percent with its interval, a dash without counts.

    Examples
    --------
    >>> percent_range(3, 3)
    '100% (75-100)'
    """
    if not count:
        return "-"
    low, high = interval(found, count)
    return f"{found / count:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def confusion_table(found: Evaluation) -> str:
    """Return the confusion of true events, one true class per line."""
    names = [label.title for label in list(Label)[1:]]
    rows = [("true \\ detected as", *names, "missed")]
    for label, counts in zip(Label, found.event_confusion, strict=True):
        first = "nothing (false)" if label == Label.BACKGROUND else label.title
        missed = "" if label == Label.BACKGROUND else str(counts[0])
        rows.append((first, *map(str, counts[1:]), missed))
    return columns(rows)
