"""The halo of a snowball: its radial profile, and the pixels in which it is significant."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage, optimize

from ohana.detect.snowballs.disks import EIGHT
from ohana.detect.snowballs.step_image import StepImage
from ohana.detect.snowballs.tuning import TUNING


class Profile(NamedTuple):
    """Radial profile of a halo: mean step [DN] at distances from the centre [pixel]."""

    distance: np.ndarray
    level: np.ndarray

    def at(self, distance: np.ndarray) -> np.ndarray:
        """Return the step expected at some distances from the centre [DN]."""
        return np.interp(distance, self.distance, self.level, right=0.0)


def radial_profile(
    distance: np.ndarray, image: StepImage, use: np.ndarray, radius: float, gain: float
) -> Profile:
    """Measure the profile of a halo in rings one pixel wide.

    Parameters
    ----------
    distance : ndarray, shape (h, w)
        From the centre [pixel].
    image : StepImage
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
    use = use & np.isfinite(image.error) & (distance > radius + 0.5)
    ring = (distance[use] - radius - 0.5).astype(int)
    away, step, error = distance[use], image.amplitude[use], image.error[use]
    count = np.bincount(ring)
    nothing = Profile(np.array([radius]), np.zeros(1))
    if not len(count):
        return nothing
    middle = np.array(ndimage.median(step, ring, np.arange(len(count))))
    variance = error**2 + np.maximum(middle, 0)[ring] / gain
    near = np.abs(step - middle[ring]) < TUNING.profile_clip * np.sqrt(variance)
    weight = near / variance
    total = np.bincount(ring, weight)
    known = total > 0
    if not known.any():
        return nothing
    level = np.bincount(ring, weight * step)[known] / total[known]
    place = np.bincount(ring, weight * away)[known] / total[known]
    falling = optimize.isotonic_regression(level, weights=total[known], increasing=False).x
    return Profile(place, np.maximum(falling, 0))


def with_later_signal(
    profile: Profile, distance: np.ndarray, image: StepImage, use: np.ndarray, reach: float
) -> Profile:
    """Add to the profile of the first read the charge that follows in the next reads.

    Parameters
    ----------
    profile : Profile
        From `radial_profile`.
    distance, image, use
        As there.
    reach : float
        Charge follows within this distance from the centre [pixel]; the pixels beyond measure
        the signal that accumulates without it.

    Returns
    -------
    Profile
        At the same distances, never rises outwards.
    """
    use = use & np.isfinite(image.later_signal)
    beyond, level = use & (distance > reach), profile.level.copy()
    if np.count_nonzero(beyond) < TUNING.min_rate_pixels:
        return profile
    extra = image.later_signal - profile.at(distance)
    background = float(np.median(extra[beyond]))
    for i in np.flatnonzero(profile.distance < reach):
        ring = extra[use & (np.abs(distance - profile.distance[i]) < 0.5)] - background
        if len(ring):
            middle = np.median(ring)
            # Standard error of the median of normal deviates, from the median deviation.
            error = 1.25 * 1.48 * np.median(np.abs(ring - middle)) / np.sqrt(len(ring))
            level[i] += middle if middle > TUNING.footprint_sigma * error else 0.0
    return Profile(profile.distance, np.maximum.accumulate(level[::-1])[::-1])


def footprint(
    distance: np.ndarray,
    image: StepImage,
    profiles: tuple[Profile, Profile],
    core: np.ndarray,
    own: np.ndarray,
    gain: float,
) -> np.ndarray:
    """Return the pixels that hold significant charge of the snowball.

    The charge of a pixel is the weighted mean of the profile, with its Poisson noise, and of the
    step of the pixel, with its error. A pixel far above the profile that is connected to the
    others counts with its own step alone: that is how a trail becomes part of the footprint.

    Parameters
    ----------
    distance : ndarray, shape (h, w)
        From the centre [pixel].
    image : StepImage
        Steps of the window.
    profiles : tuple of Profile
        Of the first read, and with the charge that follows.
    core : ndarray of bool, shape (h, w)
        Pixels of the core.
    own : ndarray of bool, shape (h, w)
        Pixels that no other snowball is nearer to: elsewhere the profile alone decides.
    gain : float
        [e-/DN]

    Returns
    -------
    ndarray of bool, shape (h, w)
    """
    expected, total = (profile.at(distance) for profile in profiles)
    poisson = expected / gain
    variance = poisson + image.error**2
    with np.errstate(invalid="ignore"):
        share = np.where(own & np.isfinite(variance), poisson / variance, 0.0)
        limit = TUNING.footprint_sigma * image.error_if_single_step
        charge = total + share * (image.amplitude - expected)
        member = (charge > limit) | core
        stray = own & (image.amplitude - expected > (TUNING.profile_clip + 1) * np.sqrt(variance))
    joined, _ = ndimage.label(member | stray, EIGHT)
    kept = np.unique(joined[core])
    return member | (stray & np.isin(joined, kept[kept > 0]))
