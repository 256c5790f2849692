"""Measure how snowballs are found, how well their footprints fit, and what is taken for one.

Three tables: snowballs in many kinds of ramps (among cosmic rays at the rate of L2, a part of
them at the edges of the array and in the first or last reads); snowballs that are awkward; and
exposures without any, full of events that resemble them. ``--calibrate`` fits the coefficients
of the confidence instead.

Example::

    python benchmarks/snowballs.py --reads 8 60 --output snowballs.md
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, special

from machine import describe
from ohana import DetectorConfig, Predictor
from ohana.classes import Label
from ohana.detect.snowballs.classify import features
from ohana.evaluate import evaluate
from ohana.results.catalogue import Detection, read_catalogue
from ohana.simulate import SimulationConfig, preset, simulate_to_fits
from ohana.simulate.truth import Truth

#: Snowballs and other events of each exposure.
BALLS: dict[str, Any] = {
    "snowballs": 5,
    "cosmic_ray_rate": 3.0,
    "ends_fraction": 0.2,
    "edge_fraction": 0.2,
}
AWKWARD: dict[str, dict[str, Any]] = {
    "not saturated": {"snowball_core": (0.1, 0.8)},
    "trailed": {"trail_fraction": 1.0},
    "cut by the edge": {"edge_fraction": 1.0},
    "first and last reads": {"ends_fraction": 1.0},
    "crowded": {"snowballs": 14},
    "smallest cores": {"snowball_radius": (3.0, 3.5)},
    "large cores": {"snowball_radius": (10.0, 15.0)},
    "oversized cores": {"snowball_radius": (15.0, 60.0), "snowballs": 2},
    "wide bright halos": {"snowball_halo": (0.02, 0.15), "snowball_halo_length": (1.0, 4.0)},
    "5 reads": {"reads": 5},
    "3 reads": {"reads": 3},
}
HARD: dict[str, dict[str, Any]] = {
    "no event": {},
    "cosmic rays of L2, three times": {"cosmic_ray_rate": 9.0},
    "stars, some saturated": {"stars": 150, "star_flux": (2e3, 5e5)},
    "stars saturated at once": {"stars": 60, "star_flux": (1e5, 1e7)},
    "wide stars that fill up": {"stars": 100, "psf_fwhm": 6.0, "star_flux": (1e5, 3e6)},
    "non-linear stars": {"stars": 100, "star_flux": (2e3, 1e6), "nonlinearity": 0.05},
    "dense long tracks": {"cosmic_rays": 3000, "cosmic_ray_length": (3.0, 40.0)},
    "fat tracks": {"cosmic_rays": 300, "cosmic_ray_charge": 1e5, "diffusion": 1.5},
    "blobs": {
        "cosmic_rays": 200,
        "cosmic_ray_charge": 3e5,
        "diffusion": 2.0,
        "cosmic_ray_length": (0.3, 3.0),
    },
}
#: Settings that nearly every candidate passes, to fit the confidence.
LOOSE = DetectorConfig(
    snowball_min_confidence=0.0,
    snowball_circularity_threshold=0.3,
    snowball_min_radius=2.0,
    snowball_min_intensity=0.0,
    snowball_max_intensity=1e5,
    snowball_min_area=20,
)
#: Ridge penalty of the coefficients in the fit of the confidence.
RIDGE = 1e-2


def predict(
    config: SimulationConfig, seed: int, predictor: Predictor
) -> tuple[Truth, list[Detection]]:
    """Simulate an exposure and find its events."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = simulate_to_fits(config, np.random.default_rng(seed), folder / "ramp.fits")
        predictor.predict(folder / "ramp.fits", folder / "out", processed=False)
        return truth, read_catalogue(folder / "out" / "detections.json")


def positive_row(
    name: str, config: SimulationConfig, seeds: range, predictor: Predictor
) -> list[str]:
    """Return the cells of a row with snowballs: found, false, overlaps."""
    overlaps: list[float] = []
    found = detectable = false = 0
    for seed in seeds:
        ball = evaluate(*predict(config, seed, predictor)).classes[2]
        found, detectable = found + ball.found, detectable + ball.detectable
        false += ball.detected - ball.real
        overlaps += ball.overlaps
    seen = [overlap for overlap in overlaps if overlap > 0]
    spread = f"{np.mean(seen):.3f}", f"{np.quantile(seen, 0.1):.3f}", f"{min(seen):.3f}"
    return [name, f"{found} of {detectable}", str(false), *spread]


def negative_row(
    name: str, config: SimulationConfig, seeds: range, predictor: Predictor
) -> list[str]:
    """Return the cells of a row without snowballs: exposures, false ones."""
    false = 0
    for seed in seeds:
        false += sum(x["type"] == "snowball" for x in predict(config, seed, predictor)[1])
    return [name, str(len(seeds)), str(false)]


