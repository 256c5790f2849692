"""How sure an event is that the rules, the network or both have seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.network.tuning import TUNING


class EventScores(NamedTuple):
    """What both opinions hold of n events; arrays of shape (n,).

    Attributes
    ----------
    rules : ndarray
        Confidence of the rules, NaN where they have none: they have not found the event, and no
        fit of theirs tells how likely it is.
    score : ndarray
        Log-odds that the network gives the pixels and reads of the event, found or not.
    seen : ndarray of bool
        The network has found the event.
    pixels : ndarray of int
        Its pixels.
    """

    rules: np.ndarray
    score: np.ndarray
    seen: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class Logistic:
    """Weights of a logistic model; each multiplies one column of `inputs`.

    As it stands, nothing is fitted: the log-odds of the rules, and half of those of the network.

    Attributes
    ----------
    base : float
        Of 1.
    rules, by_rules : float
        Of the log-odds of the rules' confidence, and of their having found the event.
    score, score_alone, by_network : float
        Of the network's log-odds, of them once more where the rules have found nothing, and of
        the network's having found the event.
    log_pixels : float
        Of the natural logarithm of the number of pixels.
    """

    base: float = 0.0
    rules: float = 1.0
    by_rules: float = 0.0
    score: float = 0.5
    score_alone: float = 0.0
    by_network: float = 0.0
    log_pixels: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """Probability that an event is real and of its class, from both opinions.

    Attributes
    ----------
    cosmic_ray, telegraph_noise, snowball : Logistic
        Of each class.
    known, faint : float
        Where this was fitted, the part that was real of the cosmic rays that the rules had
        found, and of those that the network alone had seen.

    Examples
    --------
    >>> evidence = EventScores(
    ...     rules=np.array([0.9, np.nan]),
    ...     score=np.array([4.0, 4.0]),
    ...     seen=np.array([True, True]),
    ...     pixels=np.array([1, 5]),
    ... )
    >>> Calibration().apply(Label.COSMIC_RAY, evidence).round(3)
    array([0.985, 0.881])
    >>> Calibration.from_dict(Calibration().as_dict()) == Calibration()
    True
    """

    cosmic_ray: Logistic = Logistic()
    telegraph_noise: Logistic = Logistic()
    snowball: Logistic = Logistic()
    known: float = 0.5
    faint: float = 0.5

    def apply(self, label: Label, evidence: EventScores) -> np.ndarray:
        """Return the probability that events of one class are real, shape (n,)."""
        weights = getattr(self, label.key, Logistic())
        return special.expit(inputs(evidence) @ astuple(weights))

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Calibration:
        """Return what `as_dict` gave.

        Raises
        ------
        OhanaError
            A class or weight is missing, unknown, or no finite number.
        """
        models = _table(values, "calibration", [f.name for f in fields(cls)])
        return cls(
            _logistic(models["cosmic_ray"], "calibration.cosmic_ray"),
            _logistic(models["telegraph_noise"], "calibration.telegraph_noise"),
            _logistic(models["snowball"], "calibration.snowball"),
            known=_part(models["known"], "known"),
            faint=_part(models["faint"], "faint"),
        )


def _logistic(values: object, what: str) -> Logistic:
    weights = _table(values, what, [f.name for f in fields(Logistic)])
    return Logistic(**{name: _number(value, f"{what}.{name}") for name, value in weights.items()})


def inputs(evidence: EventScores) -> np.ndarray:
    """Return what the weights of `Logistic` multiply, in their order, shape (n, 7)."""
    found = np.isfinite(evidence.rules)
    own = _limited(special.logit(np.where(found, evidence.rules, 0.5).astype(float)))
    score = _limited(evidence.score)
    return np.column_stack(
        [
            np.ones(len(found)),
            own,
            found,
            score,
            score * ~found,
            evidence.seen,
            np.log(evidence.pixels),
        ]
    )


def real_part(chance: np.ndarray, before: float) -> float:
    """Estimate which part of some candidates is real, from what each would be elsewhere.

    By expectation maximisation (Saerens et al. 2002, Neural Comput. 14, 21): an exposure in which
    hits are rare has as many false candidates as any other, but fewer real ones.

    Parameters
    ----------
    chance : ndarray, shape (n,)
        Probability that each is real if the part ``before`` of all is.
    before : float
        That fraction; it also enters with the weight of ``TUNING.prior_candidates`` candidates.

    Examples
    --------
    >>> real_part(np.full(1000, 0.2), 0.4) < 0.05 < 0.5 < real_part(np.full(1000, 0.6), 0.4)
    True
    """
    part = before
    prior = TUNING.prior_candidates
    for _ in range(TUNING.real_fraction_rounds):
        part = float((shifted(chance, before, part).sum() + prior * before) / (len(chance) + prior))
    return part


def shifted(chance: np.ndarray, before: float, part: float) -> np.ndarray:
    """Return what chances become where another part of all candidates is real than before."""
    real, false = chance * part / before, (1 - chance) * (1 - part) / (1 - before)
    return real / np.maximum(real + false, np.finfo(float).tiny)


def _limited(log_odds: np.ndarray) -> np.ndarray:
    return np.clip(log_odds, -TUNING.max_log_odds, TUNING.max_log_odds)


def _table(values: object, what: str, names: list[str]) -> Mapping[str, Any]:
    if not isinstance(values, Mapping) or set(values) != set(names):
        got = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise OhanaError(f"{what}: wanted {', '.join(names)}, got {got}")
    return values


def _part(value: object, name: str) -> float:
    part = _number(value, f"calibration.{name}")
    if not 0 < part < 1:
        raise OhanaError(f"calibration.{name}: wanted more than 0 and less than 1, got {part}")
    return part


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise OhanaError(f"{what}: wanted a finite number, got {value!r}")
    return float(value)
