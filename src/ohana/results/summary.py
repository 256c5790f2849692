"""Summary of a run for the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.events import Event, PixelMaps
from ohana.ramp import DetectorInfo, Ramp
from ohana.refpix.border import border_mask
from ohana.results.health import Health, warnings_of
from ohana.utils.formatting import columns

#: Detector properties shown to the user for checking, with their units.
FACTS = (
    ("gain", "e-/DN"),
    ("saturation", "DN"),
    ("frame_time", "s"),
    ("read_noise", "DN"),
    ("outputs", ""),
    ("border", "px"),
)

#: Origins of an event.
SOURCES = ("rules", "unet", "both")


@dataclass(frozen=True)
class ClassSummary:
    """Numbers of one class.

    Attributes
    ----------
    label : Label
        The class.
    events, pixels : int
        Events, and pixels they cover.
    density : float
        Events per million pixels.
    amplitude, confidence : float
        Medians over the events; amplitude of the strongest pixel [DN].
    """

    label: Label
    events: int
    pixels: int
    density: float
    amplitude: float
    confidence: float


@dataclass(frozen=True)
class Summary:
    """Outcome of one exposure; ``str()`` gives a page for the terminal.

    Attributes
    ----------
    source : Path
        The input.
    name : str
        Name of the exposure.
    folder : Path
        Where the results are.
    shape : tuple of int
        (T, H, W) of one integration.
    integrations : int
        Integrations in the file.
    facts : DetectorInfo
        Detector properties used, and their sources.
    noise, rate : float
        Medians over the pixels that see light [DN, DN per frame time].
    classes : tuple of ClassSummary
        One for each class.
    notices : tuple of str
        Notices for the user.
    files : tuple of Path
        Files written or reused.
    stages : dict
        Name of each stage -> seconds it took.
    failed : dict
        Those of ``catalogues``, ``products`` and ``report`` that failed -> reason.
    health : tuple of Health
        One for each integration.
    """

    source: Path
    name: str
    folder: Path
    shape: tuple[int, int, int]
    integrations: int
    facts: DetectorInfo
    noise: float
    rate: float
    classes: tuple[ClassSummary, ...]
    notices: tuple[str, ...]
    files: tuple[Path, ...]
    stages: dict[str, float]
    failed: dict[str, str] = field(default_factory=dict)
    health: tuple[Health, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration."""
        return sum(self.stages.values())

    @property
    def warnings(self) -> list[str]:
        """Warnings of all integrations, each with its number if there are several."""
        return warnings_of((each.integration, each.warnings) for each in self.health)

    def __str__(self) -> str:
        notes = [f"  warning: {warning}" for warning in self.warnings]
        notes += [f"  note: {notice}" for notice in self.notices]
        files = [f"  {path}" for path in self.files]
        table = columns(class_rows(self.classes))
        return "\n".join([*self.heading(), *notes, table, *files, f"{self.seconds:.1f} s"])

    def heading(self) -> list[str]:
        """Return lines on the exposure and the detector properties used."""
        reads, height, width = self.shape
        several = f", {self.integrations} integrations" if self.integrations > 1 else ""
        lines = [f"{self.source}: {reads} reads of {height} x {width}{several}"]
        for name, unit in FACTS:
            value = getattr(self.facts, name)
            if value is not None:
                source = self.facts.sources.get(name, "default")
                lines.append(f"  {name:<12} {value:<10.6g} {unit:<6} {source}")
        given = self.facts.sources.get("read_noise") == "config"
        source = "config" if given else "measured, median"
        lines.append(f"  {'noise':<12} {self.noise:<10.4g} {'DN':<6} {source}")
        if self.health:
            # That of the integration with most warnings stands for all.
            lines += max(self.health, key=lambda each: len(each.warnings)).lines()
        return lines


def class_rows(classes: Sequence[ClassSummary]) -> Sequence[tuple[str, ...]]:
    """Return the table of classes as text, its headings in the first row.

    Examples
    --------
    >>> class_rows([ClassSummary(Label.SNOWBALL, 2, 400, 0.5, 812.04, 0.987)])[1]
    ('snowball', '2', '0.5', '812.0', '0.99', '400')
    """
    rows = [("class", "events", "per Mpix", "median step [DN]", "confidence", "pixels")]
    for item in classes:
        known = item.events > 0
        rows.append(
            (
                item.label.key.replace("_", " "),
                f"{item.events}",
                f"{item.density:.1f}",
                f"{item.amplitude:.1f}" if known else "-",
                f"{item.confidence:.2f}" if known else "-",
                f"{item.pixels}",
            )
        )
    return rows


def tell_sources(events: Sequence[Event], config: DetectorConfig) -> str:
    """Describe how many events the rules and the network have found.

    The network doubts events of the rules whose combined confidence is below the minimum of
    their class.
    """
    number = {name: sum(event.source == name for event in events) for name in SOURCES}
    doubted = sum(
        e.source == "rules" and e.confidence < config.min_confidence_of(e.label) for e in events
    )
    return (
        f"events: {number['both']} found by rules and network, {number['rules']} by the rules "
        f"alone (the network doubts {doubted}), {number['unet']} by the network alone"
    )


def medians(maps: PixelMaps, ramp: Ramp) -> tuple[float, float]:
    """Return the medians of noise and rate of the pixels that see light, NaN if none is known."""
    science = ~border_mask(ramp)
    return _median(maps.noise[science]), _median(maps.rate[science])


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def summarise(events: Sequence[Event], ramps: Sequence[Ramp]) -> tuple[ClassSummary, ...]:
    """Count events by class over all integrations."""
    megapixels = sum(np.prod(ramp.shape[1:]) for ramp in ramps) / 1e6
    table = []
    for label in Label:
        if label == Label.BACKGROUND:
            continue
        some = [event for event in events if event.label == label]
        amplitude = [float(event.amplitude.max()) for event in some]
        table.append(
            ClassSummary(
                label,
                len(some),
                sum(len(event.rows) for event in some),
                len(some) / megapixels,
                float(np.median(amplitude)) if some else float("nan"),
                float(np.median([event.confidence for event in some])) if some else float("nan"),
            )
        )
    return tuple(table)
