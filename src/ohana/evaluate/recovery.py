"""Injection and recovery: what would be found in an exposure, measured in this very exposure.

Events of known charge are added to its reads, the stages of ``ohana-predict`` run again, and what
they find is compared with what was added. What they find in the ramps read backwards, and in pure
noise of the same rates, tells how much is false (`ohana.evaluate.backwards`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ohana.blocks import compile_kernels
from ohana.catalog import write_catalogue
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.evaluate.backwards import FalseAlarms, count_false_alarms
from ohana.evaluate.completeness import Completeness, fit_completeness
from ohana.evaluate.inject import with_events
from ohana.evaluate.limits import DATE_SPREAD, READ_TOLERANCE
from ohana.evaluate.match import Members
from ohana.evaluate.placing import InjectionSettings, Placed, draw_wanted, place_events
from ohana.evaluate.recovery_report import recovery_table, save_recovery
from ohana.evaluate.site import Regions, Site, survey
from ohana.events import Event
from ohana.files import make_folder
from ohana.labels import Label
from ohana.pipeline import Progress, find_events
from ohana.ramp import Facts, Ramp
from ohana.read import open_exposure
from ohana.refpix import fit_reference
from ohana.rules.telegraph_noise import MIN_READS
from ohana.walk import Source

__all__ = [
    "InjectionSettings",
    "Recovery",
    "inject_and_recover",
    "recovery_table",
    "save_recovery",
]

log = logging.getLogger("ohana")

#: Parts of the ramp.
PARTS = ("early", "middle", "late")
#: Name of the stage of adding and finding events.
ADDED = "added events"
#: What can become of an added event, beside being found as one of the classes.
OTHER_READ, NOTHING = "other_read", "nothing"


class Injected(NamedTuple):
    """An added event and what became of it.

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
    """What became of the detections of the exposure itself, all rounds together.

    ``looked_at`` counts every detection once per round; ``lost`` are no longer found although
    nothing was added to their pixels, ``covered`` where something was; ``strays`` are found
    where there was nothing and nothing was added.
    """

    looked_at: int
    lost: int
    covered: int
    strays: int


@dataclass(frozen=True)
class Recovery:
    """Outcome of `inject_and_recover`.

    Attributes
    ----------
    source : Path
        The exposure.
    shape : tuple of int
        (T, H, W).
    facts : Facts
        What was taken for the detector.
    settings : InjectionSettings
        What was added.
    regions : Regions
        Outputs or parts of the array.
    events : list of Injected
        Every added event.
    by_charge, by_snr : dict
        Completeness of each class.
    by_region : dict
        Of each class, against charge, for each region.
    by_part : dict
        Of each class, against charge, for each part of the ramp.
    changes : Changes
        What became of the detections of the exposure itself.
    false_alarms : FalseAlarms or None
        What is found backwards and in pure noise; None if it was not asked for.
    notices : tuple of str
        What the user should know.
    seconds : float
        Duration.
    """

    source: Path
    shape: tuple[int, int, int]
    facts: Facts
    settings: InjectionSettings
    regions: Regions
    events: list[Injected]
    by_charge: dict[Label, Completeness]
    by_snr: dict[Label, Completeness]
    by_region: dict[Label, list[Completeness]]
    by_part: dict[Label, dict[str, Completeness]]
    changes: Changes
    false_alarms: FalseAlarms | None
    notices: tuple[str, ...]
    seconds: float

    def of(self, label: Label) -> list[Injected]:
        """Return the events of one class."""
        return [event for event in self.events if event.label == label]


