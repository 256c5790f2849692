"""An exposure with reviewed detections as training data.

Only reviewed detections have labels; all other pixels are ignored, since their class is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ohana import __version__
from ohana.classes import Label
from ohana.errors import OhanaError
from ohana.results.catalogue import Detection, member_pixels
from ohana.results.prediction import Prediction, open_prediction
from ohana.results.verdicts import Verdict, read_verdicts
from ohana.training_sets.claims import compare_settings, note_settings, own_part, publish
from ohana.training_sets.labels import COLUMNS, IGNORE, Runs
from ohana.training_sets.store import (
    FORMAT,
    create_patches,
    create_store,
    cut_patches,
    patch_corners,
    save_array,
    save_labels,
    split_path,
)
from ohana.training_sets.tuning import TUNING
from ohana.utils.files import make_folder

#: Height and width of patches [pixel], and reads of a chunk.
PATCH, WINDOW = 64, 32
#: Value of the setting ``source`` that marks a set of reviewed exposures.
SOURCE = "verdicts"


def store_judged(folder: str | Path, verdicts: str | Path, output_dir: str | Path) -> list[Path]:
    """Add an exposure with reviewed detections to a training set.

    Parameters
    ----------
    folder : str or Path
        Folder that `ohana-predict` has written.
    verdicts : str or Path
        Verdicts on its detections, see `ohana.results.verdicts.read_verdicts`.
    output_dir : str or Path
        The training set, created if missing; its exposures have one shape.

    Returns
    -------
    list of Path
        The new exposures, one for each integration with verdicts.

    Raises
    ------
    OhanaError
        Part of the prediction or the verdicts is missing or inconsistent, or the set holds
        exposures of another kind, or this one already.
    """
    judged, detections = read_verdicts(verdicts, folder)
    if not judged:
        raise OhanaError(f"{verdicts}: wanted at least one verdict, got none")
    prediction = open_prediction(folder)
    if not prediction.run:
        raise OhanaError(f"{folder}: wanted run.json, which describes the detector, got none")
    output_dir = make_folder(Path(output_dir))
    settings = {"source": SOURCE, "shape": list(prediction.shape)}
    compare_settings(output_dir, settings)
    note_settings(output_dir, settings)
    create_store(output_dir, "training", len(Label))
    numbers = sorted({detections[verdict.event]["integration"] for verdict in judged})
    return [_store(prediction, judged, number, output_dir) for number in numbers]


def _store(
    prediction: Prediction, judged: Sequence[Verdict], integration: int, output_dir: Path
) -> Path:
    """Write one integration, which appears when it is complete."""
    several = len(prediction.features) > 1
    name = f"{prediction.name}_int{integration}" if several else prediction.name
    target = split_path(output_dir, "training") / name
    if target.exists():
        raise OhanaError(f"{target}: exists already: remove it to add this exposure again")
    part = own_part(output_dir, name)
    group = zarr.create_group(part, overwrite=True)
    _write_reads(group, prediction, integration)
    maps = prediction.features[integration]
    for key in ("first_usable", "stop"):
        save_array(group, key, np.asarray(maps[key], np.int32))
    mine = [v for v in judged if prediction.events[v.event]["integration"] == integration]
    runs = judged_runs(mine, prediction.events, maps["stop"], integration)
    save_labels(group, runs, [dict(entry) for entry in prediction.events])
    group.attrs.update(_metadata(prediction, mine))
    publish(part, target)
    return target


def _write_reads(group: zarr.Group, prediction: Prediction, integration: int) -> None:
    """Store the corrected reads; a row of patches is in memory at a time."""
    reads, height, width = prediction.shape
    side = min(PATCH, height, width)
    corners = patch_corners((height, width), (side, side), 0)
    across = len(np.unique(corners[:, 1]))
    chunk = min(WINDOW, reads), side, side
    patches = create_patches(group, corners, reads, chunk, np.float32, across)
    every = slice(None)
    for p in range(0, len(corners), across):
        row = int(corners[p, 0])
        data = prediction.cube(every, slice(row, row + side), every, integration)
        moved = corners[p : p + across] - (row, 0)
        patches[p : p + across] = cut_patches(data, moved, (side, side))


def _metadata(prediction: Prediction, judged: Sequence[Verdict]) -> dict[str, Any]:
    run = prediction.run
    counts = np.bincount([verdict.judged for verdict in judged], minlength=len(Label))
    return {
        "ohana_format": FORMAT,
        "ohana_version": __version__,
        "input": run["input"]["path"],
        "facts": run["facts"],
        "times": run["times"],
        "frames": run["frames"],
        "baseline": False,
        "num_classes": len(Label),
        "judged": {label.key: int(counts[label]) for label in Label},
    }


def judged_runs(
    judged: Sequence[Verdict],
    detections: Sequence[Detection],
    stop: np.ndarray,
    integration: int = 0,
) -> Runs:
    """Return the labels of reviewed detections, see `ohana.training_sets.labels.paint`.

    A detection has the label of its verdict, over the reads described in `Runs`. The other reads
    of its pixels are background, and all reads of a detection that is no event. Reads next to the
    first one are ignored, also those after the beginning of a snowball, and other detections in
    the same pixels.

    Parameters
    ----------
    judged : sequence of Verdict
        Verdicts on detections of this integration.
    detections : sequence of dict
        The whole catalogue.
    stop : ndarray of int, shape (H, W)
        First saturated read, T where there is none.
    integration : int
        Number of the integration.
    """
    by_event = {verdict.event: verdict for verdict in judged}
    parts, reviewed = [], np.zeros(stop.shape, bool)
    for number, verdict in by_event.items():
        rows, cols = member_pixels(detections[number])
        reviewed[rows, cols] = True
        parts += _labelled(number, verdict, detections[number], stop)
    for number, entry in enumerate(detections):
        if number not in by_event and entry["integration"] == integration:
            rows, cols = member_pixels(entry)
            here = reviewed[rows, cols]
            first = max((entry["first_frame"] or 0) - TUNING.date_error, 0)
            end = stop[rows[here], cols[here]]
            parts.append(_runs(number, (rows[here], cols[here]), (first, end), IGNORE, np.inf))
    empty = Runs(*(np.empty(0, kind) for kind in COLUMNS.values()))
    runs = Runs(*map(np.concatenate, zip(empty, *parts, strict=True)))
    runs = runs.select(runs.start < runs.stop)
    return runs.select(np.argsort(runs.row, kind="stable"))


def _labelled(number: int, verdict: Verdict, entry: Detection, stop: np.ndarray) -> list[Runs]:
    """Return the runs of one reviewed detection."""
    pixels = member_pixels(entry)
    end, first, label = stop[pixels], entry["first_frame"], verdict.judged
    snr = entry["significance"] or np.inf
    # Always there: it marks that all pixels without runs are ignored.
    background = _runs(number, pixels, (0, end), Label.BACKGROUND, np.inf)
    if label == Label.TELEGRAPH_NOISE:
        return [background, _runs(number, pixels, (0, end), label, snr)]
    if label == Label.BACKGROUND:
        # Again from its first read, since samples are drawn around first reads.
        return [background, _runs(number, pixels, (first or 0, end), label, np.inf)]
    if first is None:  # a hit of unknown date
        return [background, _runs(number, pixels, (0, end), IGNORE, np.inf)]
    later = end if label == Label.SNOWBALL else np.minimum(first + 1 + TUNING.date_error, end)
    unsure = _runs(number, pixels, (max(first - TUNING.date_error, 0), later), IGNORE, np.inf)
    return [background, unsure, _runs(number, pixels, (first, first + 1), label, snr)]


def _runs(
    number: int,
    pixels: tuple[np.ndarray, np.ndarray],
    reads: tuple[Any, Any],
    label: int,
    snr: float,
) -> Runs:
    """Return one run per pixel, with unknown charge (0)."""
    columns = (*pixels, *reads, label, number, 0.0, snr)
    return Runs(
        *(
            np.broadcast_to(np.asarray(column), pixels[0].shape).astype(kind)
            for column, kind in zip(columns, COLUMNS.values(), strict=True)
        )
    )
