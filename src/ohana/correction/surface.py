"""Smooth shared changes: an offset for each output and a polynomial over the array, per read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.correction.tiles import Tiles
from ohana.correction.tuning import TUNING


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


def fit_surface(tiles: Tiles, dt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the smooth shared change of each difference, without the mean of each tile in time.

    Parameters
    ----------
    tiles : Tiles
        Averages of differences.
    dt : ndarray, shape (T - 1,)
        Times between reads.

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
    groups, peaks, full = (CONSTANT, OUTPUTS, SMOOTH), peaked(tiles), cores(tiles)
    while groups:
        some = terms.select(groups)
        fits = [_fit_tiles(m, e, some.columns) for m, e in zip(mean, error, strict=True)]
        solution, scale = (np.array(parts) for parts in zip(*fits, strict=True))
        _beside_peaks(solution, peaks & ~full, mean, error, some)
        _between(solution, full)
        # What is the same in all differences is part of the rate of each pixel.
        solution = without_rate(solution, dt)
        last = some.group == groups[-1]
        part = solution[:, last] @ some.columns[:, last].T
        if last.any() and _believed(part, scale * np.sqrt(last.sum() / part.shape[1])):
            level: np.ndarray = np.zeros((len(dt), tiles.output.max() + 1))
            outputs = some.group == OUTPUTS
            if outputs.any():
                level[:, 1:] = solution[:, outputs]
            smooth: np.ndarray = solution[:, ~outputs] @ some.columns[:, ~outputs].T
            return level, smooth.reshape(tiles.mean.shape)
        groups = groups[:-1]  # type: ignore[assignment]
    return np.zeros((len(dt), tiles.output.max() + 1)), np.zeros(tiles.mean.shape)


def peaked(tiles: Tiles) -> np.ndarray:
    """Return the differences (T - 1,) in which charge around a peak covers much of the array.

    So does the halo of a snowball in a small array.
    """
    count = len(tiles.mean)
    mean, error = tiles.mean.reshape(count, -1), tiles.error.reshape(count, -1)
    found = np.zeros(count, bool)
    for f, (values, floor) in enumerate(zip(mean, error, strict=True)):
        known = np.isfinite(values)
        if not known.any():
            continue
        rest = (values - np.median(values[known]))[known] / np.median(floor[known])
        few = np.mean(rest > rest.max() / 3) < TUNING.peaked_tiles
        wide = np.mean(rest > TUNING.local_threshold) > TUNING.covered_tiles
        found[f] = few and wide and rest.max() > TUNING.peak
    return found


def cores(tiles: Tiles) -> np.ndarray:
    """Return the differences (T - 1,) in which a core fills, in an array that it may cover.

    Light and the halo of a snowball look alike there, and only the halo comes with a core.
    """
    return (tiles.filled >= TUNING.core_pixels) & covers(tiles, TUNING.small_array)


def covers(tiles: Tiles, areas: float = TUNING.tiny_array) -> bool:
    """Return whether the array is smaller than some times the largest area of an event."""
    area = float(np.ptp(tiles.row) + 1) * float(np.ptp(tiles.col) + 1)
    return area < areas * TUNING.max_event_area


def _between(solution: np.ndarray, full: np.ndarray) -> None:
    """Take the fit of differences with a core from those near it in time, in place."""
    calm = np.flatnonzero(~full)
    for f in np.flatnonzero(full) if len(calm) else ():
        near = calm[np.argsort(np.abs(calm - f), kind="stable")[: TUNING.calm_neighbours]]
        solution[f] = np.median(solution[near], axis=0)
    if not len(calm):
        solution[:] = 0.0


def _beside_peaks(
    solution: np.ndarray, peaks: np.ndarray, mean: np.ndarray, error: np.ndarray, terms: Terms
) -> None:
    """Take the fit of differences with a peak from those near it in time, in place.

    The halo of a snowball may reach over most of a small array, and must not pass for light. Only
    offsets are taken from the difference itself, from the lowest quarter of the tiles.
    """
    calm = np.flatnonzero(~peaks)
    smooth = terms.group == SMOOTH
    for f in np.flatnonzero(peaks) if len(calm) else ():
        near = calm[np.argsort(np.abs(calm - f), kind="stable")[: TUNING.calm_neighbours]]
        solution[f] = 0.0
        solution[f, smooth] = np.median(solution[near][:, smooth], axis=0)
        rest = mean[f] - terms.columns @ solution[f]
        own = terms.columns[:, terms.group == OUTPUTS]
        output = own @ np.arange(1, own.shape[1] + 1)
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
        scale = max(1.4826 * float(np.median(np.abs(rest[known]))), floor)
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
    chance = (power.sum() - known.sum()) / np.sqrt(2 * known.sum())
    single = np.sqrt(power.max())
    # The sum over reads shows slow changes that no single difference shows.
    slow = np.abs(np.cumsum(part[known].mean(axis=1))).max() / np.sqrt(np.sum(error[known] ** 2))
    return bool(max(chance, single - 2, slow) > TUNING.min_chance)


def without_rate(change: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """Return changes (T - 1, ...) without their usual rate, which is part of that of each pixel.

    The mean rate without what stands out, such as a flash: a median would leave a slope, since
    the noise of a read cancels in the sum of differences only.
    """
    length = dt.reshape(-1, *(1,) * (change.ndim - 1))
    rest = change - length * np.median(change / length, axis=0)
    usual = np.abs(rest) <= TUNING.reject * 1.4826 * np.median(np.abs(rest), axis=0) + 1e-12
    total = np.sum(np.where(usual, rest, 0.0), axis=0)
    return rest - length * total / np.maximum(np.sum(np.where(usual, length, 0.0), axis=0), 1e-12)


def parity_offsets(tiles: Tiles, dt: np.ndarray) -> np.ndarray:
    """Return the offsets of odd and even columns of each output (T - 1, W); zero if chance [DN]."""
    total, count = tiles.column.astype(np.float64)
    mean, width = total / np.maximum(count, 1), total.shape[1]
    owner = np.arange(width) * (tiles.output[0].max() + 1) // width
    sign, offsets = 1.0 - 2.0 * (np.arange(width) % 2), np.zeros(mean.shape)
    for output in np.unique(owner):
        mine = (owner == output) & (count > TUNING.min_tile_pixels).all(axis=0)
        if mine.sum() < TUNING.min_tile_pixels:
            continue
        turned = mean[:, mine] * sign[mine]
        half = without_rate(np.median(turned, axis=1), dt)
        error = 1.25 * 1.4826 * np.median(np.abs(turned - half[:, None]), axis=1)
        error /= np.sqrt(mine.sum())
        power = (half / np.maximum(error, 1e-12)) ** 2
        if (power.sum() - len(dt)) / np.sqrt(2 * len(dt)) > TUNING.odd_column:
            offsets[:, owner == output] = half[:, None] * sign[owner == output]
    return offsets


def column_offsets(tiles: Tiles, dt: np.ndarray) -> np.ndarray:
    """Return the offsets of columns that jump or drift together with all their rows (T - 1, W).

    Zero in columns that do no more than noise does [DN].
    """
    total, count = tiles.column.astype(np.float64)
    mean = total / np.maximum(count, 1)
    mean = without_rate(mean, dt)
    scatter = 1.4826 * np.median(np.abs(mean), axis=1)
    known = count > TUNING.min_tile_pixels
    power = np.where(known, (mean / np.maximum(scatter, 1e-12)[:, None]) ** 2, 1.0)
    # A snowball raises a column in one read or two, and not evenly: these do not count.
    left_out = TUNING.column_left_out + len(dt) // 20
    power = np.sort(power, axis=0)[: max(len(dt) - left_out, 0)].sum(axis=0)
    odd = (power - len(dt)) / np.sqrt(2 * len(dt)) > TUNING.odd_column
    return np.where(odd & known, mean, 0.0)
