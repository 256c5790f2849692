"""The union of what the rules and the network have found: every event once."""

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
from ohana.events import Event, Steps
from ohana.network.calibration import EventScores
from ohana.network.probabilities import NetworkOutput, network_score, reads_of_slack


class Candidates(NamedTuple):
    """Events of either origin, each once, and what both opinions hold of them."""

    events: list[Event]
    evidence: EventScores


def combine(
    rules: Sequence[Event],
    network: Sequence[Event],
    opinion: NetworkOutput,
    noise: np.ndarray,
    config: DetectorConfig,
) -> Candidates:
    """List the events of both, those of one class that belong together as one.

    Parameters
    ----------
    rules : sequence of Event
        Source ``rules``; also those in which the rules have less confidence than they need.
    network : sequence of Event
        Source ``unet``, from `ohana.network.events.network_events`.
    opinion : NetworkOutput
        What the network says.
    noise : ndarray, shape (H, W)
        Read noise [DN].
    config : DetectorConfig
        The largest extent of a cosmic ray acts here.
    """
    events = sorted(rules, key=order_of), sorted(network, key=order_of)
    same = [pair for pair in close_pairs(*events, noise) if _same_class(events, pair)]
    joined: list[tuple[Event, float]] = []
    for mine, theirs in _components(len(events[0]), len(events[1]), same):
        own, others = [events[0][i] for i in mine], [events[1][i] for i in theirs]
        if own and own[0].label == Label.COSMIC_RAY and others:
            joined.append((_joined(own, others, config), max(event.confidence for event in own)))
        elif own:
            joined += [(event, event.confidence) for event in own]
        else:
            joined += [(event, _of_rules(event)) for event in others]
    joined.sort(key=lambda pair: order_of(pair[0]))
    all_events = [event for event, _ in joined]
    score = network_score(all_events, opinion, noise)
    least = np.array([event.label.traits.network_threshold for event in all_events])
    evidence = EventScores(
        np.array([confidence for _, confidence in joined]),
        score,
        (score >= np.log(least / (1 - least)))
        | np.array([event.source == "unet" for event in all_events], bool),
        np.array([len(event.rows) for event in all_events], int),
    )
    return Candidates(all_events, evidence)


def _of_rules(event: Event) -> float:
    """Return what the rules think of an event that the network alone has found.

    Levels are fitted to telegraph noise by the same fit wherever it was pointed to.
    """
    return event.confidence if event.label == Label.TELEGRAPH_NOISE else np.nan


def order_of(event: Event) -> tuple:
    """Sort key that no two different events share."""
    first = -1 if event.first_frame is None else event.first_frame
    columns = event.rows, event.cols, event.reads, event.amplitude, event.significance
    every = tuple(column.tobytes() for column in columns)
    return event.label, first, event.rows[0], event.cols[0], event.confidence, event.source, every


def _same_class(events: tuple[list[Event], list[Event]], pair: tuple[int, int, int]) -> bool:
    return events[0][pair[0]].label == events[1][pair[1]].label


def close_pairs(
    rules: list[Event], network: list[Event], noise: np.ndarray
) -> list[tuple[int, int, int]]:
    """Return all pairs that share pixels at about the same time, and how many they share."""
    sides = [
        Members.gather([(e.rows, e.cols, e.first_frame) for e in some], noise.shape[1])
        for some in (rules, network)
    ]
    slack = [_slack(some, noise) for some in (rules, network)]
    pairs = zip(*sides[0].matches(sides[1], np.full(len(rules), np.inf)), strict=True)
    near = []
    for i, j, pixels in pairs:
        (before, after), (earlier, later) = slack[0][i], slack[1][j]
        first, other = rules[i].first_frame, network[j].first_frame
        since = 0 if first is None or other is None else other - first
        if -max(before, later) <= since <= max(after, earlier):
            near.append((int(i), int(j), int(pixels)))
    return near


def _slack(events: list[Event], noise: np.ndarray) -> np.ndarray:
    """Return by how many reads what belongs to each event may come before and after it."""
    slack = np.repeat(reads_of_slack(events, noise)[:, None], 2, axis=1)
    slack[[e.label == Label.SNOWBALL for e in events]] = (
        SNOWBALLS.core_read_tolerance,
        SNOWBALLS.growth_reads,
    )
    return slack


def _components(
    own: int, others: int, pairs: list[tuple[int, int, int]]
) -> list[tuple[list[int], list[int]]]:
    """Return the events of both lists that hang together by pairs."""
    size = own + others
    i, j = ([pair[0] for pair in pairs], [own + pair[1] for pair in pairs])
    graph = coo_array((np.ones(len(pairs)), (i, j)), shape=(size, size))
    count, number = connected_components(graph, directed=False) if size else (0, [])
    parts: list[tuple[list[int], list[int]]] = [([], []) for _ in range(count)]
    for node, part in enumerate(number):
        parts[part][node >= own].append(node - own if node >= own else node)
    return parts


def _joined(own: list[Event], others: list[Event], config: DetectorConfig) -> Event:
    """Extend cosmic rays of the rules by pixels that only the network has seen."""
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
    steps = Steps(row, col, read, amplitude, error, sigma, sigma, sigma).select(first)
    # Errors of the rules' own pixels are known together only.
    added = error[first[first >= sum(len(event.rows) for event in own)]].astype(float)
    squares = [float(event.extra["step_error"]) ** 2 for event in own]  # type: ignore[arg-type]
    return replace(
        main,
        rows=steps.row,
        cols=steps.col,
        reads=steps.read,
        amplitude=steps.amplitude,
        significance=steps.significance,
        first_frame=int(dominant_read(steps, np.zeros(len(first), int), np.zeros(1, int))[0]),
        extra=main.extra
        | {
            "step_amplitude": float(steps.amplitude.sum()),
            "step_error": float(np.sqrt(sum(squares) + np.square(added).sum())),
            "saturated": any(bool(event.extra["saturated"]) for event in parts),
            "extended": len(first) > config.cosmic_ray_max_spatial_extent,
        },
    )
