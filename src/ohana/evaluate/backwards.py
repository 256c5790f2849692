"""False alarms of an exposure, counted in its own ramps read backwards.

Time is reversed, and the slope of each pixel is put back::

    y(t) = x(end - t) + 2 rate t

A ramp read backwards falls; twice its rate makes it rise again. The rate is that from which its
shot noise is taken: what noise has made look like a step is part of it, so that the ramp has the
same rate, and the same noise, in both directions. Rate, shot noise, read noise and
1/f noise are what they were, and a ramp that flattens still flattens. But every step upward has
become a step downward: charge that arrived now leaves. Whatever is found as charge in such a ramp
is false.

Reversing the sign as well would not do: a cosmic ray would come out as a step upward again, at
another read, and be found as before. Reversing the sign alone would turn the curvature round.

What this cannot count: false alarms of things that are not alike in both directions. A decay
after the reset, a pixel that fills up, or the skewness of Poisson noise of few electrons make more
(or fewer) steps upward than downward; for the last there is `ohana.evaluate.pure_noise`, whose
counts stand beside these. Telegraph noise looks the same both ways, so that its
count is a check and nothing more; but single jumps of telegraph noise, which forwards pass for
cosmic rays, are counted. Pixels in which charge was found forwards are left out: their steps
downward would hide what noise does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage, stats

from ohana.blocks import difference_model
from ohana.border import border_mask
from ohana.config import DetectorConfig
from ohana.evaluate.pure_noise import noise_source
from ohana.events import Event, PixelMaps
from ohana.labels import Label
from ohana.pipeline import Found, Progress, find_events
from ohana.ramp import Planes
from ohana.scatter import sum_differences
from ohana.walk import Source, load_block

#: Classes that are charge: these are false in a ramp that runs backwards.
CHARGE = (Label.COSMIC_RAY, Label.SNOWBALL)
#: Significances at which the best steps of pixels are counted [sigma].
THRESHOLDS = np.round(np.arange(3.0, 12.01, 0.25), 2)
#: Confidence of the intervals of counts.
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class BackwardPlanes(Planes):
    """Corrected reads in reverse order with twice the rate of each pixel put on top.

    Attributes
    ----------
    forward : Source
        The exposure as it is.
    stop : ndarray of int, shape (H, W)
        First read that cannot be used, counted forwards.
    order : ndarray of int
        Read of the exposure that each read here is.
    """

    forward: Source
    stop: np.ndarray
    order: np.ndarray

    def select(self, reads: slice | np.ndarray) -> BackwardPlanes:
        """Return the planes of some reads only."""
        return replace(self, offsets=self.offsets[reads], order=self.order[reads])

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as float32 (T, rows, cols); NaN if unusable."""
        block, _ = load_block(self.forward, rows, cols)
        stop, ramp = np.ascontiguousarray(self.stop[rows, cols]), self.forward.ramp
        rate = sum_differences(block.data, stop, difference_model(ramp).dt).rate
        out = block.data[self.order]
        out[self.order[:, None, None] >= stop] = np.nan
        before_end = (ramp.times[-1] - ramp.times[self.order]) / ramp.facts.frame_time
        # One read at a time: the work array stays small.
        for plane, time in zip(out, before_end, strict=True):
            plane += (2 * time * rate).astype(np.float32)
        return out


