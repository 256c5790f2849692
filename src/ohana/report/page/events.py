"""The events of the page: which ones, and how much of their surroundings."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.report.fitted_ramp import Drawn, fit_to_draw
from ohana.report.page.packing import changes, noise_of, pack, pack_json, scale_for
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Most and fewest pixel-reads of an event's surroundings in the page.
MAX_SAMPLES, MIN_SAMPLES = 1 << 18, 1 << 9
#: Pixels around an event that are shown at least, with most and fewest samples.
MARGIN = (6, 3)
#: Longest side of the surroundings [pixel].
LONGEST = 65
#: Pixel-reads below which the margin is small.
AMPLE = 4096
#: Steps of ramps: the finer of these parts of noise and range.
RAMP_NOISE, RAMP_RANGE = 8, 1000
#: Steps of surroundings, a part of the noise.
WINDOW_NOISE = 4
#: Events of a class that are packed to see how large the page would become.
TRIED = 40
#: Rows that are read together.
ROWS_AT_ONCE = 32


class Chosen(NamedTuple):
    """Indices of the events in the page, ascending, and pixel-reads of each one's surroundings."""

    events: np.ndarray
    samples: int

    def leaner(self, prediction: Prediction) -> Chosen:
        """Return a choice that takes less space."""
        if self.samples > MIN_SAMPLES:
            return Chosen(self.events, self.samples // 2)
        return Chosen(most_telling(prediction.events, len(self.events) * 9 // 10), self.samples)


class Fits:
    """Fits to the strongest pixels of events, by place in the catalogue: each is made once."""

    def __init__(self, prediction: Prediction) -> None:
        self._prediction = prediction
        self._made: dict[int, Drawn] = {}

    def __getitem__(self, place: int) -> np.ndarray:
        """Return a fit (T,) [DN]; NaN if there is none."""
        if place not in self._made:
            event = self._prediction.events[place]
            self._made[place] = fit_to_draw(self._prediction, event, *event["position"])
        return self._made[place].fit

    def missing(self) -> dict[int, str]:
        """Return places of the events without a fit, and why there is none."""
        return {place: made.reason for place, made in sorted(self._made.items()) if made.reason}


class Shown(NamedTuple):
    """One event, at its ``place`` in the catalogue, with what is seen of it.

    ``ramp`` and ``model`` (T,) are of its strongest pixel; ``cube`` (R, h, w) holds some
    ``reads`` of its surroundings, of which ``corner`` is the first row and column [DN].
    ``moment`` is the read that is compared with the one before.
    """

    place: int
    moment: int
    ramp: np.ndarray
    model: np.ndarray
    corner: tuple[int, int]
    reads: np.ndarray
    cube: np.ndarray


class Packed(NamedTuple):
    """Events as text: their entries, and the numbers of their ramps and surroundings."""

    entries: str
    ramps: str
    models: str
    windows: str

    def __len__(self) -> int:
        return sum(map(len, self))


def most_telling(events: Sequence[Detection], number: int) -> np.ndarray:
    """Return indices of the events to keep, ascending.

    Every class gets an equal share; what one does not need goes to the others. Within a class
    the most significant are kept.

    Examples
    --------
    >>> ray, ball = {"type": "cosmic_ray"}, {"type": "snowball", "significance": 90.0}
    >>> events = [{**ray, "significance": s} for s in (9.0, 5.0, 7.0)] + [ball]
    >>> most_telling(events, 3)
    array([0, 2, 3])
    """
    ranked = [_by_significance(events, label) for label in Label]
    kept: list[np.ndarray] = []
    # The smallest class first: what it leaves is shared by those behind it.
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

    All events come before their surroundings; only where not even the least of these fits are
    some left out.
    """
    events = prediction.events
    tried = _tried(prediction, fits)
    samples = MAX_SAMPLES

    def needed(number: int) -> float:
        kinds = Counter(events[i]["type"] for i in most_telling(events, number))
        return sum(costs[kind] * count for kind, count in kinds.items())

    costs = _costs(prediction, tried, samples)
    while samples > MIN_SAMPLES and needed(len(events)) > budget:
        samples //= 2
        costs = _costs(prediction, tried, samples)
    number = bisect_right(range(1, len(events) + 1), budget, key=needed)
    return Chosen(most_telling(events, number), samples)


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


def gather(prediction: Prediction, which: np.ndarray, samples: int, fits: Fits) -> Iterator[Shown]:
    """Cut out what is shown of some events, in an order in which the reads are walked once."""
    reads = prediction.shape[0]
    windows = {
        int(i): _window(prediction.events[i], prediction.shape[1:], MARGIN[0]) for i in which
    }
    for integration, some in _bands(prediction, windows):
        rows = slice(min(windows[i][0].start for i in some), max(windows[i][0].stop for i in some))
        cols = slice(min(windows[i][1].start for i in some), max(windows[i][1].stop for i in some))
        cube = prediction.cube(slice(0, reads), rows, cols, integration)
        for i in some:
            r, c = windows[i]
            part = cube[:, r.start - rows.start : r.stop - rows.start]
            part = part[:, :, c.start - cols.start : c.stop - cols.start]
            shown = _shown(prediction, i, (r.start, c.start), part, fits[i])
            yield thin(shown, prediction.events[i], samples)


def _window(
    event: Detection, shape: tuple[int, ...], margin: int, corner: tuple[int, int] = (0, 0)
) -> tuple[slice, slice]:
    """Return rows and columns around an event, within an array that begins at ``corner``."""
    box, parts = event["bbox"], []
    for axis, (begin, size) in enumerate(zip(corner, shape, strict=True)):
        first, stop = box[axis] - margin, box[axis + 2] + margin
        if stop - first > LONGEST:
            first = event["position"][axis] - LONGEST // 2
            stop = first + LONGEST
        parts.append(slice(max(first, begin), min(stop, begin + size)))
    return parts[0], parts[1]


def _bands(
    prediction: Prediction, windows: dict[int, tuple[slice, slice]]
) -> Iterator[tuple[int, list[int]]]:
    """Group events whose rows are read together."""
    order = sorted(
        windows, key=lambda i: (prediction.events[i]["integration"], windows[i][0].start, i)
    )
    band: list[int] = []
    for i in order:
        if band:
            first, same = band[0], prediction.events[band[0]]["integration"]
            far = windows[i][0].stop - windows[first][0].start > ROWS_AT_ONCE
            if far or prediction.events[i]["integration"] != same:
                yield same, band
                band = []
        band.append(i)
    if band:
        yield prediction.events[band[0]]["integration"], band


def _shown(
    prediction: Prediction,
    index: int,
    corner: tuple[int, int],
    cube: np.ndarray,
    model: np.ndarray,
) -> Shown:
    event = prediction.events[index]
    y, x = event["position"]
    ramp = cube[:, y - corner[0], x - corner[1]].astype(float)
    moment = event["first_frame"] or _largest_change(ramp, model)
    return Shown(index, moment, ramp, model, corner, np.arange(len(ramp)), cube)


def _largest_change(ramp: np.ndarray, model: np.ndarray) -> int:
    """Return the read of the largest change, of the model where there is one."""
    curve = model if np.isfinite(model).sum() > 1 else ramp
    steps = np.diff(curve)
    if not np.isfinite(steps).any():
        return 1
    return int(np.nanargmax(np.abs(steps - np.nanmedian(steps)))) + 1


def thin(shown: Shown, event: Detection, samples: int) -> Shown:
    """Reduce surroundings to about so many pixel-reads: fewer reads, and a narrower margin.

    Left are always the first and the last read and those on either side of the event's moment;
    half of the others lie close to it, half are spread over the ramp.
    """
    cube, corner = shown.cube, shown.corner
    if samples < AMPLE:
        window = _window(event, cube.shape[1:], MARGIN[1], corner)
        corner = (window[0].start, window[1].start)
        rows, cols = (
            slice(part.start - first, part.stop - first)
            for part, first in zip(window, shown.corner, strict=True)
        )
        cube = cube[:, rows, cols]
    number = max(samples // max(cube[0].size, 1), 4)
    reads = chosen_reads(len(cube), shown.moment, number)
    return shown._replace(corner=corner, reads=reads, cube=cube[reads])


def chosen_reads(reads: int, moment: int, number: int) -> np.ndarray:
    """Return at most about ``number`` of the reads, dense around ``moment``.

    Examples
    --------
    >>> chosen_reads(100, 40, 8)
    array([ 0, 33, 38, 39, 40, 41, 66, 99])
    """
    if number >= reads:
        return np.arange(reads)
    spread = np.linspace(0, reads - 1, max(number // 2, 2)).round().astype(int)
    near = np.argsort(np.abs(np.arange(reads) - moment + 0.5), kind="stable")
    left = max(number - len(spread), 2)
    return np.union1d(spread, near[:left])


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
    """Return what the page must know to decode an event, and the codes of its three arrays."""
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