def tables(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    seeds = range(arguments.seed, arguments.seed + arguments.exposures)
    size = {"rows": arguments.size, "cols": arguments.size}
    predictor = Predictor()
    heading = ["found", "false", "mean overlap", "worst tenth", "smallest"]
    yield from ("## Snowballs", "", *_head(["ramp", *heading]))
    for scene in ("dark", "sky"):
        for reads in arguments.reads:
            for noise in arguments.read_noise:
                name = f"{scene}, {reads} reads, {noise:g} e-"
                config = preset(scene, reads=reads, read_noise=noise, **size, **BALLS)
                yield _row(positive_row(name, config, seeds, predictor))
    yield from ("", "## Awkward ones (sky, 30 reads, 12 e-)", "", *_head(["kind", *heading]))
    for name, changes in AWKWARD.items():
        settings = {"reads": 30, "read_noise": 12.0} | size | BALLS | changes
        yield _row(positive_row(name, preset("sky", **settings), seeds, predictor))
    yield from ("", "## No snowball", "", *_head(["exposures with", "number", "false snowballs"]))
    for name, changes in HARD.items():
        for reads in arguments.reads:
            config = preset("dark", reads=reads, read_noise=12.0, **size, **changes)
            row = negative_row(f"{name}, {reads} reads", config, seeds, predictor)
            yield _row(row)


def calibrate(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the coefficients of the confidence, and how many candidates of each bin are real."""
    predictor, features, real = Predictor(config=LOOSE), [], []
    kinds = [*({**BALLS, **changes} for changes in AWKWARD.values()), *HARD.values()]
    for changes in kinds:
        for reads in arguments.reads:
            for seed in range(arguments.seed, arguments.seed + arguments.exposures):
                size = {"rows": arguments.size, "cols": arguments.size}
                settings = {"reads": reads, "read_noise": 12.0} | size | changes
                truth, entries = predict(preset("sky", **settings), seed, predictor)
                entries = [entry for entry in entries if entry["type"] == "snowball"]
                features += [_features(entry) for entry in entries]
                real += _is_real(truth, entries).tolist()
    x, y = np.array(features), np.array(real)
    yield f"{len(y)} candidates, {y.sum()} real"

    def cost(beta: np.ndarray) -> float:
        score = x @ beta
        return float(np.sum(np.logaddexp(0, score) - y * score) + RIDGE * np.sum(beta[1:] ** 2))

    best = optimize.minimize(cost, np.zeros(x.shape[1])).x
    yield f"confidence = ({', '.join(f'{value:.2f}' for value in best)})"
    confidence = special.expit(x @ best)
    yield from _head(["confidence", "candidates", "real"])
    for low in (0.0, 0.2, 0.5, 0.8, 0.95):
        high = {0.0: 0.2, 0.2: 0.5, 0.5: 0.8, 0.8: 0.95, 0.95: 1.01}[low]
        here = (confidence >= low) & (confidence < high)
        yield _row([f"{low} to {min(high, 1.0)}", str(here.sum()), str(y[here].sum())])


def _features(entry: Detection) -> list[float]:
    """Return the features of an entry on which its confidence depends."""
    names = ("contrast", "circularity", "core_radius")
    return features(*(float(entry[name]) for name in names))  # type: ignore[literal-required]


def _is_real(truth: Truth, entries: list[Detection]) -> np.ndarray:
    """Return which detections lie on a snowball of the truth at its first read."""
    balls = truth.of(Label.SNOWBALL)
    near = [
        any(
            abs(entry["first_frame"] - ball.first_frame) <= 1
            and np.hypot(*(np.array(ball.facts["center"]) - entry["centroid"]))
            <= ball.facts["core_radius"] + 2
            for ball in balls
        )
        for entry in entries
    ]
    return np.array(near, int)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(names: list[str]) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def main() -> None:
    """Parse the command line, print the report and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reads", nargs="+", type=int, default=[8, 20, 60, 450])
    parser.add_argument("--read-noise", nargs="+", type=float, default=[5.0, 12.0, 25.0])
    parser.add_argument("--size", type=int, default=256, help="height and width [pixel]")
    parser.add_argument("--exposures", type=int, default=3, help="exposures per row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calibrate", action="store_true", help="fit the confidence instead")
    parser.add_argument("--output", type=Path, help="markdown file to write")
    arguments = parser.parse_args()
    lines = [f"{describe()}", ""]
    print(lines[0], flush=True)
    for line in calibrate(arguments) if arguments.calibrate else tables(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
