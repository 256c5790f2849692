"""Random events to add to an exposure: brightness, time, region and shape."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.telegraph.fit import MIN_READS
from ohana.evaluate.injection.exposure_model import ExposureModel, just_found
from ohana.evaluate.truth.limits import MIN_TRANSITIONS
from ohana.simulate.config import SimulationConfig
from ohana.simulate.cosmic_rays import draw_hit
from ohana.simulate.deposits import ChargeEvent
from ohana.simulate.snowballs import draw_snowball
from ohana.simulate.telegraph_noise import TelegraphSignal, draw_flicker

#: Side of the empty square in which events are drawn before they are placed [pixel]. Chosen.
SQUARE = 512
#: Maximum number of paths drawn until one has enough transitions. Chosen.
BALL_TRIES = 40
#: Core of a snowball when drawn [full well], see `draw_ball`. Chosen.
CORE_WELLS = 2.0
Positive = Annotated[float, Field(gt=0)]


class InjectionSettings(BaseModel):
    """Number and brightness of the events added to an exposure.

    Charges are drawn log-uniformly, those of cosmic rays and levels of telegraph noise in units
    of what is just found, which follows from the noise of the exposure and the thresholds.

    Examples
    --------
    >>> InjectionSettings(events=200).snowball_count
    20
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: int = Field(400, ge=0, description="Cosmic rays, and pixels with telegraph noise.")
    snowballs: int | None = Field(None, ge=0, description="Snowballs; None: a tenth of events.")
    charge_range: tuple[Positive, Positive] = Field(
        (0.2, 6.0), description="Charge of the brightest pixel [charge that is just found]."
    )
    snowball_range: tuple[Positive, Positive] = Field(
        (0.02, 3.0), description="Charge of a pixel of the core [full wells]."
    )
    rounds: int = Field(50, ge=1, description="Most passes over the exposure.")
    integration: int = Field(0, ge=0, description="Integration of the file.")
    backwards: bool = Field(True, description="Count false alarms: backwards, and in pure noise.")

    @property
    def snowball_count(self) -> int:
        """Number of snowballs."""
        return self.events // 10 if self.snowballs is None else self.snowballs


class RequestedEvent(NamedTuple):
    """An event to be added: its class, brightness [e-], first frame (-1: none) and region."""

    label: Label
    charge: float
    frame: int
    region: int


def draw_wanted(
    site: ExposureModel,
    settings: InjectionSettings,
    config: DetectorConfig,
    rng: np.random.Generator,
) -> list[RequestedEvent]:
    """Draw brightness, time and region of all events: each stratified, so evenly spread."""
    wanted: list[RequestedEvent] = []
    low, high = settings.charge_range
    for label, unit in just_found(site, config).items():
        top = unit * high
        if label == Label.TELEGRAPH_NOISE:
            if site.reads[1] - site.reads[0] + 2 < MIN_READS:
                continue
            top = min(top, config.rtn_amplitude_range[1] * site.ramp.facts.gain)
        wanted += _wanted(label, settings.events, (unit * low, max(top, unit)), site, rng)
    well = site.simulation.full_well
    limits = (settings.snowball_range[0] * well, settings.snowball_range[1] * well)
    return wanted + _wanted(Label.SNOWBALL, settings.snowball_count, limits, site, rng)


def _wanted(
    label: Label,
    count: int,
    limits: tuple[float, float],
    site: ExposureModel,
    rng: np.random.Generator,
) -> list[RequestedEvent]:
    low, high = np.log(limits)
    charge = np.exp(low + (high - low) * _even(count, rng))
    frames = _frames(site, _even(count, rng))
    region = rng.permutation(count) % len(site.regions)
    if label == Label.TELEGRAPH_NOISE:
        frames[:] = -1
    return [
        RequestedEvent(label, float(q), int(frame), int(part))
        for q, frame, part in zip(charge, frames, region, strict=True)
    ]


def _even(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw stratified numbers from 0 to 1: one in each of ``count`` intervals, shuffled."""
    return (rng.permutation(count) + rng.random(count)) / max(count, 1)


def _frames(site: ExposureModel, share: np.ndarray) -> np.ndarray:
    """Return the first frames of events that come at given shares of the time."""
    low, high = site.reads
    begins, averaged = site.simulation.first_frames, site.simulation.averaged
    # Frames just after the first of read low - 1 up to the last of read ``high``.
    frames = np.arange(begins[low - 1] + 1, begins[high] + averaged[high])
    waits = np.diff(site.simulation.frame_times)[frames - 1]
    until = np.cumsum(waits) / waits.sum()
    return frames[np.searchsorted(until, share, "right").clip(0, len(frames) - 1)]


def draw_event(
    site: ExposureModel, want: RequestedEvent, rng: np.random.Generator
) -> ChargeEvent | TelegraphSignal:
    """Draw the shape of an event in the middle of an empty square."""
    if want.label == Label.TELEGRAPH_NOISE:
        return _draw_flicker(site, want.charge, rng)
    config = site.simulation.model_copy(update={"rows": SQUARE, "cols": SQUARE})
    middle = SQUARE // 2 + rng.uniform(-0.5, 0.5, 2)
    if want.label == Label.SNOWBALL:
        return draw_ball(want.frame, middle, want.charge, config, rng)
    event = draw_hit(want.frame, middle, config, rng)
    amount = event.deposits.charge
    amount = amount * np.float32(want.charge / amount.max())
    return replace(event, deposits=event.deposits._replace(charge=amount))


def draw_ball(
    frame: int,
    centre: np.ndarray,
    core: float,
    config: SimulationConfig,
    rng: np.random.Generator,
) -> ChargeEvent:
    """Draw a snowball whose core has a given charge per pixel [e-].

    All of it, halo, growth and ring, is scaled with the core: a faint one is as much a
    snowball as one that fills its pixels.
    """
    wells = {"full_well": core / CORE_WELLS, "snowball_core": (CORE_WELLS, CORE_WELLS)}
    return draw_snowball(frame, centre, config.model_copy(update=wells), rng)


def _draw_flicker(
    site: ExposureModel, amplitude: float, rng: np.random.Generator
) -> TelegraphSignal:
    """Draw telegraph noise with at least `MIN_TRANSITIONS` visible transitions."""
    low, high = site.reads
    # Half a ramp for a period at most, else there are hardly enough transitions.
    longest = max(min(site.simulation.telegraph_period[1], (high - low) / 2), 4.0)
    shortest = min(site.simulation.telegraph_period[0], longest)
    config = site.simulation.model_copy(
        update={
            "telegraph_amplitude": (amplitude, amplitude),
            "telegraph_period": (shortest, longest),
        }
    )
    for _ in range(BALL_TRIES):
        flicker = draw_flicker(0, 0, config, rng)
        if np.count_nonzero(np.diff(flicker.path[low - 1 : high + 1])) >= MIN_TRANSITIONS:
            break
    return flicker
