"""What is known of an integration, and the ramps of its rows as they are to be fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.telegraph.fit import fit_telegraph_noise
from ohana.detect.telegraph.pixels import noise_for_levels
from ohana.products.flags import Jumps, ray_jumps, saturated_from, snowball_jumps
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.exclusion import exclude_steps
from ohana.rampfit.scan import Ramps, ramps_of, scan
from ohana.results.catalogue import Detection, member_pixels

#: Variance of a pixel over that of those around from which steps may be why, the reduced
#: chi-squared that is left if they are.
ODD, CALM = 2.0, 2.0


class Integration(NamedTuple):
    """What is known of one integration.

    Attributes
    ----------
    events : sequence of dict
        The entries of the catalogue that belong to it.
    shape : tuple of int
        (T, H, W).
    maps : mapping
        Per-pixel maps by name, see `ohana.events.PixelMaps`.
    model : DifferenceCovariance
        Covariance coefficients, `ohana.rampfit.covariance.covariance_of`.
    frame_time : float
        [s]
    gain : float
        [e-/DN]
    load : callable
        Gives all corrected reads of some rows, float32 (T, R, W) [DN].
    config : DetectorConfig
        Settings.
    """

    events: Sequence[Detection]
    shape: tuple[int, int, int]
    maps: Mapping[str, np.ndarray]
    model: DifferenceCovariance
    frame_time: float
    gain: float
    load: Callable[[slice], np.ndarray]
    config: DetectorConfig


class Plan(NamedTuple):
    """Where the catalogue has events: cosmic rays, snowballs, telegraph noise, saturation."""

    rays: Jumps
    snowballs: Jumps
    telegraph: np.ndarray
    full: np.ndarray


class RowPart(NamedTuple):
    """The ramps of some rows.

    Reads (T, R, W), first saturated read and noise (R, W), pixels that have steps (R, W), and
    differences that are known to hold them, at their later read (T, R, W).
    """

    data: np.ndarray
    full: np.ndarray
    variance: np.ndarray
    shot: np.ndarray
    dof: np.ndarray
    hit: np.ndarray
    known: np.ndarray


def plan_of(integration: Integration) -> Plan:
    """Return where the catalogue has events."""
    events, shape = integration.events, integration.shape
    telegraph = np.zeros(shape[1:], bool)
    for event in events:
        if event["type"] == Label.TELEGRAPH_NOISE.key:
            telegraph[member_pixels(event)] = True
    full = saturated_from(events, integration.maps["stop"])
    return Plan(ray_jumps(events, shape), snowball_jumps(events, shape), telegraph, full)


def within(jumps: Jumps, rows: slice) -> Jumps:
    """Return the jumps of some rows, counted from the first of them."""
    inside = (jumps.row >= rows.start) & (jumps.row < rows.stop)
    read, row, col = (column[inside] for column in jumps)
    return Jumps(read, row - rows.start, col)


def load_part(integration: Integration, plan: Plan, rows: slice) -> RowPart:
    """Read some rows; telegraph noise is subtracted."""
    data, full, maps = integration.load(rows), plan.full[rows], integration.maps
    variance = maps["noise"][rows].astype(np.float64) ** 2
    shot = np.maximum(maps["shot"][rows].astype(np.float64), 0.0)
    flickers, typical = plan.telegraph[rows], maps["neighbour_noise"][rows]
    if flickers.any():
        gain, around = integration.gain, typical[flickers].astype(np.float64) ** 2
        noise, rate = noise_for_levels(variance[flickers], around, shot[flickers], gain)
        ramps = np.ascontiguousarray(data[:, flickers])
        fit = fit_telegraph_noise(
            ramps, full[flickers], noise, rate, integration.model, gain, integration.config
        )
        data[:, flickers] -= fit.model
        variance[flickers], shot[flickers] = around, rate / gain
    hit = maps["best_significance"][rows] >= integration.config.sigma_threshold
    known = np.zeros(data.shape, bool)
    known[within(plan.snowballs, rows)] = True
    part = RowPart(data, full, variance, shot, maps["dof"][rows].astype(np.float64), hit, known)
    _calm(part, typical.astype(np.float64) ** 2, integration.model, integration.config)
    return part


def _calm(
    part: RowPart, typical: np.ndarray, model: DifferenceCovariance, config: DetectorConfig
) -> None:
    """Give pixels the noise of those around where steps explain why theirs is more, in place.

    Several hits in a short ramp look like noise.
    """
    index = np.flatnonzero(part.variance > ODD * typical)
    given = ramps_of_part(part).select(index)
    share = typical.ravel()[index] / given.variance
    ramps = given._replace(variance=given.variance * share, shot=given.shot * share)
    sure = np.full(len(index), np.inf)
    excluded = exclude_steps(ramps, sure, model, config)
    rest = scan(ramps._replace(excluded=excluded), model, quick=True)
    steps = (excluded & ~ramps.excluded).sum(0)
    calm = (rest.chi2 < CALM * (rest.used - 1)) & (steps <= rest.used)
    for values, new in ((part.variance, ramps.variance), (part.shot, ramps.shot), (part.dof, sure)):
        values.ravel()[index[calm]] = new[calm]
    part.hit.ravel()[index[calm]] = True


def ramps_of_part(part: RowPart) -> Ramps:
    """Return the ramps of some rows, one after another, for `ohana.rampfit.scan.scan`."""
    return ramps_of(part.data, part.full, part.variance, part.shot, excluded=part.known)
