"""Calibration of confidences from the scores of rules and network, on simulated exposures.

Exposures are drawn from the recipes of the training sets with separate random numbers and
searched as in prediction; the simulated truth decides which events are real.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy import optimize, special

from ohana.classes import EVENT_LABELS, Label
from ohana.config import DetectorConfig
from ohana.config_file import load_config
from ohana.correction.fit import corrected_ramp
from ohana.detect.matching import Members
from ohana.evaluate.truth.limits import date_tolerance
from ohana.evaluate.truth.pairs import gather_truth
from ohana.events import Event
from ohana.network.calibration import Calibration, EventScores, Logistic, design_matrix
from ohana.network.model_file import Network
from ohana.pipeline import find_events
from ohana.read import open_exposure
from ohana.simulate import SimulationConfig, Truth, exposure_rng, simulate_to_fits
from ohana.training.tuning import TUNING
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.draws import draw_values, simulation_config
from ohana.utils.progress import no_progress

log = logging.getLogger("ohana")

#: Number of the random stream; others are numbered by detector, `SPLIT_STREAM` is the split.
STREAM = 2**32 - 2

#: Scores of events of each class, and which of them are real.
Sample = dict[Label, tuple[EventScores, np.ndarray]]


def calibrate(network: Network, creators: Sequence[CreatorConfig], seed: int) -> Calibration:
    """Fit the probability that an event is real to the scores of simulated events.

    Parameters
    ----------
    network : Network
        From `ohana.network.model_file.load_network`, or just trained.
    creators : sequence of CreatorConfig
        Recipes of the training sets.
    seed : int
        Seed of the exposures; none of them is in a training set.

    Returns
    -------
    Calibration
        Classes with few events stay near the default weights.
    """
    settings = load_config("sensitive").model_copy(
        update={"rtn_min_confidence": 0.0, "snowball_min_confidence": 0.0}
    )
    samples: list[Sample] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "exposure.fits"
        for config, rng in draw_exposures(creators, seed):
            truth = simulate_to_fits(config, rng, path)
            events = _search(path, network, settings)
            samples.append(_thinned(collect(events, are_real(truth, events))))
    sample = _joined(samples)
    for label, (_, good) in sample.items():
        log.info(f"{label.key}: {good.sum()} real and {(~good).sum()} false events")
    names = {field.name for field in fields(Calibration)}
    models = {label.key: fit_logistic(*sample[label]) for label in sample if label.key in names}
    scores, real = sample[Label.COSMIC_RAY]
    known = np.isfinite(scores.rules)
    return Calibration(
        known=_real_fraction(real[known]), faint=_real_fraction(real[~known]), **models
    )


def _real_fraction(real: np.ndarray) -> float:
    """Return the real fraction of candidates with Laplace's correction: a half without any."""
    return float((real.sum() + 1.0) / (len(real) + 2.0))


def draw_exposures(
    creators: Sequence[CreatorConfig], seed: int
) -> Iterator[tuple[SimulationConfig, np.random.Generator]]:
    """Yield settings and random numbers of exposures, with about the same voxels per recipe.

    Every recipe has at least one exposure. Exposures without events are as frequent as in its
    training set, but never the first.
    """
    for number, creator in enumerate(map(_smaller, creators)):
        voxels = creator.num_frames * float(np.prod(creator.image_shape))
        share = TUNING.calibration_voxels / len(creators)
        count = int(np.clip(share / voxels, 1, TUNING.max_exposures))
        with_events, without = creator.num_exposure_events, creator.num_baseline_exposures
        for k in range(count):
            draws, scene = exposure_rng(seed, STREAM, number, k).spawn(2)
            baseline = k > 0 and draws.random() < without / (with_events + without)
            gain = float(draws.choice(list(creator.gain_library.values())))
            values = draw_values(creator, baseline, draws)
            yield simulation_config(creator, gain, values), scene


