"""Measure completeness and false alarms on simulated ramps, beside the limits set by noise.

Every row is one simulated exposure (or several, ``--exposures``) of a kind of ramp: dark or
sky, some number of reads, some read noise, always with 1/f noise, hot and saturating pixels.
Cosmic rays are faint on purpose, so that their pixels fill the bins of S/N near the threshold.

Example::

    python benchmarks/completeness.py --reads 8 60 --output completeness.md
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ohana import Predictor
from ohana.evaluate import Bin, Evaluation, evaluate
from ohana.rampfit.covariance import difference_covariance
from ohana.results.catalogue import read_catalogue
from ohana.simulate import SimulationConfig, preset, simulate_to_fits
from ohana.simulate.optimal_snr import step_errors

#: Charge per pixel of path of the faint cosmic rays, in errors of a step at mid-ramp: puts
#: the brightest pixel of a typical hit at an S/N of about 8.
FAINT_CHARGE = 40.0
#: Telegraph noise is excluded from ramps too short to recognise it [reads].
TELEGRAPH_READS = 20


@dataclass(frozen=True)
class Kind:
    """A kind of ramp."""

    scene: str
    reads: int
    read_noise: float

    def settings(self, size: int, **changes: Any) -> SimulationConfig:
        """Return settings of an exposure without events, but for the changes."""
        return preset(
            self.scene,
            reads=self.reads,
            read_noise=self.read_noise,
            rows=size,
            cols=size,
            **changes,
        )

    def step_error(self, size: int) -> float:
        """Return the error of a step at mid-ramp [e-]."""
        config = self.settings(size)
        rate = (config.dark_current + config.sky) * config.frame_time
        middle, end = np.array([self.reads // 2]), np.array([self.reads])
        noise = np.atleast_1d(config.total_noise(self.read_noise))
        model = difference_covariance(config.read_times, config.frame_time)
        return float(step_errors(middle, end, noise, np.array([rate]), model)[0])


def rays(kind: Kind, size: int) -> SimulationConfig:
    """Faint cosmic rays on about a tenth of the pixels."""
    charge = FAINT_CHARGE * kind.step_error(size)
    return kind.settings(size, cosmic_rays=size**2 // 45, cosmic_ray_charge=charge)


def telegraph(kind: Kind, size: int) -> SimulationConfig:
    """Telegraph noise, from undetectable to obvious, in half a percent of the pixels.

    Within the default limits: at most 50 transitions, at most 300 DN.
    """
    gain = kind.settings(size).gain
    amplitude = (1.0 * kind.read_noise, min(25.0 * kind.read_noise, 290.0 * gain))
    period = (max(4.0, kind.reads / 16), max(kind.reads / 2.5, 5.0))
    return kind.settings(
        size,
        telegraph_pixels=size**2 // 200,
        telegraph_amplitude=amplitude,
        telegraph_period=period,
    )


def snowballs(kind: Kind, size: int) -> SimulationConfig:
    """Snowballs among the cosmic rays of L2, some at the edges and in the first or last reads."""
    return kind.settings(
        size,
        snowballs=max((size // 128) ** 2, 1),
        cosmic_ray_rate=3.0,
        ends_fraction=0.2,
        edge_fraction=0.2,
    )


def quiet(kind: Kind, size: int) -> SimulationConfig:
    """No events."""
    return kind.settings(size)


def measure(config: SimulationConfig, seed: int, predictor: Predictor) -> Evaluation:
    """Simulate an exposure, predict, and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = simulate_to_fits(config, np.random.default_rng(seed), folder / "ramp.fits")
        predictor.predict(folder / "ramp.fits", folder / "out", processed=False)
        detections = read_catalogue(folder / "out" / "detections.json")
    return evaluate(truth, detections, predictor.config.sigma_threshold)


def percent(part: float) -> str:
    """Return a part as text, a dash for NaN."""
    return "-" if np.isnan(part) else f"{100 * part:.1f}"


def add_bins(bins: Iterable[Bin]) -> Bin:
    """Sum counts of the same bin over exposures."""
    bins = list(bins)
    total = {name: sum(getattr(b, name) for b in bins) for name in ("count", "found", "expected")}
    return replace(bins[0], **total)


def ray_cells(scores: list[Evaluation]) -> list[str]:
    """Return completeness and noise limit per bin of S/N; first reads; false pixels."""
    columns = [*zip(*(score.pixels.rays for score in scores), strict=True)]
    columns.append(tuple(score.classes[0].dating.within_one for score in scores))
    cells = []
    for bins in columns:
        total = add_bins(bins)
        found, allowed = percent(total.fraction), percent(total.expected_fraction)
        cells.append(f"{found} / {allowed} ({total.count})")
    return [*cells, *false_cells(scores)]


def false_cells(scores: list[Evaluation]) -> list[str]:
    """Return false cosmic-ray pixels per million, and the expectation."""
    false = np.mean([score.pixels.false for score in scores])
    return [f"{false:.1f} / {scores[0].pixels.expected_false:.1f}"]


