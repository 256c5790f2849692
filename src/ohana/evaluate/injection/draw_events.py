"""Places for events that are added to an exposure: free pixels, in as many rounds as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.detect.telegraph.fit import MIN_READS
from ohana.errors import OhanaError
from ohana.evaluate.injection.exposure_model import Site, just_found
from ohana.evaluate.truth.limits import MIN_TRANSITIONS
from ohana.simulate.config import SimulationConfig
from ohana.simulate.cosmic_rays import draw_hit
from ohana.simulate.deposits import Deposits, Source
from ohana.simulate.snowballs import draw_snowball
from ohana.simulate.telegraph_noise import Flicker, draw_flicker
from ohana.simulate.true_signal import true_events
from ohana.simulate.truth import TrueEvent

#: Part of the usable pixels that cosmic rays and telegraph noise of one round may change, and
#: snowballs: few enough that noise, rates and neighbours stay what they are.
CROWDING = 0.02
SNOWBALL_CROWDING = 0.1
#: Places that are tried for each event in each round.
TRIES = 40
#: Part of a snowball's pixels that may be unusable.
UNUSABLE = 0.1
#: Events are drawn in an empty square of so many pixels a side and then moved to their place.
SQUARE = 512
#: Paths of telegraph noise that are drawn until one has transitions enough.
BALL_TRIES = 40
#: Snowballs are drawn with a core of this many full wells of their own, see `draw_ball`.
CORE_WELLS = 2.0
Positive = Annotated[float, Field(gt=0)]


class Placed(NamedTuple):
    """An added event.

    ``charge`` is that of its brightest pixel, as if no well ended it; for telegraph noise the
    distance of its levels [e-].
    """

    event: TrueEvent
    charge: float
    region: int


def place_events(
    site: Site, wanted: list[Wanted], settings: InjectionSettings, rng: np.random.Generator
) -> Iterator[list[Placed]]:
    """Give the events of one round after the other, each with all that has room.

    Raises
    ------
    OhanaError
        If there is no room for all of them in the rounds allowed.
    """
    left = wanted
    for _ in range(settings.rounds):
        if not left:
            return
        sources, left = _fill(site, left, rng)
        if not sources:
            break
        yield _finish(site, sources)
    if left:
        kinds = ", ".join(
            f"{sum(w.label == label for w in left)} {label.key}"
            for label in Label
            if any(w.label == label for w in left)
        )
        raise OhanaError(
            f"{site.ramp.source}: no room for {kinds} more on {int(site.usable.sum())} usable "
            f"pixels in {settings.rounds} rounds; ask for fewer events or more rounds"
        )


def _fill(
    site: Site, wanted: list[Wanted], rng: np.random.Generator
) -> tuple[list[tuple[Wanted, Source | Flicker]], list[Wanted]]:
    """Place events in one round; returns them, and those left for the next."""
    new = np.zeros(site.usable.shape, bool)
    share = dict.fromkeys(Label, 0.0)
    done: list[tuple[Wanted, Source | Flicker]] = []
    left: list[Wanted] = []
    for want in wanted:
        ball = want.label == Label.SNOWBALL
        used = share[Label.SNOWBALL] if ball else share[Label.BACKGROUND]
        room = used < (SNOWBALL_CROWDING if ball else CROWDING)
        placed = _place(site, want, new, rng) if room else None
        if placed is None:
            left.append(want)
            continue
        source, rows, cols = placed
        window = tuple(slice(max(x.min() - 1, 0), x.max() + 2) for x in (rows, cols))
        around = np.zeros([s.stop - s.start for s in window], bool)
        around[rows - window[0].start, cols - window[1].start] = True
        around = ndimage.binary_dilation(around, np.ones((3, 3), bool))
        new[window] |= around[: new[window].shape[0], : new[window].shape[1]]
        share[Label.SNOWBALL if ball else Label.BACKGROUND] += len(rows) / site.usable.sum()
        done.append((want, source))
    return done, left


def _place(
    site: Site, want: Wanted, new: np.ndarray, rng: np.random.Generator
) -> tuple[Source | Flicker, np.ndarray, np.ndarray] | None:
    """Find room for an event; returns it with its visible pixels."""
    drawn = draw_event(site, want, rng)
    for _ in range(TRIES):
        spot = [int(rng.integers(s.start, s.stop)) for s in site.regions.bounds(want.region)]
        if not site.usable[spot[0], spot[1]]:
            continue
        if isinstance(drawn, Flicker):
            flicker = replace(drawn, row=spot[0], col=spot[1])
            rows, cols = np.array(spot[:1]), np.array(spot[1:])
            if not (new | site.taken[want.label])[rows, cols].any():
                return flicker, rows, cols
            continue
        hit, rows, cols = _moved(site, drawn, spot)
        clash = new[rows, cols].any() or site.taken[want.label][rows, cols].any()
        bad = np.mean(~site.usable[rows, cols])
        if len(rows) and not clash and bad <= (UNUSABLE if want.label == Label.SNOWBALL else 0):
            return hit, rows, cols
    return None


def _moved(site: Site, event: Source, spot: list[int]) -> tuple[Source, np.ndarray, np.ndarray]:
    """Move an event to a place; returns its visible pixels too.

    What falls beside the light-sensitive part is lost.
    """
    row, col, frame, charge = event.deposits
    # A core has many pixels that are alike: not the brightest one, but the centre is moved.
    peak = int(charge.argmax())
    centre = np.array(event.facts.get("center", (row[peak], col[peak])), float)
    down, right = np.array(spot) - np.round(centre).astype(int)
    row, col = row + np.int32(down), col + np.int32(right)
    height, width = site.lit.shape
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    inside[inside] = site.lit[row[inside], col[inside]]
    kept = Deposits(row[inside], col[inside], frame[inside], charge[inside])
    facts = dict(event.facts)
    if "center" in facts:
        facts["center"] = [float(x) for x in centre + (down, right)]
    pixel, which = np.unique(kept.row * np.int64(width) + kept.col, return_inverse=True)
    rows, cols = np.divmod(pixel, width)
    total = np.bincount(which, kept.charge, len(pixel))
    # The brightest pixel counts, however faint.
    seen = total >= np.minimum(site.limits.noise[rows, cols], total.max(initial=0))
    return replace(event, deposits=kept, facts=facts), rows[seen], cols[seen]


def _finish(site: Site, sources: list[tuple[Wanted, Source | Flicker]]) -> list[Placed]:
    """Return the truth of what is added."""
    # Hits first, then telegraph noise: the order in which the truth comes.
    sources = sorted(sources, key=lambda pair: isinstance(pair[1], Flicker))
    events = true_events(
        [source for _, source in sources if isinstance(source, Source)],
        [source for _, source in sources if isinstance(source, Flicker)],
        site.limits,
        site.simulation,
        site.model,
    )
    return [
        Placed(_inside(event, site.lit), _brightness(event, want), want.region)
        for event, (want, _) in zip(events, sources, strict=True)
    ]


def _brightness(event: TrueEvent, want: Wanted) -> float:
    """Return the charge of the brightest pixel; that of a core as if it were not full."""
    if event.label == Label.SNOWBALL:
        return want.charge
    return float(event.charge.max(initial=0))


def _inside(event: TrueEvent, lit: np.ndarray) -> TrueEvent:
    """Leave out reference pixels, which charge does not reach."""
    keep = lit[event.rows, event.cols]
    columns = {
        name: getattr(event, name)[keep] for name in ("rows", "cols", "reads", "charge", "snr")
    }
    again = lit[event.repeated.row, event.repeated.col]
    repeated = type(event.repeated)(*(column[again] for column in event.repeated))
    return replace(event, repeated=repeated, **columns)


class InjectionSettings(BaseModel):
    """How many events are added to an exposure, and how bright.

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


