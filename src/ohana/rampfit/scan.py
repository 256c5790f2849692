"""Significance of a step at every read of every pixel, and the strongest of each ramp."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ohana.rampfit.covariance import DifferenceCovariance, may_split_jump
from ohana.rampfit.gls import MIN_INFORMATION, MIN_INFORMATION_SINGLE
from ohana.rampfit.scan_kernels import curve_kernel, scan_kernel
from ohana.rampfit.tuning import TUNING

#: Cost of a step that two differences share [chi-squared], in either precision.
SPLIT_COST = np.array([TUNING.split_jump_cost])
SPLIT_COST_SINGLE = SPLIT_COST.astype(np.float32)


class Scan(NamedTuple):
    """Fit and most significant steps of each ramp, arrays of shape (n,).

    Attributes
    ----------
    rate : ndarray
        [DN per frame time]
    chi2, used : ndarray
        Chi-squared without any step, and differences used.
    up_sigma, up_step, up_read : ndarray
        Most significant upward step: over its standard error, amplitude [DN], and read (-1 where
        the data determine no step).
    down_sigma, down_step, down_read : ndarray
        The same for the downward step; sigma and amplitude are negative.
    up_split, down_split : ndarray
        1 where the next read holds a part of the step, 0 elsewhere: see `may_split_jump`. The
        amplitude is the sum of both parts.
    bend : ndarray
        Size of the free curve, over that of its shape [DN]; 0 in straight ramps.
    """

    rate: np.ndarray
    chi2: np.ndarray
    used: np.ndarray
    up_sigma: np.ndarray
    up_step: np.ndarray
    up_read: np.ndarray
    down_sigma: np.ndarray
    down_step: np.ndarray
    down_read: np.ndarray
    up_split: np.ndarray
    down_split: np.ndarray
    bend: np.ndarray

    def select(self, index: np.ndarray) -> Scan:
        """Return the scan of some of the ramps."""
        return Scan(*(values[index] for values in self))

    def replaced(self, index: np.ndarray, new: Scan) -> Scan:
        """Return a copy in which the ramps ``index`` have another scan."""
        copy = Scan(*map(np.copy, self))
        for values, others in zip(copy, new, strict=True):
            values[index] = others
        return copy


class Ramps(NamedTuple):
    """Ramps to fit.

    Attributes
    ----------
    data : ndarray, shape (T, n)
        [DN], NaN where a read must not be used.
    stop : ndarray of int, shape (n,)
        First saturated read; T where none is.
    variance, shot : ndarray, shape (n,)
        Read variance of one frame, and Poisson variance per frame time [DN^2].
    excluded : ndarray of bool, shape (T, n), optional
        Differences to exclude, at the index of their later read: a free step each.
    curve : ndarray of int, shape (n,), optional
        Row of ``shapes`` that is free in each ramp; -1 in straight ones.
    guess : ndarray, shape (n,), optional
        Rates to start from [DN per frame time]; needed for fits in single precision only.
    shapes : ndarray, shape (K + 1, T - 1), optional
        Shapes of curves in the differences, see `ohana.rampfit.curves.curve_shapes`.
    """

    data: np.ndarray
    stop: np.ndarray
    variance: np.ndarray
    shot: np.ndarray
    excluded: np.ndarray = np.empty((0, 0), np.bool_)
    curve: np.ndarray = np.empty(0, np.int64)
    guess: np.ndarray = np.empty(0)
    shapes: np.ndarray = np.empty((0, 0))

    def curves(self) -> np.ndarray:
        """Return a copy of ``curve``, -1 for every ramp where it is not given: (n,)."""
        return self.curve.copy() if self.curve.size else np.full(len(self.stop), -1)

    def select(self, index: np.ndarray) -> Ramps:
        """Return some of the ramps."""
        return Ramps(
            np.ascontiguousarray(self.data[:, index]),
            self.stop[index],
            self.variance[index],
            self.shot[index],
            np.ascontiguousarray(self.excluded[:, index]) if self.excluded.size else self.excluded,
            self.curve[index] if self.curve.size else self.curve,
            self.guess[index] if self.guess.size else self.guess,
            self.shapes,
        )


def ramps_of(
    data: np.ndarray,
    first_saturated: ArrayLike,
    variance: ArrayLike,
    shot: ArrayLike,
    *,
    guess: np.ndarray | None = None,
    excluded: np.ndarray | None = None,
) -> Ramps:
    """Collect the ramps of n pixels: the one rule for pixels without noise.

    Parameters
    ----------
    data : ndarray, shape (T, ...)
        Reads [DN], NaN where a read must not be used.
    first_saturated : ndarray of int, shape (...)
        T where no read is.
    variance, shot : ndarray, shape (...)
        As in `Ramps`. No read of a pixel is used where the read variance is zero or not known;
        Poisson variance that is not known is zero.
    guess : ndarray, shape (...), optional
        As in `Ramps`.
    excluded : ndarray of bool, shape (T, ...), optional
        As in `Ramps`.

    Examples
    --------
    >>> ramps = ramps_of(
    ...     np.zeros((5, 1, 2)), np.full((1, 2), 5), np.array([[9, np.nan]]), np.array([[-1, 1]])
    ... )
    >>> ramps.data.shape, ramps.stop.tolist(), ramps.variance.tolist(), ramps.shot.tolist()
    ((5, 2), [5, 0], [9.0, 1.0], [0.0, 1.0])
    """
    flat = np.asarray(variance, np.float64).ravel()
    usable = np.isfinite(flat) & (flat > 0)
    none = Ramps._field_defaults
    return Ramps(
        np.ascontiguousarray(data, np.float32).reshape(len(data), -1),
        np.where(usable, np.ravel(first_saturated), 0).astype(np.int32),
        np.where(usable, flat, 1.0),
        np.fmax(np.asarray(shot, np.float64).ravel(), 0.0),
        none["excluded"] if excluded is None else excluded.reshape(len(data), -1),
        guess=none["guess"] if guess is None else guess.ravel(),
    )


def _run(
    ramps: Ramps,
    covariance: DifferenceCovariance,
    rows: int,
    precision: type = np.float64,
    at: np.ndarray | None = None,
    split: np.ndarray | None = None,
) -> np.ndarray:
    """Run `scan_kernel` with all its arrays in one precision."""
    n = ramps.data.shape[1]
    out: np.ndarray = np.zeros((rows, n), precision)
    given = _given(precision, ramps)
    curve, shapes = _free_curves(precision, ramps)
    single = precision is np.float32
    may_split = may_split_jump(covariance)
    settings = (
        MIN_INFORMATION_SINGLE if single else MIN_INFORMATION,
        SPLIT_COST_SINGLE if single else SPLIT_COST,
        may_split if may_split.any() else may_split[:0],
    )
    at = np.empty(0, np.int64) if at is None else np.ascontiguousarray(at, np.int64)
    both = np.empty(0, np.bool_) if split is None else np.ascontiguousarray(split, np.bool_)
    if n:
        scan_kernel(
            ramps.data,
            np.ascontiguousarray(ramps.stop),
            ramps.excluded,
            given,
            curve,
            shapes,
            covariance.astype(precision),
            settings,
            at,
            both,
            out,
        )
    return out


def _given(precision: type, ramps: Ramps) -> np.ndarray:
    """Return both variances and the guess of each ramp (3, n)."""
    given: np.ndarray = np.zeros((3, ramps.data.shape[1]), precision)
    given[0], given[1] = ramps.variance, ramps.shot
    if ramps.guess.size:
        given[2] = np.nan_to_num(ramps.guess)
    return given


def _free_curves(precision: type, ramps: Ramps) -> tuple[np.ndarray, np.ndarray]:
    """Return the curve of each ramp, counted among those that are free in any, and these shapes."""
    if not (ramps.curve >= 0).any():
        return np.empty(0, np.int64), np.empty((0, 0), precision)
    used, curve = np.unique(ramps.curve, return_inverse=True)
    return curve.astype(np.int64), ramps.shapes[used].astype(precision)


def fit_curves(
    ramps: Ramps, covariance: DifferenceCovariance, quick: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Fit each of K curves to each ramp, one at a time and no steps but the excluded.

    Parameters
    ----------
    ramps : Ramps
        n ramps, with ``shapes``.
    covariance : DifferenceCovariance
        Covariance coefficients.
    quick : bool
        In single precision, as in `scan`.

    Returns
    -------
    size, error : ndarray, shape (K, n)
        In units of the data over those of the shapes; 0 and infinity where the data do not tell a
        curve from a rate. The curve explains a chi-squared of ``(size / error)**2``.
    """
    precision = np.float32 if quick else np.float64
    n = ramps.data.shape[1]
    out: np.ndarray = np.zeros((2, len(ramps.shapes) - 1, n), precision)
    given, shapes = _given(precision, ramps), ramps.shapes.astype(precision)
    stop, model = np.ascontiguousarray(ramps.stop), covariance.astype(precision)
    if n:
        curve_kernel(ramps.data, stop, ramps.excluded, given, shapes, model, out)
    size, error = out.astype(np.float64)
    return size, error


