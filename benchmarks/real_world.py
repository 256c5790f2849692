"""Find events in exposures that do what real ones do: what is false, what is lost, how long.

    python benchmarks/real_world.py --reads 60 --output real_world.json
    python benchmarks/real_world.py --only "sky rises" flash --strength strong --seeds 1

Every case of ``real_world_cases.py`` is simulated into a FITS file, with cosmic rays, telegraph
noise and snowballs, and goes through ``Predictor.predict`` with floors in DN at 0. Numbers are
sums over the seeds.

false rays, false telegraph   pixels of events that match no true event, per million pixels
rays > 12 ... 4-5             found part of cosmic-ray pixels, by their S/N
telegraph                     found part of those with a chi-squared above 200
snowballs                     found of detectable, false, mean intersection over union
confidence                    mean minus the part that is real, if there are 20 events
time                          wall and processor time over those of the clean case
two-point                     false pixels per million of the JWST jump step at 5 sigma (stcal)

Events that come with a read which the run lists as not searched do not count for what is found;
how many reads that is, follows in brackets.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from astropy.io import fits

from machine import describe
from ohana import DetectorConfig, Label, Predictor, open_exposure
from ohana.correction.load import CorrectedRamp, load_block
from ohana.evaluate.other_codes import two_point
from ohana.evaluate.truth.pairs import Pairing, compare
from ohana.evaluate.truth.pixels import ray_pixels
from ohana.evaluate.truth.scores import evaluate
from ohana.ramp import SATURATED
from ohana.refpix.border import border_mask
from ohana.refpix.fit import fit_reference
from ohana.results.catalogue import Detection, read_catalogue
from ohana.simulate import Truth, preset, simulate_to_fits
from pages import write_section
from real_world_cases import CASES, Case, settings_of

#: Threshold of the two-point differences, and of what is detectable [sigma].
THRESHOLD = 5.0
#: Minimum number of events for the mean confidence to be compared.
MIN_EVENTS = 20
NO_FLOORS = DetectorConfig(cosmic_ray_min_intensity=0, cosmic_ray_min_step=0)
#: Bins of the S/N of cosmic-ray pixels.
RAY_EDGES = (4.0, 5.0, 6.0, 8.0, 12.0, np.inf)
NO_RAYS = (0,) * (len(RAY_EDGES) - 1)


@dataclass(frozen=True)
class Counts:
    """What is counted in one exposure; the sum over several with ``+``."""

    pixels: int = 0
    false_rays: int = 0
    false_telegraph: int = 0
    rays: tuple[int, ...] = NO_RAYS
    rays_found: tuple[int, ...] = NO_RAYS
    telegraph: int = 0
    telegraph_found: int = 0
    balls: int = 0
    balls_found: int = 0
    balls_false: int = 0
    overlap: float = 0.0
    events: int = 0
    real: int = 0
    confidence: float = 0.0
    not_searched: int = 0
    two_point: int | None = 0
    wall: float = 0.0
    processor: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        def total(mine: Any, theirs: Any) -> Any:
            if mine is None or theirs is None:
                return None
            if isinstance(mine, tuple):
                return tuple(a + b for a, b in zip(mine, theirs, strict=True))
            return mine + theirs

        names = [each.name for each in fields(self)]
        return Counts(*(total(getattr(self, name), getattr(other, name)) for name in names))


def measure(case: Case, settings: dict[str, Any], seed: int, folder: Path) -> Counts:
    """Simulate an exposure, find its events, and compare them with the truth."""
    path = folder / "exposure.fits"
    config = preset("dark", **settings)
    truth = simulate_to_fits(config, np.random.default_rng(seed), path)
    silence(path, case.silent)
    wall, processor = time.perf_counter(), time.process_time()
    Predictor(config=NO_FLOORS).predict(path, folder / "results", processed=False)
    spent = time.perf_counter() - wall, time.process_time() - processor
    entries = read_catalogue(folder / "results" / "detections.json")
    lost = reads_not_searched(folder / "results" / "run.json")
    asked = replace(truth, events=[e for e in truth.events if e.first_frame not in lost])
    counts = score(truth, asked, entries)
    return replace(
        counts,
        not_searched=len(lost),
        two_point=false_two_point(path, truth),
        wall=spent[0],
        processor=spent[1],
    )


def silence(path: Path, cards: Sequence[str]) -> None:
    """Remove cards from the header of a file."""
    if cards:
        with fits.open(path, mode="update", do_not_scale_image_data=True) as file:
            for card in cards:
                del file[0].header[card]


def reads_not_searched(path: Path) -> set[int]:
    """Return the reads that a run lists as not searched."""
    health = json.loads(path.read_text())["health"]
    return {entry["read"] for entry in health[0]["not_searched"]}


def score(truth: Truth, asked: Truth, entries: list[Detection]) -> Counts:
    """Compare detections with all true events, and the true events that are asked for with them."""
    paired, result = compare(truth, entries, THRESHOLD), evaluate(asked, entries, THRESHOLD)
    members = paired.found.members
    said = members.select(paired.found.label[members.event] == Label.COSMIC_RAY)
    bins = ray_pixels(asked, said, RAY_EDGES)
    flicker = result.pixels.telegraph[-1]
    balls = next(each for each in result.classes if each.label == Label.SNOWBALL)
    real = paired.events_of > 0
    return Counts(
        pixels=int(np.prod(truth.config.active_shape)),
        false_rays=false_pixels(paired, Label.COSMIC_RAY),
        false_telegraph=false_pixels(paired, Label.TELEGRAPH_NOISE),
        rays=tuple(each.count for each in bins),
        rays_found=tuple(each.found for each in bins),
        telegraph=flicker.count,
        telegraph_found=flicker.found,
        balls=balls.detectable,
        balls_found=balls.found,
        balls_false=len(alone(paired, Label.SNOWBALL)),
        overlap=float(sum(balls.overlaps)),
        events=len(entries),
        real=int(real.sum()),
        confidence=float(paired.confidence.sum()),
    )


def alone(paired: Pairing, label: Label) -> np.ndarray:
    """Return the detections of a class that match no true event."""
    mine = np.flatnonzero(paired.found.label == label)
    return mine[~np.isin(mine, paired.pair_found)]


def false_pixels(paired: Pairing, label: Label) -> int:
    """Return the number of pixels of the detections of a class that match no true event."""
    members = paired.found.members
    return len(np.unique(members.pixel[np.isin(members.event, alone(paired, label))]))


def false_two_point(path: Path, truth: Truth) -> int | None:
    """Count the pixels that two-point differences flag where no event is; None without stcal.

    They see the reads as corrected by reference pixels, with the true read noise, up to saturation.
    """
    if not find_spec("stcal"):
        return None
    [ramp] = open_exposure(path, NO_FLOORS)
    reference, _ = fit_reference(ramp, NO_FLOORS)
    block, _ = load_block(CorrectedRamp(ramp, reference), slice(0, truth.shape[1]))
    full = np.arange(len(block.data))[:, None, None] >= block.stop
    flags = np.where(full, SATURATED, 0).astype(np.uint8)
    noise = truth.config.total_noise(truth.config.read_noise) / truth.config.gain
    flagged = two_point(
        np.nan_to_num(block.data), flags, np.full(truth.shape[1:], noise), ramp.facts, THRESHOLD
    ).any(axis=0)
    for event in truth.events:
        flagged[event.rows, event.cols] = False
    return int((flagged & ~border_mask(ramp)).sum())


HEAD = (
    "reads", "case", "", "false rays", "false telegraph", "rays > 12", "8-12", "6-8", "5-6", "4-5",
    "telegraph", "snowballs", "confidence", "time", "two-point",
)  # fmt: skip


def cells(counts: Counts, clean: Counts | None) -> list[str]:
    """Return the numbers of a row of the table."""
    million = 1e-6 * counts.pixels
    parts = [*zip(counts.rays_found, counts.rays, strict=True)][::-1]
    parts += [(counts.telegraph_found, counts.telegraph)]
    ball = f"{counts.balls_found}/{counts.balls}, {counts.balls_false}"
    if counts.balls_found:
        ball += f", {counts.overlap / counts.balls_found:.2f}"
    off = (counts.confidence - counts.real) / max(counts.events, 1)
    times = f"{counts.wall:.1f} s"
    if clean:
        times = f"{counts.wall / clean.wall:.1f}, {counts.processor / clean.processor:.1f}"
    found = [f"{found / count:.3f}" if count else "-" for found, count in parts]
    if counts.not_searched:
        found[0] += f" [{counts.not_searched}]"
    return [
        f"{counts.false_rays / million:.0f}",
        f"{counts.false_telegraph / million:.0f}",
        *found,
        ball,
        f"{off:+.2f}" if counts.events >= MIN_EVENTS else "-",
        times,
        "-" if counts.two_point is None else f"{counts.two_point / million:.0f}",
    ]


def run(choice: argparse.Namespace, record: list[dict[str, Any]]) -> Iterator[list[str]]:
    """Measure all cases that were asked for; yield the rows of the table."""
    with TemporaryDirectory(dir=choice.folder) as name:
        folder = Path(name)
        # Compile all kernels before the first is timed.
        clean_settings = settings_of(CASES["clean"], "strong", choice.reads[0], choice.size)
        measure(CASES["clean"], clean_settings, choice.seeds[0], folder)
        for reads in choice.reads:
            clean: Counts | None = None
            for case in dict.fromkeys(["clean", *choice.only]):
                for strength in choice.strength:
                    if strength == "weak" and CASES[case].weak is None:
                        continue
                    settings = settings_of(CASES[case], strength, reads, choice.size)
                    counts = Counts()
                    for seed in choice.seeds:
                        mine = measure(CASES[case], settings, seed, folder)
                        entry = {"case": case, "strength": strength, "reads": reads, "seed": seed}
                        record.append(entry | asdict(mine))
                        counts += mine
                    only = CASES[case].weak is None
                    row = [str(reads), case, "" if only else strength]
                    yield row + cells(counts, clean)
                    clean = clean or counts


def main() -> None:
    """Parse the command line, measure, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    strengths = ("strong", "weak")
    parser.add_argument("--strength", nargs="+", choices=strengths, default=list(strengths))
    parser.add_argument("--reads", nargs="+", type=int, default=[20, 60, 450])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--size", type=int, default=256, help="height and width [pixel]")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    parser.add_argument("--output", type=Path, help="JSON file of all counts")
    parser.add_argument("--page", type=Path, help="page with a section real_world to write into")
    choice = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    machine = describe()
    lines = [
        f"{machine}; load {os.getloadavg()[0]:.1f} at the start.",
        "",
        f"{choice.size} x {choice.size} pixels, seeds {', '.join(map(str, choice.seeds))}.",
        "",
        f"| {' | '.join(HEAD)} |",
        "| --: | :-- | :-- |" + " --: |" * (len(HEAD) - 3),
    ]
    print(*lines, sep="\n", flush=True)
    record: list[dict[str, Any]] = []
    for row in run(choice, record):
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
        if choice.output:
            content = {"machine": machine, "size": choice.size, "exposures": record}
            choice.output.write_text(json.dumps(content, indent=1))
    if choice.page:
        write_section(choice.page, "real_world", "\n".join(lines))


if __name__ == "__main__":
    main()
