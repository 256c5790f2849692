"""Completeness of pixels against the limit set by noise, the sharpest test of the statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ohana.classes import Label
from ohana.detect.matching import Members
from ohana.evaluate.bins import Bin, count_bins
from ohana.evaluate.truth.limits import MIN_CHI2, date_tolerance, expected_false
from ohana.evaluate.truth.pairs import Pairing, gather_truth
from ohana.simulate.truth import Truth

#: Bins of matched-filter S/N of cosmic-ray pixels, and of chi-squared of telegraph noise.
SNR_BINS = (5.0, 6.0, 8.0, 12.0, np.inf)
CHI2_BINS = (MIN_CHI2, 200.0, np.inf)


@dataclass(frozen=True)
class PixelScore:
    """Scores of single pixels.

    Attributes
    ----------
    rays : list of Bin
        Cosmic-ray pixels by S/N; pixels that have part in several events are left out.
    false, expected_false : float
        Cosmic-ray pixels per million pixels without any event; what Gaussian noise gives.
    telegraph : list of Bin
        Detectable telegraph noise by chi-squared.
    telegraph_false : float
        False telegraph detections per million pixels.
    telegraph_as_cosmic_ray : Bin
        Telegraph pixels of these bins; ``found`` counts those inside a cosmic-ray detection.
    """

    rays: list[Bin]
    false: float
    expected_false: float
    telegraph: list[Bin]
    telegraph_false: float
    telegraph_as_cosmic_ray: Bin


def score_pixels(truth: Truth, compared: Pairing, threshold: float) -> PixelScore:
    """Count pixels found and false, and the numbers expected from noise."""
    found = compared.found
    rays = _found_pixels(compared, Label.COSMIC_RAY)
    flicker = _found_pixels(compared, Label.TELEGRAPH_NOISE)
    million = 1e-6 * np.prod(truth.config.active_shape)
    pixels = compared.true.members.pixel
    empty = million - 1e-6 * len(np.unique(pixels))
    false = (found.label == Label.TELEGRAPH_NOISE) & (compared.events_of == 0)
    return PixelScore(
        ray_pixels(truth, rays, SNR_BINS, threshold),
        len(np.setdiff1d(rays.pixel, pixels)) / empty,
        1e6 * expected_false(truth, threshold),
        _telegraph_bins(compared, flicker, CHI2_BINS),
        int(false.sum()) / million,
        _telegraph_bins(compared, rays, (MIN_CHI2, np.inf))[0],
    )


def _found_pixels(compared: Pairing, label: Label) -> Members:
    """Return the pixels of all detections of a class."""
    members = compared.found.members
    return members.select(compared.found.label[members.event] == label)


def ray_pixels(
    truth: Truth, found: Members, edges: Sequence[float], threshold: float = np.nan
) -> list[Bin]:
    """Return the completeness of cosmic-ray pixels in bins of S/N.

    Parameters
    ----------
    truth : Truth
        Pixels that have part in several of its events are left out.
    found : Members
        Pixels that are said to hold a cosmic ray, with its first read.
    edges : sequence of float
        Of the bins.
    threshold : float
        Where Gaussian noise would find half of the pixels; NaN if it is not asked for.
    """
    members = gather_truth(truth)
    ray = np.array([event.label == Label.COSMIC_RAY for event in truth.events], bool)
    members = members.select(members.alone() & ray[members.event])
    snr, charge = (
        np.concatenate([np.empty(0), *(getattr(event, name) for event in truth.events)])
        for name in ("snr", "charge")
    )
    found_in_time = members.gap(found) <= date_tolerance(truth, charge[members.order])
    snr = snr[members.order]
    return count_bins(snr, found_in_time, edges, ndtr(snr - threshold))


def _telegraph_bins(compared: Pairing, found: Members, edges: tuple[float, ...]) -> list[Bin]:
    """Count telegraph pixels in bins of chi-squared, and those that any detection covers."""
    true = compared.true
    flicker = compared.detectable & (true.label == Label.TELEGRAPH_NOISE)
    members = true.members.select(flicker[true.members.event])
    covered = np.isfinite(members.gap(found))
    return count_bins(true.axes["snr"][members.event] ** 2, covered, edges)
