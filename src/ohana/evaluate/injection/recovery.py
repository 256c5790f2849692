"""The outcome of injection and recovery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ohana.classes import Label
from ohana.evaluate.injection.completeness import Completeness
from ohana.evaluate.injection.draw_events import InjectionSettings
from ohana.evaluate.injection.exposure_model import Regions
from ohana.evaluate.injection.false_alarms import FalseAlarms
from ohana.evaluate.injection.scoring import Changes, Injected
from ohana.ramp import DetectorInfo


@dataclass(frozen=True)
class Recovery:
    """Outcome of `inject_and_recover`.

    Attributes
    ----------
    source : Path
        The exposure.
    shape : tuple of int
        (T, H, W).
    facts : DetectorInfo
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
    facts: DetectorInfo
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
