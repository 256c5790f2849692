"""Time the network over simulated exposures, stage by stage, and measure its peak memory.

    python benchmarks/network_speed.py --reads 60 450 --sizes 512 --output network_speed.md

Stages: features (input of the network), network (its layers alone), both on the first window of
the exposure; the whole of ``run_network`` with reading, overlaps of windows and steps of what is
listed. Rates count the pixel-reads of the exposure, in the first two those of the window. Each
exposure has a process of its own. Without ``--model`` the weights are random, with a preference for
the background, so that about as little is listed as by a trained network.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from machine import describe
from whole_speed import simulate

if TYPE_CHECKING:
    from ohana.network.model_file import Network

#: Added to the logit of the background of random networks.
QUIET = 4.5


class Task(NamedTuple):
    """What to measure: an exposure, a model file (None: random weights), threads, a seed."""

    path: Path
    model: str | None
    threads: int
    seed: int


class Speed(NamedTuple):
    """The measured values: 1e6 pixel-reads per second, windows, how often a voxel is processed.

    ``before`` and ``peak`` are the peak memory of the process before and after `run_network` [MiB].
    """

    where: str
    features: float
    network: float
    whole: float
    seconds: float
    windows: int
    overlap: float
    voxels: int
    before: float
    peak: float


def network_of(task: Task) -> Network:
    """Return the network asked for."""
    import torch

    from ohana.network.model_file import Network, load_network
    from ohana.network.unet3d import UNet3D

    if task.model:
        return load_network(task.model)
    torch.manual_seed(task.seed)
    model = UNet3D().eval().requires_grad_(False)
    assert model.unfold.bias is not None  # it has one
    model.unfold.bias[0] += QUIET
    return Network(model)


def peak_memory() -> float:
    """Return the peak resident memory of this process [MiB]."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024**2 if sys.platform == "darwin" else 1024)


def measure(task: Task) -> Speed:
    """Run the rules on an exposure, then the network, timed."""
    # Imported here to keep the parent small: Linux counts its memory as that of its children.
    import torch

    from ohana.config import DetectorConfig
    from ohana.correction.fit import corrected_ramp
    from ohana.network.device import for_inference
    from ohana.network.inference import run_network
    from ohana.network.tiling import tile
    from ohana.pipeline import search_pixels
    from ohana.read import open_exposure

    def silent(stage: str, done: int, total: int) -> None:
        pass

    config = DetectorConfig(threads=task.threads)
    [ramp] = open_exposure(task.path, config)
    source = corrected_ramp(ramp, config)[0]
    searched = search_pixels(source, config, None, silent)
    network = network_of(task)
    before = peak_memory()
    start = perf_counter()
    opinion = run_network(searched, network, config, silent)
    seconds, peak = perf_counter() - start, peak_memory()
    parts, voxels = tile(ramp.shape, network.model), ramp.shape[0] * ramp.shape[1] * ramp.shape[2]
    worked = 1
    for axis in parts:
        worked *= sum(span.whole.stop - span.whole.start for span in axis)
    engine = for_inference(network.model, "auto")
    return Speed(
        f"{engine.device.type} {str(engine.precision).removeprefix('torch.')}, torch "
        f"{torch.__version__}",
        *first_window(searched, network, task.threads),
        voxels / 1e6 / seconds,
        seconds,
        len(parts.times) * len(parts.rows) * len(parts.cols),
        worked / voxels,
        len(opinion.voxels.row),
        before,
        peak,
    )


def first_window(searched, network, threads) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Return the rates of features and network alone, on the first window (the faster of two)."""
    import torch

    from ohana.network.device import for_inference, using_threads
    from ohana.network.inference import window_of
    from ohana.network.inputs import network_input
    from ohana.network.tiling import tile
    from ohana.rampfit.covariance import covariance_of

    ramp = searched.source.ramp
    engine, parts = for_inference(network.model, "auto"), tile(ramp.shape, network.model)
    window = window_of(searched, parts.rows[0], parts.cols[0])
    known = (window.block, window.maps, window.steps, covariance_of(ramp))
    time, times = parts.times[0].whole, []
    with using_threads(threads), torch.inference_mode():
        for _ in range(2):
            start = perf_counter()
            seen = network_input(*known, threads)
            middle = perf_counter()
            engine.model(engine.input(seen, time)).cpu()
            times.append((middle - start, perf_counter() - middle))
    features, inside = map(min, zip(*times, strict=True))
    return seen.reads[0].size / 1e6 / features, seen.reads[0, time].size / 1e6 / inside


def report(reads: int, size: int, speed: Speed) -> str:
    """Return a row of the table."""
    return (
        f"| {reads} | {size}^2 | {speed.features:.1f} | {speed.network:.2f} | {speed.whole:.2f} "
        f"| {speed.seconds:.1f} | {speed.windows} | {speed.overlap:.2f} | {speed.voxels} "
        f"| {speed.before:.0f} | {speed.peak:.0f} |"
    )


HEAD = (
    "| reads | pixels | features | network | look | look [s] | windows | overlap | listed "
    "| before [MiB] | peak [MiB] |\n|" + " --: |" * 11
)


def main() -> None:
    """Parse the command line, run, print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reads", type=int, nargs="+", default=[60])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="sides [pixel]")
    parser.add_argument("--preset", default="l2", help="of the simulated exposures")
    parser.add_argument("--model", help="model file or `pretrained`; random weights if absent")
    parser.add_argument("--seed", type=int, default=1, help="of random weights")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    choice = parser.parse_args()
    about = f"{describe()}. Preset {choice.preset}, {choice.threads} threads, seed {choice.seed}."
    lines = ["# The network over an exposure", "", about, "", HEAD]
    print(*lines, sep="\n", flush=True)
    with TemporaryDirectory(dir=choice.folder) as folder:
        for reads in choice.reads:
            for size in choice.sizes:
                path = simulate(reads, size, choice.preset, Path(folder))
                task = Task(path, choice.model, choice.threads, choice.seed)
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    speed = pool.submit(measure, task).result()
                path.unlink()
                lines += [report(reads, size, speed)]
                print(lines[-1], flush=True)
    lines += ["", f"Rates: 1e6 pixel-reads/s. Network on {speed.where}."]
    print(*lines[-2:], sep="\n")
    if choice.output:
        choice.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
