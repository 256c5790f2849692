"""Measure how many events of the specification's ranges are found with default settings.

Exposures have detectors, noise and events drawn from the ranges of the configuration that the
README of the project shows: cosmic rays and telegraph noise in one set of exposures, snowballs
among cosmic rays in another. Counted are events that the noise allows to detect (5 sigma in the
brightest pixel; telegraph noise of four transitions and chi-squared 80) as ``detectable``, and of
all events: those found, found only as another class, and found more than once.

Example::

    python benchmarks/specification_events.py --reads 120 --size 512 --output events.md
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from machine import describe
from ohana import Predictor
from ohana.classes import Label
from ohana.evaluate.truth.confusion import overlaps
from ohana.evaluate.truth.pairs import compare
from ohana.results.catalogue import read_catalogue
from ohana.simulate import SimulationConfig, TrueEvent, preset, simulate_to_fits

#: The specification's ranges [e-, DN, pixel or reads, as there].
GAINS = (1.062, 1.021)
SATURATION = 65535.0
SECONDS_PER_READ = 45000 / 450
READ_NOISE, GAUSSIAN_NOISE, DARK = (15.0, 25.0), (0.5, 10.0), (0.01, 0.02)
COSMIC_RAY, OFFSET, PERIOD, DUTY = (200.0, 6000.0), (30.0, 300.0), (20.0, 200.0), (0.1, 0.9)
RADIUS, RATIO, DECAY = (5.0, 200.0), (0.02, 0.15), (3.0, 30.0)
#: Events per million pixels: as crowded as the largest numbers of the specification, and more
#: telegraph noise, for the statistics.
RAYS, FLICKER = 1000, 1500
#: Bins of each table: title, class, quantity, edges.
TABLES: list[tuple[str, Label, str, Sequence[float]]] = [
    ("Cosmic rays by charge [e-]", Label.COSMIC_RAY, "charge", (200, 400, 800, 1600, 3200, 6001)),
    ("Telegraph noise by amplitude [e-]", Label.TELEGRAPH_NOISE, "amplitude", (30, 60, 120, 301)),
    ("Telegraph noise by period [reads]", Label.TELEGRAPH_NOISE, "period", (20, 45, 90, 201)),
    ("Snowballs by core radius [px]", Label.SNOWBALL, "radius", (5, 15, 40, 100, 201)),
    ("Snowballs by halo over core", Label.SNOWBALL, "ratio", (0.02, 0.04, 0.08, 0.151)),
    ("Snowballs by decay of the halo [px]", Label.SNOWBALL, "decay", (3, 8, 16, 30.1)),
]
#: A detection shares at least this part of a snowball's pixels to be another one of it.
SHARED = 0.01


class Outcome(NamedTuple):
    """Outcome of one true event; ``overlap`` is NaN except for snowballs."""

    label: Label
    values: dict[str, float]
    visible: bool
    found: bool
    other: bool
    repeated: bool
    overlap: float


def detector(reads: int, size: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a detector and its noise."""
    gain = float(rng.choice(GAINS))
    pedestal = 1e4
    return {
        "reads": reads,
        "rows": size,
        "cols": size,
        "gain": gain,
        "pedestal": pedestal,
        "full_well": SATURATION * gain - pedestal,
        "frame_time": SECONDS_PER_READ,
        "read_noise": float(np.hypot(rng.uniform(*READ_NOISE), rng.uniform(*GAUSSIAN_NOISE))),
        "dark_current": float(rng.uniform(*DARK)),
        "cosmic_ray_total": COSMIC_RAY,
        "cosmic_rays": round(RAYS * size**2 / 1e6),
    }


def points(reads: int, size: int, rng: np.random.Generator) -> SimulationConfig:
    """Cosmic rays and telegraph noise."""
    return preset(
        "dark",
        **detector(reads, size, rng),
        telegraph_pixels=round(FLICKER * size**2 / 1e6),
        telegraph_amplitude=OFFSET,
        telegraph_period=PERIOD,
        telegraph_duty=DUTY,
    )


def snowballs(reads: int, size: int, rng: np.random.Generator) -> SimulationConfig:
    """One to three snowballs of one radius and decay among cosmic rays; one if they are large."""
    radius, decay = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in (RADIUS, DECAY))
    return preset(
        "dark",
        **detector(reads, size, rng),
        snowballs=int(rng.integers(1, 4)) if 6 * radius < size else 1,
        snowball_radius=(radius, radius),
        snowball_halo=RATIO,
        snowball_halo_length=(decay / radius, decay / radius),
    )


