"""Measure the reliability of the confidence of each class.

Simulates exposures with the events of L2, finds everything down to the threshold, and compares
with the truth: a table of confidence against the part that is real.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np

from machine import describe
from ohana.classes import Label
from ohana.config_file import load_config
from ohana.detect.matching import Members
from ohana.evaluate import measure_reliability
from ohana.predictor import Predictor
from ohana.results.catalogue import Detection, member_pixels, read_catalogue
from ohana.simulate import preset, simulate_to_fits
from ohana.simulate.truth import Truth

#: Largest difference of first reads between a detection and its true event [reads].
TOLERANCE = 8


def are_real(truth: Truth, label: Label, entries: list[Detection]) -> np.ndarray:
    """Return which detections share a pixel and (about) the read with a true event of the class."""
    width = truth.shape[2]
    true = Members.gather([(e.rows, e.cols, e.first_frame) for e in truth.of(label)], width)
    found = Members.gather([(*member_pixels(e), e["first_frame"]) for e in entries], width)
    pairs = found.matches(true, np.full(found.size, TOLERANCE))
    return np.isin(np.arange(found.size), pairs[0])


def collect(size: int, exposures: int, seed: int) -> dict[Label, np.ndarray]:
    """Simulate exposures and find their events; return rows of (confidence, real) per class."""
    predictor = Predictor(config=load_config("sensitive"))
    kinds = itertools.product(("l2", "sky"), (8, 20, 60, 200), (6.0, 12.0, 20.0))
    rows: dict[Label, list[tuple[float, ...]]] = {label: [] for label in list(Label)[1:]}
    for k, (scene, reads, noise) in enumerate(kinds):
        config = preset(
            scene,
            reads=reads,
            read_noise=noise,
            rows=size,
            cols=size,
            cosmic_rays=size * size // 1500,
            telegraph_pixels=size * size // 5000,
            snowballs=max(1, size * size // 40000),
        )
        for exposure in range(exposures):
            rng = np.random.default_rng([seed, k, exposure])
            with tempfile.TemporaryDirectory() as name:
                path = Path(name) / "ramp.fits"
                truth = simulate_to_fits(config, rng, path)
                predictor.predict(path, Path(name) / "out", processed=False)
                found = read_catalogue(Path(name) / "out" / "detections.json")
            for label, table in rows.items():
                mine = [entry for entry in found if entry["type"] == label.key]
                for entry, real in zip(mine, are_real(truth, label, mine), strict=True):
                    table.append((entry["confidence"], float(real)))
    return {label: np.array(table).reshape(-1, 2) for label, table in rows.items()}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="height and width [pixel]")
    parser.add_argument("--exposures", type=int, default=2, help="per kind of ramp")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="markdown file to write")
    options = parser.parse_args()
    tables = collect(options.size, options.exposures, options.seed)
    lines = ["# Confidence", "", describe()]
    for label, table in tables.items():
        lines += ["", f"## {label.key.replace('_', ' ')}", ""]
        lines += ["| confidence | detections | mean | real |", "| --- | --- | --- | --- |"]
        result = measure_reliability(table[:, 0], table[:, 1] > 0)
        lines += [
            f"| {b.low:.2f}-{b.high:.2f} | {b.count} | {b.mean:.3f} | {b.fraction:.3f} |"
            for b in result.bins
        ]
        lines.append(
            f"\nExpected calibration error: {result.error:.3f} "
            f"({result.chance:.3f} by chance, from the numbers alone)"
        )
    text = "\n".join(lines)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
