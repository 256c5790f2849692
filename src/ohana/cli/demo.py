"""`ohana-predict --demo`: the main job on a simulated exposure, compared with its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ohana.cli.tables import score_table
from ohana.evaluate import evaluate
from ohana.predictor import Predictor
from ohana.results.catalogue import read_catalogue
from ohana.results.summary import Summary
from ohana.simulate import preset, simulate_to_fits
from ohana.utils.files import make_folder
from ohana.utils.formatting import columns
from ohana.utils.progress import Progress

SEED = 20240229


def run_demo(
    predictor: Predictor, folder: Path, options: dict[str, Any], progress: Progress
) -> tuple[Summary, str]:
    """Simulate an exposure, find its events; returns the outcome and how good it is.

    Parameters
    ----------
    predictor : Predictor
        With the settings to use.
    folder : Path
        For the exposure, its truth and the results.
    options : dict
        More arguments of `Predictor.predict`.
    progress : callable
        Called with the name of a stage, the parts done and the parts in all.
    """
    make_folder(folder)
    exposure = folder / "demo.fits"
    progress("simulating", 0, 1)
    truth = simulate_to_fits(preset("demo"), np.random.default_rng(SEED), exposure)
    truth.save(folder / "demo_truth.json")
    progress("simulating", 1, 1)
    summary = predictor.predict(exposure, folder, **options, progress=progress)
    found = evaluate(
        truth, read_catalogue(folder / "detections.json"), predictor.config.sigma_threshold
    )
    return summary, score_table(found)


def files_table(folder: Path) -> str:
    """List the files of a folder with their sizes."""
    rows = [
        (str(path), f"{path.stat().st_size / 1e6:.3f} MB")
        for path in sorted(folder.iterdir())
        if path.is_file()
    ]
    return columns([("file", "size"), *rows])
