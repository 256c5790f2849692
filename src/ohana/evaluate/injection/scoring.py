"""Outcome of added events, and of the detections of the exposure itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ohana.classes import Label
from ohana.detect.matching import Members
from ohana.evaluate.injection.exposure_model import ExposureModel
from ohana.evaluate.injection.place_events import InjectedEvent
from ohana.evaluate.truth.limits import DATE_SPREAD, READ_TOLERANCE
from ohana.events import Event

#: Parts of the ramp.
PARTS = ("early", "middle", "late")
#: Outcomes of an added event other than being found as one of the classes.
OTHER_READ, NOTHING = "other_read", "nothing"
#: S/N above which the first read of events is scored. Chosen.
DATED_SNR = 8.0


class Injected(NamedTuple):
    """An added event and its outcome.

    Attributes
    ----------
    label : Label
        Its class.
    round : int
        Pass over the exposure, from 1.
    row, col : int
        Brightest pixel.
    first_frame : int or None
        First read that contains it; None for telegraph noise.
    charge : float
        Of the brightest pixel, as if no well ended it; distance of the levels of telegraph
        noise [e-].
    total : float
        Of all pixels, up to the full well [e-].
    snr : float
        Of the best linear estimator in its best pixel.
    region : int
        Output or part of the array.
    part : str or None
        ``early``, ``middle`` or ``late`` in the ramp.
    found : bool
        A detection of its class, at a pixel and about the read of it, that was not there before.
    found_as : str
        Class of that detection, or of the one that shares most pixels with it; ``other_read``
        for one of its class at another read; ``nothing``.
    offset : int or None
        By how many reads it is found late.
    """

    label: Label
    round: int
    row: int
    col: int
    first_frame: int | None
    charge: float
    total: float
    snr: float
    region: int
    part: str | None
    found: bool
    found_as: str
    offset: int | None


class Changes(NamedTuple):
    """Outcome of the detections of the exposure itself, all rounds together.

    ``looked_at`` counts every detection once per round; ``lost`` are no longer found although
    nothing was added to their pixels, ``covered`` where something was; ``strays`` are found
    where there was nothing and nothing was added.
    """

    looked_at: int
    lost: int
    covered: int
    strays: int


def score_round(
    site: ExposureModel, placed: list[InjectedEvent], original: list[Event], found: list[Event]
) -> tuple[list[Injected], Changes]:
    """Compare the detections of one round with the added events and the original detections."""
    width = site.usable.shape[1]
    before, after = (
        Members.gather([(e.rows, e.cols, e.first_frame) for e in events], width)
        for events in (original, found)
    )
    added = Members.gather(
        [(p.event.rows, p.event.cols, p.event.first_frame) for p in placed], width
    )
    kinds = np.array([event.label for event in found], int)
    kinds_before = np.array([event.label for event in original], int)
    old, same, _ = before.matches(after, np.full(before.size, READ_TOLERANCE))
    alike = kinds_before[old] == kinds[same]
    known = np.isin(np.arange(after.size), same[alike])
    near = [
        {int(k): n for k, n in shared.items() if not known[k]} for shared in _partners(added, after)
    ]
    outcomes = [
        _judge(each, site, shared, found) for each, shared in zip(placed, near, strict=True)
    ]
    kept = np.isin(np.arange(before.size), old[alike])
    covered = np.array([bool(x) for x in _partners(before, added)], bool) & ~kept
    beside = np.array([bool(x) for x in _partners(after, added)], bool)
    lost = ~kept & ~covered
    return outcomes, Changes(
        before.size, int(lost.sum()), int(covered.sum()), int((~known & ~beside).sum())
    )


def _partners(some: Members, others: Members) -> list[dict[int, int]]:
    """Return for each event the others that share pixels with it, and how many."""
    mine, theirs = some.shared(others)
    pairs = np.stack([some.event[mine], others.event[theirs]])
    pairs, pixels = np.unique(pairs, axis=1, return_counts=True)
    partners: list[dict[int, int]] = [{} for _ in range(some.size)]
    for own, other, count in zip(*pairs.tolist(), pixels.tolist(), strict=True):
        partners[own][other] = count
    return partners


def _judge(
    placed: InjectedEvent, site: ExposureModel, shared: dict[int, int], found: list[Event]
) -> Injected:
    """Return the outcome of an added event, from the pixels it shares with new detections."""
    event, own = placed.event, placed.event.label
    peak = int(event.charge.argmax()) if len(event.charge) else 0
    row, col = (int(axis[peak]) for axis in (event.rows, event.cols))
    lags = [
        int((found[k].first_frame or 0) - (event.first_frame or 0))
        for k in shared
        if found[k].label == own
    ]
    offset = min(lags, key=abs) if lags else None
    noise = float(site.limits.noise[row, col])
    tolerance = READ_TOLERANCE + DATE_SPREAD * (noise / max(placed.charge, 1e-9)) ** 2
    hit = offset is not None and abs(offset) <= tolerance
    if hit:
        outcome = own.key
    elif offset is not None:
        outcome = OTHER_READ
    else:
        outcome = found[max(shared, key=lambda k: shared[k])].label.key if shared else NOTHING
    return Injected(
        own,
        0,
        row,
        col,
        event.first_frame,
        placed.charge,
        float(event.charge.sum()),
        float(event.snr.max(initial=0)),
        placed.region,
        _part(event.first_frame, site),
        hit,
        outcome,
        offset if event.first_frame is not None else None,
    )


def _part(read: int | None, site: ExposureModel) -> str | None:
    """Return the third of the ramp that a read is in."""
    if read is None:
        return None
    low, high = site.reads
    return PARTS[min(max((read - low) * len(PARTS) // (high - low + 1), 0), len(PARTS) - 1)]


def offsets_of(events: Sequence[Injected]) -> np.ndarray:
    """Return the delay of the first read of bright events found at their place [reads]."""
    return np.array([e.offset for e in events if e.offset is not None and e.snr >= DATED_SNR], int)
