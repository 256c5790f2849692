"""One exposure with ohana and other codes: ``comparison.json`` and a plot.

The JSON is a list with one object for each code: ``code``, ``threshold_sigma`` (of other codes the
lowest that gives no more false pixels than ohana has, or 20 per million; 12 if none does),
``false_per_million``, ``pixels`` (bins of cosmic-ray pixels by S/N as in ``evaluation.json``) and
``telegraph_as_jump`` (detectable telegraph pixels with a step flagged).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ohana.config import DetectorConfig
from ohana.correction.fit import corrected_ramp
from ohana.errors import OhanaError
from ohana.evaluate.comparison import Score, compare, plot_comparison
from ohana.evaluate.truth.folder import features_of
from ohana.evaluate.truth.report import plain_bin
from ohana.read import open_exposure
from ohana.results.catalogue import read_catalogue
from ohana.simulate.truth import Truth
from ohana.utils.files import make_folder, replacing

if TYPE_CHECKING:
    pass


def compare_exposure(
    truth: Truth,
    folder: str | Path,
    path: str | Path,
    codes: Sequence[str],
    config: DetectorConfig,
    integration: int = 0,
) -> list[Score]:
    """Score ohana's results and some other codes on an exposure with known truth.

    Parameters
    ----------
    truth : Truth
        What is in the exposure.
    folder : str or Path
        Output folder of ``ohana-predict``; its noise is used by the other codes too.
    path : str or Path
        The exposure.
    codes : sequence of str
        Keys of `ohana.evaluate.other_codes.OTHER_CODES`.
    config : DetectorConfig
        Settings that ohana was run with.
    integration : int
        Which integration of the exposure the truth is of.

    Raises
    ------
    OhanaError
        A file is missing or cannot be read, or is of another exposure.
    """
    detections = read_catalogue(Path(folder) / "detections.json")
    mine = [entry for entry in detections if entry["integration"] == integration]
    features = features_of(Path(folder), detections, integration, truth)
    if features is None:
        raise OhanaError(f"{folder}: wanted EXPOSURE_temporal.npz, which holds the noise, got none")
    ramps = open_exposure(Path(path), config)
    if integration >= len(ramps) or ramps[integration].shape != truth.shape:
        got = " x ".join(map(str, ramps[0].shape))
        wanted = " x ".join(map(str, truth.shape))
        raise OhanaError(
            f"{path}: wanted {wanted} reads and pixels as in the truth in integration "
            f"{integration}, got {len(ramps)} of {got}"
        )
    source = corrected_ramp(ramps[integration], config)[0]
    # The catalogue of one integration counts as that of an exposure.
    first = [entry | {"integration": 0} for entry in mine]
    return compare(truth, source, features, first, codes, config.sigma_threshold)


def save_comparison(scores: Sequence[Score], folder: str | Path) -> list[Path]:
    """Write ``comparison.json`` and ``comparison.png`` into a folder; return both paths."""
    from matplotlib.figure import Figure

    numbers, page = (make_folder(Path(folder)) / f"comparison.{end}" for end in ("json", "png"))
    content = [
        {
            "code": score.name,
            "threshold_sigma": score.threshold,
            "false_per_million": score.false_rate,
            "pixels": [plain_bin(each) for each in score.pixels],
            "telegraph_as_jump": plain_bin(score.telegraph),
        }
        for score in scores
    ]
    with replacing(numbers) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    figure = Figure(figsize=(7, 5), dpi=110, layout="constrained")
    axes = figure.subplots()
    plot_comparison(scores, axes)
    rates = ", ".join(f"{score.name} {score.false_rate:.0f}" for score in scores)
    axes.set_title(f"cosmic-ray pixels; false ones per million: {rates}", fontsize=10)
    with replacing(page) as temporary:
        figure.savefig(temporary)
    return [numbers, page]
