"""Time the whole of ``ohana-predict`` in a process of its own, and measure its peak memory.

    python benchmarks/whole_speed.py --output whole_speed.md
    python benchmarks/whole_speed.py --sizes --reads --input l2.fits --repeats 1

Time should grow in proportion to reads and to pixels. Exposures are simulated in a temporary
folder (2 bytes per pixel-read), seeded, one at a time; the page cache is warm.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

from machine import describe

PREDICT = [sys.executable, "-c", "from ohana.cli.predict import main; raise SystemExit(main())"]
MAKE = [sys.executable, str(Path(__file__).with_name("make_exposure.py"))]
#: Size at which the number of reads varies, reads at which the size varies, and both at once.
SIZE, READS = 512, 60
FULL = (450, 2048)


class Usage(NamedTuple):
    """Usage of a process: wall time [s], processor time [s], peak resident memory [MiB]."""

    wall: float
    processor: float
    memory: float


def run(command: list[str], **environment: str) -> tuple[Usage, str]:
    """Run a command to its end; return its usage and its standard error.

    This process must stay small: Linux counts it as the first memory of its children.
    """
    start = perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    assert process.stderr is not None  # a pipe was asked for
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}\n{said}")
    kibibytes = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Usage(wall, used.ru_utime + used.ru_stime, kibibytes / 1024), said


def predict(exposure: Path, results: Path, threads: int, repeats: int) -> Usage:
    """Return the shortest times and the largest memory of runs over one exposure."""
    command = [*PREDICT, "--input", str(exposure), "--output", str(results), "--no-processed"]
    used = [run([*command, "--threads", str(threads), "--quiet"])[0] for _ in range(repeats)]
    return Usage(*map(min, zip(*(u[:2] for u in used), strict=True)), max(u.memory for u in used))


def simulate(reads: int, size: int, preset: str, folder: Path) -> Path:
    """Simulate an exposure in a process of its own."""
    path = folder / f"{reads}x{size}.fits"
    shape = ["--reads", str(reads), "--size", str(size)]
    run([*MAKE, "--preset", preset, *shape, "--output", str(path)])
    return path


def table(title: str, rows: list[tuple[int, int, Usage]]) -> list[str]:
    """Return a markdown table of runs (reads, pixels, usage), and the straight line through it."""
    lines = ["", f"## {title}", ""]
    lines += [
        "| reads | pixels | wall [s] | processor [s] | 1e6 pixel-reads/s | peak memory [MiB] |"
    ]
    lines += ["| --: | --: | --: | --: | --: | --: |"]
    millions = [reads * pixels / 1e6 for reads, pixels, _ in rows]
    for (reads, pixels, used), million in zip(rows, millions, strict=True):
        lines += [
            f"| {reads} | {pixels} | {used.wall:.2f} | {used.processor:.2f} "
            f"| {million / used.wall:.1f} | {used.memory:.0f} |"
        ]
    if len(rows) > 2:
        lines += [""]
        for name in ("wall", "processor"):
            times = [getattr(used, name) for *_, used in rows]
            slope, start = linear_regression(millions, times)
            line = [start + slope * million for million in millions]
            off = max(abs(x / t - 1) for x, t in zip(line, times, strict=True))
            lines += [
                f"- {name}: {start:.2f} s + {slope * 1e3:.1f} s per 1e9 pixel-reads, "
                f"all runs within {off:.0%}"
            ]
    return lines


def start_up(exposure: Path, folder: Path, repeats: int) -> list[str]:
    """Time imports, and the compilation of the first run."""
    empty = str(folder / "numba_cache")
    command = [*PREDICT, "--input", str(exposure), "--output", str(folder / "results")]
    command += ["--no-processed"]
    usage, said = run(command, NUMBA_CACHE_DIR=empty)
    compiled = re.search(r"compiled in (\d+ s)", said)
    rows = [("first run, kernels compiled", usage)]
    for name, again in (("later runs", command), ("`--help`", [*PREDICT, "--help"])):
        used = [run(again, NUMBA_CACHE_DIR=empty)[0] for _ in range(repeats)]
        rows += [(name, min(used))]
    lines = ["", "## Start-up, on 12 x 64 x 64 pixel-reads", ""]
    lines += ["| | wall [s] | processor [s] | peak memory [MiB] |", "| :-- | --: | --: | --: |"]
    lines += [f"| {n} | {u.wall:.2f} | {u.processor:.2f} | {u.memory:.0f} |" for n, u in rows]
    return lines + (["", f"Compilation by its own account: {compiled[1]}."] if compiled else [])


def sections(choice: argparse.Namespace) -> Iterator[list[str]]:
    """Run the selected parts; yield the lines of each section of the report when done."""
    shapes = {
        f"Reads, at {SIZE} x {SIZE}": [(reads, SIZE) for reads in choice.reads],
        f"Pixels, at {READS} reads": [(READS, size) for size in choice.sizes],
        "Full array": [FULL] if choice.full else [],
    }
    yield ["# ohana-predict --no-processed", "", describe(), ""]
    yield [f"Preset {choice.preset}, {choice.threads} threads, fastest of {choice.repeats} runs."]
    with TemporaryDirectory(dir=choice.folder) as name:
        folder = Path(name)
        results, how = folder / "results", (choice.threads, choice.repeats)
        tiny = simulate(12, 64, choice.preset, folder)
        yield start_up(tiny, folder, choice.repeats)
        predict(tiny, results, 1, 1)  # compile into the usual cache
        for title, wanted in shapes.items():
            rows = []
            for reads, size in wanted:
                path = simulate(reads, size, choice.preset, folder)
                rows += [(reads, size**2, predict(path, results, *how))]
                path.unlink()
            if rows:
                yield table(title, rows)
        for path in choice.input:
            wall, processor, memory = predict(path, results, *how)
            yield [
                "",
                f"{path.name}: wall {wall:.1f} s, processor {processor:.1f} s, "
                f"peak memory {memory:.0f} MiB.",
            ]


def main() -> None:
    """Parse the command line, run, print the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reads", type=int, nargs="*", default=[56, 112, 225, 450])
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512, 1024, 2048])
    parser.add_argument("--full", action="store_true", help="450 reads of 2048 x 2048 too (3.8 GB)")
    parser.add_argument("--input", type=Path, nargs="*", default=[], help="existing exposures too")
    parser.add_argument("--preset", default="l2", help="of the simulated exposures")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the fastest is taken")
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    choice = parser.parse_args()
    lines = []
    for section in sections(choice):
        print(*section, sep="\n", flush=True)
        lines += section
    if choice.output:
        choice.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
