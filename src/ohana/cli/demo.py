"""`ohana-predict --demo`: the main job on a simulated exposure, compared with its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ohana.catalog import read_catalogue
from ohana.cli.common import columns
from ohana.cli.progress import Progress
from ohana.evaluate import ClassScore, Evaluation, evaluate
from ohana.files import make_folder
from ohana.predictor import Predictor
from ohana.simulate import preset, simulate_to_fits

SEED = 20240229

LEGEND = """\
detectable: stands out of the noise; found, complete: of these
real: belongs to an injected event"""


def run_demo(predictor: Predictor, folder: Path, progress: Progress) -> str:
    """Simulate an exposure, find its events, and return a report.

    Parameters
    ----------
    predictor : Predictor
        With the settings to use.
    folder : Path
        For the exposure, its truth and the results.
    progress : callable
        Called with the name of a stage, the parts done and the parts in all.
    """
    make_folder(folder)
    exposure = folder / "demo.fits"
    progress("simulating", 0, 1)
    truth = simulate_to_fits(preset("demo"), np.random.default_rng(SEED), exposure)
    truth.save(folder / "demo_truth.json")
    progress("simulating", 1, 1)
    summary = predictor.predict(exposure, folder, progress=progress)
    found = evaluate(
        truth, read_catalogue(folder / "detections.json"), predictor.config.sigma_threshold
    )
    return f"{summary}\n\n{score_table(found)}\n\n{files_table(folder)}"


def score_table(found: Evaluation) -> str:
    """Compare what was found with what was put in, one class on each line."""
    heading = ("class", "injected", "detectable", "found", "complete", "detections", "real")
    return f"{columns([heading, *map(_score_row, found.classes)])}\n{LEGEND}"


def _score_row(score: ClassScore) -> tuple[str, ...]:
    counts = (score.injected, score.detectable, score.found)
    complete = f"{score.completeness:.1%}" if score.detectable else "-"
    name = score.label.key.replace("_", " ")
    return (name, *map(str, counts), complete, str(score.detected), str(score.real))


def files_table(folder: Path) -> str:
    """List the files of a folder with their sizes."""
    rows = [
        (str(path), f"{path.stat().st_size / 1e6:.1f} MB")
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    return columns([("file", "size"), *rows])
