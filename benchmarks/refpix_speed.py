"""Time reference-pixel correction of an exposure on disk, and measure the residual 1/f noise.

    python benchmarks/refpix_speed.py --reads 450 --size 2048 --file /tmp/exposure.raw

The file (3.8 GB for these numbers) is made if it is not there; the page cache is warm.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from tempfile import gettempdir

import numpy as np

from ohana.config import DetectorConfig
from ohana.ramp import DetectorInfo, Planes, Ramp
from ohana.refpix.border import border_strips, strips_of
from ohana.refpix.correction import subtract
from ohana.refpix.fit import fit_reference, fit_strips

BLOCK_ROWS = 16


def make_ramp(path: Path, reads: int, size: int, outputs: int) -> Ramp:
    """Return a ramp of big-endian 16-bit images: one noise frame plus an offset per read."""
    rng = np.random.default_rng(1)
    if not path.exists() or path.stat().st_size != reads * size * size * 2:
        with open(path, "wb") as file:
            for _ in range(reads):
                offset = rng.integers(-20, 20)
                noise = rng.normal(-12000 + offset, 10, (size, 2048 * 4)).astype(">i2")
                file.write(np.tile(noise, (1, -(-size // noise.shape[1])))[:, :size].tobytes())
    planes = Planes(
        path, np.arange(reads) * size * size * 2, (size, size), np.dtype(">i2"), 32768.0
    )
    return Ramp(
        path.stem,
        path,
        planes,
        np.arange(reads, dtype=float),
        DetectorInfo(border=4, outputs=outputs),
    )


def clocked_pink(rng: np.random.Generator, reads: int, size: int, outputs: int) -> np.ndarray:
    """Return 1/f noise of 3 DN RMS common to all outputs, in the order of read-out."""
    cols = size // outputs
    frequency = np.fft.rfftfreq(reads * size * (cols + 8))
    frequency[0] = np.inf
    phases = rng.normal(size=(2, len(frequency))) / np.sqrt(frequency)
    noise = np.fft.irfft(phases[0] + 1j * phases[1])
    noise = (3 * noise / noise.std()).reshape(reads, size, cols + 8)[:, :, :cols]
    return np.concatenate([noise[:, :, :: 1 - 2 * (o % 2)] for o in range(outputs)], axis=2)


def row_excess(cube: np.ndarray) -> float:
    """Return the variance of row means above that of white noise of 10 DN [DN^2]."""
    inner = (cube - cube.mean(axis=0))[:, 4:-4, 4:-4]
    return float(inner.mean(axis=2).var() - 100 / inner.shape[2] * (1 - 1 / len(cube)))


def gain_of_noise(outputs: int, sigma: float) -> None:
    """Print noise of the differences and row-to-row variance, before and after."""
    rng = np.random.default_rng(2)
    reads, size = 40, 512
    cube = rng.normal(0, 10, (reads, size, size))
    if sigma:
        cube += sigma / 3 * clocked_pink(rng, reads, size, outputs)
    cube = cube.astype(np.float32)
    after = cube.copy()
    subtract(after, fit_strips(strips_of(cube, 4), outputs))
    noise = [np.diff(c[:, 4:-4, 4:-4], axis=0).std() / np.sqrt(2) for c in (cube, after)]
    print(
        f"{size} x {size}, {outputs} outputs, 10 DN white, {sigma} DN 1/f: noise of a read "
        f"{noise[0]:.3f} -> {noise[1]:.3f} DN, variance common to rows "
        f"{row_excess(cube):.2f} -> {row_excess(after):.2f} DN^2"
    )


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reads", type=int, default=100)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--outputs", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--file", type=Path, default=Path(gettempdir(), "refpix_speed.raw"))
    choice = parser.parse_args()
    ramp = make_ramp(choice.file, choice.reads, choice.size, choice.outputs)
    fit_strips(strips_of(np.ones((3, 64, 64)), 4))  # compile
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    border_strips(ramp, choice.threads)  # warm the page cache
    start = time.perf_counter()
    border_strips(ramp, choice.threads)
    middle = time.perf_counter()
    reference, notice = fit_reference(ramp, DetectorConfig(threads=choice.threads))
    end = time.perf_counter()
    print(f"{ramp.shape}: border {middle - start:.2f} s, border and fit {end - middle:.2f} s")
    print(f"peak memory {base / 1024:.0f} MiB before, ", end="")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB after; {notice}")
    block = np.zeros((choice.reads, BLOCK_ROWS, choice.size), np.float32)
    start = time.perf_counter()
    repeats = 10
    for i in range(repeats):
        subtract(block, reference, slice(i * BLOCK_ROWS, (i + 1) * BLOCK_ROWS))
    seconds = time.perf_counter() - start
    print(f"subtract, one thread: {repeats * block.size / seconds / 1e6:.0f} million reads/s")
    for sigma in (0.0, 3.0):
        for outputs in (1, 4, 8):
            gain_of_noise(outputs, sigma)


if __name__ == "__main__":
    main()
