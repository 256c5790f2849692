"""The summary as a self-contained HTML page, and its figures as files."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

import ohana
from ohana.report.figures.canvas import save_figure
from ohana.statistics.figures import spectrum_figure, telegraph_figure, trend_figure
from ohana.statistics.rates import rate_rows
from ohana.statistics.repeats import Repeats
from ohana.statistics.summary import (
    PIXELS_HEAD,
    RATES_HEAD,
    health_text,
    pixel_cells,
    rate_cells,
    repeated,
    time_span,
)
from ohana.statistics.tally import Tally
from ohana.utils.files import replacing

if TYPE_CHECKING:
    from ohana.statistics.summary import Statistics

#: Maximum number of rows of a table in the page; the files hold all.
MAX_ROWS = 200


def write_page(statistics: Statistics, folder: Path) -> list[Path]:
    """Write the figures of each detector, and the page with figures and tables.

    Returns
    -------
    list of Path
        Files written, the page last.
    """
    written: list[Path] = []
    sections = []
    for tally, repeats in zip(statistics.tallies, statistics.repeats, strict=True):
        pictures: dict[str, Figure] = {
            "trends": trend_figure(tally),
            "spectra": spectrum_figure(tally),
        }
        if repeats is not None:
            pictures["telegraph"] = telegraph_figure(tally, repeats)
        paths = {name: folder / f"{tally.detector.stem}_{name}.png" for name in pictures}
        for name, figure in pictures.items():
            save_figure(figure, paths[name])
        sections.append(_section(tally, repeats, paths))
        written += paths.values()
    page = (files("ohana.statistics") / "page.html").read_text("utf-8")
    number = len(statistics.exposures)
    parts = {
        "title": html.escape(f"{number} exposure{'s' * (number != 1)} in {statistics.root}"),
        "version": html.escape(ohana.__version__),
        "notices": _list(statistics.notices),
        "sections": "\n".join(sections),
        "skipped": _skipped(statistics),
    }
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    path = folder / "summary.html"
    with replacing(path) as temporary:
        temporary.write_text(page, "utf-8")
    return [*written, path]


def _section(tally: Tally, repeats: Repeats | None, pictures: dict[str, Path]) -> str:
    """Return all about one detector."""
    parts = [
        f"<h2>{html.escape(tally.detector.label)}</h2>",
        f"<p>{html.escape(time_span(tally))}</p>",
        *(f"<p>Health: {html.escape(text)}</p>" for text in [health_text(tally)] if text),
        "<h3>Rates</h3>",
        _table(RATES_HEAD, [rate_cells(row) for row in rate_rows(tally)]),
        "<h3>Over time</h3>",
        _picture(pictures["trends"], "Rate of each class in each exposure"),
        "<h3>Amplitudes</h3>",
        _picture(pictures["spectra"], "Differential spectra by class"),
        "<h3>Repeated telegraph noise</h3>",
    ]
    if repeats is None:
        parts.append("<p>Needs at least two exposures with enough reads.</p>")
        return "\n".join(parts)
    parts += [
        f"<p>{html.escape(repeated(repeats))}.</p>",
        _picture(pictures["telegraph"], "Map of the pixels, and how often they repeat"),
        _table(PIXELS_HEAD, [pixel_cells(pixel) for pixel in repeats.pixels[:MAX_ROWS]]),
    ]
    if len(repeats.pixels) > MAX_ROWS:
        left = len(repeats.pixels) - MAX_ROWS
        file = html.escape(f"{tally.detector.stem}_telegraph_pixels.ecsv")
        parts.append(f"<p>{left} more are in {file}.</p>")
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return (
        f'<div class="wide"><table><thead>{line(head, "th")}</thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _picture(path: Path, what: str) -> str:
    """Return a picture with its bytes in the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(what)}" src="data:image/png;base64,{data}">'


def _list(items: Sequence[str]) -> str:
    if not items:
        return ""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def _skipped(statistics: Statistics) -> str:
    if not statistics.skipped:
        return ""
    rows = [(str(each.folder), each.reason) for each in statistics.skipped]
    return "<h2>Left out</h2>" + _table(("folder", "reason"), rows)
