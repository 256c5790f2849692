"""Probability that an event of the rules, the network or both is real."""

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
    """Scores of n events by rules and network; arrays of shape (n,).

    Attributes
    ----------
    rules : ndarray
        Confidence of the rules, NaN where they neither found the event nor fitted it.
    network_log_odds : ndarray
        Log-odds of the network in the pixels and reads of the event, found or not; NaN for a
        class that it does not know.
    found_by_network : ndarray of bool
        The network detects the event.
    pixels : ndarray of int
        Number of pixels.
    """

    rules: np.ndarray
    network_log_odds: np.ndarray
    found_by_network: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class Logistic:
    """Weights of a logistic model; each multiplies one column of `design_matrix`.

    The defaults, without any fit, add the log-odds of the rules and half of the network's.

    Attributes
    ----------
    base : float
        Constant term.
    rules, by_rules : float
        For the log-odds of the rules' confidence; for a detection by the rules (0 or 1).
    score, score_alone, by_network : float
        For the network's log-odds; for the same where the rules found nothing; for a detection
        by the network (0 or 1).
    log_pixels : float
        For the natural logarithm of the number of pixels.
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
    """Probability that an event is real and of its class, from the scores of rules and network.

    Attributes
    ----------
    cosmic_ray, telegraph_noise, snowball : Logistic
        Model of each class.
    known, faint : float
        Real fraction of the cosmic-ray candidates with and without confidence of the rules, in
        the exposures of the fit.

    Examples
    --------
    >>> scores = EventScores(
    ...     rules=np.array([0.9, np.nan]),
    ...     network_log_odds=np.array([4.0, 4.0]),
    ...     found_by_network=np.array([True, True]),
    ...     pixels=np.array([1, 5]),
    ... )
    >>> Calibration().apply(Label.COSMIC_RAY, scores).round(3)
    array([0.985, 0.881])
    >>> Calibration.from_dict(Calibration().as_dict()) == Calibration()
    True
    """

    cosmic_ray: Logistic = Logistic()
    telegraph_noise: Logistic = Logistic()
    snowball: Logistic = Logistic()
    known: float = 0.5
    faint: float = 0.5

    def apply(self, label: Label, scores: EventScores) -> np.ndarray:
        """Return the probability that events of one class are real, shape (n,)."""
        weights = getattr(self, label.key, Logistic())
        return special.expit(design_matrix(scores) @ astuple(weights))

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Calibration:
        """Return the calibration that `as_dict` has turned into plain numbers.

        Raises
        ------
        OhanaError
            A class or weight is missing or unknown, or a number is not finite.
        """
        models = _table(values, "calibration", [f.name for f in fields(cls)])
        return cls(
            _logistic(models["cosmic_ray"], "calibration.cosmic_ray"),
            _logistic(models["telegraph_noise"], "calibration.telegraph_noise"),
            _logistic(models["snowball"], "calibration.snowball"),
            known=_fraction(models["known"], "known"),
            faint=_fraction(models["faint"], "faint"),
        )


def _logistic(values: object, what: str) -> Logistic:
    weights = _table(values, what, [f.name for f in fields(Logistic)])
    return Logistic(**{name: _number(value, f"{what}.{name}") for name, value in weights.items()})


def design_matrix(scores: EventScores) -> np.ndarray:
    """Return the quantities that the weights of `Logistic` multiply, in order, shape (n, 7)."""
    by_rules = np.isfinite(scores.rules)
    rules = _limited(special.logit(np.where(by_rules, scores.rules, 0.5).astype(float)))
    network = _limited(scores.network_log_odds)
    return np.column_stack(
        [
            np.ones(len(by_rules)),
            rules,
            by_rules,
            network,
            network * ~by_rules,
            scores.found_by_network,
            np.log(scores.pixels),
        ]
    )


def real_fraction(probability: np.ndarray, prior: float) -> float:
    """Estimate the fraction of candidates that are real in this exposure.

    By expectation maximisation (Saerens et al. 2002, Neural Comput. 14, 21): where hits are rare,
    there are fewer real candidates, but as many false ones.

    Parameters
    ----------
    probability : ndarray, shape (n,)
        Probability that each candidate is real, for a real fraction of ``prior``.
    prior : float
        Real fraction in the exposures of the calibration; it also enters the estimate with the
        weight of ``TUNING.prior_candidates`` candidates.

    Examples
    --------
    >>> rare, frequent = (real_fraction(np.full(1000, p), 0.4) for p in (0.2, 0.6))
    >>> rare < 0.05, frequent > 0.5
    (True, True)
    """
    fraction, weight = prior, TUNING.prior_candidates
    for _ in range(TUNING.real_fraction_rounds):
        real = shift_prior(probability, prior, fraction).sum()
        fraction = float((real + weight * prior) / (len(probability) + weight))
    return fraction


def shift_prior(probability: np.ndarray, prior: float, fraction: float) -> np.ndarray:
    """Convert probabilities from a real fraction ``prior`` of all candidates to ``fraction``."""
    real = probability * fraction / prior
    false = (1 - probability) * (1 - fraction) / (1 - prior)
    return real / np.maximum(real + false, np.finfo(float).tiny)


def _limited(log_odds: np.ndarray) -> np.ndarray:
    return np.clip(log_odds, -TUNING.max_log_odds, TUNING.max_log_odds)


def _table(values: object, what: str, names: list[str]) -> Mapping[str, Any]:
    if not isinstance(values, Mapping) or set(values) != set(names):
        got = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
        raise OhanaError(f"{what}: wanted {', '.join(names)}, got {got}")
    return values


def _fraction(value: object, name: str) -> float:
    fraction = _number(value, f"calibration.{name}")
    if not 0 < fraction < 1:
        raise OhanaError(f"calibration.{name}: wanted more than 0 and less than 1, got {fraction}")
    return fraction


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise OhanaError(f"{what}: wanted a finite number, got {value!r}")
    return float(value)
