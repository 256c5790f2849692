"""Events of the rules and of the network, merged into one list."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ohana.classes import EVENT_LABELS, MASK_PRIORITY, Label
from ohana.config import DetectorConfig
from ohana.events import Event
from ohana.network.calibration import Calibration, EventScores, real_fraction, shift_prior
from ohana.network.candidates import Candidates, close_pairs, order_of
from ohana.network.tuning import TUNING


def merge(
    found: Candidates,
    noise: np.ndarray,
    calibration: Calibration,
    config: DetectorConfig,
    fractions: tuple[float, float],
    false_odds: np.ndarray | None = None,
) -> list[Event]:
    """Merge the events of the rules and of the network into one list.

    An event stays if the rules alone reach the minimum confidence of its class, whatever the
    network's score, unless the network is more confident of another class: then it becomes an
    event of that class, which lists it. Any other event must be detected by the network and
    reach the minimum with the calibrated confidence.

    Parameters
    ----------
    found : Candidates
        From `ohana.network.candidates.combine`.
    noise : ndarray, shape (H, W)
        Read noise [DN].
    calibration : Calibration
        Turns both scores into a confidence.
    config : DetectorConfig
        The minimum confidence of each class.
    fractions : tuple of float
        From `real_fractions`.
    false_odds : ndarray, shape (n,), optional
        Odds of each candidate to be false that the decoys of this exposure show
        (`ohana.detect.ray_confidence.event_odds`).

    Returns
    -------
    list of Event
        With source ``rules``, ``unet`` or ``both``; ``extra`` holds ``rules_confidence`` (None
        where the rules have none), ``network_score`` (log-odds) and, where rules and network
        differ on the class, ``also_seen_as``. The order of the candidates has no effect.
    """
    confidence = confidences(found, calibration, fractions)
    rules_confidence, log_odds, by_network, _ = found.scores
    if false_odds is not None:
        # The confidence of the rules contains these odds, and the calibrated one contains that.
        alone = np.isnan(rules_confidence)
        confidence = np.where(alone, confidence / (1 + false_odds), confidence)
    least = np.array([config.min_confidence_of(event.label) for event in found.events])
    by_rules = np.array([event.source == "rules" for event in found.events], bool)
    by_rules &= rules_confidence >= least
    source = np.select(
        [
            by_rules & by_network,
            by_rules,
            by_network & (confidence >= least),
        ],
        ["both", "rules", "unet"],
        "",
    )
    columns = zip(found.events, source, rules_confidence, log_odds, confidence, strict=True)
    events = [_described(*row) for row in columns if row[1]]
    known, alone = ([e for e in events if (e.source == "unet") == new] for new in (False, True))
    return sorted(_resolve_conflicts(known, alone, noise), key=order_of)


def confidences(
    found: Candidates, calibration: Calibration, fractions: tuple[float, float]
) -> np.ndarray:
    """Return the calibrated probability that each candidate is real, shape (n,).

    ``fractions`` are the real ones of cosmic-ray candidates in this exposure, see
    `real_fractions`.
    """
    probability = _as_calibrated(found, calibration)
    priors = calibration.known, calibration.faint
    for which, prior, fraction in zip(_cosmic_rays(found), priors, fractions, strict=True):
        probability[which] = shift_prior(probability[which], prior, fraction)
    return probability


def real_fractions(found: Candidates, calibration: Calibration) -> tuple[float, float]:
    """Estimate the real fractions of the cosmic-ray candidates of this exposure.

    First of those of the rules, then of those of the network alone.
    """
    probability = _as_calibrated(found, calibration)
    by_rules, alone = _cosmic_rays(found)
    return (
        real_fraction(probability[by_rules], calibration.known),
        real_fraction(probability[alone], calibration.faint),
    )


def _as_calibrated(found: Candidates, calibration: Calibration) -> np.ndarray:
    """Return the probability that each candidate is real, for the calibration's real fractions.

    Classes that the network does not know keep the confidence of the rules.
    """
    out, labels = found.scores.rules.copy(), _labels(found)
    for label in EVENT_LABELS:
        mine = (labels == label) & np.isfinite(found.scores.network_log_odds)
        out[mine] = calibration.apply(label, EventScores(*(v[mine] for v in found.scores)))
    return out


def _cosmic_rays(found: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """Return which candidates are cosmic rays of the rules, and which of the network alone."""
    scored = np.isfinite(found.scores.network_log_odds) & (_labels(found) == Label.COSMIC_RAY)
    by_rules = np.isfinite(found.scores.rules)
    return scored & by_rules, scored & ~by_rules


def _labels(found: Candidates) -> np.ndarray:
    return np.array([event.label for event in found.events], int)


def _described(
    event: Event, source: str, rules: float, log_odds: float, confidence: float
) -> Event:
    values = {"rules_confidence": float(rules), "network_score": float(log_odds)}
    known = {name: value if np.isfinite(value) else None for name, value in values.items()}
    extra = event.extra | known
    return replace(event, confidence=float(confidence), source=str(source), extra=extra)


def _resolve_conflicts(known: list[Event], alone: list[Event], noise: np.ndarray) -> list[Event]:
    """Choose between overlapping events of the rules and of the network of different classes.

    An event of the network stays if its confidence exceeds the mean of the rules' events that it
    overlaps, weighted by shared pixels; the less confident of these become part of it.
    """
    pairs = [pair for pair in close_pairs(known, alone, noise) if _conflict(known, alone, pair)]
    notes: dict[int, list[str]] = {}
    standing: list[Event] = []
    taken: set[int] = set()
    for j in sorted(range(len(alone)), key=lambda j: (-alone[j].confidence, order_of(alone[j]))):
        event = alone[j]
        rivals = {i: pixels for i, other, pixels in pairs if other == j and i not in taken}
        confidence = [known[i].confidence for i in rivals]
        if rivals and event.confidence <= np.average(confidence, weights=list(rivals.values())):
            lost, kept = [], list(rivals)
        else:
            lost = [i for i in rivals if known[i].confidence < event.confidence]
            kept = [i for i in rivals if i not in lost]
            both = replace(event, source="both") if lost else event
            standing.append(_with_notes(both, [f"{_as_text(known[i])} by the rules" for i in lost]))
        taken.update(lost)
        for i in kept:
            notes.setdefault(i, []).append(f"{_as_text(event)} by the network")
    left = [_with_notes(e, notes.get(i, [])) for i, e in enumerate(known) if i not in taken]
    return left + standing


def _conflict(known: list[Event], alone: list[Event], pair: tuple[int, int, int]) -> bool:
    """Return whether only one of two events can be real: they differ in class and overlap.

    A hit that both have found may lie on a snowball, but not on telegraph noise.
    """
    own, other = known[pair[0]], alone[pair[1]]
    smaller = min(own, other, key=lambda event: MASK_PRIORITY.index(event.label))
    inside = pair[2] >= TUNING.min_shared_fraction * len(smaller.rows)
    levels = Label.TELEGRAPH_NOISE in (own.label, other.label)
    return own.label != other.label and inside and (levels or own.source == "rules")


def _as_text(event: Event) -> str:
    return f"{event.label.title} ({event.confidence:.2f})"


def _with_notes(event: Event, notes: list[str]) -> Event:
    return replace(event, extra=event.extra | {"also_seen_as": notes}) if notes else event
