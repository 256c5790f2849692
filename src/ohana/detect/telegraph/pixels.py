"""Telegraph noise of a row block: from candidates to events, and further steps of their ramps."""

from __future__ import annotations

import numpy as np

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.telegraph.fit import TelegraphFit, fit_telegraph_noise
from ohana.detect.telegraph.screen import screen
from ohana.detect.telegraph.tuning import TUNING
from ohana.events import Event, Steps, join_steps
from ohana.rampfit.covariance import DifferenceCovariance
from ohana.rampfit.curves import best_curve, curve_shapes, straightened
from ohana.rampfit.noise import Noise
from ohana.rampfit.scan import Ramps, scan
from ohana.rampfit.step_search import find_steps

#: Measures of the level model in the catalogue.
CATALOGUED = (
    "n_levels",
    "transitions",
    "low",
    "high",
    "amplitude",
    "dwell_low",
    "dwell_high",
    "frequency",
    "fit_quality",
    "chi2_gain",
)


def find_telegraph_noise(
    ramps: Ramps,
    noise: Noise,
    steps: Steps,
    covariance: DifferenceCovariance,
    gain: float,
    config: DetectorConfig,
) -> tuple[np.ndarray, TelegraphFit, np.ndarray]:
    """Find the ramps of a block that jump between levels.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    noise : Noise
        Arrays of shape (n,).
    steps : Steps
        Their steps; ``col`` is the index of the ramp. A fall makes a ramp a candidate.
    covariance : DifferenceCovariance
        Covariance coefficients.
    gain : float
        [e-/DN]
    config : DetectorConfig
        Fields ``rtn_*``.

    Returns
    -------
    index : ndarray of int, shape (m,)
        Ramps with telegraph noise.
    fit : TelegraphFit
        Their level models.
    flicker : ndarray of float32, shape (n,)
        Statistic of `ohana.detect.telegraph.screen.screen` without steps of cosmic rays.
    """
    around = noise.neighbourhood_variance
    error = noise_error_of(float(np.min(noise.prior_dof)))
    # Fast telegraph noise looks like read noise.
    noisy = np.log(_excess(ramps.variance, around)) > TUNING.noisy_pixel * 2 * error
    sigma = np.sqrt(np.where(noisy, around, ramps.variance))
    flicker = screen(ramps.data, ramps.stop, sigma, noise.rate, covariance, gain)
    # Steps of cosmic rays raise the statistic: it is taken again without them.
    hit = np.intersect1d(np.flatnonzero(flicker > TUNING.candidate), steps.col)
    some = ramps.select(hit)
    without_steps = some.data - _summed_steps(steps, hit, len(ramps.data))
    flicker[hit] = screen(without_steps, some.stop, sigma[hit], noise.rate[hit], covariance, gain)
    _screen_curves(flicker, (ramps, noise, sigma), steps, covariance, gain)
    candidate = flicker > TUNING.candidate
    candidate[steps.col[steps.amplitude < 0]] = True
    index = np.flatnonzero(candidate & np.isfinite(around))
    some = ramps.select(index)
    expected = noise_for_levels(some.variance, around[index], some.shot, gain)
    fit = fit_telegraph_noise(some.data, some.stop, *expected, covariance, gain, config, error)
    columns = (values[..., fit.accepted] for values in fit)
    return index[fit.accepted], TelegraphFit(*columns), flicker


def _screen_curves(
    flicker: np.ndarray,
    pixels: tuple[Ramps, Noise, np.ndarray],
    steps: Steps,
    covariance: DifferenceCovariance,
    gain: float,
) -> None:
    """Screen candidates again without the curve that explains most of each, in place.

    ``pixels`` are ramps, noise, and the noise of one frame that counts. Ramps that bend too little
    to look like a step are many where all bend.
    """
    ramps, noise, sigma = pixels
    index = np.flatnonzero(flicker > TUNING.candidate)
    some = ramps.select(index)
    some = some._replace(data=some.data - _summed_steps(steps, index, len(ramps.data)))
    some = some._replace(shapes=curve_shapes(covariance))
    curve, explained = best_curve(some, covariance, np.full(len(index), TUNING.curve_gain))
    some = some._replace(curve=np.where(explained > TUNING.curve_gain, curve, -1))
    fit = scan(some, covariance, quick=some.guess.size > 0)
    rate = np.where(some.curve < 0, noise.rate[index], fit.rate)
    rest = straightened(some, some.curve, fit.bend, covariance).data
    flicker[index] = screen(rest, some.stop, sigma[index], rate, covariance, gain)


