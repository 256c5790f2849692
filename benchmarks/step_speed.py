"""Time the search for steps against the JWST jump step and a likelihood ramp fit in numpy.

    python benchmarks/step_speed.py --output step_speed.md

All process the same simulated exposure, one after the other, several times:

- ohana: noise measured, a step tested at every read, all steps of a ramp fitted; on threads over
  row blocks, as in `ohana-predict`;
- jwst: `JumpStep().process`, which needs no network access if gain and read noise are files;
  two-point differences (Anderson and Gordon 2011), one process, default settings but the threshold;
- stcal: `likely_ramp_fit` (Brandt 2024), with its jump detection; on the middle rows only.

The other codes are in the dependency group ``oracle`` (``pip install --group oracle``); one that is
not installed is skipped. They are given the true read noise, which ohana has to measure.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

from machine import describe
from ohana.config import DetectorConfig
from ohana.evaluate import other_codes as peers
from ohana.ramp import SATURATED, DetectorInfo, row_blocks
from ohana.rampfit.covariance import difference_covariance
from ohana.rampfit.noise import Noise, measure
from ohana.rampfit.scan import Ramps, scan
from ohana.rampfit.step_search import find_steps
from ohana.simulate import Simulated, preset, simulate_exposure

#: Detection threshold of all codes [sigma].
THRESHOLD = DetectorConfig().sigma_threshold
#: Name of each code, in the order of running.
NAMES = {"ohana": "ohana", "jwst": "JWST jump step", "stcal": "numpy likelihood"}
#: Reads and width of the warm-up run.
WARM = (12, (64, 64))

#: A code with its exposure, ready to run.
Work = Callable[[], object]


class Speed(NamedTuple):
    """Million pixel-reads per second of wall time, and of processor time of all threads."""

    wall: float
    processor: float


#: Speeds of each code, one per round.
Speeds = dict[str, list[Speed]]


def ohana_steps(simulated: Simulated, data: np.ndarray, threads: int) -> Work:
    """Prepare to find the steps of all ramps (T, H, W) [DN]."""
    reads, height, width = data.shape
    model, config = difference_covariance(np.arange(float(reads))), DetectorConfig()

    def block(rows: slice) -> int:
        part, stop = data[:, rows], simulated.stop[rows]
        border = np.zeros(stop.shape, bool)
        noise = measure(part, stop, border, model, simulated.config.gain)
        noise = Noise(*(values.ravel() for values in noise))
        pixels = part.reshape(reads, -1)
        ramps = Ramps(pixels, stop.ravel(), noise.variance, noise.shot, guess=noise.rate)
        steps = find_steps(ramps, noise.dof, scan(ramps, model, quick=True), model, config).steps
        return len(steps.read)

    def work() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(block, row_blocks(height)))

    return work


def flags(simulated: Simulated) -> np.ndarray:
    """Return GROUPDQ (T, H, W) with only saturation flagged."""
    reads = np.arange(simulated.config.reads)[:, None, None]
    return np.where(reads >= simulated.stop, SATURATED, 0).astype(np.uint8)


def true_noise(simulated: Simulated) -> np.ndarray:
    """Return the noise of a difference of two reads (H, W) [DN], as the other codes expect it."""
    config = simulated.config
    return np.sqrt(2) * config.total_noise(simulated.noise) / config.gain


def jump_step(simulated: Simulated, data: np.ndarray, folder: Path) -> Work:
    """Prepare the JWST jump step, gain and read noise in files of ``folder``."""
    from jwst.jump import JumpStep
    from stdatamodels.jwst import datamodels

    config, (reads, height, width) = simulated.config, data.shape
    shape = {"xstart": 1, "ystart": 1, "xsize": width, "ysize": height}
    meta = {
        "instrument": {"name": "NIRCAM", "detector": "NRCALONG"},
        "subarray": {"name": "FULL", "fastaxis": 1, "slowaxis": 2} | shape,
    }
    times = {"frame_time": config.frame_time, "group_time": config.frame_time, "groupgap": 0}
    counts = {"nframes": 1, "ngroups": reads, "nints": 1}
    maps = {"gain": np.full((height, width), config.gain), "readnoise": true_noise(simulated)}
    models = {"gain": datamodels.GainModel, "readnoise": datamodels.ReadnoiseModel}
    for name, values in maps.items():
        with models[name](data=values.astype(np.float32)) as reference:
            reference.update({"meta": meta})
            reference.save(folder / f"{name}.fits")
    files = {f"override_{name}": str(folder / f"{name}.fits") for name in maps}
    ramp = datamodels.RampModel(
        data=data[None],
        groupdq=flags(simulated)[None],
        pixeldq=np.zeros((height, width), np.uint32),
    )
    ramp.update({"meta": meta | {"exposure": counts | times}})
    return lambda: JumpStep(rejection_threshold=THRESHOLD, **files).process(ramp)


def likelihood(simulated: Simulated, data: np.ndarray, rows: slice) -> Work:
    """Prepare the likelihood fit of some rows."""
    config = simulated.config
    facts = DetectorInfo(gain=config.gain, frame_time=config.frame_time)
    given = data[:, rows], flags(simulated)[:, rows], true_noise(simulated)[rows] / np.sqrt(2)
    return lambda: peers.likelihood(*given, facts, THRESHOLD)


def exposure(reads: int, shape: tuple[int, int], seed: int) -> tuple[Simulated, np.ndarray]:
    """Simulate with the rates at L2, first read subtracted; data float32 (T, H, W) [DN]."""
    config = preset("l2", reads=reads, rows=shape[0], cols=shape[1], border=0)
    simulated = simulate_exposure(config, np.random.default_rng(seed))
    data = simulated.cube.astype(np.float32)
    return simulated, data - data[0]


def measure_speeds(
    reads: int, shape: tuple[int, int], choice: argparse.Namespace, peers: list[str], repeats: int
) -> Speeds:
    """Run all codes in turn, several times."""
    simulated, data = exposure(reads, shape, choice.seed)
    middle = max(shape[0] - choice.likelihood_rows, 0) // 2
    rows = slice(middle, middle + choice.likelihood_rows)
    with TemporaryDirectory() as folder:
        works = {"ohana": ohana_steps(simulated, data, choice.threads)}
        if "jwst" in peers:
            works["jwst"] = jump_step(simulated, data, Path(folder))
        if "stcal" in peers:
            works["stcal"] = likelihood(simulated, data, rows)
        sizes = dict.fromkeys(works, data.size) | {"stcal": data[:, rows].size}
        speeds: Speeds = {name: [] for name in works}
        works["ohana"]()  # compiles what a small exposure did not need
        for _ in range(repeats):
            for name, work in works.items():
                wall, processor = perf_counter(), process_time()
                work()
                taken = perf_counter() - wall, process_time() - processor
                speeds[name] += [Speed(*(sizes[name] / seconds / 1e6 for seconds in taken))]
    return speeds


def row_of(reads: int, shape: tuple[int, int], speeds: Speeds) -> str:
    """Return a line of the table: medians over the rounds of speeds, and of their ratios."""
    cells = [str(reads), f"{shape[0]} x {shape[1]}"]
    cells += [f"{median(speed.wall for speed in values):.1f}" for values in speeds.values()]
    for name in list(speeds)[1:]:
        pairs = list(zip(speeds["ohana"], speeds[name], strict=True))
        for kind in ("wall", "processor"):
            ratios = [getattr(ours, kind) / getattr(theirs, kind) for ours, theirs in pairs]
            cells += [f"{median(ratios):.1f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Parse the command line, run, print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reads", type=int, nargs="+", default=[10, 60, 200])
    parser.add_argument("--rows", type=int, default=128, help="height [pixel]")
    parser.add_argument("--cols", type=int, default=2048, help="width [pixel]")
    parser.add_argument("--repeats", type=int, default=5, help="rounds, medians taken")
    parser.add_argument("--threads", type=int, default=2, help="of ohana; the other codes have one")
    parser.add_argument("--likelihood-rows", type=int, default=8, help="rows that stcal is given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="markdown file to write")
    choice = parser.parse_args()
    shape = choice.rows, choice.cols
    logging.disable(logging.WARNING)
    peers = [name for name in ("jwst", "stcal") if find_spec(name)]
    versions = [describe(), *(f"{name} {version(name)}" for name in peers)]
    lines = ["# Search for steps", "", ", ".join(versions), ""]
    lines += [f"{name}: not installed, skipped" for name in ("jwst", "stcal") if name not in peers]
    lines += [
        f"Million pixel-reads per second, medians of {choice.repeats} rounds, and "
        f"how many times faster ohana was in the same round: by wall time, on {choice.threads} "
        f"threads, and by processor time. {THRESHOLD} sigma, rates of events at L2.",
        "",
    ]
    codes = [NAMES[name] for name in ("ohana", *peers)]
    titles = [
        "reads",
        "pixels",
        *codes,
    ]
    titles += [f"/ {code}, {kind}" for code in codes[1:] for kind in ("wall", "processor")]
    lines += [f"| {' | '.join(titles)} |", f"|{' --: |' * len(titles)}"]
    measure_speeds(*WARM, choice, peers, 1)
    for reads in choice.reads:
        speeds = measure_speeds(reads, shape, choice, peers, choice.repeats)
        lines += [row_of(reads, shape, speeds)]
    report = "\n".join(lines)
    print(report)
    if choice.output:
        choice.output.write_text(report + "\n")


if __name__ == "__main__":
    main()
