"""What the figures show: data against the cube, labels, units; nothing else is touched."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from report_scenes import BALL, HIT, READS, SIZE, make_cube, make_events, make_prediction

from ohana import OhanaError, ResultVisualizer, catalogue
from ohana.classes import CLASSES
from ohana.report import fitted_ramp as fits
from ohana.report.figures.canvas import new_figure
from ohana.report.figures.event_panel import telling_pixel
from ohana.report.fitted_ramp import fitted_ramp
from ohana.report.stretch import Stretch, stretch


@pytest.fixture(scope="module")
def look():
    visualizer = ResultVisualizer.__new__(ResultVisualizer)
    visualizer.prediction = make_prediction()
    return visualizer


@pytest.fixture(scope="module")
def empty():
    visualizer = ResultVisualizer.__new__(ResultVisualizer)
    visualizer.prediction = make_prediction([])
    return visualizer


def texts_of(figure):
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def axes_titled(figure, start):
    titles = {axes: axes.get_title() or axes.get_title(loc="left") for axes in figure.axes}
    return next(axes for axes, title in titles.items() if title.startswith(start))


def shown_image(axes):
    return np.ma.filled(axes.images[0].get_array().astype(float), np.nan)


def test_full_frame_shows_the_last_read_the_mask_and_every_event(look):
    figure = look.plot_full_frame()
    axes = figure.axes[0]
    cube = make_cube(make_events())
    np.testing.assert_array_equal(shown_image(axes), cube[-1])
    mask = axes.images[1].get_array()
    np.testing.assert_array_equal(mask.filled(0), look.prediction.mask)
    assert mask.mask[0, 0]
    assert axes.images[0].origin == axes.images[1].origin == "lower"
    assert axes.images[0].get_extent() == [-0.5, SIZE - 0.5, -0.5, SIZE - 0.5]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("column [pixel]", "row [pixel]")
    assert figure.axes[1].get_ylabel() == f"scene: read {READS - 1} less read 0 [DN]"
    marks = {line.get_marker(): line.get_xydata() for line in axes.lines}
    events = {event["type"]: event for event in look.prediction.events}
    for key in ("cosmic_ray", "telegraph_noise"):
        np.testing.assert_allclose(
            marks[CLASSES[key].marker], [events[key]["centroid"][::-1]], atol=1e-9
        )
    circle = axes.collections[0].get_paths()[0].get_extents()
    row, col = events["snowball"]["centroid"]
    assert (circle.x0, circle.x1) == pytest.approx((col - 13, col + 13))
    assert (circle.y0, circle.y1) == pytest.approx((row - 13, row + 13))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["cosmic ray (1)", "telegraph noise (1)", "snowball (1)"]


def test_full_frame_of_some_events_in_given_axes(look, tmp_path):
    figure = new_figure(5, 5)
    axes = figure.add_subplot()
    path = tmp_path / "new" / "frame.png"
    shown = look.plot_full_frame(types="rtn", image="rate", ax=axes, save=path)
    assert shown is figure
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["telegraph noise (1)"]
    assert figure.axes[1].get_ylabel().endswith("count rate [DN per frame time]")
    np.testing.assert_array_equal(shown_image(axes), look.prediction.image())
    with pytest.raises(ValueError, match="image: wanted 'last' or 'rate', got 'first'"):
        look.plot_full_frame(image="first")


def test_event_panel_of_a_cosmic_ray(look):
    number = next(n for n, event in look.select("cosmic_ray"))
    figure = look.plot_event(number)
    cube = make_cube(make_events())
    before, after = axes_titled(figure, "before: read 8"), axes_titled(figure, "after: read 9")
    left, right, bottom, top = (int(edge + 0.5) for edge in before.images[0].get_extent())
    window = slice(bottom, top), slice(left, right)
    # Read r of the ramp is plane r - 1 of the corrected cube.
    np.testing.assert_array_equal(shown_image(before), cube[7][window])
    np.testing.assert_array_equal(shown_image(after), cube[8][window])
    change = shown_image(axes_titled(figure, "difference"))
    np.testing.assert_allclose(change, cube[8][window] - cube[7][window])
    ramp = axes_titled(figure, f"pixel at row {HIT[0]}, column {HIT[1]}")
    points, fit = ramp.lines[0].get_xydata(), ramp.lines[1].get_xydata()
    np.testing.assert_array_equal(points[:, 0], np.arange(READS))
    np.testing.assert_allclose(points[1:, 1], cube[:, HIT[0], HIT[1]])
    expected = fitted_ramp(look.prediction, look.prediction.events[number], *HIT)
    np.testing.assert_array_equal(fit[:, 1], expected)
    assert ramp.lines[2].get_xdata() == [8.5, 8.5]
    words = " ".join(texts_of(figure))
    assert "cosmic ray 0" in words
    assert "first read 9" in words
    assert "confidence 0.98" in words
    assert "charge 1820 DN" in words


def test_event_panel_of_telegraph_noise_shows_low_and_high(look):
    figure = look.plot_event(look.select("rtn")[0][0])
    high = np.arange(READS) // 8 % 2 == 1
    cube = np.concatenate([np.zeros((1, SIZE, SIZE)), make_cube(make_events())])
    low_view = axes_titled(figure, f"low: mean of {(~high).sum()} reads")
    left, right, bottom, top = (int(edge + 0.5) for edge in low_view.images[0].get_extent())
    expected = cube[~high].mean(0)[bottom:top, left:right]
    np.testing.assert_allclose(shown_image(low_view), expected, atol=1e-4)
    assert axes_titled(figure, f"high: mean of {high.sum()} reads")
    assert "dwell low 9.0 reads" in " ".join(texts_of(figure))


def test_event_panel_of_a_snowball_shows_profile_and_growth(look):
    event = look.select("snowball")[0][1]
    row, col = telling_pixel(event)
    assert 4 < np.hypot(row - BALL[0], col - BALL[1]) < 13
    figure = look.plot_event(event)
    profile = axes_titled(figure, "radial profile")
    assert profile.get_xlabel() == "distance from the centroid [pixel]"
    assert profile.lines[0].get_ydata()[0] > 29_000
    grown = axes_titled(figure, "growth")
    np.testing.assert_array_equal(grown.lines[0].get_xdata(), np.arange(17, READS))
    assert grown.lines[0].get_ydata()[:3].max() == 0
    assert grown.lines[0].get_ydata()[4] == pytest.approx(4, abs=0.4)


def test_a_steep_ramp_is_drawn_less_its_slope():
    prediction = make_prediction()
    cube = prediction.reads[0].cube
    cube += 500 * np.arange(1, READS, dtype=np.float32)[:, None, None]
    look = ResultVisualizer(cube, prediction.events)
    axes = look.plot_ramp(0).axes[0]
    assert axes.get_ylabel().startswith("signal less 50")
    assert axes.lines[0].get_ydata().max() < 2000
    assert (
        look.plot_ramp(0, (HIT[0] + 1, HIT[1] + 2))
        .axes[0]
        .get_title(loc="left")
        .startswith("pixel at row 13")
    )


def test_an_event_at_the_edge_has_a_smaller_cut_out(look):
    prediction = make_prediction()
    event = prediction.events[0] | {"bbox": [0, 62, 2, 64], "position": [0, 63]}
    event |= {"pixels": [[0, 63], [1, 62]], "centroid": [0.5, 62.5]}
    figure = ResultVisualizer(prediction.reads[0].cube, [event]).plot_event(0, radius=5)
    assert shown_image(axes_titled(figure, "difference")).shape == (6, 7)


def test_all_detections_one_by_one(look, tmp_path):
    figures = look.plot_all_detections(max_plots=2, save=tmp_path)
    assert len(figures) == 2
    assert all(isinstance(figure, Figure) for figure in figures)
    # The most significant first: snowball, cosmic ray.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "event_00000_cosmic_ray.png", "event_00001_snowball.png",
    ]  # fmt: skip
    assert len(look.plot_all_detections(types=["snowball", "rtn"], min_confidence=0.7)) == 1
    assert look.plot_all_detections(min_confidence=0.99) == []


@pytest.mark.parametrize(
    ("pick", "first"),
    [("strongest", "snowball"), ("faintest", "telegraph noise"), ("least certain", "telegraph")],
)
def test_gallery_picks(look, pick, first):
    figure = look.plot_gallery(pick, count=2)
    words = texts_of(figure)
    assert f"scene: the 2 {pick} of 3 events" in words
    titles = [axes.get_title() for axes in figure.axes]
    assert first in next(title for title in titles if title)


def test_summary_counts_what_there_is(look):
    figure = look.plot_summary()
    assert "scene: 40 reads of 64 x 64" in " ".join(texts_of(figure))
    bars = axes_titled(figure, "counts").patches
    assert [bar.get_height() for bar in bars] == [1, 1, 1]
    assert "1\n244 per Mpix" in texts_of(figure)
    levels = axes_titled(figure, "telegraph noise")
    np.testing.assert_array_equal(levels.lines[0].get_xydata(), [[9.0, 60.0]])
    density = axes_titled(figure, "density of events").images[0].get_array()
    assert density.sum() * SIZE**2 / density.size / 1e6 == pytest.approx(3)
    for axes in figure.axes:
        assert axes.get_ylabel()
        assert axes.get_xlabel() or axes.get_title() == "counts" or axes.get_label() == "<colorbar>"


def test_nothing_found_is_said(empty, tmp_path):
    assert empty.plot_full_frame().axes[0].get_title() == "scene: nothing found"
    assert empty.plot_all_detections() == []
    assert "nothing found" in texts_of(empty.plot_gallery(save=tmp_path / "gallery.png"))
    summary = empty.plot_summary(save=tmp_path / "summary.png")
    assert texts_of(summary).count("nothing found") == 6
    with pytest.raises(ValueError, match="event: wanted 0 to -1, got 0"):
        empty.plot_event(0)


def test_a_fit_that_fails_is_said_and_costs_no_picture(look, tmp_path, monkeypatch):
    def failing(prediction, event, y, x):
        raise ArithmeticError("no pivot")

    monkeypatch.setattr(fits, "fitted_ramp", failing)
    for number in range(len(look.prediction.events)):
        assert "no fit: unexpected ArithmeticError: no pivot" in texts_of(look.plot_event(number))
    assert look.plot_gallery(save=tmp_path / "gallery.png").axes
    y, x = look.prediction.events[0]["position"]
    assert look.create_event_movie(y, x, tmp_path / "hit.gif", reads=slice(8, 11)).exists()


def test_wrong_names_are_refused(look):
    with pytest.raises(ValueError, match="pick: wanted one of 'strongest', .* got 'best'"):
        look.plot_gallery("best")
    with pytest.raises(ValueError, match="class name: wanted one of .* got 'muon'"):
        look.select("muon")


def test_save_that_fails_is_one_line(look, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OhanaError, match="file: cannot make this folder"):
        look.plot_summary(save=tmp_path / "file" / "summary.png")


def test_published_interface_with_a_bare_cube():
    events = make_events()
    look = ResultVisualizer(make_cube(events), catalogue(events))
    for number in range(3):
        look.plot_event(number).draw_without_rendering()


def test_no_window_no_pyplot_no_setting_is_touched():
    code = (
        "import sys, numpy as np, matplotlib\n"
        "before = dict(matplotlib.rcParams.copy())\n"
        "sys.path.insert(0, 'tests/helpers')\n"
        "from report_scenes import make_prediction\n"
        "from ohana import ResultVisualizer\n"
        "look = ResultVisualizer.__new__(ResultVisualizer)\n"
        "look.prediction = make_prediction()\n"
        "for figure in (look.plot_full_frame(), look.plot_event(0), look.plot_summary()):\n"
        "    figure.draw_without_rendering()\n"
        "assert dict(matplotlib.rcParams.copy()) == before\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"


def test_stretch_follows_the_background():
    rng = np.random.default_rng(0)
    image = rng.normal(50, 5, (300, 300))
    image[:3, :100] = 1e5
    image[5] = np.nan
    bent = stretch(image)
    assert 30 < bent.low < 50 < bent.high
    values = bent(np.array([bent.low - 10, 40, 50, 60, 1e6, np.nan]))
    assert values[0] == 0
    assert values[4] == 1
    assert np.isnan(values[5])
    assert (np.diff(values[:5]) > 0).all()
    np.testing.assert_allclose(bent.invert(bent.apply(image[:2])), image[:2])


@pytest.mark.parametrize(
    "bent", [Stretch(-50, 5e4, 40), Stretch(5000, 6000, 100), Stretch(-1, 1, 2), Stretch(-3, -2, 1)]
)
def test_ticks_are_round_few_and_inside(bent):
    ticks = bent.ticks()
    assert 3 <= len(ticks) <= 12
    assert bent.low <= ticks[0] < ticks[-1] <= bent.high
    assert all(len(f"{tick:g}".strip("-").replace(".", "").strip("0")) <= 2 for tick in ticks)


@pytest.mark.parametrize("image", [np.ones((4, 4)), np.full((4, 4), np.nan), np.zeros((0, 4))])
def test_stretch_of_nothing_much(image):
    bent = stretch(image)
    assert bent.high > bent.low
    assert bent.soft > 0
