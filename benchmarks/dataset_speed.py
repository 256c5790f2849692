"""Time reading a training set through torch's DataLoader.

    python benchmarks/dataset_speed.py --workers 2 --batch_size 2

A set with the sizes given is made in a temporary folder first; the page cache is warm.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
from torch.utils.data import DataLoader

from machine import describe
from ohana.training.dataset import OhanaDataset
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.creator import DataSetCreator


def megabytes_per_second(data: OhanaDataset, workers: int, batch: int, items: int) -> float:
    """Read items in random order, start of the workers not counted."""
    order = np.random.default_rng(1).integers(len(data), size=items).tolist()
    loader = DataLoader(data, batch, sampler=order, num_workers=workers)
    batches = iter(loader)
    next(batches)
    start, size = time.perf_counter(), 0
    for reads, _, _ in batches:
        size += reads.nbytes
    return size / (time.perf_counter() - start) / 1e6


def main() -> None:
    """Make a set and read it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="height and width [px]")
    parser.add_argument("--reads", type=int, default=64)
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--exposures", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    choice = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as folder:
        config = CreatorConfig(
            output_dir=folder,
            image_shape=(choice.size, choice.size),
            num_frames=choice.reads,
            patch_size=choice.patch,
            overlap=0,
            window=choice.window,
            outputs=4,
            gain_library=[1.5],
            snowball_radius_range=(3.0, 12.0),
            num_exposure_events=choice.exposures,
            num_baseline_exposures=0,
            test_fraction=0.0,
            seed=choice.seed,
            workers=1,
        )
        DataSetCreator(config).create(0, 0)
        data = OhanaDataset(folder)
        shape = (choice.window, choice.patch, choice.patch)
        print(f"{len(data)} windows of {shape}, batches of {choice.batch_size}")
        for workers in sorted({0, 1, choice.workers}):
            speeds = [
                megabytes_per_second(data, workers, choice.batch_size, choice.items)
                for _ in range(choice.repeats)
            ]
            print(f"{workers} workers: " + ", ".join(f"{speed:.0f}" for speed in speeds) + " MB/s")


if __name__ == "__main__":
    main()
