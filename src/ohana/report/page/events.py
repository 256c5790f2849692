"""The events of the page: their choice within a size limit, and their encoding."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.report.page.cutouts import Fits, Shown, gather, thin
from ohana.report.page.packing import changes, noise_of, pack, pack_json, scale_for
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Maximum and minimum pixel-reads of the surroundings of an event. Chosen.
MAX_SAMPLES, MIN_SAMPLES = 1 << 18, 1 << 9
#: Quantisation steps of ramps per noise and per range; the finer one is used. Chosen.
RAMP_NOISE, RAMP_RANGE = 8, 1000
#: Quantisation steps of surroundings per noise. Chosen.
WINDOW_NOISE = 4
#: Events of each class packed to estimate the size of the page. Chosen.
TRIED = 40


class Chosen(NamedTuple):
    """Indices of the events in the page, ascending, and pixel-reads of each one's surroundings."""

    events: np.ndarray
    samples: int

    def leaner(self, prediction: Prediction) -> Chosen:
        """Return a choice that takes less space."""
        if self.samples > MIN_SAMPLES:
            return Chosen(self.events, self.samples // 2)
        return Chosen(most_significant(prediction.events, len(self.events) * 9 // 10), self.samples)


class Packed(NamedTuple):
    """Events as text: their entries, and the numbers of their ramps and surroundings."""

    entries: str
    ramps: str
    models: str
    windows: str

    def __len__(self) -> int:
        return sum(map(len, self))


def most_significant(events: Sequence[Detection], number: int) -> np.ndarray:
    """Return indices of the events to keep, ascending.

    All classes get equal shares; unused parts go to the others. Within a class the most
    significant events are kept.

    Examples
    --------
    >>> ray, ball = {"type": "cosmic_ray"}, {"type": "snowball", "significance": 90.0}
    >>> events = [{**ray, "significance": s} for s in (9.0, 5.0, 7.0)] + [ball]
    >>> most_significant(events, 3)
    array([0, 2, 3])
    """
    ranked = [_by_significance(events, label) for label in Label]
    kept: list[np.ndarray] = []
    # The smallest class first: its unused share is divided among the others.
    for left, ranks in zip(range(len(ranked), 0, -1), sorted(ranked, key=len), strict=True):
        share = (number - sum(map(len, kept))) // left
        kept.append(ranks[:share])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def _by_significance(events: Sequence[Detection], label: Label) -> np.ndarray:
    """Return indices of the events of a class, the most significant first."""
    index = np.array([i for i, e in enumerate(events) if e["type"] == label.key], np.int64)
    values = np.array([events[i]["significance"] or 0.0 for i in index])
    return index[np.argsort(-values, kind="stable")]


def choose(prediction: Prediction, budget: float, fits: Fits) -> Chosen:
    """Choose events and detail so that they take at most about ``budget`` bytes of text.

    Surroundings are reduced first; events are omitted only if the smallest surroundings of all
    events do not fit.
    """
    events = prediction.events
    tried = _tried(prediction, fits)
    samples = MAX_SAMPLES

    def needed(number: int) -> float:
        kinds = Counter(events[i]["type"] for i in most_significant(events, number))
        return sum(costs[kind] * count for kind, count in kinds.items())

    costs = _costs(prediction, tried, samples)
    while samples > MIN_SAMPLES and needed(len(events)) > budget:
        samples //= 2
        costs = _costs(prediction, tried, samples)
    number = bisect_right(range(1, len(events) + 1), budget, key=needed)
    return Chosen(most_significant(events, number), samples)


def _tried(prediction: Prediction, fits: Fits) -> dict[str, list[Shown]]:
    """Gather a few events of each class, from the most to the least significant."""
    tried = {}
    for label in Label:
        ranks = _by_significance(prediction.events, label)
        if ranks.size:
            some = ranks[np.linspace(0, ranks.size - 1, min(TRIED, ranks.size)).astype(int)]
            tried[label.key] = list(gather(prediction, some, MAX_SAMPLES, fits))
    return tried


def _costs(prediction: Prediction, tried: dict[str, list[Shown]], samples: int) -> dict[str, float]:
    """Return the bytes that an event of each class takes with so many samples."""
    costs = {}
    for kind, some in tried.items():
        thinned = (thin(each, prediction.events[each.place], samples) for each in some)
        costs[kind] = len(pack_events(prediction, thinned)) / len(some)
    return costs


def pack_events(prediction: Prediction, events: Iterator[Shown]) -> Packed:
    """Quantise and pack events, in the order of the catalogue."""
    heads: list[dict[str, Any]] = []
    ramps, models, windows = [], [], []
    for shown in sorted(events, key=lambda shown: shown.place):
        head, ramp, model, window = _coded(shown)
        heads.append(head | {"entry": prediction.events[shown.place]})
        ramps.append(ramp)
        models.append(model)
        windows.append(window)
    parts = [np.concatenate(part) if part else np.empty(0) for part in (ramps, models, windows)]
    return Packed(pack_json(heads), *map(pack, parts))


def _coded(shown: Shown) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]:
    """Return the header that decodes an event, and the codes of its three arrays."""
    known = shown.ramp[np.isfinite(shown.ramp)]
    extent = float(np.ptp(known)) if known.size else 0.0
    step = min(noise_of(shown.ramp) / RAMP_NOISE or np.inf, extent / RAMP_RANGE)
    scale = scale_for(shown.ramp, step)
    window = scale_for(shown.cube, noise_of(shown.cube) / WINDOW_NOISE)
    every = len(shown.reads) == len(shown.ramp)
    head = {
        "index": shown.place,
        "moment": shown.moment,
        "ramp": scale,
        "window": {
            "corner": shown.corner,
            "shape": shown.cube.shape,
            "scale": window,
            "reads": None if every else shown.reads.tolist(),
        },
    }
    return (
        head,
        changes(scale.codes(shown.ramp)),
        changes(scale.codes(shown.model)),
        changes(window.codes(shown.cube)).ravel(),
    )