def backward_source(source: Source, maps: PixelMaps) -> Source:
    """Give the ramps of an exposure backwards, as an exposure of its own.

    Parameters
    ----------
    source : Source
        The exposure.
    maps : PixelMaps
        What was measured in it: where ramps end.
    """
    ramp = source.ramp
    last = len(ramp.planes) - 1
    planes = BackwardPlanes(
        **vars(ramp.planes),
        forward=source,
        stop=maps.stop,
        order=np.arange(last, -1, -1),
    )
    # What cannot be used is NaN already; saturation and correction lie behind.
    backward = replace(
        ramp,
        planes=planes,
        times=ramp.times[0] + ramp.times[-1] - ramp.times[::-1],
        facts=replace(ramp.facts, saturation=np.inf),
        flags=None,
        reference_done=True,
    )
    return Source(backward)


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
    """What is found backwards.

    Attributes
    ----------
    usable, counted : int
        Pixels that can be judged; those of them in which no charge was found forwards, nor
        next to them.
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
    source: Source, found: Found, config: DetectorConfig, seed: int, progress: Progress
) -> FalseAlarms:
    """Look for events in an exposure backwards, and in pure noise, by the stages of forwards.

    Parameters
    ----------
    source : Source
        The exposure.
    found : Found
        What was found in it.
    config : DetectorConfig
        Settings.
    seed : int
        Of the noise.
    progress : callable
        Called with the name of a stage, the parts done and the parts in all.
    """
    # What noise can pass for depends on how many real events there are: as many as forwards.
    backward, noise = (
        find_events(ramps, config, _named(progress, what), population=found.population)
        for ramps, what in (
            (backward_source(source, found.maps), "backwards"),
            (noise_source(source, found.maps, seed), "pure noise"),
        )
    )
    usable = np.isfinite(found.maps.noise) & np.isfinite(found.maps.rate)
    usable &= ~border_mask(source.ramp)
    counted = usable & ~charged_pixels(found.events, usable.shape)
    events = (
        found.events,
        [event for event in backward.events if counted[strongest_pixel(event)]],
        noise.events,
    )
    pixels = int(usable.sum()), int(counted.sum())
    kinds = (Label.COSMIC_RAY, Label.TELEGRAPH_NOISE, Label.SNOWBALL)
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
    """Say what is looked at."""
    return lambda stage, done, total: progress(f"{stage} ({what})", done, total)


def charged_pixels(events: list[Event], shape: tuple[int, int]) -> np.ndarray:
    """Tell the pixels of cosmic rays and snowballs, and those next to them."""
    charged = np.zeros(shape, bool)
    for event in events:
        if event.label in CHARGE:
            charged[event.rows, event.cols] = True
    return ndimage.binary_dilation(charged, np.ones((3, 3), bool))


def strongest_pixel(event: Event) -> tuple[int, int]:
    """Return row and column of the pixel with the largest step."""
    peak = int(np.nanargmax(event.amplitude))
    return int(event.rows[peak]), int(event.cols[peak])


def _alarms(label: Label, counts: list[int], usable: int, counted: int) -> Alarms:
    forward, backward, noise = counts
    purity = Estimate(np.nan, np.nan, np.nan)
    rate = poisson_interval(backward, counted / 1e6)
    if forward and label in CHARGE:
        share = usable / 1e6 / forward
        purity = Estimate(*(max(1 - x * share, 0.0) for x in (rate.value, rate.high, rate.low)))
    return Alarms(
        label, forward, backward, noise, rate, poisson_interval(noise, usable / 1e6), purity
    )


def poisson_interval(count: int, exposure: float) -> Estimate:
    """Return a Poisson rate and its central interval (Garwood 1936, Biometrika 28, 437).

    Examples
    --------
    >>> [round(x, 3) for x in poisson_interval(0, 2.0)]  # 3.689 / 2: two-sided
    [0.0, 0.0, 1.844]
    """
    if not exposure:
        return Estimate(np.nan, np.nan, np.nan)
    tail = (1 - LEVEL) / 2
    low = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    high = stats.chi2.isf(tail, 2 * count + 2) / 2
    return Estimate(count / exposure, float(low) / exposure, float(high) / exposure)


def _tail(maps: PixelMaps, counted: np.ndarray) -> np.ndarray:
    """Count pixels per million whose best upward step exceeds each of `THRESHOLDS`."""
    best = np.sort(maps.best_significance[counted])
    above = len(best) - np.searchsorted(best, THRESHOLDS)
    return 1e6 * above / max(len(best), 1)
