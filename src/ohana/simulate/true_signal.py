"""The true signal of events in an exposure, pixel by pixel and read by read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.rampfit.covariance import DifferenceCovariance, difference_covariance
from ohana.simulate.config import SimulationConfig
from ohana.simulate.deposits import ChargeEvent, first_read
from ohana.simulate.detector import couple
from ohana.simulate.optimal_snr import path_chi2, step_errors
from ohana.simulate.telegraph_noise import TelegraphSignal
from ohana.simulate.truth import PixelSteps, TrueEvent

#: Signal below which a pixel does not belong to an event [e-].
FAINTEST = 1.0
#: Changes are summed until they exceed this [e-]: a third of the read noise of a good detector,
#: which keeps the number of entries in files small.
MIN_STEP = 3.0


class NoiseLimits(NamedTuple):
    """Maps (H, W) of the quantities that limit the S/N of a step.

    ``noise`` of one frame [e-], ``rate`` [e- per frame time], and ``stop``, the first saturated
    read (T where there is none).
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
    """Return the truth of all events: hits first, then telegraph noise.

    Parameters
    ----------
    hits : list of ChargeEvent
        Cosmic rays and snowballs.
    flickers : list of TelegraphSignal
        Telegraph noise.
    ramps : NoiseLimits
        Noise, rates and saturation of the exposure.
    config : SimulationConfig
        Settings of the exposure.
    model : DifferenceCovariance, optional
        Covariance of its differences, if the settings do not determine its timing.
    """
    model = model or difference_covariance(config.read_times, config.frame_time, config.averaged)
    events = [_true_hit(hit, config) for hit in hits]
    events += [_true_flicker(flicker, ramps, config) for flicker in flickers]
    _add_step_snr(events, ramps, model)
    for event in events:
        if len(event.repeated.row):
            _add_path_snr(event, ramps, model)
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
        Signal added since the previous read [e-].
    """
    row, col, frame, amount = hit.deposits
    # Only the first charge can arrive within the frames of a read; growth begins with a read.
    read, _ = first_read(frame, config.averaged)
    first, share = (x.item() for x in first_read(np.array(hit.frame), config.averaged))
    last = min(max(int(read.max()), first + (share < 1)), config.reads - 1)
    # One more pixel on each side for the coupling, within the active part.
    top, left = np.maximum([row.min() - 1, col.min() - 1], 0)
    bottom, right = np.minimum([row.max() + 2, col.max() + 2], config.active_shape)
    added = np.zeros((last - first + 1, bottom - top, right - left), np.float32)
    np.add.at(added, (read - first, row - top, col - left), amount)
    held = np.minimum(np.cumsum(added, axis=0), np.float32(config.full_well))
    signal = np.stack([couple(level, config.ipc) for level in held])
    signal[0] *= share
    if first == 0:  # the signal in read 0 is part of the pedestal
        return 1, int(top), int(left), np.diff(signal, axis=0)
    return first, int(top), int(left), np.diff(signal, axis=0, prepend=np.float32(0))


def _gathered(steps: np.ndarray) -> np.ndarray:
    """Return steps (K, n) in which small ones are summed until they exceed `MIN_STEP`.

    The remainder goes to the last entry, or to the largest step if there is none.
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


def _add_step_snr(events: list[TrueEvent], ramps: NoiseLimits, model: DifferenceCovariance) -> None:
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


def _add_path_snr(event: TrueEvent, ramps: NoiseLimits, model: DifferenceCovariance) -> None:
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
    """Return whether a pixel is a reference pixel, in which no events are searched for."""
    low, high = config.border, (config.rows - config.border, config.cols - config.border)
    return not (low <= flicker.row < high[0] and low <= flicker.col < high[1])
