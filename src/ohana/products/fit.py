"""Count rate of each pixel with all events excluded, its error, and the reads with steps.

The catalogue has one date per event. The ramp of each of its pixels is searched again: it may
contain other events, or a hit that is split between two reads.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from ohana.config import DetectorConfig
from ohana.products.flags import Jumps, join_jumps
from ohana.products.ramps import (
    Integration,
    Plan,
    RowPart,
    load_part,
    plan_of,
    ramps_of_part,
    within,
)
from ohana.ramp import row_blocks
from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.curves import curve_shapes
from ohana.rampfit.exclusion import exclude_steps
from ohana.rampfit.gls import fit_line
from ohana.utils.progress import Progress, no_progress

#: Columns fitted at a time: 50 MB for 450 reads of 16 rows. Chosen.
COLUMNS = 128


class Fitted(NamedTuple):
    """Outcome of `fit_integration`.

    Attributes
    ----------
    rate, error : ndarray of float32, shape (H, W)
        Count rate and its standard error [DN/s]; NaN where there is none.
    jumps : Jumps
        Reads with steps of events.
    full : ndarray of int32, shape (H, W)
        First saturated read of each pixel, T where there is none.
    """

    rate: np.ndarray
    error: np.ndarray
    jumps: Jumps
    full: np.ndarray


def fit_integration(integration: Integration, progress: Progress = no_progress) -> Fitted:
    """Fit all ramps of an integration with its events excluded, row block by row block.

    A straight line is fitted by generalised least squares without the differences that contain
    a step, which is equivalent to fitting each step too (`ohana.rampfit.gls`). Excluded are all
    significant steps of the ramp, in pixels of cosmic rays also the first read of the event, and
    in pixels of snowballs several reads after it. Levels of telegraph noise are subtracted first.

    Parameters
    ----------
    integration : Integration
        Reads, noise and events.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Notes
    -----
    Where a ramp bends, its curve is fitted too: the rate is that to which a decay leads, that
    before a neighbour spills, or the mean where the rate changes evenly.
    """
    height, width = integration.shape[1:]
    plan, blocks = plan_of(integration), list(row_blocks(height))
    rate, error = np.empty((2, height, width), np.float32)
    parts: list[Jumps] = []
    with ThreadPoolExecutor(integration.config.threads or os.cpu_count()) as pool:
        results = pool.map(lambda rows: _fit_rows(integration, plan, rows), blocks)
        for rows, (slope, sigma, jumps) in zip(blocks, results, strict=True):
            rate[rows] = slope / integration.frame_time
            error[rows] = sigma / integration.frame_time
            parts.append(jumps)
            progress("rates", rows.stop, height)
    return Fitted(rate, error, join_jumps(parts, integration.shape), plan.full)


def _fit_rows(
    integration: Integration, plan: Plan, rows: slice
) -> tuple[np.ndarray, np.ndarray, Jumps]:
    """Fit some rows: rate, error [DN per frame time], and the jumps in them."""
    part, model = load_part(integration, plan, rows), integration.model
    rays, sharing = within(plan.rays, rows), may_split_jump(model)
    struck = part.hit | part.known.any(0)
    struck[rays.row, rays.col] = True
    flagged = _own_steps(part, struck | plan.telegraph[rows], model, integration.config)
    missed = ~flagged[rays]
    read, row, col = (column[missed] for column in rays)
    flagged[read, row, col] = True
    shared = sharing[read]
    flagged[read[shared] + 1, row[shared], col[shared]] = True
    flag_filling(flagged, part.full, sharing)
    curve = integration.maps.get("curve")
    bends = None if curve is None else np.maximum(curve[rows].astype(np.int64), -1)
    slope, sigma = _fit(part, flagged, model, bends)
    read, row, col = np.nonzero(flagged & struck)
    return slope, sigma, Jumps(read, row + rows.start, col)


def _own_steps(
    part: RowPart, searched: np.ndarray, model: DifferenceCovariance, config: DetectorConfig
) -> np.ndarray:
    """Return the reads with a step in the ``searched`` ramps: bool (T, R, W)."""
    index = np.flatnonzero(searched & (part.variance > 0))
    flagged = np.zeros(part.data.shape, bool)
    ramps, dof = ramps_of_part(part).select(index), part.dof.ravel()[index]
    found = exclude_steps(ramps, dof, model, config)
    flagged.reshape(len(flagged), -1)[:, index] = found
    return flagged


def _fit(
    part: RowPart, excluded: np.ndarray, model: DifferenceCovariance, curve: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit ramps with their curves: rate and error (R, W) [DN per frame time].

    A single difference that is left between steps is no rate: nothing confirms it.
    """
    shapes = curve_shapes(model)
    rate, error = np.empty((2, *part.full.shape))
    later = np.arange(1, len(part.data))[:, None, None]
    for start in range(0, rate.shape[1], COLUMNS):
        cols = np.s_[..., start : start + COLUMNS]
        steps = np.diff(part.data[cols], axis=0)
        steps[(later >= part.full[cols]) | excluded[cols][1:]] = np.nan
        variance = part.variance[cols]
        steps[:, ~(variance > 0)] = np.nan
        alone = (np.isfinite(steps).sum(0) == 1) & (excluded[cols].sum(0) > 1)
        bend = None if curve is None or (curve[cols] < 0).all() else curve[cols].ravel()
        slope, sigma = fit_line(
            steps.reshape(len(steps), -1),
            np.where(variance > 0, variance, 1.0).ravel(),
            np.nan_to_num(part.shot[cols]).ravel(),
            model,
            bend,
            shapes,
        )
        slope[alone.ravel()] = sigma[alone.ravel()] = np.nan
        rate[cols], error[cols] = slope.reshape(variance.shape), sigma.reshape(variance.shape)
    return rate, error


def flag_filling(flagged: np.ndarray, full: np.ndarray, sharing: np.ndarray) -> None:
    """Flag the read before a step to saturation where it may contain part of that step.

    Parameters
    ----------
    flagged : ndarray of bool, shape (T, R, W)
        Reads that begin with a step, changed in place.
    full : ndarray of int, shape (R, W)
        First saturated read, T where there is none.
    sharing : ndarray of bool, shape (T,)
        Reads that can share a step with the next one, `ohana.rampfit.covariance.may_split_jump`.
    """
    reads = len(flagged)
    row, col = np.nonzero((full > 1) & (full < reads))
    last = full[row, col]
    filled = flagged[last, row, col] & sharing[last - 1]
    flagged[last[filled] - 1, row[filled], col[filled]] = True
