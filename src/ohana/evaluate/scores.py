"""Truth against detections: what was found, when, what is false, and what noise would allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, owens_t

from ohana.catalog import member_pixels
from ohana.differences import differences
from ohana.evaluate.match import Members
from ohana.labels import MASK_PRIORITY, Label, label_of
from ohana.simulate.truth import TrueEvent, Truth

#: A first read is right when it is off by no more than this.
READ_TOLERANCE = 1
#: The time of a step of a in noise s is uncertain by 20 (s / a)**2 reads at 99 % (Yao 1987, Ann.
#: Stat. 15, 1321): a detection so much further off still is of the same event.
DATE_SPREAD = 20.0
#: Chance that the best estimate of the time of a step is right to one read, by step over noise;
#: 200 000 simulated walks of the likelihood for each.
_STEP_OVER_NOISE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
_DATED_CHANCE = (0, 0.07, 0.209, 0.364, 0.509, 0.629, 0.732, 0.867, 0.939, 0.976, 0.991, 0.997, 1)
#: Bins of matched-filter S/N of cosmic-ray pixels, and of chi-squared of telegraph noise.
SNR_BINS = (5.0, 6.0, 8.0, 12.0, np.inf)
CHI2_BINS = (80.0, 200.0, np.inf)
#: Telegraph noise with fewer transitions cannot be told from cosmic rays and drifts.
MIN_TRANSITIONS = 4
#: Cosmic rays above this S/N are asked for their first read.
DATED_SNR = 8.0


@dataclass(frozen=True)
class ClassScore:
    """Counts of one class.

    Attributes
    ----------
    label : Label
        The class.
    injected, detectable, found : int
        True events; those that stand out of the noise (`is_detectable`); those found of these.
    detected, real : int
        Detections; those that belong to a true event.
    split : int
        True events that more than one detection belongs to.
    """

    label: Label
    injected: int
    detectable: int
    found: int
    detected: int
    real: int
    split: int

    @property
    def completeness(self) -> float:
        """Found part of the detectable events; NaN without any."""
        return self.found / self.detectable if self.detectable else np.nan

    @property
    def purity(self) -> float:
        """Real part of the detections; NaN without any."""
        return self.real / self.detected if self.detected else np.nan


@dataclass(frozen=True)
class Bin:
    """Found part between two values of S/N or chi-squared.

    ``expected`` is how many an ideal estimator would find in Gaussian noise; NaN where that is
    not defined.
    """

    low: float
    high: float
    count: int
    found: int
    expected: float = np.nan

    @property
    def completeness(self) -> float:
        """Found part; NaN for an empty bin."""
        return self.found / self.count if self.count else np.nan


@dataclass(frozen=True)
class Evaluation:
    """Everything that `evaluate` measures.

    Attributes
    ----------
    classes : list of ClassScore
        In the order cosmic ray, telegraph noise, snowball.
    pixels : list of Bin
        Cosmic-ray pixels by S/N; pixels that have part in several events are left out.
    dated : Bin
        Cosmic rays above `DATED_SNR` that were found at their place; ``found`` counts first
        reads that are right to one read, ``expected`` what read noise would allow.
    false_pixels, expected_false : float
        Cosmic-ray pixels per million pixels without any event; what Gaussian noise gives.
    telegraph : list of Bin
        Telegraph noise of at least `MIN_TRANSITIONS` by chi-squared.
    telegraph_false : float
        False telegraph detections per million pixels.
    telegraph_as_cosmic_ray : Bin
        Telegraph pixels of these bins; ``found`` counts those inside a cosmic-ray detection.
    overlaps : list of float
        Intersection over union of each detectable snowball's footprint and its detection's.
    """

    classes: list[ClassScore]
    pixels: list[Bin]
    dated: Bin
    false_pixels: float
    expected_false: float
    telegraph: list[Bin]
    telegraph_false: float
    telegraph_as_cosmic_ray: Bin
    overlaps: list[float]


def evaluate(
    truth: Truth, detections: Sequence[Any], threshold: float = 5.0, integration: int = 0
) -> Evaluation:
    """Compare the catalogue of one integration with the truth.

    A detection and a true event of one class match where they share a pixel and their first
    reads differ by no more than `READ_TOLERANCE`; for steps of the order of the noise of one
    read, which only long ramps show, by no more than the noise makes of them (`DATE_SPREAD`).

    Parameters
    ----------
    truth : Truth
        What was simulated.
    detections : sequence of dict
        Entries of ``detections.json``.
    threshold : float
        Threshold of detection, for what is detectable and expected [sigma].
    integration : int
        Which detections to look at.
    """
    width = truth.shape[2]
    everything = _gather_truth(truth.events, width)
    found = {}
    for label in MASK_PRIORITY:
        entries = [
            (*member_pixels(entry), entry["first_frame"])
            for entry in detections
            if label_of(entry["type"]) == label and entry["integration"] == integration
        ]
        found[label] = Members.gather(entries, width)
    rays, flicker = found[Label.COSMIC_RAY], found[Label.TELEGRAPH_NOISE]
    scores = {label: _class_score(truth, label, found[label], threshold) for label in found}
    false = scores[Label.TELEGRAPH_NOISE].detected - scores[Label.TELEGRAPH_NOISE].real
    million = 1e-6 * np.prod(truth.config.active_shape)
    empty = million - 1e-6 * len(np.unique(everything.pixel))
    return Evaluation(
        list(scores.values()),
        _ray_pixels(truth, everything, rays, threshold),
        _dated(truth, everything, rays),
        len(np.setdiff1d(rays.pixel, everything.pixel)) / empty,
        1e6 * expected_false(truth, threshold),
        [_telegraph_bin(truth, flicker, low, high) for low, high in _pairs(CHI2_BINS)],
        false / million,
        _telegraph_bin(truth, rays, CHI2_BINS[0], np.inf),
        _overlaps(truth, found[Label.SNOWBALL], threshold),
    )


def is_detectable(event: TrueEvent, threshold: float = 5.0) -> bool:
    """Tell whether an event stands out of the noise.

    One pixel above the threshold; for telegraph noise `MIN_TRANSITIONS`, and a chi-squared
    above the lowest of `CHI2_BINS`.
    """
    if event.label == Label.TELEGRAPH_NOISE:
        return (
            len(event.facts["transitions"]) >= MIN_TRANSITIONS
            and event.facts["chi2"] >= CHI2_BINS[0]
        )
    return bool(event.snr.max(initial=0) >= threshold)


def _gather_truth(events: Sequence[TrueEvent], width: int) -> Members:
    return Members.gather([(e.rows, e.cols, e.first_frame) for e in events], width)


def _pairs(edges: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(edges[:-1], edges[1:], strict=True))


def _class_score(truth: Truth, label: Label, found: Members, threshold: float) -> ClassScore:
    events = truth.of(label)
    brightest = np.array([event.charge.max(initial=0) for event in events])
    members = _gather_truth(events, truth.shape[2])
    pairs = members.matches(found, _tolerance(truth, brightest))
    count = np.bincount(pairs[0], minlength=len(events))
    detectable = np.array([is_detectable(event, threshold) for event in events], bool)
    return ClassScore(
        label,
        len(events),
        int(detectable.sum()),
        int((detectable & (count > 0)).sum()),
        found.size,
        len(np.unique(pairs[1])),
        int((count > 1).sum()),
    )


def _typical_noise(truth: Truth) -> float:
    return float(truth.config.total_noise(truth.config.read_noise))


def _tolerance(truth: Truth, charge: np.ndarray) -> np.ndarray:
    """Return by how many reads the first read of a step of so many electrons may be off."""
    return READ_TOLERANCE + DATE_SPREAD * (_typical_noise(truth) / np.maximum(charge, 1e-9)) ** 2


def _alone(members: Members, everything: Members) -> np.ndarray:
    """Tell which entries are of pixels that only one event has part in."""
    pixel, count = np.unique(everything.pixel, return_counts=True)
    return count[np.searchsorted(pixel, members.pixel)] == 1


def _ray_pixels(truth: Truth, everything: Members, found: Members, threshold: float) -> list[Bin]:
    """Return the completeness of cosmic-ray pixels in bins of S/N."""
    rays = truth.of(Label.COSMIC_RAY)
    members = _gather_truth(rays, truth.shape[2])
    snr = np.concatenate([np.empty(0), *(ray.snr for ray in rays)])[members.order]
    charge = np.concatenate([np.empty(0), *(ray.charge for ray in rays)])[members.order]
    seen = members.gap(found) <= _tolerance(truth, charge)
    alone = _alone(members, everything)
    bins = []
    for low, high in _pairs(SNR_BINS):
        here = alone & (snr >= low) & (snr < high)
        expected = float(ndtr(snr[here] - threshold).sum())
        bins.append(Bin(low, high, int(here.sum()), int((here & seen).sum()), expected))
    return bins


def _dated(truth: Truth, everything: Members, found: Members) -> Bin:
    """Return how many bright cosmic rays are found at any read, and at the right one."""
    rays = [ray for ray in truth.of(Label.COSMIC_RAY) if ray.snr.max(initial=0) >= DATED_SNR]
    members = _gather_truth(rays, truth.shape[2])
    gap = np.full(len(rays), np.inf)
    alone = _alone(members, everything)
    np.minimum.at(gap, members.event[alone], members.gap(found)[alone])
    placed = np.isfinite(gap)
    step = np.array([np.sqrt(np.sum(ray.charge**2)) for ray in rays]) / _typical_noise(truth)
    allowed = np.interp(step, _STEP_OVER_NOISE, _DATED_CHANCE)[placed].sum()
    right = int((gap <= READ_TOLERANCE).sum())
    return Bin(DATED_SNR, np.inf, int(placed.sum()), right, float(allowed))


def _telegraph_bin(truth: Truth, found: Members, low: float, high: float) -> Bin:
    """Count telegraph pixels in a bin of chi-squared, and those that any detection covers."""
    events = [
        event
        for event in truth.of(Label.TELEGRAPH_NOISE)
        if is_detectable(event) and low <= event.facts["chi2"] < high
    ]
    covered = np.isfinite(_gather_truth(events, truth.shape[2]).gap(found))
    return Bin(low, high, len(events), int(covered.sum()))


def _overlaps(truth: Truth, found: Members, threshold: float) -> list[float]:
    """Return the best intersection over union of each detectable snowball's footprint."""
    out = []
    for event in truth.of(Label.SNOWBALL):
        if is_detectable(event, threshold):
            seen = event.footprint
            pixel = np.int64(truth.shape[2]) * event.rows[seen] + event.cols[seen]
            best = 0.0
            for number in np.unique(found.event[np.isin(found.pixel, pixel)]):
                theirs = found.pixel[found.event == number]
                both = len(np.intersect1d(pixel, theirs))
                best = max(best, both / (len(pixel) + len(theirs) - both))
            out.append(best)
    return out


