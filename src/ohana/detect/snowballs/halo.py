"""The halo of a snowball: its radial profile, and the pixels in which it can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage, optimize

from ohana.config import DetectorConfig
from ohana.detect.linking import MOST_READS
from ohana.detect.snowballs.cores import EIGHT, GROWTH_READS, RING_WIDTH, SAME, Core
from ohana.detect.snowballs.step_image import Cutout, step_window
from ohana.events import PixelMaps, Steps
from ohana.rampfit.covariance import Differences, can_share
from ohana.rampfit.load import Source

#: A pixel belongs to the footprint where the charge exceeds this many errors of a step.
FOOTPRINT_SIGMA = 3.0
#: Steps further than this from the profile, in sigma, are no part of it: trail, cosmic rays.
CLIP = 4.0
#: Pixels beyond the ring that it takes to tell what follows from the rate.
ENOUGH = 20
#: How much further than steps of single pixels a halo may be seen: in core radii, and pixels.
FURTHER, MORE = 0.6, 4
#: Within so many core radii of its centre, another snowball is taken out of the ramps.
AROUND = 4.0


class Profile(NamedTuple):
    """Radial profile of a halo: mean step [DN] at distances from the centre [pixel]."""

    distance: np.ndarray
    level: np.ndarray

    def at(self, distance: np.ndarray) -> np.ndarray:
        """Return the step expected at some distances from the centre [DN]."""
        return np.interp(distance, self.distance, self.level, right=0.0)


def radial_profile(
    distance: np.ndarray, look: Cutout, use: np.ndarray, radius: float, gain: float
) -> Profile:
    """Measure the profile of a halo in rings one pixel wide.

    Parameters
    ----------
    distance : ndarray, shape (h, w)
        From the centre [pixel].
    look : Cutout
        Steps of the window.
    use : ndarray of bool, shape (h, w)
        Pixels to use.
    radius : float
        Of the core [pixel]: rings begin at its rim.
    gain : float
        [e-/DN], for the Poisson noise of the halo itself.

    Returns
    -------
    Profile
        Never rises outwards, never negative.
    """
    use = use & np.isfinite(look.error) & (distance > radius + 0.5)
    ring = (distance[use] - radius - 0.5).astype(int)
    away, step, error = distance[use], look.amplitude[use], look.error[use]
    count = np.bincount(ring)
    nothing = Profile(np.array([radius]), np.zeros(1))
    if not len(count):
        return nothing
    middle = np.array(ndimage.median(step, ring, np.arange(len(count))))
    variance = error**2 + np.maximum(middle, 0)[ring] / gain
    near = np.abs(step - middle[ring]) < CLIP * np.sqrt(variance)
    weight = near / variance
    total = np.bincount(ring, weight)
    known = total > 0
    if not known.any():
        return nothing
    level = np.bincount(ring, weight * step)[known] / total[known]
    place = np.bincount(ring, weight * away)[known] / total[known]
    falling = optimize.isotonic_regression(level, weights=total[known], increasing=False).x
    return Profile(place, np.maximum(falling, 0))


def with_later(
    profile: Profile, distance: np.ndarray, look: Cutout, use: np.ndarray, reach: float
) -> Profile:
    """Add to the profile of the landing the charge that follows in the next reads.

    Parameters
    ----------
    profile : Profile
        From `radial_profile`.
    distance, look, use
        As there.
    reach : float
        Charge follows within this distance from the centre [pixel]; the pixels beyond tell how
        much the signal rises without it.

    Returns
    -------
    Profile
        At the same distances, never rises outwards.
    """
    use = use & np.isfinite(look.rise)
    beyond, level = use & (distance > reach), profile.level.copy()
    if np.count_nonzero(beyond) < ENOUGH:
        return profile
    extra = look.rise - profile.at(distance)
    ground = float(np.median(extra[beyond]))
    for i in np.flatnonzero(profile.distance < reach):
        ring = extra[use & (np.abs(distance - profile.distance[i]) < 0.5)] - ground
        if len(ring):
            middle = np.median(ring)
            # Normal deviates: the median's error, from the median deviation.
            error = 1.25 * 1.48 * np.median(np.abs(ring - middle)) / np.sqrt(len(ring))
            level[i] += middle if middle > FOOTPRINT_SIGMA * error else 0.0
    return Profile(profile.distance, np.maximum.accumulate(level[::-1])[::-1])


def footprint(
    distance: np.ndarray,
    look: Cutout,
    profiles: tuple[Profile, Profile],
    core: np.ndarray,
    own: np.ndarray,
    gain: float,
) -> np.ndarray:
    """Tell the pixels that hold more charge of the snowball than `FOOTPRINT_SIGMA` errors.

    The charge of a pixel is the mean of what the profile expects, with its Poisson noise, and
    what the pixel shows, with its error. A pixel far above the profile that is connected to the
    rest is believed as it is: that is how a trail belongs to it.

    Parameters
    ----------
    distance : ndarray, shape (h, w)
        From the centre [pixel].
    look : Cutout
        Steps of the window.
    profiles : tuple of Profile
        Of the landing, and with what follows.
    core : ndarray of bool, shape (h, w)
        Pixels of the core.
    own : ndarray of bool, shape (h, w)
        Pixels where no other snowball is nearer: elsewhere the profile alone decides.
    gain : float
        [e-/DN]

    Returns
    -------
    ndarray of bool, shape (h, w)
    """
    expected, total = (profile.at(distance) for profile in profiles)
    poisson = expected / gain
    variance = poisson + look.error**2
    with np.errstate(invalid="ignore"):
        share = np.where(own & np.isfinite(variance), poisson / variance, 0.0)
        limit = FOOTPRINT_SIGMA * look.alone
        charge = total + share * (look.amplitude - expected)
        member = (charge > limit) | core
        stray = own & (look.amplitude - expected > (CLIP + 1) * np.sqrt(variance))
    joined, _ = ndimage.label(member | stray, EIGHT)
    kept = np.unique(joined[core])
    return member | (stray & np.isin(joined, kept[kept > 0]))


@dataclass(frozen=True)
class Scene:
    """What every candidate is judged by: the ramp, the maps, all steps, and the settings."""

    source: Source
    steps: Steps
    group: np.ndarray
    maps: PixelMaps
    model: Differences
    stop: np.ndarray
    config: DetectorConfig

    @property
    def gain(self) -> float:
        """Gain [e-/DN]."""
        return self.source.ramp.facts.gain


class View(NamedTuple):
    """A candidate seen in a window of the array; maps of the window's shape.

    ``distance`` is from the centre; ``core``, ``own`` and ``profiles`` are as in
    `ohana.detect.snowballs.halo.footprint`, which gives ``member``.
    """

    window: tuple[slice, slice]
    look: Cutout
    distance: np.ndarray
    core: np.ndarray
    own: np.ndarray
    profiles: tuple[Profile, Profile]
    member: np.ndarray


def look_at(core: Core, others: list[Core], scene: Scene) -> View:
    """Look at a candidate again, in a window that holds its halo."""
    reach = _reach(core, scene)
    most = float(np.hypot(*scene.stop.shape))
    while True:
        view = _view(core, others, min(reach, most), scene)
        if reach >= most or halo_radius(core, view) + 1 < reach:
            return view
        reach *= 1.5


def _reach(core: Core, scene: Scene) -> float:
    """Guess how far the halo can be seen, from the steps of single pixels [pixel]."""
    same = (scene.group == core.group) & (np.abs(scene.steps.read - core.read) <= MOST_READS)
    away = core.disk.distance(scene.steps.row[same], scene.steps.col[same])
    radius = core.disk.radius
    count = np.bincount((away / 2).astype(int))
    filled = count / (4 * np.pi * (2 * np.arange(len(count)) + 1))
    outer = 2 * (1 + np.flatnonzero(filled > 0.2).max(initial=int(radius / 2)))
    return max(outer + FURTHER * radius, radius + RING_WIDTH) + MORE


def _view(core: Core, others: list[Core], reach: float, scene: Scene) -> View:
    disk, shape = core.disk, scene.stop.shape
    down, right = (
        slice(max(int(at - reach), 0), min(int(at + reach) + 2, size))
        for at, size in zip((disk.row, disk.col), shape, strict=True)
    )
    window = down, right
    rows, cols = np.ogrid[window]
    distance = disk.distance(rows, cols)
    stop = scene.stop[window]
    apart: dict[int, np.ndarray] = {}
    for other in others:
        near = other.disk.distance(rows, cols) < AROUND * other.disk.radius
        apart[other.read] = apart.get(other.read, False) | near
    look = step_window(
        scene.source, scene.maps, scene.model, window, core.read, scene.steps, apart, GROWTH_READS
    )
    # What was full before shows nothing, and neither does the border.
    look.error[stop < core.read] = look.alone[stop < core.read] = np.inf
    own = np.ones(distance.shape, bool)
    for other in others:
        if abs(other.read - core.read) <= SAME:
            own &= distance - disk.radius <= other.disk.distance(rows, cols) - other.disk.radius
    full = fills(stop, core.read, scene.model)
    # Beside the rim there is always charge that the core couples into its neighbours.
    inside = distance <= disk.radius + 1
    halo = own & ~full
    landed = radial_profile(distance, look, halo, disk.radius, scene.gain)
    total = with_later(landed, distance, look, halo, disk.radius + RING_WIDTH)
    inside &= stop >= core.read
    member = footprint(distance, look, (landed, total), inside, own, scene.gain)
    return View(window, look, distance, inside, own, (landed, total), member)


def fills(stop: np.ndarray, read: int, model: Differences) -> np.ndarray:
    """Tell the pixels that what lands in a read has filled, by their first saturated reads.

    Where reads average frames, only the next one may be full.
    """
    return (stop == read) | ((stop == read + 1) & bool(can_share(model)[read]))


def halo_radius(core: Core, view: View) -> float:
    """Return the distance at which the halo falls below `FOOTPRINT_SIGMA` errors [pixel]."""
    error = view.look.alone[np.isfinite(view.look.alone) & ~view.core]
    if not len(error):
        return core.disk.radius
    seen = view.profiles[1].level > FOOTPRINT_SIGMA * np.median(error)
    return float(view.profiles[1].distance[seen].max(initial=core.disk.radius))
