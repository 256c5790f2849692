"""Union of the events of the rules and of the network, each event once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.cosmic_rays import dominant_read
from ohana.detect.matching import Members
from ohana.detect.snowballs.tuning import TUNING as SNOWBALLS
from ohana.events import Event
from ohana.network.calibration import EventScores
from ohana.network.probabilities import NetworkOutput, event_read_tolerance, network_log_odds


class Candidates(NamedTuple):
    """Events of either origin, each once, and their scores."""

    events: list[Event]
    scores: EventScores


def combine(
    rules: Sequence[Event],
    network: Sequence[Event],
    output: NetworkOutput,
    noise: np.ndarray,
    config: DetectorConfig,
) -> Candidates:
    """Join the events of rules and network that share pixels, time and class.

    Parameters
    ----------
    rules : sequence of Event
        Source ``rules``; also those below the minimum confidence.
    network : sequence of Event
        Source ``unet``, from `ohana.network.events.network_events`.
    output : NetworkOutput
        Probabilities of the network.
    noise : ndarray, shape (H, W)
        Read noise [DN].
    config : DetectorConfig
        ``cosmic_ray_max_spatial_extent`` acts here.
    """
    events = sorted(rules, key=order_of), sorted(network, key=order_of)
    same = [pair for pair in close_pairs(*events, noise) if _same_class(events, pair)]
    joined: list[tuple[Event, float]] = []
    for by_rules, by_network in _components(len(events[0]), len(events[1]), same):
        own, others = [events[0][i] for i in by_rules], [events[1][i] for i in by_network]
        if own and own[0].label == Label.COSMIC_RAY and others:
            joined.append((_joined(own, others, config), max(event.confidence for event in own)))
        elif own:
            joined += [(event, event.confidence) for event in own]
        else:
            joined += [(event, _rules_confidence(event)) for event in others]
    joined.sort(key=lambda pair: order_of(pair[0]))
    all_events = [event for event, _ in joined]
    log_odds = network_log_odds(all_events, output, noise)
    threshold = np.array([event.label.traits.network_threshold for event in all_events])
    scores = EventScores(
        np.array([confidence for _, confidence in joined]),
        log_odds,
        (log_odds >= np.log(threshold / (1 - threshold)))
        | np.array([event.source == "unet" for event in all_events], bool),
        np.array([len(event.rows) for event in all_events], int),
    )
    return Candidates(all_events, scores)


def _rules_confidence(event: Event) -> float:
    """Return the confidence of the rules in an event that the network alone found.

    Only telegraph noise has one: its levels are fitted by the rules wherever it is detected.
    """
    return event.confidence if event.label == Label.TELEGRAPH_NOISE else np.nan


def order_of(event: Event) -> tuple:
    """Return a sort key that no two different events share."""
    first = -1 if event.first_frame is None else event.first_frame
    columns = event.rows, event.cols, event.reads, event.amplitude, event.significance
    every = tuple(column.tobytes() for column in columns)
    return event.label, first, event.rows[0], event.cols[0], event.confidence, event.source, every


def _same_class(events: tuple[list[Event], list[Event]], pair: tuple[int, int, int]) -> bool:
    return events[0][pair[0]].label == events[1][pair[1]].label


def close_pairs(
    rules: list[Event], network: list[Event], noise: np.ndarray
) -> list[tuple[int, int, int]]:
    """Return all pairs with common pixels at about the same time, and the number of these."""
    sides = [
        Members.gather([(e.rows, e.cols, e.first_frame) for e in some], noise.shape[1])
        for some in (rules, network)
    ]
    tolerance = [_time_tolerance(some, noise) for some in (rules, network)]
    pairs = zip(*sides[0].matches(sides[1], np.full(len(rules), np.inf)), strict=True)
    near = []
    for i, j, pixels in pairs:
        (before, after), (earlier, later) = tolerance[0][i], tolerance[1][j]
        first, other = rules[i].first_frame, network[j].first_frame
        since = 0 if first is None or other is None else other - first
        if -max(before, later) <= since <= max(after, earlier):
            near.append((int(i), int(j), int(pixels)))
    return near


def _time_tolerance(events: list[Event], noise: np.ndarray) -> np.ndarray:
    """Return the reads before and after each event in which parts of it may lie, shape (n, 2)."""
    tolerance = np.repeat(event_read_tolerance(events, noise)[:, None], 2, axis=1)
    tolerance[[e.label == Label.SNOWBALL for e in events]] = (
        SNOWBALLS.core_read_tolerance,
        SNOWBALLS.growth_reads,
    )
    return tolerance


def _components(
    own: int, others: int, pairs: list[tuple[int, int, int]]
) -> list[tuple[list[int], list[int]]]:
    """Return the connected groups of events of both lists, as indices."""
    size = own + others
    i, j = ([pair[0] for pair in pairs], [own + pair[1] for pair in pairs])
    graph = coo_array((np.ones(len(pairs)), (i, j)), shape=(size, size))
    count, number = connected_components(graph, directed=False) if size else (0, [])
    parts: list[tuple[list[int], list[int]]] = [([], []) for _ in range(count)]
    for node, part in enumerate(number):
        parts[part][node >= own].append(node - own if node >= own else node)
    return parts


def _joined(own: list[Event], others: list[Event], config: DetectorConfig) -> Event:
    """Extend cosmic rays of the rules by pixels that only the network detects."""
    main = max(own, key=lambda event: float(np.nanmax(event.amplitude)))
    parts = [main, *(event for event in own if event is not main), *others]
    row, col, read, amplitude, sigma = (
        np.concatenate([getattr(event, name) for event in parts])
        for name in ("rows", "cols", "reads", "amplitude", "significance")
    )
    _, first = np.unique(row.astype(np.int64) << 32 | col, return_index=True)
    if len(first) == len(main.rows):
        return main
    first = first[np.lexsort((col[first], row[first], -amplitude[first]))]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = amplitude / sigma
    # Of the pixels of the rules, only the error of their sum is known.
    added = error[first[first >= sum(len(event.rows) for event in own)]].astype(float)
    squares = [float(event.extra["step_error"]) ** 2 for event in own]  # type: ignore[arg-type]
    return replace(
        main,
        rows=row[first],
        cols=col[first],
        reads=read[first],
        amplitude=amplitude[first],
        significance=sigma[first],
        first_frame=int(dominant_read(read[first], sigma[first], np.zeros(len(first), int))[0]),
        extra=main.extra
        | {
            "step_amplitude": float(amplitude[first].sum()),
            "step_error": float(np.sqrt(sum(squares) + np.square(added).sum())),
            "saturated": any(bool(event.extra["saturated"]) for event in parts),
            "extended": len(first) > config.cosmic_ray_max_spatial_extent,
        },
    )
