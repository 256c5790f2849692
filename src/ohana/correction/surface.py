"""Smooth shared changes: an offset for each output and a polynomial over the array, per read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.correction.halos import Halos
from ohana.correction.tiles import Tiles
from ohana.correction.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD


class Terms(NamedTuple):
    """Columns of a fit to tiles (n, p), in three groups: constant, outputs, polynomial."""

    columns: np.ndarray
    group: np.ndarray

    def select(self, groups: tuple[int, ...]) -> Terms:
        """Return the columns of some groups."""
        kept = np.isin(self.group, groups)
        return Terms(self.columns[:, kept], self.group[kept])


CONSTANT, OUTPUTS, SMOOTH = range(3)


def terms_of(tiles: Tiles) -> Terms:
    """Return the columns of the fit: fewer where there are few tiles."""
    y, x = np.meshgrid(_unit(tiles.row), _unit(tiles.col), indexing="ij")
    y, x = y.ravel(), x.ravel()
    output = tiles.output.ravel()
    columns, group = [np.ones_like(y)], [CONSTANT]
    for k in range(1, tiles.output.max() + 1):
        columns.append((output == k).astype(float))
        group.append(OUTPUTS)
    for degree in range(1, TUNING.degree + 1):
        added = [x**i * y ** (degree - i) for i in range(degree + 1)]
        if len(y) < TUNING.tiles_per_term * (len(columns) + len(added)):
            break
        columns += added
        group += [SMOOTH] * len(added)
    return Terms(np.stack(columns, axis=1), np.array(group))


def _unit(places: np.ndarray) -> np.ndarray:
    """Scale places to -1 to 1."""
    middle = (places[0] + places[-1]) / 2
    return (places - middle) / max(places[-1] - middle, 1.0)


def fit_surface(tiles: Tiles, dt: np.ndarray, halos: Halos) -> tuple[np.ndarray, np.ndarray]:
    """Fit the smooth shared change of each difference, without the mean of each tile in time.

    Parameters
    ----------
    tiles : Tiles
        Averages of differences.
    dt : ndarray, shape (T - 1,)
        Times between reads.
    halos : Halos
        Differences that take their light from those beside them.

    Returns
    -------
    level : ndarray of float64, shape (T - 1, outputs)
        Offset of each output over the first one [DN].
    smooth : ndarray of float64, shape (T - 1, K, M)
        The rest [DN]. Zero for the groups of terms (constant, outputs, polynomial) that the
        tiles do not ask for.
    """
    mean, error = tiles.mean.reshape(len(dt), -1), tiles.error.reshape(len(dt), -1)
    terms = terms_of(tiles)
    for last in (SMOOTH, OUTPUTS, CONSTANT):
        some = terms.select(tuple(range(last + 1)))
        fits = [_fit_tiles(m, e, some.columns) for m, e in zip(mean, error, strict=True)]
        solution, scale = (np.array(parts) for parts in zip(*fits, strict=True))
        _beside_peaks(solution, halos.peaks & ~halos.cores, mean, error, some)
        _between(solution, halos.cores)
        # What is the same in all differences is part of the rate of each pixel.
        solution = without_rate(solution, dt)
        newest = some.group == last
        part = solution[:, newest] @ some.columns[:, newest].T
        if newest.any() and _believed(part, scale * np.sqrt(newest.sum() / part.shape[1])):
            return _split(solution, some, tiles)
    return np.zeros((len(dt), tiles.output.max() + 1)), np.zeros(tiles.mean.shape)


def _split(solution: np.ndarray, terms: Terms, tiles: Tiles) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets of outputs (T - 1, outputs), and all else at the tiles (T - 1, K, M)."""
    level = np.zeros((len(solution), tiles.output.max() + 1))
    outputs = terms.group == OUTPUTS
    if outputs.any():
        level[:, 1:] = solution[:, outputs]
    smooth = solution[:, ~outputs] @ terms.columns[:, ~outputs].T
    return level, smooth.reshape(tiles.mean.shape)


def _near(calm: np.ndarray, at: np.integer) -> np.ndarray:
    """Return those of some differences that are nearest in time to one."""
    order = np.argsort(np.abs(calm - at), kind="stable")
    return calm[order[: TUNING.calm_neighbours]]