def telegraph_cells(scores: list[Evaluation]) -> list[str]:
    """Return completeness per bin of chi-squared, false ones, those mistaken for cosmic rays."""
    cells = []
    for bins in zip(*(score.pixels.telegraph for score in scores), strict=True):
        total = add_bins(bins)
        cells.append(f"{percent(total.fraction)} ({total.count})")
    wrong = add_bins(score.pixels.telegraph_as_cosmic_ray for score in scores)
    false = np.mean([score.pixels.telegraph_false for score in scores])
    return [*cells, f"{false:.1f}", percent(wrong.fraction)]


def snowball_cells(scores: list[Evaluation]) -> list[str]:
    """Return the numbers found and false, and the overlaps."""
    counts = [score.classes[2] for score in scores]
    overlaps = [overlap for score in scores for overlap in score.classes[2].overlaps]
    return [
        f"{sum(c.found for c in counts)} of {sum(c.detectable for c in counts)}",
        str(sum(c.detected - c.real for c in counts)),
        f"{min(overlaps):.3f}" if overlaps else "-",
        f"{np.median(overlaps):.3f}" if overlaps else "-",
    ]


def quiet_cells(scores: list[Evaluation]) -> list[str]:
    """Return false cosmic-ray pixels, telegraph pixels and snowballs."""
    telegraph_false = np.mean([score.pixels.telegraph_false for score in scores])
    balls = sum(score.classes[2].detected for score in scores)
    return [*false_cells(scores), f"{telegraph_false:.1f}", str(balls)]


@dataclass(frozen=True)
class Experiment:
    """A table: the exposures of its rows, and its cells as a function of their scores."""

    title: str
    columns: list[str]
    simulate: Callable[[Kind, int], SimulationConfig]
    cells: Callable[[list[Evaluation]], list[str]]


_FALSE = "false pixels per million, found / noise"
EXPERIMENTS = {
    "rays": Experiment(
        "Cosmic-ray pixels by S/N: completeness / noise limit [%] (pixels)",
        ["5-6", "6-8", "8-12", "> 12", "first read right (events above 8)", _FALSE],
        rays,
        ray_cells,
    ),
    "telegraph": Experiment(
        "Telegraph noise of at least 4 transitions: completeness [%] (pixels), by chi-squared",
        ["80-200", "> 200", "false per million", "mistaken for cosmic ray [%]"],
        telegraph,
        telegraph_cells,
    ),
    "snowballs": Experiment(
        "Snowballs",
        ["found", "false", "smallest overlap", "median overlap"],
        snowballs,
        snowball_cells,
    ),
    "quiet": Experiment(
        "Ramps without events",
        [_FALSE, "false telegraph per million", "false snowballs"],
        quiet,
        quiet_cells,
    ),
}


def run(name: str, kinds: list[Kind], arguments: argparse.Namespace) -> list[str]:
    """Return the table of one experiment as lines of markdown."""
    experiment = EXPERIMENTS[name]
    predictor = Predictor(config=arguments.config)
    heading = ["scene", "reads", "read noise [e-]", *experiment.columns]
    lines = [f"## {experiment.title}", "", _row(heading), _row(["---"] * len(heading))]
    for kind in kinds:
        if name == "telegraph" and kind.reads < TELEGRAPH_READS:
            continue
        start = time.perf_counter()
        seeds = range(arguments.seed, arguments.seed + arguments.exposures)
        config = experiment.simulate(kind, arguments.size)
        scores = [measure(config, seed, predictor) for seed in seeds]
        head = [kind.scene, str(kind.reads), f"{kind.read_noise:g}"]
        lines.append(_row([*head, *experiment.cells(scores)]))
        print(f"{name}: {lines[-1]} {time.perf_counter() - start:.1f} s", flush=True)
    return [*lines, ""]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Parse the command line, run the experiments, print and write their tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    choices = sorted(EXPERIMENTS)
    parser.add_argument("--only", nargs="+", choices=choices, default=list(EXPERIMENTS))
    parser.add_argument("--scene", nargs="+", choices=["dark", "sky"], default=["dark", "sky"])
    parser.add_argument("--reads", nargs="+", type=int, default=[8, 20, 60, 450])
    parser.add_argument("--read-noise", nargs="+", type=float, default=[5.0, 12.0, 25.0])
    parser.add_argument("--size", type=int, default=256, help="height and width [pixel]")
    parser.add_argument("--exposures", type=int, default=1, help="exposures per row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", default="sensitive", help="preset or YAML file of settings")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    arguments = parser.parse_args()
    kinds = [
        Kind(scene, reads, noise)
        for scene in arguments.scene
        for reads in arguments.reads
        for noise in arguments.read_noise
    ]
    lines = [line for name in arguments.only for line in run(name, kinds, arguments)]
    text = "\n".join(lines)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
