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
from ohana.ramp import row_blocks
from ohana.rules.telegraph_noise import NOISE_ERROR, fit_telegraph_noise
from ohana.steps import find_steps

#: Columns fitted at a time: 450 reads of 16 rows take 50 MB.
COLUMNS = 128
#: A step of the ramp itself replaces the date of the event where they are no further apart.
SAME = 1


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
    """The ramps of some rows: reads (T, R, W), first saturated read, and noise (R, W)."""

    data: np.ndarray
    full: np.ndarray
    variance: np.ndarray
    shot: np.ndarray
    dof: np.ndarray


def fit_integration(integration: Integration) -> Fitted:
    """Fit all ramps of an integration with its events left out, row block by row block.

    Differences between reads that hold a step are left out of a straight ramp fitted by
    generalised least squares, which is the same as fitting every step too (`ohana.gls`). In
    pixels of cosmic rays and snowballs every significant step is left out, and the read that the
    event is dated to; levels of telegraph noise are subtracted first.

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
    telegraph, sharing = plan.telegraph[rows], can_share(model)
    rays, snowballs = (_within(jumps, rows) for jumps in (plan.rays, plan.snowballs))
    struck = np.zeros(part.full.shape, bool)
    for jumps in (rays, snowballs):
        struck[jumps.row, jumps.col] = True
    steps, down = _own_steps(part, struck | telegraph, model, integration.config)
    flagged = np.zeros(part.data.shape, bool)
    flagged[steps] = True
    near = flagged.copy()
    for shift in range(1, SAME + 1):
        near[shift:] |= flagged[:-shift]
        near[:-shift] |= flagged[shift:]
    unseen = ~near[rays]
    flagged[tuple(column[unseen] for column in rays)] = True
    _share(flagged, part.full, sharing)
    flagged[snowballs] = True
    left_out = flagged.copy()
    left_out[down] = True
    flagged &= struck
    slope, sigma = _fit(part, left_out, model)
    read, row, col = np.nonzero(flagged)
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
    return _Part(data, full, variance, shot, maps["dof"][rows].astype(np.float64))


def _own_steps(
    part: _Part, wanted: np.ndarray, model: Differences, config: DetectorConfig
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Find the steps of some pixels: read, row and column of those up and of those down."""
    index = np.flatnonzero(wanted & (part.variance > 0))
    data = part.data.reshape(len(part.data), -1)
    ramps = Ramps(
        np.ascontiguousarray(data[:, index]),
        part.full.ravel()[index],
        part.variance.ravel()[index],
        part.shot.ravel()[index],
        guess=np.zeros(len(index)),
    )
    dof = part.dof.ravel()[index]
    steps, _ = find_steps(ramps, dof, scan(ramps, model), model, config)
    steps = steps.select(~steps.saturating)
    up = steps.amplitude > 0
    row, col = np.divmod(index[steps.col], part.full.shape[1])
    return (steps.read[up], row[up], col[up]), (steps.read[~up], row[~up], col[~up])


def _share(flagged: np.ndarray, full: np.ndarray, sharing: np.ndarray) -> None:
    """Flag both reads that share a step, in place.

    What arrives within averaged frames shows in that read and in the next one, which may be
    saturated by it.
    """
    if not sharing.any():
        return
    reads = len(flagged)
    flagged[1:] |= flagged[:-1] & sharing[: reads - 1, None, None]
    row, col = np.nonzero((full > 1) & (full < reads))
    last = full[row, col]
    filled = flagged[last, row, col] & sharing[last - 1]
    flagged[last[filled] - 1, row[filled], col[filled]] = True


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