def truth_mask(truth: Truth) -> np.ndarray:
    """Return the class of every pixel, uint8 (H, W): footprints, in the priority of the mask."""
    mask = np.zeros(truth.shape[1:], np.uint8)
    for label in MASK_PRIORITY:
        for event in truth.of(label):
            mask[event.rows[event.footprint], event.cols[event.footprint]] = label
    return mask


def confusion(truth: Truth, mask: np.ndarray) -> np.ndarray:
    """Count pixels by true class (rows) and class in a mask (columns), int64 (4, 4)."""
    if mask.shape != truth.shape[1:]:
        raise ValueError(f"mask: wanted shape {truth.shape[1:]}, got {mask.shape}")
    kinds = len(Label)
    both = kinds * truth_mask(truth).astype(np.int64) + mask
    return np.bincount(both.ravel(), minlength=kinds**2).reshape(kinds, kinds)


def expected_false(truth: Truth, threshold: float) -> float:
    """Return the chance that noise alone lifts some step of a pixel above a threshold.

    Neighbouring steps of a ramp are estimated from nearly the same reads, so their errors are
    correlated. The chance is that of the first step plus that of every later one to rise
    above the threshold from below: a close upper limit for high thresholds. It is for the
    pixel without stars, and Owen's T function gives the two-dimensional normal integral
    (Owen 1956, Ann. Math. Stat. 27, 1075).

    Examples
    --------
    >>> from ohana.simulate import SimulationConfig
    >>> truth = Truth((3, 64, 64), [], SimulationConfig(reads=3, rows=64, cols=64))
    >>> round(1e6 * expected_false(truth, 5.0), 2)  # two steps, each the other's negative
    0.57
    """
    config = truth.config
    noise = _typical_noise(truth)
    rate = (config.dark_current + config.sky) * config.frame_time
    model = differences(np.arange(float(config.reads)))
    beside = (noise**2 * model.read_next + rate * model.shot_next)[:-1]
    diagonal = noise**2 * model.read + rate * model.shot
    inverse = np.linalg.inv(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    slope = inverse @ model.dt
    precision = inverse - np.outer(slope, slope) / (model.dt @ slope)
    scale = np.sqrt(np.diag(precision))
    correlation = np.clip(np.diag(precision, 1) / (scale[1:] * scale[:-1]), -1, 1)
    rising = 2 * owens_t(threshold, np.sqrt((1 - correlation) / np.maximum(1 + correlation, 1e-12)))
    return float(ndtr(-threshold) + rising.sum())