def scan(ramps: Ramps, covariance: DifferenceCovariance, quick: bool = False) -> Scan:
    """Find the most significant upward and downward step of each ramp.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    covariance : DifferenceCovariance
        Covariance coefficients.
    quick : bool
        Work in single precision, good to about 1e-3 in significance if ``ramps.guess`` is good.

    Notes
    -----
    Where reads average frames, a step is fitted to each difference, and also to each two
    neighbouring ones, with any part of it in either: a hit arrives at any time.

    Examples
    --------
    >>> import numpy as np
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> data = np.array([[0.0], [1.0], [2.0], [13.0], [14.0], [15.0]], np.float32)
    >>> ramps = Ramps(data, np.array([6]), np.ones(1), np.zeros(1))
    >>> found = scan(ramps, difference_covariance(np.arange(6.0)))
    >>> int(found.up_read[0]), float(found.up_step[0].round(6))
    (3, 10.0)

    A hit in the middle of the frames of read 2:

    >>> data = np.array([[0.0], [1.0], [7.0], [13.0], [14.0], [15.0]], np.float32)
    >>> ramps = Ramps(data, np.array([6]), np.ones(1), np.zeros(1))
    >>> found = scan(ramps, difference_covariance(np.arange(6.0), nframes=4))
    >>> int(found.up_read[0]), int(found.up_split[0]), float(found.up_step[0].round(6))
    (2, 1, 10.0)
    """
    out = _run(ramps, covariance, len(Scan._fields), np.float32 if quick else np.float64)
    return Scan(*out.astype(np.float64))


