"""False alarms of an exposure: detections in time-reversed ramps, and in equivalent pure noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from ohana.classes import EVENT_LABELS, Label, labels_with
from ohana.config import DetectorConfig
from ohana.correction.load import CorrectedRamp
from ohana.evaluate.injection.null_ramps import backward_source, noise_source
from ohana.events import Event, PixelMaps, pixels_of
from ohana.pipeline import FoundEvents, find_events
from ohana.refpix.border import border_mask
from ohana.utils.intervals import poisson_interval
from ohana.utils.progress import Progress

if TYPE_CHECKING:
    from ohana.network.model_file import Network

#: Classes of charge, which are false in a time-reversed ramp.
CHARGE = labels_with("adds_charge")
#: Significances at which pixels are counted by their best step [sigma].
THRESHOLDS = np.round(np.arange(3.0, 12.01, 0.25), 2)
#: Reads after a cosmic ray in which a fall may be its afterglow. Chosen.
AFTERGLOW = 3
#: Probability content of the intervals of counts.
LEVEL = 0.95


class Estimate(NamedTuple):
    """A value with its interval at 95 %; NaN where it is not known."""

    value: float
    low: float
    high: float


class Alarms(NamedTuple):
    """Detections of one class forwards, backwards and in pure noise.

    Attributes
    ----------
    label : Label
        The class.
    forward : int
        Detections in the exposure.
    backward : int
        Detections backwards, in the pixels that count.
    noise : int
        Detections in noise of the same rates and read noise, in all usable pixels.
    rate, noise_rate : Estimate
        Detections backwards, and in pure noise, per million pixels.
    purity : Estimate
        Part of the detections forwards that backward ones do not account for; NaN for
        telegraph noise, where it has no meaning, and without detections.
    """

    label: Label
    forward: int
    backward: int
    noise: int
    rate: Estimate
    noise_rate: Estimate
    purity: Estimate


@dataclass(frozen=True)
class FalseAlarms:
    """Detections in time-reversed ramps and in pure noise.

    Attributes
    ----------
    usable, counted : int
        Usable pixels; those of them without charge found forwards in them or next to them. Events
        backwards count in the others too, since bad pixels rise as well as they fall, unless the
        charge itself can have caused them.
    alarms : list of Alarms
        In the order cosmic ray, telegraph noise, snowball.
    significances, amplitudes : list of float
        Of every false cosmic ray and snowball [sigma, DN].
    thresholds : ndarray, shape (n,)
        Significances [sigma].
    forward, backward, noise : ndarray, shape (n,)
        Pixels per million whose best upward step exceeds each threshold: of all usable ones
        forwards and in pure noise, of those that count backwards.
    """

    usable: int
    counted: int
    alarms: list[Alarms]
    significances: list[float]
    amplitudes: list[float]
    thresholds: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    noise: np.ndarray


def count_false_alarms(
    source: CorrectedRamp,
    found: FoundEvents,
    config: DetectorConfig,
    seed: int,
    progress: Progress,
    network: Network | None = None,
) -> FalseAlarms:
    """Search the time-reversed exposure and pure noise with the same stages.

    Parameters
    ----------
    source : CorrectedRamp
        The exposure.
    found : FoundEvents
        What was found in it.
    config : DetectorConfig
        Settings.
    seed : int
        Of the noise.
    progress : callable
        Called with the name of a stage, the parts done and the parts in all.
    network : Network, optional
        Finds events besides those of the rules, as in ``found``.
    """
    # Confidence depends on the number of real events: taken as forwards.
    known, reads = found.population, source.ramp.shape[0]
    reverse = known._replace(strata=known.strata and known.strata.backwards(reads))
    backward, noise = (
        find_events(ramps, config, _named(progress, what), None, population, network)
        for ramps, population, what in (
            (backward_source(source, found.maps), reverse, "backwards"),
            (noise_source(source, found.maps, seed), known, "pure noise"),
        )
    )
    usable = np.isfinite(found.maps.noise) & np.isfinite(found.maps.rate)
    usable &= ~border_mask(source.ramp)
    counted = usable & ~charged_pixels(found.events, usable.shape)
    events = (
        found.events,
        without_echoes(backward.events, found.events, usable, reads),
        noise.events,
    )
    pixels = int(usable.sum()), int(counted.sum())
    kinds = EVENT_LABELS
    charge = [event for event in events[1] if event.label in CHARGE]
    return FalseAlarms(
        *pixels,
        [
            _alarms(label, [sum(e.label == label for e in some) for some in events], *pixels)
            for label in kinds
        ],
        [float(event.significance.max()) for event in charge],
        [float(event.amplitude.max()) for event in charge],
        THRESHOLDS,
        _tail(found.maps, usable),
        _tail(backward.maps, counted),
        _tail(noise.maps, usable),
    )


def _named(progress: Progress, what: str) -> Progress:
    """Add a name to the stages of progress."""
    return lambda stage, done, total: progress(f"{stage} ({what})", done, total)


def charged_pixels(events: list[Event], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels of cosmic rays and snowballs, and their neighbours (boolean)."""
    charged = pixels_of((event for event in events if event.label in CHARGE), shape)
    return ndimage.binary_dilation(charged, np.ones((3, 3), bool))


