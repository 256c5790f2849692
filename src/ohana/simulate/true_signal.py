"""What an exposure shows of its sources of events: the truth, pixel by pixel and read by read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.rampfit.covariance import DifferenceCovariance, difference_covariance
from ohana.rampfit.gls import MIN_INFORMATION, fit_steps
from ohana.simulate.config import SimulationConfig
from ohana.simulate.deposits import ChargeEvent, first_read
from ohana.simulate.detector import couple
from ohana.simulate.telegraph_noise import TelegraphSignal
from ohana.simulate.truth import PixelSteps, TrueEvent

#: Signal below which a pixel is not listed as part of an event [e-].
FAINTEST = 1.0
#: Changes are gathered until they exceed this [e-]: a third of the read noise of a good detector,
#: and few enough entries for a file.
MIN_STEP = 3.0
#: Ramps fitted in one go: keeps the work arrays of long ramps in the cache's reach.
FITS_AT_ONCE = 1024


class NoiseLimits(NamedTuple):
    """What limits the sight of a step in each pixel, maps of shape (H, W).

    ``noise`` of one frame [e-], ``rate`` [e- per frame time], and ``stop``, the first read
    that is saturated (T where there is none).
    """

    noise: np.ndarray
    rate: np.ndarray
    stop: np.ndarray

    def at(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return stop, noise and rate of some pixels."""
        return self.stop[rows, cols], self.noise[rows, cols], self.rate[rows, cols]


def true_events(
    hits: list[ChargeEvent],
    flickers: list[TelegraphSignal],
    ramps: NoiseLimits,
    config: SimulationConfig,
    model: DifferenceCovariance | None = None,
) -> list[TrueEvent]:
    """Return the truth of all events, in the order of the sources.

    Parameters
    ----------
    hits : list of ChargeEvent
        Cosmic rays and snowballs.
    flickers : list of TelegraphSignal
        Telegraph noise.
    ramps : NoiseLimits
        Noise, rates and saturation of the exposure.
    config : SimulationConfig
        Its settings.
    model : DifferenceCovariance, optional
        Covariance of its differences, where the settings do not tell all about its timing.
    """
    model = model or difference_covariance(config.read_times, config.frame_time, config.averaged)
    events = [_true_hit(hit, config) for hit in hits]
    events += [_true_flicker(flicker, ramps, config) for flicker in flickers]
    _judge_steps(events, ramps, model)
    for event in events:
        if len(event.repeated.row):
            _judge_paths(event, ramps, model)
        if event.label == Label.TELEGRAPH_NOISE:
            event.facts["chi2"] = float(event.snr[0]) ** 2
    return events


def _true_hit(hit: ChargeEvent, config: SimulationConfig) -> TrueEvent:
    """Return the signal that a hit adds to each pixel; its S/N is filled in later."""
    begin, top, left, steps = _signal_steps(hit, config)
    total = steps.sum(axis=0)
    inside = np.nonzero(total > FAINTEST)
    steps, total = _gathered(steps[:, inside[0], inside[1]]), total[inside]
    rows = (inside[0] + top + config.border).astype(np.int32)
    cols = (inside[1] + left + config.border).astype(np.int32)
    listed = steps != 0
    repeated = np.flatnonzero(listed.sum(axis=0) > 1)
    which, k = np.nonzero(listed[:, repeated].T)
    which = repeated[which]
    return TrueEvent(
        hit.label,
        max(int(first_read(np.array(hit.frame), config.averaged)[0]), 1),
        rows,
        cols,
        (begin + listed.argmax(axis=0)).astype(np.int32),
        total,
        np.zeros(len(total), np.float32),
        config.gain,
        hit.facts,
        PixelSteps.blank(rows[which], cols[which], begin + k, steps[k, which]),
    )


