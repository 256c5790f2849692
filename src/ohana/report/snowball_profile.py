"""Profile and growth of a snowball, measured in the reads around its arrival."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ohana.detect.snowballs.tuning import TUNING as SNOWBALLS
from ohana.results.catalogue import Detection
from ohana.results.prediction import Prediction

#: Reads before a snowball that its growth is shown for.
BEFORE = 3
#: A profile reaches so many halo radii.
REACH = 1.4


class Profile(NamedTuple):
    """Radial profile of a snowball: medians over rings of 1 pixel, arrays of shape (n,).

    Attributes
    ----------
    distance : ndarray
        From the centroid [pixel].
    landed, error : ndarray
        Step above the ramp in its first read, and standard error of that median [DN].
    later : ndarray
        The same up to read ``last`` [DN]; ``last`` is the first read itself if the ramp ends there.
    saturated : ndarray of bool
        Most of the ring is saturated by the snowball: its step is a lower limit.
    last : int
        Raw read.
    """

    distance: np.ndarray
    landed: np.ndarray
    error: np.ndarray
    later: np.ndarray
    saturated: np.ndarray
    last: int


class Growth(NamedTuple):
    """A snowball over the reads, arrays of shape (n,).

    Attributes
    ----------
    read : ndarray of int
        Raw reads, from a few before the arrival.
    radius : ndarray
        Of a disk as large as what is saturated, or has half the step of the brightest pixel
        [pixel].
    halo : ndarray
        Mean signal of the member pixels outside the core since the read before [DN].
    """

    read: np.ndarray
    radius: np.ndarray
    halo: np.ndarray


def radial_profile(prediction: Prediction, event: Detection) -> Profile:
    """Measure the radial profile of a snowball, or of any other event with a first read.

    Parameters
    ----------
    prediction : Prediction
        The exposure.
    event : dict
        Entry of its catalogue.

    Raises
    ------
    ValueError
        The event has no first read, or it is read 0.
    """
    frame = _landing(event)
    last = min(frame + SNOWBALLS.growth_reads, prediction.shape[0] - 1)
    reach = REACH * radii(event)[1] + 2
    window, distance = _around(prediction, event, reach)
    steps = [_since(prediction, event, window, range(read, read + 1))[0] for read in (frame, last)]
    stop = prediction.features[event["integration"]]["stop"][window]
    steps = [np.where(stop < frame, np.nan, step) for step in steps]
    rings = distance.round().astype(int)
    known = [k for k in range(int(reach) + 1) if np.isfinite(steps[0][rings == k]).any()]
    landed, later = (np.array([_median(step[rings == k]) for k in known]) for step in steps)
    level, error = landed.reshape(-1, 2).T
    saturated = np.array([np.mean(stop[rings == k] <= frame) > 0.5 for k in known], bool)
    return Profile(np.array(known), level, error, later.reshape(-1, 2)[:, 0], saturated, last)


def growth(prediction: Prediction, event: Detection) -> Growth:
    """Follow core and halo of a snowball over the reads.

    Parameters
    ----------
    prediction : Prediction
        The exposure.
    event : dict
        Entry of its catalogue.

    Raises
    ------
    ValueError
        The event has no first read, or it is read 0.
    """
    frame = _landing(event)
    reads = range(
        max(frame - BEFORE, 0), min(frame + SNOWBALLS.growth_reads + 1, prediction.shape[0])
    )
    core, halo = radii(event)
    window, distance = _around(prediction, event, halo)
    stop = prediction.features[event["integration"]]["stop"][window]
    signal = _since(prediction, event, window, reads)
    outside = (distance > core + 2) & (distance <= halo) & (stop == prediction.shape[0])
    inside = (distance <= max(3 * core, 4.0)) & (stop >= frame)
    half = 0.5 * (event["max_intensity"] or np.inf)
    radius, mean = [], []
    for read, image in zip(reads, signal, strict=True):
        bright = inside & ((stop <= read) | (image > half))
        radius.append(np.sqrt(bright.sum() / np.pi))
        mean.append(np.nanmean(image[outside]) if np.isfinite(image[outside]).any() else np.nan)
    return Growth(np.array(reads), np.array(radius), np.array(mean))


def radii(event: Detection) -> tuple[float, float]:
    """Return radii of core and halo of an event [pixel]; those of a disk of its size for others.

    Examples
    --------
    >>> radii({"core_radius": 5.4, "halo_radius": 21.0}), radii({"spatial_extent": 28})[1].round(1)
    ((5.4, 21.0), np.float64(3.0))
    """
    fields: Mapping[str, Any] = event
    if fields.get("halo_radius"):
        return float(fields["core_radius"]), float(fields["halo_radius"])
    return 0.0, np.sqrt(fields["spatial_extent"] / np.pi)


def _landing(event: Detection) -> int:
    frame = event["first_frame"]
    if not frame:
        raise ValueError(f"event: wanted a first_frame from 1 on, got {frame}")
    return frame


def _around(
    prediction: Prediction, event: Detection, reach: float
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return a window around an event, and the distances of its pixels from the centroid."""
    centre = event["centroid"]
    rows, cols = (
        slice(max(int(at - reach), 0), min(int(at + reach) + 2, size))
        for at, size in zip(centre, prediction.shape[1:], strict=True)
    )
    y, x = np.ogrid[rows, cols]
    return (rows, cols), np.hypot(y - centre[0], x - centre[1])


def _since(
    prediction: Prediction, event: Detection, window: tuple[slice, slice], reads: range
) -> np.ndarray:
    """Return the signal of some reads above the ramp since the read before an event [DN]."""
    before, integration = _landing(event) - 1, event["integration"]
    zero = prediction.cube(slice(before, before + 1), *window, integration)[0].astype(np.float64)
    data = prediction.cube(slice(reads.start, reads.stop), *window, integration) - zero
    time = prediction.times[reads.start : reads.stop] - prediction.times[before]
    rate = np.nan_to_num(prediction.image(integration)[window])
    # A core has too few reads left to measure its rate: that of its surroundings is used.
    full = prediction.features[integration]["stop"][window] < prediction.shape[0]
    rate = np.where(full, np.median(rate), rate)
    return data - rate * time[:, None, None]


def _median(values: np.ndarray) -> tuple[float, float]:
    """Return the median of finite values, and its standard error (NaN of a single one)."""
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return (float(values[0]) if len(values) else np.nan), np.nan
    low, middle, high = np.percentile(values, (15.87, 50, 84.13))
    return float(middle), float(np.sqrt(np.pi / 2 / len(values)) * (high - low) / 2)
