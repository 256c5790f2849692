"""Injection and recovery: completeness of an exposure, measured in the exposure itself.

Events of known charge are added to its reads, the stages of ``ohana-predict`` run again, and what
they find is compared with what was added. What they find in the ramps read backwards, and in pure
noise of the same rates, shows how much is false (`ohana.evaluate.injection.false_alarms`).
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.correction.fit import corrected_ramp, fit_shared
from ohana.correction.load import CorrectedRamp
from ohana.detect.row_block import compile_kernels
from ohana.detect.telegraph.fit import MIN_READS
from ohana.evaluate.injection.completeness import Completeness, fit_completeness
from ohana.evaluate.injection.draw_events import InjectionSettings, draw_wanted
from ohana.evaluate.injection.exposure_model import Regions, model_exposure
from ohana.evaluate.injection.false_alarms import count_false_alarms
from ohana.evaluate.injection.place_events import place_events
from ohana.evaluate.injection.planes import with_events
from ohana.evaluate.injection.recovery import Recovery
from ohana.evaluate.injection.scoring import PARTS, Changes, Injected, score_round
from ohana.pipeline import find_events
from ohana.read import open_exposure
from ohana.read.integrations import pick_integration
from ohana.results.catalogue import write_catalogue
from ohana.utils.files import make_folder
from ohana.utils.progress import Progress, no_progress

if TYPE_CHECKING:
    from ohana.network.model_file import Network

log = logging.getLogger("ohana")

#: Name of the stage that adds and finds events.
ADDED = "added events"


def inject_and_recover(
    path: str | Path,
    output_dir: str | Path,
    config: DetectorConfig,
    settings: InjectionSettings,
    rng: np.random.Generator,
    progress: Progress | None = None,
    network: Network | None = None,
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
    network : Network, optional
        Finds events besides those of the rules.

    Raises
    ------
    OhanaError
        The input is no ramp, has no usable pixels, or has no room for so many events.
    """
    start, progress = time.perf_counter(), progress or no_progress
    ramp = pick_integration(open_exposure(path, config), settings.integration)
    make_folder(Path(output_dir))
    compile_kernels(log)
    source, told = corrected_ramp(ramp, config)
    original = find_events(source, config, progress, network=network)
    write_catalogue(Path(output_dir) / "detections.json", original.events)
    site = model_exposure(ramp, original)
    drawing, placing, noise = rng.spawn(3)
    wanted = draw_wanted(site, settings, config, drawing)
    events: list[Injected] = []
    changes = Changes(0, 0, 0, 0)
    for number, placed in enumerate(place_events(site, wanted, settings, placing), 1):
        # What pixels share is measured again: it must not contain any part of an event.
        with_them = with_events(ramp, [each.event for each in placed])
        added = CorrectedRamp(with_them, source.reference)
        added = fit_shared(added, config.threads) if config.shared_correction else added
        # Each event is scored as if it were alone: with the densities of the original exposure.
        shared = _share(progress, len(events), len(placed), len(wanted))
        found = find_events(added, config, shared, None, original.population, network)
        some, change = score_round(site, placed, original.events, found.events)
        events += [event._replace(round=number) for event in some]
        changes = Changes(*(a + b for a, b in zip(changes, change, strict=True)))
        progress(ADDED, len(events), len(wanted))
    alarms = None
    if settings.backwards:
        seed = int(noise.integers(2**63))
        alarms = count_false_alarms(source, original, config, seed, progress, network)
    notices = [*ramp.notes, *told]
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


def _share(progress: Progress, done: int, some: int, total: int) -> Progress:
    """Count the pixel-reads of one round as parts of all events to be added."""

    def report(stage: str, searched: int, of: int) -> None:
        if stage == "steps":
            progress(ADDED, min(done + some * searched // of, total - 1), total)

    return report


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
            if label.traits.has_first_read
        }
    return charge, snr, region, part


def _fit(events: list[Injected], quantity: str) -> Completeness:
    values = np.array([getattr(event, quantity) for event in events], float)
    return fit_completeness(values, np.array([event.found for event in events], bool))
