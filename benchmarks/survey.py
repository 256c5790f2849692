"""Test runs over many exposures: kill workers and commands, measure scaling and overhead.

    python benchmarks/survey.py --output survey.md
    python benchmarks/survey.py --exposures 16 --repeats 1 --only speed

Seeded exposures are simulated in a temporary folder; some are truncated.

kill     ``kill -9`` a worker after a third of the run, the whole command after two thirds; restart.
         All results must be those of an undisturbed run, byte for byte.
speed    The same exposures by a plain loop over `Predictor.predict`, by a run with one worker and
         by one with all, in turns; each with one thread per process. Workers have run before, so
         that start-up, reported separately, is excluded. The loop runs within a worker too.
books    The overhead of a run: checking that results exist, sending tasks, writing the manifest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import distributed
import numpy as np
import psutil

from machine import describe
from ohana import DetectorConfig, Predictor
from ohana.batch.manifest import MANIFEST, Manifest, read_manifest
from ohana.batch.run import Workers, run_batch
from ohana.simulate import preset, simulate_to_fits
from ohana.utils.workers import by_dask

COMMAND = [sys.executable, "-m", "ohana.cli.predict"]
#: Files that differ between runs: times, messages.
OWN = ("run.json", "ohana.log")
#: Fraction of a truncated exposure that is present.
KEPT = 0.6


def write_exposures(folder: Path, choice: argparse.Namespace) -> list[Path]:
    """Simulate exposures; a few, spread among the others, are truncated."""
    folder.mkdir()
    size = {"reads": choice.reads, "rows": choice.size, "cols": choice.size}
    config = preset(choice.preset, **size)
    bad = set(np.linspace(0, choice.exposures - 1, choice.corrupt + 2).astype(int)[1:-1])
    paths = []
    for i in range(choice.exposures):
        path = folder / f"dark_{i:03d}.fits"
        simulate_to_fits(config, np.random.default_rng([choice.seed, i]), path)
        if i in bad:
            os.truncate(path, int(KEPT * path.stat().st_size))
        else:
            paths.append(path)
    return paths


def results(output: Path) -> dict[str, bytes]:
    """Return the content of all files that depend only on the input."""
    every = sorted(path for path in output.glob("*/*") if path.name not in OWN)
    return {str(path.relative_to(output)): path.read_bytes() for path in every}


def start(inputs: Path, output: Path, workers: int) -> subprocess.Popen:
    """Start the command."""
    command = [*COMMAND, "--input", f"{inputs}/*.fits", "--output", str(output), "--quiet"]
    return subprocess.Popen([*command, "--workers", str(workers)], stderr=subprocess.DEVNULL)


def wait_for(output: Path, count: int, process: subprocess.Popen) -> int:
    """Wait for so many results and for work on another; return the process at work on it."""
    while process.poll() is None:
        parts = [path.name for path in output.glob(".*.part-*")]
        if parts and len(list(output.glob("*/run.json"))) >= count:
            return int(parts[0].rpartition("-")[2])
        time.sleep(0.005)
    raise SystemExit(f"the run ended before {count} results were there: more --exposures")


def kill(folder: Path, choice: argparse.Namespace) -> list[str]:
    """Kill a worker and the command; compare with an undisturbed run."""
    inputs, output, undisturbed = folder / "night", folder / "killed", folder / "undisturbed"
    good = choice.exposures - choice.corrupt
    first = start(inputs, undisturbed, 1).wait()
    process = start(inputs, output, choice.workers)
    os.kill(wait_for(output, good // 3, process), signal.SIGKILL)
    wait_for(output, 2 * good // 3, process)
    process.kill()
    process.wait()
    before = len(list(output.glob("*/run.json")))
    last = start(inputs, output, choice.workers).wait()
    same = results(output) == results(undisturbed)
    files = len(results(output))
    left = [path.name for path in output.glob(".*")]
    shutil.rmtree(output)
    shutil.rmtree(undisturbed)
    lines = [
        f"A worker killed after {good // 3} of {good} results, the command after {before}; started "
        f"again it did {good - before}. Exit codes {first} undisturbed, {last} started again "
        f"({choice.corrupt} exposures cannot be read). {files} files of results: "
        + ("all the same, byte for byte." if same else "THEY DIFFER."),
        *([f"LEFT BEHIND: {left}"] if left else []),
    ]
    return ["", "## Killed", "", *lines]


def loop(paths: list[Path], output: Path) -> None:
    """Find the events of exposures in a plain loop."""
    predictor = Predictor(config=DetectorConfig(threads=1))
    for path in paths:
        predictor.predict(path, output / path.stem)


def processor_time(pids: list[int]) -> float:
    """Return the processor time of this process and of others so far [s]."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in [os.getpid(), *pids])