class Wanted(NamedTuple):
    """An event to be added: its class, brightness [e-], first frame (-1: none) and region."""

    label: Label
    charge: float
    frame: int
    region: int


def draw_wanted(
    site: Site, settings: InjectionSettings, config: DetectorConfig, rng: np.random.Generator
) -> list[Wanted]:
    """Draw brightness, time and region of all events: each stratified, so evenly spread."""
    wanted: list[Wanted] = []
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
    label: Label, count: int, limits: tuple[float, float], site: Site, rng: np.random.Generator
) -> list[Wanted]:
    low, high = np.log(limits)
    charge = np.exp(low + (high - low) * _even(count, rng))
    frames = _frames(site, _even(count, rng))
    region = rng.permutation(count) % len(site.regions)
    if label == Label.TELEGRAPH_NOISE:
        frames[:] = -1
    return [
        Wanted(label, float(q), int(frame), int(part))
        for q, frame, part in zip(charge, frames, region, strict=True)
    ]


def _even(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw numbers from 0 to 1 in random order, one in each of ``count`` equal intervals."""
    return (rng.permutation(count) + rng.random(count)) / max(count, 1)


def _frames(site: Site, share: np.ndarray) -> np.ndarray:
    """Return the first frames of events that come at given shares of the time."""
    low, high = site.reads
    begins, averaged = site.simulation.first_frames, site.simulation.averaged
    # Frames just after the first of read low - 1 up to the last of read ``high``.
    frames = np.arange(begins[low - 1] + 1, begins[high] + averaged[high])
    waits = np.diff(site.simulation.frame_times)[frames - 1]
    until = np.cumsum(waits) / waits.sum()
    return frames[np.searchsorted(until, share, "right").clip(0, len(frames) - 1)]


def draw_event(site: Site, want: Wanted, rng: np.random.Generator) -> Source | Flicker:
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
) -> Source:
    """Draw a snowball whose core has a given charge per pixel [e-].

    All of it, halo, growth and ring, is scaled with the core: a faint one is as much a
    snowball as one that fills its pixels.
    """
    wells = {"full_well": core / CORE_WELLS, "snowball_core": (CORE_WELLS, CORE_WELLS)}
    return draw_snowball(frame, centre, config.model_copy(update=wells), rng)


def _draw_flicker(site: Site, amplitude: float, rng: np.random.Generator) -> Flicker:
    """Draw telegraph noise with at least `MIN_TRANSITIONS` changes of level that can be seen."""
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
