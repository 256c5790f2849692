"""Draw the figures of the README and of pictures.md.

Run ``ohana-predict --demo`` first, then ``python docs/make_pictures.py demo_output``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from ohana import ResultVisualizer
from ohana.report.figures.event_panel import telling_pixel
from ohana.report.figures.movie import palette_of
from ohana.results.catalogue import Detection

NO_DITHER = Image.Dither.NONE


def best_of(results: ResultVisualizer, kind: str) -> tuple[int, Detection]:
    """Return a clear example: certain, and neither at an end of the ramp nor saturated."""
    some = results.select(kind, min_confidence=0.9)
    if kind == "telegraph_noise":
        return max(some, key=lambda item: item[1]["transitions"] * (item[1]["transitions"] < 12))
    if kind == "cosmic_ray":
        middle = range(10, 50)
        some = [item for item in some if item[1]["first_frame"] in middle]
    return max(some, key=lambda item: item[1]["spatial_extent"])


def overview(results: ResultVisualizer) -> Figure:
    """Draw the events of the frame, and a ramp of each class."""
    figure = Figure(figsize=(12.5, 6.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.4, 1))
    results.plot_full_frame(ax=left.add_subplot())
    for axes, kind in zip(
        right.subplots(3, 1), ("cosmic_ray", "telegraph_noise", "snowball"), strict=True
    ):
        number, event = best_of(results, kind)
        pixel = telling_pixel(event)
        results.plot_ramp(number, pixel, ax=axes)
        name, where = kind.replace("_", " "), f"row {pixel[0]}, column {pixel[1]}"
        axes.set_title(f"{name}: {where}", fontsize=10, loc="left")
        axes.set_xlabel("read" if kind == "snowball" else "")
    return figure


def save_small(figure: Figure, path: Path) -> None:
    """Save a figure with 256 colours, which halves its size."""
    figure.savefig(path, dpi=100)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(palette=palette_of(picture), dither=NO_DITHER)
    small.save(path, optimize=True)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="output of ohana-predict --demo")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    results = ResultVisualizer.from_folder(options.folder)
    save_small(overview(results), options.output / "demo.png")
    number, snowball = best_of(results, "snowball")
    save_small(results.plot_event(number), options.output / "snowball.png")
    save_small(results.plot_gallery("faintest", 10), options.output / "gallery.png")
    first = snowball["first_frame"] or 0
    results.create_event_movie(
        *telling_pixel(snowball),
        options.output / "snowball.webp",
        radius=20,
        fps=5,
        reads=slice(first - 5, first + 12),
    )


if __name__ == "__main__":
    main()