def inject_and_recover(
    path: str | Path,
    output_dir: str | Path,
    config: DetectorConfig,
    settings: InjectionSettings,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Recovery:
    """Measure completeness and false alarms of an exposure in the exposure itself.

    Parameters
    ----------
    path : str or Path
        The exposure, which is only read.
    output_dir : str or Path
        Gets ``detections.json``, the catalogue of the exposure as it is.
    config : DetectorConfig
        Settings of the detection.
    settings : InjectionSettings
        What to add.
    rng : numpy.random.Generator
        Source of all that is drawn; results depend on nothing else.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Raises
    ------
    OhanaError
        The input is no ramp, has no usable pixels, or has no room for so many events.
    """
    start, tell = time.perf_counter(), progress or (lambda stage, done, total: None)
    ramp = _one_integration(Path(path), config, settings.integration)
    make_folder(Path(output_dir))
    compile_kernels(log)
    reference, notice = fit_reference(ramp, config)
    source = Source(ramp, reference)
    original = find_events(source, config, tell)
    write_catalogue(Path(output_dir) / "detections.json", original.events)
    site = survey(ramp, original)
    drawing, placing, noise = rng.spawn(3)
    wanted = draw_wanted(site, settings, config, drawing)
    events: list[Injected] = []
    changes = Changes(0, 0, 0, 0)
    for number, placed in enumerate(place_events(site, wanted, settings, placing), 1):
        added = Source(with_events(ramp, [each.event for each in placed]), reference)
        # Each event is judged as if it were alone: by the population of the exposure as it is.
        told = _share(tell, len(events), len(placed), len(wanted))
        found = find_events(added, config, told, population=original.population)
        some, change = _compare(site, placed, original.events, found.events)
        events += [event._replace(round=number) for event in some]
        changes = Changes(*(a + b for a, b in zip(changes, change, strict=True)))
        tell(ADDED, len(events), len(wanted))
    alarms = None
    if settings.backwards:
        seed = int(noise.integers(2**63))
        alarms = count_false_alarms(source, original, config, seed, tell)
    notices = [*ramp.notes, notice]
    if ramp.shape[0] < MIN_READS:
        notices.append(f"telegraph noise: needs {MIN_READS} reads, none added")
    return Recovery(
        Path(path),
        ramp.shape,
        ramp.facts,
        settings,
        site.regions,
        events,
        *_curves(events, site.regions),
        changes,
        alarms,
        tuple(notices),
        time.perf_counter() - start,
    )


def _one_integration(path: Path, config: DetectorConfig, integration: int) -> Ramp:
    ramps = open_exposure(path, config)
    if integration >= len(ramps):
        raise OhanaError(
            f"{path}: wanted integration {integration}, the file has {len(ramps)} (from 0)"
        )
    return ramps[integration]


def _share(tell: Progress, done: int, some: int, total: int) -> Progress:
    """Count the blocks of one round as parts of all events to be added."""

    def report(stage: str, blocks: int, of: int) -> None:
        if stage == "steps":
            tell(ADDED, min(done + some * blocks // of, total - 1), total)

    return report


def _compare(
    site: Site, placed: list[Placed], original: list[Event], found: list[Event]
) -> tuple[list[Injected], Changes]:
    """Compare the detections of one round with what was added and with those of before."""
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


def _judge(placed: Placed, site: Site, shared: dict[int, int], found: list[Event]) -> Injected:
    """Say what became of an added event, from the pixels that each new detection shares with it."""
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


def _part(read: int | None, site: Site) -> str | None:
    """Return the third of the ramp that a read is in."""
    if read is None:
        return None
    low, high = site.reads
    return PARTS[min(max((read - low) * len(PARTS) // (high - low + 1), 0), len(PARTS) - 1)]


def _curves(
    events: list[Injected], regions: Regions
) -> tuple[
    dict[Label, Completeness],
    dict[Label, Completeness],
    dict[Label, list[Completeness]],
    dict[Label, dict[str, Completeness]],
]:
    """Fit completeness against charge and S/N: of all, by region and by part of the ramp."""
    charge, snr, region, part = {}, {}, {}, {}
    for label in sorted({event.label for event in events}):
        mine = [event for event in events if event.label == label]
        charge[label] = _fit(mine, "charge")
        snr[label] = _fit([event for event in mine if event.snr > 0], "snr")
        region[label] = [
            _fit([event for event in mine if event.region == k], "charge")
            for k in range(len(regions))
        ]
        part[label] = {
            name: _fit([event for event in mine if event.part == name], "charge")
            for name in PARTS
            if label != Label.TELEGRAPH_NOISE
        }
    return charge, snr, region, part


def _fit(events: list[Injected], quantity: str) -> Completeness:
    values = np.array([getattr(event, quantity) for event in events], float)
    return fit_completeness(values, np.array([event.found for event in events], bool))