def outcomes(config: SimulationConfig, seed: int, predictor: Predictor) -> Iterator[Outcome]:
    """Simulate an exposure, find its events, and yield the outcome of each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = simulate_to_fits(config, np.random.default_rng(seed), folder / "ramp.fits")
        predictor.predict(folder / "ramp.fits", folder / "out", processed=False)
        entries = read_catalogue(folder / "out" / "detections.json")
    compared = compare(truth, entries, predictor.config.sigma_threshold)
    overlap, ball = overlaps(truth, compared), Label.SNOWBALL
    for number, event in enumerate(truth.events):
        mine = compared.pair_true == number
        same = mine & compared.pair_same
        large = mine & (compared.pair_pixels >= SHARED * len(event.rows))
        yield Outcome(
            event.label,
            _values(event, config),
            bool(compared.detectable[number]),
            bool(same.any()),
            bool(mine.any() and not same.any()),
            bool((large if event.label == ball else same).sum() > 1),
            float(overlap[number]) if event.label == ball else np.nan,
        )


def _values(event: TrueEvent, config: SimulationConfig) -> dict[str, float]:
    """Return the quantities of an event that tables are about."""
    facts: dict[str, Any] = event.facts
    if event.label == Label.COSMIC_RAY:
        return {"charge": float(event.charge.sum())}
    if event.label == Label.TELEGRAPH_NOISE:
        return {"amplitude": float(np.ptp(facts["levels"])), "period": float(sum(facts["dwell"]))}
    ratio = facts["halo_level"] / config.full_well
    return {"radius": facts["core_radius"], "ratio": ratio, "decay": facts["halo_length"]}


def table(
    title: str, events: list[Outcome], quantity: str, edges: Sequence[float]
) -> Iterator[str]:
    """Yield the lines of one table."""
    ball = events[0].label == Label.SNOWBALL if events else False
    head = ["events", "detectable", "found", "of those detectable", "as another class", "twice"]
    yield from ("", f"### {title}", "")
    yield from _head([quantity, *head, *(["median overlap", "smallest"] if ball else [])])
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        some = [event for event in events if low <= event.values[quantity] < high]
        detectable = [event for event in some if event.visible]
        cells = [f"{low:g}-{high:.3g}", str(len(some)), str(len(detectable)), _share(some, "found")]
        cells += [_share(detectable, "found"), _share(some, "other"), _share(some, "repeated")]
        if ball:
            overlap = [event.overlap for event in some]
            cells += [f"{value(overlap):.3f}" if some else "-" for value in (np.median, min)]
        yield _row(cells)


def _share(events: list[Outcome], field: str) -> str:
    """Return the percentage of events for which a field is true."""
    return f"{100 * np.mean([getattr(event, field) for event in events]):.1f}" if events else "-"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(names: list[str]) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def report(arguments: argparse.Namespace) -> Iterator[str]:
    """Simulate all exposures and yield the lines of the report."""
    yield f"{describe()}; {arguments.reads} reads of {arguments.size} x {arguments.size}"
    rng, predictor, events = np.random.default_rng(arguments.seed), Predictor(), []
    for kind, count in ((points, arguments.exposures), (snowballs, arguments.snowballs)):
        for _ in range(count):
            config, seed = kind(arguments.reads, arguments.size, rng), int(rng.integers(2**32))
            found = list(outcomes(config, seed, predictor))
            # Cosmic rays among snowballs only interfere; they are counted in the other set.
            only = kind is points
            events += [each for each in found if only or each.label == Label.SNOWBALL]
    for title, label, quantity, edges in TABLES:
        yield from table(title, [e for e in events if e.label == label], quantity, edges)


def main() -> None:
    """Parse the command line, print the report and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reads", type=int, default=120)
    parser.add_argument("--size", type=int, default=512, help="height and width [pixel]")
    parser.add_argument("--exposures", type=int, default=4, help="with rays and telegraph noise")
    parser.add_argument("--snowballs", type=int, default=24, help="exposures with snowballs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="markdown file to write")
    arguments = parser.parse_args()
    lines = []
    for line in report(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