def _smaller(creator: CreatorConfig) -> CreatorConfig:
    """Return a recipe for a smaller array with the same density of events."""
    height, width = creator.image_shape
    columns = TUNING.max_side // creator.outputs * creator.outputs
    shape = min(height, TUNING.max_side), min(width, columns)
    if not shape[1]:
        shape = shape[0], width
    share = np.prod(shape) / (height * width)
    fewer = {
        name: tuple(int(np.ceil(n * share)) for n in getattr(creator, name))
        for name in (
            "cosmic_ray_per_exp_range",
            "snowballs_per_exp_range",
            "rtn_per_exp_range",
            "stars_range",
        )
    }
    return creator.model_copy(update={"image_shape": shape, **fewer})


def _search(path: Path, network: Network, settings: DetectorConfig) -> list[Event]:
    """Return the events of an exposure by rules and network, at any confidence."""
    ramp = open_exposure(path, settings)[0]
    source = corrected_ramp(ramp, settings)[0]
    return find_events(source, settings, no_progress, network=network).events


def are_real(truth: Truth, events: Sequence[Event]) -> np.ndarray:
    """Return which events match the truth in pixels, time and class, bool (n,)."""
    found = Members.gather([(e.rows, e.cols, e.first_frame) for e in events], truth.shape[2])
    brightest = np.array([event.charge.max(initial=0) for event in truth.events])
    true, mine, _ = gather_truth(truth).matches(found, date_tolerance(truth, brightest))
    of_truth = np.array([event.label for event in truth.events], int)
    labels = np.array([event.label for event in events], int)
    real = np.zeros(len(events), bool)
    real[mine[of_truth[true] == labels[mine]]] = True
    return real


def collect(events: Sequence[Event], real: np.ndarray) -> Sample:
    """Return the scores of merged events of each class, and which of them are real."""
    labels = np.array([event.label for event in events], int)
    known = [event.extra.get("rules_confidence") for event in events]
    scores = EventScores(
        np.array([np.nan if value is None else value for value in known], float),
        np.array([event.extra.get("network_score", 0.0) for event in events], float),
        np.array([event.source != "rules" for event in events], bool),
        np.array([len(event.rows) for event in events], int),
    )
    return {
        label: (
            EventScores(*(column[labels == label] for column in scores)),
            real[labels == label],
        )
        for label in EVENT_LABELS
    }


def _thinned(sample: Sample) -> Sample:
    """Select at most ``TUNING.max_events`` events of each class, evenly spaced."""
    thin: Sample = {}
    for label, (scores, real) in sample.items():
        count = min(len(real), TUNING.max_events)
        some = np.arange(count) * len(real) // max(count, 1)
        thin[label] = EventScores(*(column[some] for column in scores)), real[some]
    return thin


def _joined(samples: list[Sample]) -> Sample:
    """Put the events of all exposures together."""
    joined: Sample = {}
    for label in EVENT_LABELS:
        parts = [sample[label] for sample in samples]
        columns = zip(*(scores for scores, _ in parts), strict=True)
        real = np.concatenate([good for _, good in parts])
        joined[label] = EventScores(*map(np.concatenate, columns)), real
    return joined


def fit_logistic(scores: EventScores, real: np.ndarray) -> Logistic:
    """Fit a logistic model by penalised likelihood.

    The penalty draws the weights towards the defaults of `Logistic`, with the strength of
    ``TUNING.ridge`` events: few events change little, and weights stay finite where all events
    are real, or none. Higher confidence of rules or network never lowers the probability.

    Parameters
    ----------
    scores : EventScores
        Scores of n events of one class.
    real : ndarray of bool, shape (n,)
        Which of them are real.

    Examples
    --------
    >>> nothing = EventScores(*(np.empty(0) for _ in range(4)))
    >>> fit_logistic(nothing, np.empty(0, bool)) == Logistic()
    True
    """
    x, start = design_matrix(scores), np.array(astuple(Logistic()))
    sign = np.where(real, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ weights)
        off = weights - start
        value = -special.log_expit(margin).sum() + TUNING.ridge / 2 * off @ off
        return float(value), TUNING.ridge * off - x.T @ (sign * special.expit(-margin))

    rising = Logistic.__dataclass_fields__
    limits = [(0.0 if name.startswith(("rules", "score")) else None, None) for name in rising]
    best = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits)
    return Logistic(*map(float, best.x))