def _signal_steps(hit: ChargeEvent, config: SimulationConfig) -> tuple[int, int, int, np.ndarray]:
    """Return how a hit changes the signal of the pixels around it from read to read.

    Returns
    -------
    first, top, left : int
        Read, row and column (of the active part) of the first entry below.
    steps : ndarray of float32, shape (K, h, w)
        Signal added at each read over the one before [e-].
    """
    row, col, frame, amount = hit.deposits
    # Only the landing can come within the frames of a read; growth begins with a read.
    read, _ = first_read(frame, config.averaged)
    first, share = (x.item() for x in first_read(np.array(hit.frame), config.averaged))
    last = min(max(int(read.max()), first + (share < 1)), config.reads - 1)
    # One pixel more on each side, for the coupling, but not over the edge of the active part.
    top, left = np.maximum([row.min() - 1, col.min() - 1], 0)
    bottom, right = np.minimum([row.max() + 2, col.max() + 2], config.active_shape)
    added = np.zeros((last - first + 1, bottom - top, right - left), np.float32)
    np.add.at(added, (read - first, row - top, col - left), amount)
    held = np.minimum(np.cumsum(added, axis=0), np.float32(config.full_well))
    signal = np.stack([couple(level, config.ipc) for level in held])
    signal[0] *= share
    if first == 0:  # what read 0 shows is part of the pedestal
        return 1, int(top), int(left), np.diff(signal, axis=0)
    return first, int(top), int(left), np.diff(signal, axis=0, prepend=np.float32(0))


def _gathered(steps: np.ndarray) -> np.ndarray:
    """Return steps (K, n) with small ones put off until they make up a large one.

    What is left in the end goes to the last entry, or to the largest step where there is none.
    """
    large, pending = np.zeros_like(steps), np.zeros(steps.shape[1], np.float32)
    for k, step in enumerate(steps):
        pending += step
        enough = np.abs(pending) > MIN_STEP
        large[k, enough] = pending[enough]
        pending[enough] = 0
    last = len(steps) - 1 - np.argmax(large[::-1] != 0, axis=0)
    last = np.where(large.any(axis=0), last, steps.argmax(axis=0))
    large[last, np.arange(len(last))] += pending
    return large


def _judge_steps(events: list[TrueEvent], ramps: NoiseLimits, model: DifferenceCovariance) -> None:
    """Fill in the S/N of each step, all events together, in place."""
    parts = [event.repeated for event in events]
    parts += [
        PixelSteps(event.rows, event.cols, event.reads, event.charge, event.snr)
        for event in events
        if event.label != Label.TELEGRAPH_NOISE
    ]
    if parts:
        rows, cols, reads, charge, _ = map(np.concatenate, zip(*parts, strict=True))
        snr = charge / step_errors(reads, *ramps.at(rows, cols), model)
        ends = np.cumsum([len(part.row) for part in parts])
        for part, mine in zip(parts, np.split(snr, ends[:-1]), strict=True):
            part.snr[:] = mine


def _judge_paths(event: TrueEvent, ramps: NoiseLimits, model: DifferenceCovariance) -> None:
    """Fill in the S/N of the pixels that change more than once, in place."""
    width = ramps.stop.shape[1]
    row, col, read, charge, _ = event.repeated
    pixel, which = np.unique(row * width + col, return_inverse=True)
    steps = np.zeros((len(model.dt), len(pixel)))
    steps[read - 1, which] = charge
    chi2 = path_chi2(steps, *ramps.at(*np.divmod(pixel, width)), model)
    event.snr[np.searchsorted(event.rows * width + event.cols, pixel)] = np.sqrt(chi2)


def _true_flicker(
    flicker: TelegraphSignal, ramps: NoiseLimits, config: SimulationConfig
) -> TrueEvent:
    """Return telegraph noise up to the read that saturates; its S/N is filled in later."""
    row, col = np.array([flicker.row], np.int32), np.array([flicker.col], np.int32)
    stop = int(ramps.stop[flicker.row, flicker.col])
    states = flicker.states[:stop, -1]
    changes = np.flatnonzero(np.diff(states)) + 1
    steps = np.diff(flicker.path[:stop])
    reads = np.flatnonzero(steps) + 1
    facts = {
        "levels": flicker.levels.tolist(),
        "dwell": flicker.dwell.tolist(),
        "transitions": changes.tolist(),
        "states": states[np.append(0, changes)].tolist() if len(states) else [],
        "reference_pixel": _in_border(flicker, config),
    }
    there = np.zeros(len(reads), int)
    return TrueEvent(
        Label.TELEGRAPH_NOISE,
        None,
        row,
        col,
        np.array([-1], np.int32),
        np.array([np.ptp(flicker.levels)], np.float32),
        np.zeros(1, np.float32),
        config.gain,
        facts,
        PixelSteps.blank(row[there], col[there], reads, steps[reads - 1]),
    )


def _in_border(flicker: TelegraphSignal, config: SimulationConfig) -> bool:
    """Tell whether a pixel is a reference pixel, which no detector of events reports."""
    low, high = config.border, (config.rows - config.border, config.cols - config.border)
    return not (low <= flicker.row < high[0] and low <= flicker.col < high[1])


