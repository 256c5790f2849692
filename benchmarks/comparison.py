"""Compare ohana's rules with two-point differences and likelihood fits, at equal false alarms.

Writes the comparison in ``docs/evaluation.md`` and its picture: completeness of cosmic-ray pixels
against S/N on dark and sky ramps, each code set to the same number of false pixels on ramps without
events. The other codes need stcal (dependency group ``oracle``).

Example::

    python benchmarks/comparison.py --reads 8 20 --size 128 --output /tmp/evaluation
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import numpy as np

from completeness import TELEGRAPH_READS, Kind, quiet, rays, telegraph
from machine import describe
from ohana.config import DetectorConfig
from ohana.config_file import load_config
from ohana.correction.fit import corrected_ramp
from ohana.correction.load import CorrectedRamp
from ohana.evaluate.comparison import (
    MIN_FALSE_PER_MPIX,
    TITLES,
    Score,
    allowed_false,
    comparison_table,
    count_pixels,
    empty_pixels,
    equal_threshold,
    flags_of,
    plot_comparison,
    score,
)
from ohana.evaluate.other_codes import OTHER_CODES, FlaggedPixels, flag_ramp
from ohana.predictor import Predictor
from ohana.read import open_exposure
from ohana.results.catalogue import Detection, read_catalogue
from ohana.simulate import SimulationConfig, Truth, simulate_exposure, write_fits
from pages import write_section

#: Threshold of all codes in the second table, and of ohana in both [sigma].
THRESHOLD = DetectorConfig().sigma_threshold
#: Exposures without events: as many as hold so many reads, within limits.
QUIET_READS, QUIET = 480, (1, 8)
TEXT = """\
# Comparison with other codes

Written by `python benchmarks/comparison.py`{options}; every random number is seeded.
{machine}, stcal {stcal}.

Three codes search the same simulated ramps for charge that appears in one read: **ohana** by rules
(preset `sensitive`: no floor in DN), the **two-point differences** of the JWST jump step, and
**likelihood** ramp fitting. The latter two are those of stcal, without growing what they flag. All
get the same reads after ohana's reference-pixel correction. The other codes are given the true
noise of every pixel; ohana measures it. The read noise is {noise:g} e- and varies by 10 % from
pixel to pixel; there are 1/f noise, hot pixels and saturating pixels; `sky` adds background and
stars. The gain is {gain:g} e-/DN.

S/N is that of the best linear estimator of a step at that read. A pixel is found if it is flagged
at its read, or as close to it as its S/N allows it to be dated. False pixels are counted on ramps
without events ({quiet}); pixels that saturate during the exposure are not counted.

![Completeness against S/N at equal false alarms](images/evaluation.png)

The false pixels per million in the titles are in the order of the legend. The tables show:

- With few reads all three are about equally sensitive. ohana joins the faint pixels of a track to
  its bright ones, which raises its completeness below 5 sigma. It has to measure the noise from the
  same few reads, with every tenth pixel hit; that, and excluding the neighbours of saturating
  pixels, costs up to one per cent of the bright pixels in ramps of 8 reads.
- Two-point differences gain nothing from more reads: the longer the ramp, the more they miss.
- Likelihood fits do gain. They take the rate, and with it the shot noise, from the median of the
  differences, saturated ones included. In long ramps of a faint sky this median is zero or negative
  in some pixels, and in saturating pixels it is that of the saturated reads: both are flagged at
  any threshold.
- Neither of the two distinguishes telegraph noise from charge.

## At equal false alarms

The thresholds of the other codes are the lowest that give no more false pixels than ohana has at
{threshold:g} sigma, or than {fewest:g} per million where ohana has fewer. The table gives the
cosmic-ray pixels found, by S/N; the last column is the fraction of telegraph pixels with at least
four transitions that are flagged as jumps of charge.

{equal}

## All codes at {threshold:g} sigma

