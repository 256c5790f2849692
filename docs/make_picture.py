"""Draw the picture of the README: the demo exposure, what was found, and one ramp of each class.

Run ``ohana-predict --demo`` first, then ``python docs/make_picture.py demo_output``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm
from matplotlib.patches import Circle

from ohana.catalog import Detection, member_pixels, read_catalogue

#: Okabe & Ito: told apart by colour-blind readers too.
COLOURS = {"cosmic_ray": "#D55E00", "telegraph_noise": "#0072B2", "snowball": "#009E73"}
NAMES = {
    "cosmic_ray": "cosmic ray",
    "telegraph_noise": "telegraph noise",
    "snowball": "snowball",
}


def mark_events(axes: Axes, detections: list[Detection]) -> None:
    """Circle events; a snowball's circle is its halo."""
    handles = []
    for kind, colour in COLOURS.items():
        some = [entry for entry in detections if entry["type"] == kind]
        for entry in some:
            row, col = entry["centroid"]
            radius = entry.get("halo_radius") or 6 + entry["spatial_extent"] ** 0.5
            axes.add_patch(Circle((col, row), radius, fill=False, color=colour, lw=1))
        label = f"{NAMES[kind]} ({len(some)})"
        style = {"marker": "o", "mfc": "none", "mec": colour, "ls": "none", "ms": 9}
        handles += axes.plot([], [], label=label, **style)
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.1), ncol=3, frameon=False
    )


def best_of(detections: list[Detection], kind: str) -> Detection:
    """Pick a telling event: certain, and not saturated."""
    some = [entry for entry in detections if entry["type"] == kind]
    if kind == "telegraph_noise":
        return max(some, key=lambda entry: entry["transitions"] * (entry["transitions"] < 12))
    if kind == "cosmic_ray":
        some = [e for e in some if 10 < e["first_frame"] < 50 and e["max_intensity"] < 1000]
        return max(some, key=lambda entry: entry["spatial_extent"])
    return max(some, key=lambda entry: entry["spatial_extent"])


def draw_ramp(axes: Axes, cube: np.ndarray, entry: Detection) -> None:
    """Draw the ramp of an event's strongest pixel; of a snowball, that of a halo pixel."""
    row, col = entry["position"]
    if entry["type"] == "snowball":
        rows, cols = member_pixels(entry)
        centre = np.array(entry["centroid"])
        away = np.hypot(rows - centre[0], cols - centre[1])
        pick = np.argmin(np.abs(away - 0.5 * (entry["core_radius"] + entry["halo_radius"])))
        row, col = int(rows[pick]), int(cols[pick])
    ramp = np.concatenate([[0.0], cube[:, row, col]])
    colour = COLOURS[entry["type"]]
    axes.plot(np.arange(len(ramp)), ramp, ".-", color=colour, lw=0.8, ms=4)
    if entry["first_frame"] is not None:
        axes.axvline(entry["first_frame"] - 0.5, color="0.6", lw=0.8, ls="--")
    where = "halo pixel" if entry["type"] == "snowball" else "pixel"
    axes.set_title(f"{NAMES[entry['type']]}, {where} ({row}, {col})", fontsize=9)
    axes.set_ylabel("signal [DN]")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="output of ohana-predict --demo")
    parser.add_argument("--output", type=Path, default=Path("docs/images/demo.png"))
    options = parser.parse_args()
    cube = np.load(options.folder / "demo_processed.npy", mmap_mode="r")
    detections = read_catalogue(options.folder / "detections.json")
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.35, 1))
    axes = left.subplots()
    shown = axes.imshow(cube[-1], norm=AsinhNorm(20, -50, 20000), cmap="gray", origin="lower")
    left.colorbar(shown, ax=axes, label="last read less first [DN]", shrink=0.8)
    mark_events(axes, detections)
    axes.set(xlabel="column [pixel]", ylabel="row [pixel]")
    panels = right.subplots(3, 1, sharex=True)
    for panel, kind in zip(panels, COLOURS, strict=True):
        draw_ramp(panel, cube, best_of(detections, kind))
    panels[-1].set_xlabel("read")
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
