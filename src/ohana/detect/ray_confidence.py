"""Confidence of candidates for cosmic rays, from what the exposure itself shows to be false."""

from __future__ import annotations

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
from ohana.detect.strata import divide, members_of, places_of
from ohana.events import Event, PixelMaps


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
    away = [covered_by(events, border.shape) for events in (searched.telegraph, snowballs)]
    falls = find_decoys(searched.steps, maps, border, *away, config)
    place = places_of(maps, ramp.suspect)
    members, decoys = (
        members_of(x, place, config.sigma_threshold).select(x.wanted) for x in (rays, falls)
    )
    usable = np.isfinite(maps.noise) & ~border
    strata = divide(members, decoys, place, usable, ramp.shape[0])
    best = np.where(border, 0, maps.best_significance)
    return measure_population(members, decoys, strata, best, config)


def covered_by(events: list[Event], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels of events, bool (H, W)."""
    covered = np.zeros(shape, bool)
    for event in events:
        covered[event.rows, event.cols] = True
    return covered