{same}
"""


class Exposure(NamedTuple):
    """A simulated exposure as all codes get it, and what ohana found in it."""

    truth: Truth
    source: CorrectedRamp
    noise: np.ndarray
    found: FlaggedPixels
    empty: np.ndarray


def prepare(config: SimulationConfig, seed: int, folder: Path) -> Exposure:
    """Simulate an exposure and run ohana on it."""
    simulated = simulate_exposure(config, np.random.default_rng(seed))
    path = folder / "exposure.fits"
    write_fits(simulated, path)
    settings = load_config("sensitive")
    Predictor(config=settings).predict(path, folder / "found", processed=False)
    detections: Sequence[Detection] = read_catalogue(folder / "found" / "detections.json")
    ramp = open_exposure(path, settings)[0]
    source = corrected_ramp(ramp, settings)[0]
    noise = config.total_noise(simulated.noise) / config.gain
    empty = empty_pixels(simulated.truth, simulated.stop)
    return Exposure(simulated.truth, source, noise, flags_of(detections), empty)


def flag(exposure: Exposure, name: str, threshold: float) -> FlaggedPixels:
    """Run one code, or take what ohana has found."""
    if name == "ohana":
        return exposure.found
    return flag_ramp(exposure.source, exposure.noise, OTHER_CODES[name], threshold)


def compare_kind(
    kind: Kind, names: Sequence[str], arguments: argparse.Namespace
) -> dict[str, list[Score]]:
    """Score all codes on one kind of ramps: at equal false alarms, and at the same threshold."""
    with TemporaryDirectory() as folder:

        def exposure(simulate: Callable[[Kind, int], SimulationConfig], seed: int) -> Exposure:
            place = Path(folder) / f"{simulate.__name__}{seed}"
            place.mkdir()
            return prepare(simulate(kind, arguments.size), seed, place)

        count = int(np.clip(QUIET_READS // kind.reads, *QUIET))
        silent = [exposure(quiet, 1000 * arguments.seed + k) for k in range(count)]
        struck = exposure(rays, arguments.seed)
        flickering = exposure(telegraph, arguments.seed) if kind.reads >= TELEGRAPH_READS else None

        def false(name: str, at: float) -> int:
            return sum(count_pixels(flag(e, name, at), e.empty) for e in silent)

        empty = sum(int(e.empty.sum()) for e in silent)

        def scored(name: str, at: float) -> Score:
            one = score(name, at, struck.truth, flag(struck, name, at), struck.empty)
            one = one._replace(false=false(name, at), empty=empty)
            if flickering is None:
                return one
            flagged = flag(flickering, name, at)
            other = score(name, at, flickering.truth, flagged, flickering.empty)
            return one._replace(telegraph=other.telegraph)

        ours = scored("ohana", THRESHOLD)
        equal, same = [ours], [ours]
        for name in names:
            target = allowed_false(ours.false, empty)
            at = equal_threshold(lambda at, name=name: false(name, at), target)
            equal.append(scored(name, at))
            same.append(scored(name, THRESHOLD))
    return {"equal": equal, "same": same}


def tables(results: dict[Kind, dict[str, list[Score]]], which: str) -> str:
    """Join the tables of all kinds of ramps to one of markdown."""
    lines: list[str] = []
    for kind, scores in results.items():
        heading, *rows = comparison_table(scores[which])
        if not lines:
            lines = [_row(("ramps", *heading)), _row(["---"] * (len(heading) + 1))]
        lines += [_row((f"{kind.scene}, {kind.reads} reads", *row)) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def picture(results: dict[Kind, dict[str, list[Score]]], path: Path) -> None:
    """Draw one panel for each kind of ramps."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    scenes = list(dict.fromkeys(kind.scene for kind in results))
    reads = list(dict.fromkeys(kind.reads for kind in results))
    size = (3.4 * len(reads), 3.2 * len(scenes))
    figure, axes = plt.subplots(
        len(scenes), len(reads), figsize=size, squeeze=False, sharey=True, layout="constrained"
    )
    for kind, scores in results.items():
        ax = axes[scenes.index(kind.scene), reads.index(kind.reads)]
        plot_comparison(scores["equal"], ax)
        ax.get_legend().remove()
        rates = ", ".join(f"{score.false_rate:.0f}" for score in scores["equal"])
        ax.set_title(f"{kind.scene}, {kind.reads} reads; false per million: {rates}", fontsize=9)
        ax.label_outer()
    lines, names = axes[0, 0].get_legend_handles_labels()
    names = [TITLES[score.name] for score in scores["equal"]]
    figure.legend(lines, names, loc="outside upper center", ncols=len(names))
    figure.savefig(path, dpi=130)


def main() -> None:
    """Parse the command line, compare, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scene", nargs="+", choices=["dark", "sky"], default=["dark", "sky"])
    parser.add_argument("--reads", nargs="+", type=int, default=[8, 20, 60, 450])
    parser.add_argument("--read-noise", type=float, default=12.0, help="RMS of one read [e-]")
    parser.add_argument("--size", type=int, default=256, help="height and width [pixel]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers", nargs="+", choices=list(OTHER_CODES), default=list(OTHER_CODES))
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder of the page")
    arguments = parser.parse_args()
    results = {}
    for scene in arguments.scene:
        for reads in arguments.reads:
            kind, start = Kind(scene, reads, arguments.read_noise), perf_counter()
            results[kind] = compare_kind(kind, arguments.peers, arguments)
            seconds = perf_counter() - start
            levels = [f"{TITLES[s.name]} {s.threshold:.2f}" for s in results[kind]["equal"]]
            print(f"{scene}, {reads} reads: {', '.join(levels)} ({seconds:.0f} s)", flush=True)
    (arguments.output / "images").mkdir(parents=True, exist_ok=True)
    picture(results, arguments.output / "images" / "evaluation.png")
    some = Kind(arguments.scene[0], arguments.reads[0], arguments.read_noise)
    changed = {a.dest: getattr(arguments, a.dest) for a in parser._actions if a.dest != "help"}
    given = [k for k, value in changed.items() if value != parser.get_default(k) and k != "output"]
    text = TEXT.format(
        options=f" (with {', '.join(f'{k} = {changed[k]}' for k in given)})" if given else "",
        machine=describe(),
        stcal=version("stcal"),
        noise=arguments.read_noise,
        gain=some.settings(arguments.size).gain,
        quiet=f"{QUIET[0]} to {QUIET[1]} times {arguments.size} x {arguments.size} pixels",
        fewest=MIN_FALSE_PER_MPIX,
        threshold=THRESHOLD,
        equal=tables(results, "equal"),
        same=tables(results, "same"),
    )
    write_section(arguments.output / "evaluation.md", "comparison", text)
    print(arguments.output / "evaluation.md")


if __name__ == "__main__":
    main()
