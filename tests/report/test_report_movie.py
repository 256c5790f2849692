"""Movies: as many pictures as reads, what they show, every ending, and what is refused."""

import os
import stat
import sys

import numpy as np
import pytest
from PIL import Image
from report_scenes import FLICKER, HIT, READS, make_prediction

from ohana import OhanaError, ResultVisualizer
from ohana.report.figures import movie


@pytest.fixture(scope="module")
def look():
    visualizer = ResultVisualizer.__new__(ResultVisualizer)
    visualizer.prediction = make_prediction()
    return visualizer


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_movie_has_a_picture_for_each_read(look, tmp_path, ending):
    path = look.create_event_movie(
        *HIT, tmp_path / "new" / f"hit.{ending}", radius=5, fps=10, reads=slice(6, 12)
    )
    with Image.open(path) as pictures:
        assert pictures.n_frames == 6
        assert pictures.is_animated
        assert pictures.info["loop"] == 0
        brightness = []
        for number in range(6):
            pictures.seek(number)
            pictures.load()
            assert pictures.info["duration"] == 100
            grey = np.asarray(pictures.convert("L"), float)
            brightness.append((grey[60:, : grey.shape[1] // 3] > 200).sum())
    # The cosmic ray comes with read 9, the fourth one.
    assert min(brightness[3:]) > max(brightness[:3])
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_pictures_are_even_and_stay_in_place(look):
    pictures = list(
        movie.draw_pictures(look.prediction, None, FLICKER, 4, range(5, 9), integration=0)
    )
    assert len(pictures) == 4
    assert all(picture.dtype == np.uint8 for picture in pictures)
    height, width, _ = pictures[0].shape
    assert (height % 2, width % 2) == (0, 0)
    # The labels at the left edge stay where they are.
    edges = [picture[:, :40] for picture in pictures]
    assert (edges[0].min(axis=2) < 100).any()
    assert all((edge == edges[0]).all() for edge in edges)
    assert len({picture.shape for picture in pictures}) == 1


def test_default_reads_lie_around_the_event(look):
    prediction = look.prediction
    assert movie.default_reads(prediction, prediction.events[0]) == slice(0, READS)
    long = type(prediction)(**{**vars(prediction), "shape": (450, 64, 64)})
    late = prediction.events[0] | {"first_frame": 440}
    assert movie.default_reads(long, late) == slice(390, 450)
    assert movie.default_reads(long, late | {"first_frame": 100}) == slice(70, 130)
    assert movie.default_reads(long, late | {"first_frame": None}) == slice(0, 60)
    assert movie.default_reads(long, None) == slice(0, 60)


def test_event_of_a_pixel(look):
    prediction = look.prediction
    assert movie.event_at(prediction, *HIT, 0)["type"] == "cosmic_ray"
    # Within its box, but none of its pixels.
    assert movie.event_at(prediction, HIT[0], HIT[1] + 3, 0) is None
    assert movie.event_at(prediction, *HIT, 1) is None


def fake_ffmpeg(folder, code):
    program = folder / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport sys\ndata = sys.stdin.buffer.read()\n{code}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_mp4_goes_through_ffmpeg(look, tmp_path, monkeypatch):
    code = "open(sys.argv[-1], 'w').write(f'{len(data)} ' + ' '.join(sys.argv[1:-1]))"
    monkeypatch.setattr(movie, "find_ffmpeg", lambda path: fake_ffmpeg(tmp_path, code))
    path = look.create_event_movie(*HIT, tmp_path / "hit.mp4", fps=4, reads=slice(0, 3))
    size, *options = path.read_text().split()
    width, height = (int(number) for number in options[options.index("-s") + 1].split("x"))
    assert int(size) == 3 * 3 * width * height
    assert options[options.index("-r") + 1] == "4"
    assert options[options.index("-pix_fmt", 6) + 1] in ("rgb24", "yuv420p")


def test_mp4_that_fails_leaves_nothing(look, tmp_path, monkeypatch):
    code = "sys.exit('no\\nencoder')"
    monkeypatch.setattr(movie, "find_ffmpeg", lambda path: fake_ffmpeg(tmp_path, code))
    with pytest.raises(OhanaError, match="ffmpeg cannot write it: no encoder"):
        look.create_event_movie(*HIT, tmp_path / "hit.mp4", reads=slice(0, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


def test_mp4_without_ffmpeg_says_what_to_install(look, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr(os, "environ", os.environ | {"PATH": str(tmp_path)})
    with pytest.raises(OhanaError, match=r"hit.mp4: mp4 needs ffmpeg \(pip install imageio-ffmpeg"):
        look.create_event_movie(*HIT, tmp_path / "hit.mp4")


def test_real_ffmpeg_writes_a_movie(look, tmp_path):
    try:
        movie.find_ffmpeg(tmp_path)
    except OhanaError:
        pytest.skip("no ffmpeg here")
    path = look.create_event_movie(*HIT, tmp_path / "hit.mp4", reads=slice(6, 12))
    assert path.read_bytes()[4:8] == b"ftyp"


def test_what_is_refused(look, tmp_path):
    with pytest.raises(
        OhanaError, match=r"hit.avi: wanted a name that ends in .gif, .webp or .mp4"
    ):
        look.create_event_movie(*HIT, tmp_path / "hit.avi")
    for reads in (slice(3, 4), slice(0, 9, 2)):
        with pytest.raises(ValueError, match="reads: wanted two or more of 40 in a row, got slice"):
            look.create_event_movie(*HIT, tmp_path / "hit.gif", reads=reads)
    with pytest.raises(ValueError, match="y, x: wanted a pixel of 64 x 64, got 99, 0"):
        look.create_event_movie(99, 0, tmp_path / "hit.gif")
    with pytest.raises(ValueError, match="integration: wanted 0 to 0, got 3"):
        look.create_event_movie(*HIT, tmp_path / "hit.gif", integration=3)
    assert list(tmp_path.iterdir()) == []
