"""Placing of added events: on free pixels, in several rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.evaluate.injection.draw_events import InjectionSettings, RequestedEvent, draw_event
from ohana.evaluate.injection.exposure_model import ExposureModel
from ohana.simulate.deposits import ChargeEvent, Deposits
from ohana.simulate.telegraph_noise import TelegraphSignal
from ohana.simulate.true_signal import true_events
from ohana.simulate.truth import TrueEvent

#: Maximum fraction of the usable pixels changed in one round, by cosmic rays and telegraph noise,
#: and by snowballs; small, so that noise and rates are not affected. Chosen.
CROWDING = 0.02
SNOWBALL_CROWDING = 0.1
#: Attempts to place an event in a round. Chosen.
TRIES = 40
#: Maximum fraction of unusable pixels in a snowball. Chosen.
UNUSABLE = 0.1


class InjectedEvent(NamedTuple):
    """An added event.

    ``charge`` is that of its brightest pixel, as if no well ended it; for telegraph noise the
    distance of its levels [e-].
    """

    event: TrueEvent
    charge: float
    region: int


def place_events(
    site: ExposureModel,
    wanted: list[RequestedEvent],
    settings: InjectionSettings,
    rng: np.random.Generator,
) -> Iterator[list[InjectedEvent]]:
    """Yield the events of each round, each filled as far as possible.

    Raises
    ------
    OhanaError
        The events do not fit into the number of rounds allowed.
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
    site: ExposureModel, wanted: list[RequestedEvent], rng: np.random.Generator
) -> tuple[list[tuple[RequestedEvent, ChargeEvent | TelegraphSignal]], list[RequestedEvent]]:
    """Place events in one round; returns them, and those left for the next."""
    new = np.zeros(site.usable.shape, bool)
    share = dict.fromkeys(Label, 0.0)
    done: list[tuple[RequestedEvent, ChargeEvent | TelegraphSignal]] = []
    left: list[RequestedEvent] = []
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
    site: ExposureModel, want: RequestedEvent, new: np.ndarray, rng: np.random.Generator
) -> tuple[ChargeEvent | TelegraphSignal, np.ndarray, np.ndarray] | None:
    """Find a free place for an event; return it with its visible pixels."""
    drawn = draw_event(site, want, rng)
    for _ in range(TRIES):
        spot = [int(rng.integers(s.start, s.stop)) for s in site.regions.bounds(want.region)]
        if not site.usable[spot[0], spot[1]]:
            continue
        if isinstance(drawn, TelegraphSignal):
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


def _moved(
    site: ExposureModel, event: ChargeEvent, spot: list[int]
) -> tuple[ChargeEvent, np.ndarray, np.ndarray]:
    """Move an event to a place; return its visible pixels too.

    What falls beside the light-sensitive part is lost.
    """
    row, col, frame, charge = event.deposits
    # The pixels of a core are nearly equal, so its centre is moved, not its brightest pixel.
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
    # The brightest pixel is always included.
    visible = total >= np.minimum(site.limits.noise[rows, cols], total.max(initial=0))
    return replace(event, deposits=kept, facts=facts), rows[visible], cols[visible]


def _finish(
    site: ExposureModel, sources: list[tuple[RequestedEvent, ChargeEvent | TelegraphSignal]]
) -> list[InjectedEvent]:
    """Return the truth of what is added."""
    # Hits first, then telegraph noise, as in the truth.
    sources = sorted(sources, key=lambda pair: isinstance(pair[1], TelegraphSignal))
    events = true_events(
        [source for _, source in sources if isinstance(source, ChargeEvent)],
        [source for _, source in sources if isinstance(source, TelegraphSignal)],
        site.limits,
        site.simulation,
        site.model,
    )
    return [
        InjectedEvent(_inside(event, site.lit), _brightness(event, want), want.region)
        for event, (want, _) in zip(events, sources, strict=True)
    ]


def _brightness(event: TrueEvent, want: RequestedEvent) -> float:
    """Return the charge of the brightest pixel; that of a core without saturation."""
    if event.label == Label.SNOWBALL:
        return want.charge
    return float(event.charge.max(initial=0))


def _inside(event: TrueEvent, lit: np.ndarray) -> TrueEvent:
    """Exclude reference pixels, which collect no charge."""
    keep = lit[event.rows, event.cols]
    columns = {
        name: getattr(event, name)[keep] for name in ("rows", "cols", "reads", "charge", "snr")
    }
    again = lit[event.repeated.row, event.repeated.col]
    repeated = type(event.repeated)(*(column[again] for column in event.repeated))
    return replace(event, repeated=repeated, **columns)
