"""The count rate of each pixel with all events left out, its error, and where their steps are.

A catalogue has one date for an event. In each of its pixels the ramp itself tells more: other
events at the same place, or a hit that was read out half before and half after.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from ohana.catalog import Detection, member_pixels
from ohana.config import DetectorConfig
from ohana.differences import Differences, can_share
from ohana.gls import fit_line
from ohana.jumps import Ramps, scan
from ohana.labels import Label
from ohana.products.flags import Jumps, join_jumps, ray_jumps, saturated_from, snowball_jumps
from ohana.products.left_out import flag_filling, leave_out
from ohana.ramp import row_blocks
from ohana.rules.telegraph_noise import NOISE_ERROR, fit_telegraph_noise

#: Columns fitted at a time: 450 reads of 16 rows take 50 MB.
COLUMNS = 128
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
    model : Differences
        Covariance coefficients, `ohana.blocks.difference_model`.
    frame_time : float
        [s]
    load : callable
        Gives all corrected reads of some rows, float32 (T, R, W) [DN].
    config : DetectorConfig
        Settings.
    """

    events: Sequence[Detection]
    shape: tuple[int, int, int]
    maps: Mapping[str, np.ndarray]
    model: Differences
    frame_time: float
    load: Callable[[slice], np.ndarray]
    config: DetectorConfig


class Fitted(NamedTuple):
    """Outcome of `fit_integration`.

    Attributes
    ----------
    rate, error : ndarray of float32, shape (H, W)
        Count rate and its standard error [DN/s]; NaN where there is none.
    jumps : Jumps
        Where events step up.
    full : ndarray of int32, shape (H, W)
        First saturated read of each pixel, T where there is none.
    """

    rate: np.ndarray
    error: np.ndarray
    jumps: Jumps
    full: np.ndarray


class _Plan(NamedTuple):
    """Where the catalogue has events: cosmic rays, snowballs, telegraph noise, saturation."""

    rays: Jumps
    snowballs: Jumps
    telegraph: np.ndarray
    full: np.ndarray


class _Part(NamedTuple):
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


def fit_integration(
    integration: Integration, progress: Callable[[str, int, int], None] | None = None
) -> Fitted:
    """Fit all ramps of an integration with its events left out, row block by row block.

    Differences between reads that hold a step are left out of a straight ramp fitted by
    generalised least squares, which is the same as fitting every step too (`ohana.gls`): every
    significant one of the ramp itself, in pixels of cosmic rays the read that these are dated to,
    and in those of snowballs some reads more. Levels of telegraph noise are subtracted first.

    Parameters
    ----------
    integration : Integration
        Reads, noise and events.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Notes
    -----
    The ramp is taken for straight: what the pixel loses near its full well is not put back.
    """
    height, width = integration.shape[1:]
    plan, blocks = _plan(integration), list(row_blocks(height))
    rate, error = np.empty((2, height, width), np.float32)
    parts: list[Jumps] = []
    with ThreadPoolExecutor(integration.config.threads or os.cpu_count()) as pool:
        results = pool.map(lambda rows: _fit_rows(integration, plan, rows), blocks)
        for rows, (slope, sigma, jumps) in zip(blocks, results, strict=True):
            rate[rows] = slope / integration.frame_time
            error[rows] = sigma / integration.frame_time
            parts.append(jumps)
            if progress:
                progress("rates", rows.stop, height)
    return Fitted(rate, error, join_jumps(parts, integration.shape), plan.full)


def _plan(integration: Integration) -> _Plan:
    events, shape = integration.events, integration.shape
    telegraph = np.zeros(shape[1:], bool)
    for event in events:
        if event["type"] == Label.TELEGRAPH_NOISE.key:
            telegraph[member_pixels(event)] = True
    full = saturated_from(events, integration.maps["stop"])
    return _Plan(ray_jumps(events, shape), snowball_jumps(events, shape), telegraph, full)


def _fit_rows(
    integration: Integration, plan: _Plan, rows: slice
) -> tuple[np.ndarray, np.ndarray, Jumps]:
    """Fit some rows: rate, error [DN per frame time], and the jumps in them."""
    part, model = _load(integration, plan, rows), integration.model
    rays, sharing = _within(plan.rays, rows), can_share(model)
    struck = part.hit | part.known.any(0)
    struck[rays.row, rays.col] = True
    flagged = _own_steps(part, struck | plan.telegraph[rows], model, integration.config)
    unseen = ~flagged[rays]
    read, row, col = (column[unseen] for column in rays)
    flagged[read, row, col] = True
    shared = sharing[read]
    flagged[read[shared] + 1, row[shared], col[shared]] = True
    flag_filling(flagged, part.full, sharing)
    slope, sigma = _fit(part, flagged, model)
    read, row, col = np.nonzero(flagged & struck)
    return slope, sigma, Jumps(read, row + rows.start, col)