def step_errors(
    reads: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    model: DifferenceCovariance,
) -> np.ndarray:
    """Return the standard error of a step at given reads, with the slope free.

    Parameters
    ----------
    reads, stop : ndarray of int, shape (n,)
        First read with the step; first read that cannot be used.
    noise, rate : ndarray, shape (n,)
        Noise of one frame [e-] and charge per frame time [e-].
    model : DifferenceCovariance
        Covariance of the T - 1 differences.

    Returns
    -------
    ndarray of float64, shape (n,)
        Errors [e-]; ``inf`` where the ramp is too short to tell. Where the step itself fills
        the pixel, the error of the difference of two reads.

    Examples
    --------
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> reads, covariance = np.array([[2], [4]]), difference_covariance(np.arange(4.0))
    >>> step_errors(*reads, np.array([1.0]), np.array([0.0]), covariance).round(3)
    array([2.236])
    """
    # In units of the noise the error depends on rate / noise**2 alone; ratios within 1 % (0.5 %
    # of the error) and with the same end share one fit.
    ratio = np.round(np.log(np.maximum(rate, 1e-6) / noise**2), 2)
    kinds, which = np.unique(np.stack([ratio, stop]), axis=1, return_inverse=True)
    which, out = which.ravel(), np.empty(len(reads))
    step = np.arange(1, len(model.dt) + 1)[:, None]
    for begin in range(0, kinds.shape[1], FITS_AT_ONCE):
        logarithm, end = kinds[:, begin : begin + FITS_AT_ONCE]
        blank = np.where(step < end, 0.0, np.nan)
        known = fit_steps(blank, np.ones(len(end)), np.exp(logarithm), model).information
        here = np.flatnonzero((which >= begin) & (which < begin + FITS_AT_ONCE))
        with np.errstate(divide="ignore"):
            out[here] = noise[here] / np.sqrt(known[reads[here] - 1, which[here] - begin])
    filled = reads == stop
    out[filled] = _difference_error(reads[filled], noise[filled], rate[filled], model)
    return out


def _difference_error(
    reads: np.ndarray, noise: np.ndarray, rate: np.ndarray, model: DifferenceCovariance
) -> np.ndarray:
    """Return the error of the difference between a read and the one before [e-]."""
    return np.sqrt(model.read[reads - 1] * noise**2 + model.shot[reads - 1] * rate)


def path_chi2(
    steps: np.ndarray,
    stop: np.ndarray,
    noise: np.ndarray,
    rate: np.ndarray,
    model: DifferenceCovariance,
) -> np.ndarray:
    """Return how much known paths lower chi-squared against a straight ramp.

    The root is the S/N of the best linear estimator of the path's scale.

    Parameters
    ----------
    steps : ndarray, shape (T - 1, n)
        Changes of the signal from each read to the next [e-].
    stop : ndarray of int, shape (n,)
        First read that cannot be used.
    noise, rate : ndarray, shape (n,)
        Noise of one frame [e-] and charge per frame time [e-].
    model : DifferenceCovariance
        Covariance of the differences.

    Returns
    -------
    ndarray of float64, shape (n,)
        Where the first change itself fills the pixel, its square over the variance of one
        difference.

    Examples
    --------
    >>> from ohana.rampfit.covariance import difference_covariance
    >>> covariance = difference_covariance(np.arange(4.0))
    >>> ramp = np.array([4]), np.array([1.0]), np.array([0.0]), covariance
    >>> path_chi2(np.array([[0.0], [6.0], [0.0]]), *ramp).round(3)
    array([7.2])
    """
    out = np.empty(steps.shape[1])
    read = np.arange(1, len(steps) + 1)[:, None]
    for begin in range(0, len(out), FITS_AT_ONCE):
        part = slice(begin, begin + FITS_AT_ONCE)
        seen = np.where(read < stop[part], steps[:, part], np.nan)
        out[part] = fit_steps(seen, noise[part] ** 2, rate[part], model).chi2
        # A path that cannot be told from a slope leaves rounding errors only.
        most = np.nansum(seen**2, axis=0) / noise[part] ** 2
        out[part][out[part] < MIN_INFORMATION[0] * most] = 0.0
    begins = 1 + np.argmax(steps != 0, axis=0)
    filled = np.flatnonzero((begins == stop) & steps.any(axis=0))
    error = _difference_error(begins[filled], noise[filled], rate[filled], model)
    out[filled] = (steps[begins[filled] - 1, filled] / error) ** 2
    return out