def _between(solution: np.ndarray, cores: np.ndarray) -> None:
    """Take the fit of differences with a core from those near it in time, in place."""
    calm = np.flatnonzero(~cores)
    if not len(calm):
        solution[:] = 0.0
    for f in np.flatnonzero(cores) if len(calm) else ():
        solution[f] = np.median(solution[_near(calm, f)], axis=0)


def _beside_peaks(
    solution: np.ndarray, peaks: np.ndarray, mean: np.ndarray, error: np.ndarray, terms: Terms
) -> None:
    """Take the fit of differences with a peak from those near it in time, in place.

    The halo of a snowball may reach over most of a small array, and must not pass for light. Only
    offsets are taken from the difference itself, from the lowest quarter of the tiles.
    """
    calm, smooth = np.flatnonzero(~peaks), terms.group == SMOOTH
    own = terms.columns[:, terms.group == OUTPUTS]
    output = own @ np.arange(1, own.shape[1] + 1)
    for f in np.flatnonzero(peaks) if len(calm) else ():
        near = solution[_near(calm, f)]
        solution[f] = 0.0
        solution[f, smooth] = np.median(near[:, smooth], axis=0)
        rest = mean[f] - terms.columns @ solution[f]
        lows = [_low(rest[output == k], error[f][output == k]) for k in np.unique(output)]
        solution[f, terms.group == CONSTANT] = lows[0]
        solution[f, terms.group == OUTPUTS] = np.array(lows[1:]) - lows[0]


def _low(values: np.ndarray, error: np.ndarray) -> float:
    """Return the average of tiles of which only the lowest quarter is free of charge."""
    known = np.isfinite(values)
    if not known.any():
        return 0.0
    # Of Gaussian deviates the first quartile is low by 0.67 sigma.
    return float(np.quantile(values[known], 0.25) + 0.6745 * np.median(error[known]))


def _fit_tiles(
    mean: np.ndarray, error: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, float]:
    """Fit the tiles of one difference: coefficients (p,), and the scatter of a tile.

    Tiles far from the others, such as those under the halo of a snowball, are left out.
    """
    known = np.isfinite(mean)
    if known.sum() < 2 * columns.shape[1]:
        return np.zeros(columns.shape[1]), np.inf
    rest, floor = mean - np.median(mean[known]), np.median(error[known])
    solution, scale = np.zeros(columns.shape[1]), floor
    for _ in range(6):
        scale = max(SIGMA_OF_MAD * float(np.median(np.abs(rest[known]))), floor)
        kept = known & (np.abs(rest) < TUNING.surface_reject * scale)
        solution = np.linalg.lstsq(columns[kept], mean[kept], rcond=None)[0]
        rest = mean - columns @ solution
    return solution, scale


def _believed(part: np.ndarray, error: np.ndarray) -> bool:
    """Return whether a change (T - 1, n) exceeds its error (T - 1,) by more than chance."""
    known = np.isfinite(error) & (error > 0)
    if not known.any():
        return False
    power = np.mean(part[known] ** 2, axis=1) / error[known] ** 2
    chance = surplus(power.sum(), int(known.sum()))
    # The largest of many chances is 2 sigma above a usual one.
    single = np.sqrt(power.max()) - 2
    # The sum over reads shows slow changes that no single difference shows.
    slow = np.abs(np.cumsum(part[known].mean(axis=1))).max() / np.sqrt(np.sum(error[known] ** 2))
    return bool(max(chance, single, slow) > TUNING.min_chance)


def surplus(power: np.ndarray | float, count: int) -> np.ndarray | float:
    """Return by how much sums of ``count`` squared deviates exceed chance [sigma]."""
    return (power - count) / np.sqrt(2 * count)


def without_rate(change: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """Return changes (T - 1, ...) without their usual rate, which is part of that of each pixel.

    The mean rate without what stands out, such as a flash: a median would leave a slope, since
    the noise of a read cancels in the sum of differences only.
    """
    length = dt.reshape(-1, *(1,) * (change.ndim - 1))
    rest = change - length * np.median(change / length, axis=0)
    usual = np.abs(rest) <= TUNING.reject * SIGMA_OF_MAD * np.median(np.abs(rest), axis=0) + 1e-12
    total = np.sum(np.where(usual, rest, 0.0), axis=0)
    return rest - length * total / np.maximum(np.sum(np.where(usual, length, 0.0), axis=0), 1e-12)
