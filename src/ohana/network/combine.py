"""Events of the rules and of the network, merged into one list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ohana.classes import EVENT_LABELS, MASK_PRIORITY, Label
from ohana.config import DetectorConfig
from ohana.events import Event
from ohana.network.calibration import Calibration, EventScores, real_part, shifted
from ohana.network.candidates import Candidates, close_pairs, order_of
from ohana.network.tuning import TUNING


def merge(
    found: Candidates,
    noise: np.ndarray,
    calibration: Calibration,
    config: DetectorConfig,
    parts: tuple[float, float],
) -> list[Event]:
    """Merge what the rules and the network have found into one list.

    Every event in which the rules themselves have the least confidence of its class stays,
    however little the network thinks of it, unless the network is surer that it is of another
    class: then it becomes an event of that class, which says so. Any other event must be seen by
    the network, and reach the least confidence with both opinions.

    Parameters
    ----------
    found : Candidates
        From `ohana.network.candidates.combine`.
    noise : ndarray, shape (H, W)
        Read noise [DN].
    calibration : Calibration
        Turns both opinions into a confidence.
    config : DetectorConfig
        The least confidence of each class.
    parts : tuple of float
        From `real_parts`.

    Returns
    -------
    list of Event
        With source ``rules``, ``unet`` or ``both``; ``extra`` holds ``rules_confidence`` (None
        where the rules have none), ``network_score`` (log-odds) and, where the opinions differ
        on the class, ``also_seen_as``. Does not depend on the order of the candidates.
    """
    confidence = confidences(found, calibration, parts)
    rules_confidence, score, seen, _ = found.evidence
    least = np.array([config.min_confidence_of(event.label) for event in found.events])
    by_rules = np.array([event.source == "rules" for event in found.events], bool)
    by_rules &= rules_confidence >= least
    source = np.select(
        [
            by_rules & seen,
            by_rules,
            seen & (confidence >= least),
        ],
        ["both", "rules", "unet"],
        "",
    )
    columns = zip(found.events, source, rules_confidence, score, confidence, strict=True)
    events = [_described(*row) for row in columns if row[1]]
    known, alone = ([e for e in events if (e.source == "unet") == new] for new in (False, True))
    return sorted(_settle_classes(known, alone, noise), key=order_of)


def confidences(
    found: Candidates, calibration: Calibration, parts: tuple[float, float]
) -> np.ndarray:
    """Return the calibrated probability that each candidate is real, shape (n,).

    ``parts`` of the candidates for cosmic rays are real in this exposure, see `real_parts`.
    """
    chance = _as_calibrated(found, calibration)
    before = calibration.known, calibration.faint
    for which, was, is_now in zip(_rays(found), before, parts, strict=True):
        chance[which] = shifted(chance[which], was, is_now)
    return chance


def real_parts(found: Candidates, calibration: Calibration) -> tuple[float, float]:
    """Estimate which part of the candidates for cosmic rays is real, in this exposure.

    Of those of the rules, and of those that the network alone has seen.
    """
    chance = _as_calibrated(found, calibration)
    known, alone = _rays(found)
    return real_part(chance[known], calibration.known), real_part(chance[alone], calibration.faint)


def _as_calibrated(found: Candidates, calibration: Calibration) -> np.ndarray:
    """Return how likely each candidate would be real where the calibration was made.

    Classes that the network does not know keep the confidence of the rules.
    """
    out, labels = found.evidence.rules.copy(), _labels(found)
    for label in EVENT_LABELS:
        mine = (labels == label) & np.isfinite(found.evidence.score)
        out[mine] = calibration.apply(label, EventScores(*(v[mine] for v in found.evidence)))
    return out


def _rays(found: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Tell which candidates for cosmic rays are of the rules, and which of the network alone."""
    scored = np.isfinite(found.evidence.score)
    ray, known = _labels(found) == Label.COSMIC_RAY, np.isfinite(found.evidence.rules)
    return scored & ray & known, scored & ray & ~known


def _labels(found: Candidates) -> np.ndarray:
    return np.array([event.label for event in found.events], int)


def _described(event: Event, source: str, rules: float, score: float, confidence: float) -> Event:
    values = {"rules_confidence": float(rules), "network_score": float(score)}
    known = {name: value if np.isfinite(value) else None for name, value in values.items()}
    extra = event.extra | known
    return replace(event, confidence=float(confidence), source=str(source), extra=extra)


def _settle_classes(known: list[Event], alone: list[Event], noise: np.ndarray) -> list[Event]:
    """Decide what events are that the rules and the network take for different things.

    The network's event stands if it is more confident than the rules' events it covers, on the
    average over the pixels they share; the less confident of these become part of it.
    """
    pairs = [pair for pair in close_pairs(known, alone, noise) if _at_odds(known, alone, pair)]
    notes: dict[int, list[str]] = {}
    standing: list[Event] = []
    taken: set[int] = set()
    for j in sorted(range(len(alone)), key=lambda j: (-alone[j].confidence, order_of(alone[j]))):
        event = alone[j]
        rivals = {i: pixels for i, other, pixels in pairs if other == j and i not in taken}
        sure = [known[i].confidence for i in rivals]
        if rivals and event.confidence <= np.average(sure, weights=list(rivals.values())):
            lost, kept = [], list(rivals)
        else:
            lost = [i for i in rivals if known[i].confidence < event.confidence]
            kept = [i for i in rivals if i not in lost]
            both = replace(event, source="both") if lost else event
            standing.append(_noted(both, [f"{_told(known[i])} by the rules" for i in lost]))
        taken.update(lost)
        for i in kept:
            notes.setdefault(i, []).append(f"{_told(event)} by the network")
    left = [_noted(e, notes.get(i, [])) for i, e in enumerate(known) if i not in taken]
    return left + standing


def _at_odds(known: list[Event], alone: list[Event], pair: tuple[int, int, int]) -> bool:
    """Tell whether only one of two events can be real: the smaller kind lies within the larger.

    A hit that the network sees as well may be one on top of a snowball, but not of levels.
    """
    own, other = known[pair[0]], alone[pair[1]]
    smaller = min(own, other, key=lambda event: MASK_PRIORITY.index(event.label))
    inside = pair[2] >= TUNING.min_shared_fraction * len(smaller.rows)
    levels = Label.TELEGRAPH_NOISE in (own.label, other.label)
    return own.label != other.label and inside and (levels or own.source == "rules")


def _told(event: Event) -> str:
    return f"{event.label.title} ({event.confidence:.2f})"


def _noted(event: Event, notes: list[str]) -> Event:
    return replace(event, extra=event.extra | {"also_seen_as": notes}) if notes else event
