"""Pixels that show telegraph noise again and again, and how many would by chance."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ohana.catalogues.columns import Column
from ohana.catalogues.tally import Flickering, Tally

#: The list may hold so many pixels by chance.
BY_CHANCE = 0.1
#: Of a normal distribution: standard deviation over median absolute deviation.
SIGMA_OF_MAD = 1.4826

#: What ``..._telegraph_pixels.ecsv`` has.
PIXELS = (
    Column("row", int, "", "Row, from 0"),
    Column("col", int, "", "Column, from 0"),
    Column("seen", int, "", "Exposures in which it shows telegraph noise"),
    Column("searched", int, "", "Exposures in which it was looked for"),
    Column("amplitude", float, "DN", "Distance of the outer levels: median"),
    Column("amplitude_spread", float, "DN", "Its scatter over the exposures (1.48 MAD)"),
    Column("dwell_low", float, "s", "Mean stay in the lowest level: median"),
    Column("dwell_low_spread", float, "s", "Its scatter over the exposures (1.48 MAD)"),
    Column("dwell_high", float, "s", "Mean stay in the highest level: median"),
    Column("dwell_high_spread", float, "s", "Its scatter over the exposures (1.48 MAD)"),
)


class Repeats(NamedTuple):
    """Pixels that show telegraph noise in several exposures.

    Attributes
    ----------
    pixels : list of dict
        A row of `PIXELS` for each pixel of the list, the most frequent first.
    searched : int
        Exposures in which telegraph noise was looked for.
    least : int
        Exposures from which on a pixel is in the list.
    by_chance : float
        Pixels of the list that chance makes, if all detections fell on pixels at random.
    seen, expected : ndarray, shape (searched + 1,)
        Pixels seen in exactly 0, 1, 2 ... exposures, and how many chance makes of each.
    """

    pixels: list[dict[str, Any]]
    searched: int
    least: int
    by_chance: float
    seen: np.ndarray
    expected: np.ndarray


def repeated_pixels(tally: Tally, least: int | None = None) -> Repeats | None:
    """Find the pixels that show telegraph noise in ``least`` or more exposures.

    Chance is that of detections which fall on any pixel alike, at their mean density, each
    exposure by itself: a binomial distribution. Since the density counts the repeated pixels
    too, it is rather too high. A pixel counts once in an exposure, whatever the integrations.

    Parameters
    ----------
    tally : Tally
        Of one detector.
    least : int, optional
        Fewest exposures; if absent so many that chance makes less than 0.1 pixels of the list,
        but two at least.

    Returns
    -------
    Repeats or None
        None where fewer than two exposures could be searched.
    """
    searched, pixels = tally.searched, int(np.prod(tally.detector.shape))
    if searched < 2:
        return None
    table = np.array([flicker[:3] for flicker in tally.flickering], np.int64).reshape(-1, 3)
    place = table[:, 0] * tally.detector.shape[1] + table[:, 1]
    once = np.unique(np.column_stack([place, table[:, 2]]), axis=0)
    flagged, times = np.unique(once[:, 0], return_counts=True)
    density = len(once) / (searched * pixels)
    number = np.arange(searched + 1)
    at_least = pixels * chance_of(number, searched, density)
    if least is None:
        # Never more than all exposures: a list for two exposures may hold some chance pairs.
        enough = np.flatnonzero((at_least < BY_CHANCE) & (number >= 2))
        least = int(enough[0]) if enough.size else searched
    chosen = flagged[times >= least]
    seen_as: dict[int, list[Flickering]] = {int(pixel): [] for pixel in chosen}
    for pixel, flicker in zip(place.tolist(), tally.flickering, strict=True):
        if pixel in seen_as:
            seen_as[pixel].append(flicker)
    rows = [_row(flickers, searched) for flickers in seen_as.values()]
    rows.sort(key=lambda row: (-row["seen"], row["row"], row["col"]))
    seen = np.bincount(times, minlength=searched + 1)
    seen[0] = pixels - len(flagged)
    by_chance = float(at_least[least]) if least <= searched else 0.0
    return Repeats(rows, searched, least, by_chance, seen, at_least - np.append(at_least[1:], 0.0))


def chance_of(least: np.ndarray, trials: int, probability: float) -> np.ndarray:
    """Return the chance of ``least`` or more successes in so many trials.

    Examples
    --------
    >>> chance_of(np.array([0, 1, 2]), 2, 0.5)
    array([1.  , 0.75, 0.25])
    """
    below = special.bdtrc(np.maximum(least - 1, 0), trials, probability)
    return np.where(least > 0, below, 1.0)


def _row(pixel: list[Flickering], searched: int) -> dict[str, Any]:
    """Describe one pixel by all that was seen of it."""
    row: dict[str, Any] = {"row": pixel[0].row, "col": pixel[0].col}
    row |= {"seen": len({each.exposure for each in pixel}), "searched": searched}
    for name in ("amplitude", "dwell_low", "dwell_high"):
        values = np.array([getattr(each, name) for each in pixel])
        values = values[np.isfinite(values)]
        if values.size:
            middle = float(np.median(values))
            spread = SIGMA_OF_MAD * float(np.median(np.abs(values - middle)))
            row |= {name: middle, f"{name}_spread": spread}
    return row
