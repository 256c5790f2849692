"""Figures against pictures that were looked at; running this file draws them anew.

Text is taken out first, because it looks different with every version of the font library.
"""

from pathlib import Path

import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text
from report_scenes import make_prediction

from ohana import ResultVisualizer

BASELINES = Path(__file__).parent / "images"
#: Root mean square difference of pixel values [0 to 255]: antialiasing may differ, but a missing
#: outline makes 5, and missing marks make more.
TOLERANCE = 3.0
DPI = 45


def scene(events=None):
    look = ResultVisualizer.__new__(ResultVisualizer)
    look.prediction = make_prediction(events)
    return look


FIGURES = {
    "full_frame": lambda: scene().plot_full_frame(),
    "cosmic_ray": lambda: scene().plot_event(0),
    "snowball": lambda: scene().plot_event(1),
    "telegraph_noise": lambda: scene().plot_event(2),
    "gallery": lambda: scene().plot_gallery(),
    "summary": lambda: scene().plot_summary(),
    "nothing": lambda: scene([]).plot_summary(),
}


def draw_without_text(name, path):
    figure = FIGURES[name]()
    for axis in figure.findobj(Axis):
        axis.set_tick_params(labelbottom=False, labelleft=False, labelright=False, labeltop=False)
    for text in figure.findobj(Text):
        text.set_visible(False)
    figure.savefig(path, dpi=DPI)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_looks_as_before(name, tmp_path):
    from matplotlib.testing.compare import compare_images

    draw_without_text(name, tmp_path / f"{name}.png")
    baseline = BASELINES / f"report_{name}.png"
    (tmp_path / "expected.png").write_bytes(baseline.read_bytes())
    difference = compare_images(
        str(tmp_path / "expected.png"), str(tmp_path / f"{name}.png"), TOLERANCE
    )
    assert difference is None, difference


if __name__ == "__main__":
    for each in FIGURES:
        draw_without_text(each, BASELINES / f"report_{each}.png")
