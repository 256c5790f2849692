"""Movies: a small part of the detector read by read, beside the ramp of a pixel."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ohana.classes import CLASSES
from ohana.errors import OhanaError
from ohana.report.figures.canvas import add_colour_bar, new_figure, outline, show_image
from ohana.report.fitted_ramp import fit_to_draw
from ohana.report.stretch import FAINT, INK, MODEL, stretch
from ohana.results.catalogue import Detection, member_pixels
from ohana.results.prediction import Prediction
from ohana.utils.files import make_folder, replacing

if TYPE_CHECKING:
    from PIL import Image

#: Endings of files that Pillow writes, and the one that ffmpeg does.
PILLOW, FFMPEG = (".gif", ".webp"), ".mp4"
#: Greys among the 256 colours of a GIF, and how much the channels of no grey differ.
GREYS, COLOURED = 160, 12
#: Reads before and behind the first read of an event that a movie shows, by default.
AROUND = 30


def write_movie(
    prediction: Prediction,
    y: int,
    x: int,
    path: Path,
    radius: int,
    fps: float,
    reads: slice | None,
    integration: int,
) -> Path:
    """Write the movie of a pixel and what is around it, see `ResultVisualizer`."""
    if path.suffix.lower() not in (*PILLOW, FFMPEG):
        wanted = f"a name that ends in {', '.join(PILLOW)} or {FFMPEG}"
        raise OhanaError(f"{path}: wanted {wanted}, got {path.suffix or 'no ending'}")
    encoder = find_ffmpeg(path) if path.suffix.lower() == FFMPEG else None
    event = event_at(prediction, y, x, integration)
    shown = range(prediction.shape[0])[reads or default_reads(prediction, event)]
    if len(shown) < 2 or shown.step != 1:
        wanted = f"two or more of {prediction.shape[0]} in a row"
        raise ValueError(f"reads: wanted {wanted}, got {reads}")
    pictures = draw_pictures(prediction, event, (y, x), radius, shown, integration)
    make_folder(path.parent)
    with replacing(path) as temporary:
        if encoder is None:
            _write_animation(temporary, pictures, fps)
        else:
            _encode(encoder, temporary, pictures, fps)
    return path


def event_at(prediction: Prediction, y: int, x: int, integration: int) -> Detection | None:
    """Return the event that holds a pixel, the most significant one of several."""
    found = []
    for event in prediction.events:
        top, left, bottom, right = event["bbox"]
        if event["integration"] != integration or not (top <= y < bottom and left <= x < right):
            continue
        rows, cols = member_pixels(event)
        if ((rows == y) & (cols == x)).any():
            found.append(event)
    return max(found, key=lambda event: event["significance"] or 0.0, default=None)


def default_reads(prediction: Prediction, event: Detection | None) -> slice:
    """Return the reads around the first one of an event, or all if they are few."""
    reads = prediction.shape[0]
    if reads <= 2 * AROUND:
        return slice(0, reads)
    middle = AROUND if event is None else event["first_frame"] or AROUND
    start = min(max(middle - AROUND, 0), reads - 2 * AROUND)
    return slice(start, start + 2 * AROUND)


def draw_pictures(
    prediction: Prediction,
    event: Detection | None,
    pixel: tuple[int, int],
    radius: int,
    reads: range,
    integration: int,
) -> Iterator[np.ndarray]:
    """Draw one picture for each read, uint8 (h, w, 3) with even h and w.

    Parameters
    ----------
    prediction : Prediction
        The exposure.
    event : dict, optional
        The one whose outline and fit are shown.
    pixel : tuple of int
        Row and column.
    radius : int
        Half the side of what is shown [pixel].
    reads : range
        Which; the signal is that above the first of them.
    integration : int
        Integration of the exposure.
    """
    (y, x), (_, height, width) = pixel, prediction.shape
    ramp = prediction.ramp(y, x, integration)[reads.start : reads.stop]
    rows = slice(max(y - radius, 0), min(y + radius + 1, height))
    cols = slice(max(x - radius, 0), min(x + radius + 1, width))
    cube = prediction.cube(slice(reads.start, reads.stop), rows, cols, integration)
    cube = cube - np.nan_to_num(cube[0])
    figure = new_figure(8.4, 3.8)
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    bent = stretch(cube)
    image = show_image(left, cube[0], (rows.start, cols.start), bent)
    add_colour_bar(image, bent, f"signal since read {reads.start} [DN]", shrink=0.9)
    left.plot(x, y, "+", color="#F0E442", markersize=7)
    if event is not None:
        outline(left, event, color=CLASSES[event["type"]].dark, linewidth=1.2)
    title = left.set_title(" ", fontsize=11)
    right.plot(reads, ramp, ".", color=FAINT, markersize=3, alpha=0.6)
    if event is not None:
        fit = fit_to_draw(prediction, event, y, x).fit[reads.start : reads.stop]
        right.plot(reads, fit, color=MODEL, linewidth=1, alpha=0.8)
    (seen,) = right.plot([], [], "o", color=INK, markersize=3.5)
    now = right.axvline(reads.start, color=FAINT, linewidth=1)
    right.set(xlabel="read", ylabel="signal [DN]")
    right.set_title(f"pixel at row {y}, column {x} (+)", fontsize=10)
    right.grid(alpha=0.25)
    for number, read in enumerate(reads):
        image.set_data(np.ma.masked_invalid(cube[number]))
        title.set_text(f"read {read}")
        seen.set_data(reads[: number + 1], ramp[: number + 1])
        now.set_xdata([read, read])
        canvas.draw()
        if number == 0:
            # Axes must not move between frames.
            figure.set_layout_engine("none")
        picture = np.asarray(canvas.buffer_rgba())[..., :3]
        yield picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2].copy()


def _write_animation(path: Path, pictures: Iterator[np.ndarray], fps: float) -> None:
    """Write a GIF or WebP that loops."""
    from PIL import Image

    frames = [Image.fromarray(picture) for picture in pictures]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "loop": 0}
    if path.suffix.lower() == ".gif":
        # One palette for all frames prevents flicker.
        palette = palette_of(frames[-1])
        frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
        options |= {"append_images": frames[1:], "disposal": 1}
    else:
        options |= {"quality": 85, "method": 4}
    frames[0].save(path, duration=round(1000 / fps), **options)


def palette_of(picture: Image.Image) -> Image.Image:
    """Return a palette of greys and of the colours in a picture, however few pixels have them."""
    from PIL import Image

    pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    coloured = pixels[np.ptp(pixels.astype(int), axis=1) > COLOURED]
    found = np.zeros((0, 3), np.uint8)
    if len(coloured):
        some = Image.fromarray(coloured[None]).quantize(256 - GREYS, Image.Quantize.MAXCOVERAGE)
        found = np.array(some.getpalette(), np.uint8).reshape(-1, 3)[: 256 - GREYS]
    greys = np.linspace(0, 255, GREYS).round().astype(np.uint8)[:, None].repeat(3, axis=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([greys, found]).tobytes())
    return palette


def find_ffmpeg(path: Path) -> str:
    """Return the program that encodes mp4.

    Raises
    ------
    OhanaError
        There is none.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
    if found is None:
        raise OhanaError(
            f"{path}: mp4 needs ffmpeg (pip install imageio-ffmpeg, or the ffmpeg of your system); "
            f"names that end in {' or '.join(PILLOW)} do without"
        )
    return found


def _encode(program: str, path: Path, pictures: Iterator[np.ndarray], fps: float) -> None:
    """Pipe pictures through ffmpeg to H.264 that every player can show."""
    first = next(pictures)
    height, width, _ = first.shape
    command = [
        program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
        "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
    ]  # fmt: skip
    data = b"".join([first.tobytes(), *(picture.tobytes() for picture in pictures)])
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise OhanaError(f"{path}: ffmpeg cannot write it: {reason}")