def fit_at(
    ramps: Ramps, covariance: DifferenceCovariance, at: np.ndarray, split: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a step at one given read of each ramp, with its significance.

    Parameters
    ----------
    ramps, covariance, at, split
        See `step_at`.

    Returns
    -------
    amplitude, error : ndarray, shape (n,)
        See `step_at`.
    sigma : ndarray, shape (n,)
        Significance with the sign of the amplitude, as in `Scan`. In a single difference it is
        the amplitude over its error, in two the root of the chi-squared that the step explains.
    """
    score, information, power = _run(ramps, covariance, 3, at=at, split=split)
    known = information > 0
    safe = np.where(known, information, 1.0)
    amplitude, error = np.where(known, score / safe, 0.0), np.where(known, safe**-0.5, np.inf)
    return amplitude, error, np.copysign(np.sqrt(np.abs(power)), power)


def step_at(
    ramps: Ramps, covariance: DifferenceCovariance, at: np.ndarray, split: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a step at one given read of each ramp.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    covariance : DifferenceCovariance
        Covariance coefficients.
    at : ndarray of int, shape (n,)
        First read that contains the step, 1 to T - 1.
    split : ndarray of bool, shape (n,), optional
        Where the next read may hold a part of the step; only for reads that may split a jump.

    Returns
    -------
    amplitude, error : ndarray, shape (n,)
        [DN]; 0 and infinity where the data do not determine the step.
    """
    return fit_at(ramps, covariance, at, split)[:2]