def without_echoes(
    backward: list[Event], forward: list[Event], usable: np.ndarray, reads: int
) -> list[Event]:
    """Return the backward events in usable pixels that no charge found forwards has caused.

    A fall soon after a cosmic ray, in its pixels or next to them, may be its afterglow; one in a
    snowball may be so at any time. Other falls of the same pixels are those of bad pixels.

    Parameters
    ----------
    backward, forward : list of Event
        Found in the time-reversed ramps, and in the exposure.
    usable : ndarray of bool, shape (H, W)
        Pixels that count.
    reads : int
        Reads of the ramp.
    """
    hit_at: dict[tuple[int, int], list[int]] = {}
    balls = [event for event in forward if event.label == Label.SNOWBALL]
    away = charged_pixels(balls, usable.shape) | ~usable
    for event in forward:
        if event.label in CHARGE and event.label != Label.SNOWBALL:
            for row, col in zip(event.rows.tolist(), event.cols.tolist(), strict=True):
                for place in ((row + r, col + c) for r in (-1, 0, 1) for c in (-1, 0, 1)):
                    hit_at.setdefault(place, []).append(int(event.first_frame or 0))

    def is_echo(event: Event) -> bool:
        if event.label not in CHARGE:
            return event.peak in hit_at
        fell = reads - int(event.first_frame or 0)
        hits = hit_at.get(event.peak, [])
        return any(0 < fell - hit <= AFTERGLOW for hit in hits)

    return [e for e in backward if not away[e.peak] and not is_echo(e)]


def _alarms(label: Label, counts: list[int], usable: int, counted: int) -> Alarms:
    forward, backward, noise = counts
    purity = Estimate(np.nan, np.nan, np.nan)
    rate = rate_with_interval(backward, counted / 1e6)
    if forward and label in CHARGE:
        share = usable / 1e6 / forward
        purity = Estimate(*(max(1 - x * share, 0.0) for x in (rate.value, rate.high, rate.low)))
    return Alarms(
        label, forward, backward, noise, rate, rate_with_interval(noise, usable / 1e6), purity
    )


def rate_with_interval(count: int, exposure: float) -> Estimate:
    """Return a Poisson rate and its central interval.

    Examples
    --------
    >>> [round(x, 3) for x in rate_with_interval(0, 2.0)]  # 3.689 / 2: two-sided
    [0.0, 0.0, 1.844]
    """
    if not exposure:
        return Estimate(np.nan, np.nan, np.nan)
    low, high = (float(limit) / exposure for limit in poisson_interval(count, LEVEL))
    return Estimate(count / exposure, low, high)


def _tail(maps: PixelMaps, counted: np.ndarray) -> np.ndarray:
    """Count pixels per million whose best upward step exceeds each of `THRESHOLDS`."""
    best = np.sort(maps.best_significance[counted])
    above = len(best) - np.searchsorted(best, THRESHOLDS)
    return 1e6 * above / max(len(best), 1)
