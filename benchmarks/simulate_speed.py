"""Time the simulation of exposures, and the random numbers alone for comparison.

    python benchmarks/simulate_speed.py --presets l2 ground sky --reads 24 --repeats 3

The floor is one standard normal in single precision per pixel and read, by numpy and as many
threads: no simulation of read noise can be faster. Passes of both alternate. Nothing is written
to disk. An exposure is what its scene, its reads and its truth take together; ``--reads 450``
is a whole one.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from machine import describe
from ohana.simulate import SimulationConfig, exposure_rng, preset
from ohana.simulate.exposure import draw_scene, read_out, truth_of


def normals(config: SimulationConfig, threads: int, seed: int) -> None:
    """Fill an array with normal numbers once per read, each read by one thread."""
    sequences = np.random.SeedSequence(seed).spawn(threads)
    buffers = np.empty((threads, config.rows, config.cols), np.float32)

    def fill(thread: int) -> None:
        rng = np.random.Generator(np.random.SFC64(sequences[thread]))
        for _ in range(thread, config.reads, threads):
            rng.standard_normal(dtype=np.float32, out=buffers[thread])

    with ThreadPoolExecutor(threads) as pool:
        deque(pool.map(fill, range(threads)), maxlen=0)


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(config: SimulationConfig, threads: int, repeats: int, seed: int) -> str:
    """Return a line on the speed of one kind of exposure."""
    values = np.prod(config.shape) / 1e6
    scenes = seconds(lambda: draw_scene(config, exposure_rng(seed, 0, 0, 0)))
    scene = draw_scene(config, exposure_rng(seed, 0, 0, 0))
    simulated, floor = [], []
    for k in range(repeats):
        again = replace(scene, noise_seed=exposure_rng(seed, 0, 1, k), stop=scene.stop.copy())
        simulated.append(seconds(lambda scene=again: deque(read_out(scene, threads), maxlen=0)))
        floor.append(seconds(lambda k=k: normals(config, threads, seed + k)))
    truth = seconds(lambda: truth_of(again))
    reading = float(np.median(simulated))
    ratio = float(np.median(np.array(simulated) / floor))
    return (
        f"{values / reading:9.1f} {values / np.median(floor):9.1f} {ratio:7.1f} "
        f"{len(scene.hits):8d} {scenes:7.1f} {truth:8.1f} "
        f"{values / (scenes + reading + truth):9.1f}"
    )


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", default=["l2", "ground", "sky"])
    parser.add_argument("--reads", type=int, default=24)
    parser.add_argument("--size", type=int, default=2048, help="height and width [pixel]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    choice = parser.parse_args()
    print(describe())
    print(f"{choice.reads} reads of {choice.size} x {choice.size}, {choice.threads} threads")
    print("million pixel-reads per second, medians; scene and truth in s")
    print("preset        read-out   normals   ratio     hits   scene    truth exposure")
    tiny = preset("l2", reads=3, rows=64, cols=64)
    deque(read_out(draw_scene(tiny, exposure_rng(1, 0, 0, 0))), maxlen=0)  # compile
    for name in choice.presets:
        size = {"reads": choice.reads, "rows": choice.size, "cols": choice.size}
        line = measure(preset(name, **size), choice.threads, choice.repeats, choice.seed)
        print(f"{name:12s} {line}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