def noise_for_levels(
    variance: np.ndarray, neighbourhood_variance: np.ndarray, shot: np.ndarray, gain: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise and the rate with which levels are fitted, those of the neighbourhood.

    Jumps add to a pixel's own scatter, and `ohana.rampfit.noise.measure` scales its shot noise
    by the same factor as its read noise. Both are undone, whether the factor is above 1 or below.

    Parameters
    ----------
    variance, neighbourhood_variance : ndarray, shape (n,)
        Read-noise variance of one frame of the pixels and of their neighbourhood [DN^2].
    shot : ndarray, shape (n,)
        Poisson variance per frame time [DN^2].
    gain : float
        [e-/DN]

    Returns
    -------
    noise : ndarray, shape (n,)
        Of one frame [DN].
    rate : ndarray, shape (n,)
        [DN per frame time]
    """
    rate = shot * gain / _excess(variance, neighbourhood_variance)
    return np.sqrt(neighbourhood_variance), rate


def _excess(variance: np.ndarray, neighbourhood_variance: np.ndarray) -> np.ndarray:
    """Variance of pixels over that of their neighbourhood; 1 where either is unknown."""
    return np.maximum(np.nan_to_num(variance / neighbourhood_variance, nan=1.0), 1e-6)


def noise_error_of(prior_dof: float) -> float:
    """Return the relative error of the noise of the neighbourhood as that of a single pixel.

    ``prior_dof`` are its degrees of freedom, see `ohana.rampfit.noise.Noise`.
    """
    return float(np.hypot(TUNING.noise_error, np.sqrt(0.5 / prior_dof)))


def _summed_steps(steps: Steps, index: np.ndarray, reads: int) -> np.ndarray:
    """Sum of the steps of some ramps up to each read (T, m) [DN]."""
    own = steps.select(np.isin(steps.col, index))
    rise = np.zeros((reads, len(index)), np.float32)
    np.add.at(rise, (own.read, np.searchsorted(index, own.col)), own.amplitude)
    return np.cumsum(rise, axis=0, out=rise)


def without_levels(
    ramps: Ramps,
    dof: np.ndarray,
    index: np.ndarray,
    fit: TelegraphFit,
    covariance: DifferenceCovariance,
    config: DetectorConfig,
    steps: Steps,
) -> Steps:
    """Replace the steps of telegraph-noise ramps by those that their levels do not explain.

    A hit in such a pixel must clearly exceed the distance of the levels plus the largest
    remaining fall: a level that the model missed is no hit.
    """
    residual = ramps.select(index)
    residual = residual._replace(data=residual.data - fit.model)
    scanned = scan(residual, covariance)
    left = find_steps(residual, dof[index], scanned, covariance, config).steps
    down = left.amplitude < 0
    fall = np.zeros(len(index), np.float32)
    np.maximum.at(fall, left.col[down], -left.amplitude[down])
    above = left.amplitude - (fit.amplitude + fall)[left.col]
    left = left.select(above > config.sigma_threshold * left.error)
    left = left._replace(col=index[left.col].astype(np.int32))
    return join_steps([steps.select(~np.isin(steps.col, index)), left])


def without_outliers(events: list[Event]) -> list[Event]:
    """Drop telegraph noise whose shorter level lasts for single reads, and which is not strong.

    For noise with heavy tails: reads that lie off by chance look like a level that never lasts.
    """
    kept = []
    for event in events:
        shortest = min(float(event.extra[name]) for name in ("dwell_low", "dwell_high"))  # type: ignore[arg-type]
        strong = float(event.extra["fit_quality"]) > TUNING.strong_levels  # type: ignore[arg-type]
        if strong or shortest > TUNING.lasting_level:
            kept.append(event)
    return kept


def telegraph_events(index: np.ndarray, fit: TelegraphFit, cols: int) -> list[Event]:
    """Make an event of each pixel of a block that is ``cols`` wide."""
    events = []
    for i, pixel in enumerate(index):
        row, col = divmod(int(pixel), cols)
        change = np.diff(fit.model[:, i])
        moves = {
            "rise_reads": (np.flatnonzero(change > 0) + 1).tolist(),
            "fall_reads": (np.flatnonzero(change < 0) + 1).tolist(),
        }
        events.append(
            Event(
                Label.TELEGRAPH_NOISE,
                np.array([row], np.int32),
                np.array([col], np.int32),
                np.array([-1], np.int32),
                fit.amplitude[i : i + 1],
                fit.significance[i : i + 1],
                None,
                float(fit.confidence[i]),
                extra={name: getattr(fit, name)[i].item() for name in CATALOGUED} | moves,
            )
        )
    return events