def speed(folder: Path, paths: list[Path], choice: argparse.Namespace) -> Iterator[str]:
    """Time a plain loop, one worker and all of them, in turns."""
    begin, output = time.perf_counter(), folder / "timed"
    start(folder / "night", output, choice.workers).wait()
    whole = time.perf_counter() - begin
    shutil.rmtree(output)
    with ExitStack() as stack:
        clusters = [
            stack.enter_context(
                distributed.LocalCluster(
                    n_workers=n,
                    threads_per_worker=1,
                    memory_limit=0,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=50,
                )
            )
            for n in (1, choice.workers)
        ]
        one, several = clusters
        client = stack.enter_context(distributed.Client(one))

        def survey(cluster: distributed.LocalCluster) -> None:
            done = run_batch(paths, output, workers=Workers(scheduler=cluster.scheduler_address))
            assert not done.failed

        kinds = {
            "plain loop": (one, lambda: client.submit(loop, paths, output, pure=False).result()),
            "1 worker": (one, lambda: survey(one)),
            f"{choice.workers} workers": (several, lambda: survey(several)),
        }
        for _, work in kinds.values():  # imports, compiled code
            work()
            shutil.rmtree(output)
        wall: dict[str, list[float]] = {name: [] for name in kinds}
        used: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(choice.repeats):
            for name, (cluster, work) in kinds.items():
                pids = [nanny.pid for nanny in cluster.workers.values()]
                begin, before = time.perf_counter(), processor_time(pids)
                work()
                wall[name].append(time.perf_counter() - begin)
                used[name].append(processor_time(pids) - before)
                shutil.rmtree(output)
    yield from table(wall, used, len(paths))
    yield f"The command from start to end, {choice.workers} workers: {whole:.1f} s."


def table(wall: dict[str, list[float]], used: dict[str, list[float]], count: int) -> Iterator[str]:
    """Yield the lines of the report about times [s]."""
    plain, one, several = wall
    yield from ("", "## Speed", "", "| | wall [s] | per exposure [s] | processor [s] |")
    yield "| :-- | --: | --: | --: |"
    for name in wall:
        times = ", ".join(f"{seconds:.2f}" for seconds in wall[name])
        each = median(wall[name]) / count
        yield f"| {name} | {times} | {each:.3f} | {median(used[name]):.2f} |"
    pairs = list(zip(wall[one], wall[several], strict=True))
    scaling = ", ".join(f"{first / second:.2f}" for first, second in pairs)
    yield ""
    yield f"From {one} to {several}: {scaling} times as fast, " + (
        f"median {median(a / b for a, b in pairs):.2f}."
    )
    for what, times in (("wall", wall), ("processor", used)):
        more = [b / a - 1 for a, b in zip(times[plain], times[one], strict=True)]
        yield f"Overhead against a plain loop, {what} time: {median(more):+.1%}" + (
            f" ({', '.join(f'{x:+.1%}' for x in more)})."
        )


def nothing(number: int) -> int:
    """Do nothing: a task that takes no time."""
    return number


def books(folder: Path, path: Path, choice: argparse.Namespace) -> Iterator[str]:
    """Time the overhead of a run, with links in place of exposures."""
    inputs, output = folder / "links", folder / "books"
    inputs.mkdir()
    run_batch([path], output, workers=Workers(processes=1))
    made = output / path.stem
    for i in range(choice.links):
        os.link(path, inputs / f"{path.stem}_{i:05d}.fits")
        (output / f"{path.stem}_{i:05d}").mkdir()
        for file in made.iterdir():
            os.link(file, output / f"{path.stem}_{i:05d}" / file.name)
    begin = time.perf_counter()
    batch = run_batch([inputs / "*.fits"], output)
    assert batch.current == choice.links
    each = (time.perf_counter() - begin) / choice.links
    yield from ("", "## Books", "")
    yield f"- results that are there: {each * 1e3:.2f} ms per exposure"
    begin = time.perf_counter()
    for number, _ in enumerate(by_dask(nothing, range(choice.tasks), None, choice.workers)):
        if not number:
            begin = time.perf_counter()
    each = (time.perf_counter() - begin) / choice.tasks
    yield f"- a task: {each * 1e3:.2f} ms, {choice.workers} workers, start-up left out"
    entry = read_manifest(output).entries[path.stem]
    manifest = Manifest(folder, {f"{path.stem}_{i:06d}": entry for i in range(100_000)})
    begin = time.perf_counter()
    manifest.save()
    seconds, size = time.perf_counter() - begin, (folder / MANIFEST).stat().st_size
    yield f"- a manifest of 100 000: {seconds:.1f} s to write, {size / 1e6:.0f} MB"


def main() -> None:
    """Parse the command line, run, print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exposures", type=int, default=64)
    parser.add_argument("--corrupt", type=int, default=3, help="number of truncated ones")
    parser.add_argument("--reads", type=int, default=20)
    parser.add_argument("--size", type=int, default=256, help="height and width [pixel]")
    parser.add_argument("--preset", default="l2", help="of the simulated exposures")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="of each timing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--links", type=int, default=2000, help="exposures with existing results")
    parser.add_argument("--tasks", type=int, default=2000, help="tasks that take no time")
    parts = ("kill", "speed", "books")
    parser.add_argument("--only", nargs="*", choices=parts, default=parts, help="parts to run")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    choice = parser.parse_args()
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    lines = [
        "# Many exposures",
        "",
        f"{describe()}, dask {distributed.__version__}; {load}",
        "",
        f"{choice.exposures} exposures of {choice.reads} x {choice.size} x {choice.size}, preset "
        f"{choice.preset}, {choice.corrupt} of them cut short.",
    ]
    with TemporaryDirectory(dir=choice.folder) as name:
        paths = write_exposures(Path(name) / "night", choice)
        if "kill" in choice.only:
            lines += kill(Path(name), choice)
        if "speed" in choice.only:
            lines += speed(Path(name), paths, choice)
        if "books" in choice.only:
            lines += books(Path(name), paths[0], choice)
    lines += ["", f"Load {os.getloadavg()[0]:.1f} at the end."]
    print(*lines, sep="\n")
    if choice.output:
        choice.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