def _within(jumps: Jumps, rows: slice) -> Jumps:
    """Return the jumps of some rows, counted from the first of them."""
    inside = (jumps.row >= rows.start) & (jumps.row < rows.stop)
    read, row, col = (column[inside] for column in jumps)
    return Jumps(read, row - rows.start, col)


def _load(integration: Integration, plan: _Plan, rows: slice) -> _Part:
    """Read some rows; telegraph noise is subtracted."""
    data, full, maps = integration.load(rows), plan.full[rows], integration.maps
    variance = maps["noise"][rows].astype(np.float64) ** 2
    shot = np.maximum(maps["shot"][rows].astype(np.float64), 0.0)
    flickers, typical = plan.telegraph[rows], maps["neighbour_noise"][rows]
    if flickers.any():
        # The scatter of a pixel that jumps is more than its noise: that of its neighbours counts.
        own = typical[flickers].astype(np.float64) ** 2
        shot[flickers] *= np.minimum(own / variance[flickers], 1.0)
        variance[flickers] = own
        ramps = np.ascontiguousarray(data[:, flickers])
        given = full[flickers], typical[flickers], shot[flickers]
        fit = fit_telegraph_noise(
            ramps, *given, integration.model, 1.0, integration.config, NOISE_ERROR
        )
        data[:, flickers] -= fit.model
    hit = maps["best_significance"][rows] >= integration.config.sigma_threshold
    known = np.zeros(data.shape, bool)
    known[_within(plan.snowballs, rows)] = True
    part = _Part(data, full, variance, shot, maps["dof"][rows].astype(np.float64), hit, known)
    _calm(part, typical.astype(np.float64) ** 2, integration.model, integration.config)
    return part


def _calm(part: _Part, typical: np.ndarray, model: Differences, config: DetectorConfig) -> None:
    """Give pixels the noise of those around where steps explain why theirs is more, in place.

    Several hits in a short ramp look like noise.
    """
    index = np.flatnonzero(part.variance > ODD * typical)
    given = _ramps_of(part).select(index)
    share = typical.ravel()[index] / given.variance
    ramps = given._replace(variance=given.variance * share, shot=given.shot * share)
    sure = np.full(len(index), np.inf)
    left_out = leave_out(ramps, sure, model, config)
    rest = scan(ramps._replace(left_out=left_out), model, quick=True)
    steps = (left_out & ~ramps.left_out).sum(0)
    calm = (rest.chi2 < CALM * (rest.used - 1)) & (steps <= rest.used)
    for values, new in ((part.variance, ramps.variance), (part.shot, ramps.shot), (part.dof, sure)):
        values.ravel()[index[calm]] = new[calm]
    part.hit.ravel()[index[calm]] = True


def _own_steps(
    part: _Part, wanted: np.ndarray, model: Differences, config: DetectorConfig
) -> np.ndarray:
    """Tell the reads that begin with a step in ramps that are wanted: bool (T, R, W)."""
    index = np.flatnonzero(wanted & (part.variance > 0))
    flagged = np.zeros(part.data.shape, bool)
    ramps, dof = _ramps_of(part).select(index), part.dof.ravel()[index]
    found = leave_out(ramps, dof, model, config)
    flagged.reshape(len(flagged), -1)[:, index] = found
    return flagged


def _ramps_of(part: _Part) -> Ramps:
    return Ramps(
        part.data.reshape(len(part.data), -1),
        part.full.ravel(),
        part.variance.ravel(),
        part.shot.ravel(),
        left_out=part.known.reshape(len(part.known), -1),
        guess=np.zeros(part.full.size),
    )


def _fit(part: _Part, left_out: np.ndarray, model: Differences) -> tuple[np.ndarray, np.ndarray]:
    """Fit straight ramps: rate and error (R, W) [DN per frame time]."""
    rate, error = np.empty((2, *part.full.shape))
    later = np.arange(1, len(part.data))[:, None, None]
    for start in range(0, rate.shape[1], COLUMNS):
        cols = np.s_[..., start : start + COLUMNS]
        steps = np.diff(part.data[cols], axis=0)
        steps[(later >= part.full[cols]) | left_out[cols][1:]] = np.nan
        variance = part.variance[cols]
        steps[:, ~(variance > 0)] = np.nan
        slope, sigma = fit_line(
            steps.reshape(len(steps), -1),
            np.where(variance > 0, variance, 1.0).ravel(),
            np.nan_to_num(part.shot[cols]).ravel(),
            model,
        )
        rate[cols], error[cols] = slope.reshape(variance.shape), sigma.reshape(variance.shape)
    return rate, error
