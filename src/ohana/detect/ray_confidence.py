"""Confidence of candidates for cosmic rays, from what the exposure itself shows to be false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ohana.config import DetectorConfig
from ohana.detect.cosmic_rays import RayCandidates
from ohana.detect.decoys import find_decoys
from ohana.detect.false_discovery import (
    EventDensities,
    decoy_odds,
    event_confidence,
    measure_population,
)
from ohana.detect.row_block import Searched
from ohana.detect.strata import divide, members_of, members_of_events, places_of
from ohana.events import Event, pixels_of


def ray_confidence(
    rays: RayCandidates, population: EventDensities, config: DetectorConfig
) -> np.ndarray:
    """Return the confidence of candidates, shape (m,)."""
    odds: np.ndarray | float = 0.0
    if population.strata is not None:
        members = members_of(rays, population.strata.place, config.sigma_threshold)
        odds = decoy_odds(members, population, config.sigma_threshold)
    return event_confidence(rays.significance, rays.size, population, odds)


def population_of(
    rays: RayCandidates,
    searched: Searched,
    snowballs: list[Event],
    border: np.ndarray,
    config: DetectorConfig,
) -> EventDensities:
    """Measure how many events of an exposure are false, where and when.

    Parameters
    ----------
    rays : RayCandidates
        Candidates for cosmic rays.
    searched : Searched
        Of the same exposure.
    snowballs : list of Event
        Falls in their pixels are no decoys.
    border : ndarray of bool, shape (H, W)
        Reference pixels.
    config : DetectorConfig
        As for the candidates.
    """
    ramp, maps = searched.source.ramp, searched.maps
    telegraph, balls = (
        pixels_of(events, border.shape) for events in (searched.telegraph, snowballs)
    )
    falls = find_decoys(searched.steps, maps, border, telegraph, balls, config)
    place = places_of(maps, ramp.suspect)
    members, decoys = (
        members_of(x, place, config.sigma_threshold).select(x.wanted) for x in (rays, falls)
    )
    usable = np.isfinite(maps.noise) & ~border
    strata = divide(members, decoys, place, usable, ramp.shape[0])
    best = np.where(border, 0, maps.best_significance)
    return measure_population(members, decoys, strata, best, config)


def event_odds(
    events: list[Event], population: EventDensities, config: DetectorConfig
) -> np.ndarray:
    """Return the odds of events to be false as decoys show, shape (n,): 0 for telegraph noise."""
    odds = np.zeros(len(events))
    charge = np.array([event.first_frame is not None for event in events], bool)
    if population.strata is not None and charge.any():
        some = [event for event, is_charge in zip(events, charge, strict=True) if is_charge]
        members = members_of_events(some, population.strata.place, config.sigma_threshold)
        odds[charge] = decoy_odds(members, population, config.sigma_threshold)
    return odds


def in_crowded_reads(
    snowballs: list[Event], population: EventDensities, config: DetectorConfig
) -> list[Event]:
    """Lower the confidence of snowballs in reads in which too many pixels step, or drop them."""
    if population.strata is None:
        return snowballs
    first = np.array([ball.first_frame for ball in snowballs], int)
    crowded = np.isin(first, population.strata.reads)
    odds = np.where(crowded, event_odds(snowballs, population, config), 0.0)
    judged = [
        replace(ball, confidence=ball.confidence / (1 + each))
        for ball, each in zip(snowballs, odds.tolist(), strict=True)
    ]
    return [ball for ball in judged if ball.confidence >= config.snowball_min_confidence]
