"""Scores of an output folder of ``ohana-predict``."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ohana.errors import OhanaError
from ohana.evaluate.truth.pairs import found_table, members_mask
from ohana.evaluate.truth.scores import Evaluation, evaluate
from ohana.results.catalogue import Detection, read_catalogue
from ohana.results.prediction_files import Maps, open_features
from ohana.simulate.truth import Truth

log = logging.getLogger("ohana")


def evaluate_prediction(
    truth: Truth | str | Path, folder: str | Path, threshold: float = 5.0, integration: int = 0
) -> Evaluation:
    """Compare the results of ``ohana-predict`` with the truth.

    Count rates are taken from the per-pixel features; without them nothing is scored against
    the rate.

    Parameters
    ----------
    truth : Truth, str or Path
        What was simulated, or the file that holds it.
    folder : str or Path
        Results of that exposure.
    threshold : float
        Threshold of detection, for what is detectable and expected [sigma].
    integration : int
        Which integration of the exposure the truth is of.

    Raises
    ------
    OhanaError
        A file is missing or cannot be read, or the prediction is of another exposure.
    """
    if not isinstance(truth, Truth):
        truth = Truth.load(truth)
    folder = Path(folder)
    _check_folder(folder)
    detections = read_catalogue(folder / "detections.json")
    maps = features_of(folder, detections, integration, truth)
    rate = None if maps is None else maps["rate"] / maps["frame_time"]
    try:
        _check_mask(folder / "prediction_mask.npy", detections, truth)
        return evaluate(truth, detections, threshold, integration, rate)
    except ValueError as error:
        raise OhanaError(f"{folder / 'detections.json'}: {error}") from error


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing of this name"
        raise OhanaError(f"{folder}: wanted a folder that ohana-predict has written, got {got}")
    if not (folder / "detections.json").exists():
        inside = sorted(path.parent.name for path in folder.glob("*/detections.json"))
        hint = f"; there are some in its folders {', '.join(inside[:5])}" if inside else ""
        raise OhanaError(
            f"{folder}: wanted the results of ohana-predict, got no detections.json{hint}"
        )


def _check_mask(path: Path, detections: Sequence[Detection], truth: Truth) -> None:
    """Compare the mask with the truth's shape, and with the events of the catalogue."""
    if not path.exists():
        log.warning(f"{path}: not there, so the shape of the exposure is not checked")
        return
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise OhanaError(f"{path}: cannot read mask: {error}") from error
    if mask.shape != truth.shape[1:]:
        got = " x ".join(map(str, mask.shape))
        wanted = " x ".join(map(str, truth.shape[1:]))
        raise OhanaError(f"{path}: wanted {wanted} pixels as in the truth, got {got}")
    painted = members_mask(found_table(detections, truth.shape), mask.shape)
    if not np.array_equal(painted, mask):
        raise OhanaError(
            f"{path}: does not show the events of detections.json; "
            "the two are of different runs, so run ohana-predict again"
        )


def _features_path(folder: Path, detections: Sequence[Detection], integration: int) -> Path | None:
    """Return the features of an integration; None if they are not there or not unique."""
    paths = sorted(folder.glob("*_temporal.npz"))
    numbers = [re.search(r"_int(\d+)_temporal", path.name) for path in paths]
    known = {int(number[1]) if number else 0 for number in numbers}
    known |= {entry["integration"] for entry in detections}
    if known and integration not in known:
        raise OhanaError(f"{folder}: wanted integration {integration}, got {sorted(known)}")
    ours = [
        path
        for path, number in zip(paths, numbers, strict=True)
        if (int(number[1]) if number else 0) == integration
    ]
    if len(ours) == 1:
        return ours[0]
    got = "several" if ours else "none"
    log.warning(f"{folder}: wanted one EXPOSURE_temporal.npz, got {got}: count rates left out")
    return None


def features_of(
    folder: Path, detections: Sequence[Detection], integration: int, truth: Truth
) -> Maps | None:
    """Return the per-pixel features of an integration; None if they cannot be had.

    Raises
    ------
    OhanaError
        There is no such integration, or the features are of another exposure.
    """
    path = _features_path(folder, detections, integration)
    if path is None:
        return None
    try:
        maps = open_features(path)
        # Pixels that never fill have the number of reads for their end.
        shape = (int(maps["stop"].max()), *maps["rate"].shape)
    except OhanaError as error:
        log.warning(f"{error}: count rates left out")
        return None
    if shape != truth.shape:
        wanted, got = (" x ".join(map(str, x)) for x in (truth.shape, shape))
        raise OhanaError(f"{path}: wanted {wanted} reads and pixels as in the truth, got {got}")
    return maps
