"""The interactive report: one self-contained HTML file that works offline."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ohana
from ohana.classes import CLASSES
from ohana.errors import OhanaError
from ohana.report.page.cutouts import Fits, gather
from ohana.report.page.events import Chosen, Packed, choose, pack_events
from ohana.report.page.packing import Picture, pack_bytes, pack_json, pack_picture
from ohana.report.page.plots import plots
from ohana.report.page.run_details import sections
from ohana.report.stretch import MODEL, stretch
from ohana.results.catalogue import Detection
from ohana.results.health import warnings_of
from ohana.results.prediction import Prediction
from ohana.results.prediction_files import DETECTIONS
from ohana.utils.files import replacing

log = logging.getLogger("ohana")
#: Maps of the frame, included within the size limit: name, title, unit.
PICTURES = (
    ("rate", "count rate", "DN/frame"),
    ("best_step", "largest step", "DN"),
    ("best_significance", "its significance", "sigma"),
    ("noise", "read noise", "DN"),
)
#: Minimum and maximum fraction of the page for maps of the frame, if they need it. Chosen.
PICTURES_SHARE = (0.25, 0.5)
#: Space reserved for each event, and for the scripts, before further maps [byte]. Chosen.
EVENT_ROOM, SCRIPT_ROOM = 2000, 1_500_000
#: Scripts of the page, in order of their dependence.
SCRIPTS = ("data", "frame", "event", "times", "table", "review", "theme", "keys", "main")


class Block(NamedTuple):
    """Packed data of the page, with the id used by its scripts."""

    name: str
    text: str


def write_report(prediction: Prediction, path: str | Path, max_bytes: int = 15_000_000) -> Path:
    """Write the results of an exposure as one HTML file for inspection and review.

    The page holds the whole frame, the catalogue, the complete ramp of the strongest pixel of
    each event, to 0.05 percent of its range or better, with the fitted model, and the reads
    around it: as many as the size limit allows. If there are too many events, each class keeps its
    most significant ones, and the page says how many it left out.

    Parameters
    ----------
    prediction : Prediction
        See `ohana.results.prediction.open_prediction`.
    path : str or Path
        The HTML file.
    max_bytes : int
        Largest size of the file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OhanaError
        The file cannot be written, or is too small for the frame alone.
    ModuleNotFoundError
        bokeh is not installed.
    """
    path = Path(path)
    pictures, blocks = _frame_blocks(prediction, max_bytes)
    facts = _facts(prediction, pictures)
    empty = _page(prediction, facts, blocks, pack_events(prediction, iter(())))
    budget = max_bytes - len(empty.encode())
    if budget < 0:
        raise OhanaError(f"{path}: wanted at most {max_bytes} bytes, the frame alone needs more")
    chosen, fits = Chosen(np.empty(0, int), 0), Fits(prediction)
    if prediction.events:
        chosen = choose(prediction, budget, fits)
    while True:
        events = pack_events(prediction, gather(prediction, *chosen, fits))
        text = _page(prediction, facts | _left_out(prediction.events, chosen), blocks, events)
        if len(text.encode()) <= max_bytes or not chosen.events.size:
            break
        chosen = chosen.leaner(prediction)
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
    _tell_missing(prediction, fits)
    return path


def _tell_missing(prediction: Prediction, fits: Fits) -> None:
    """Log which events are shown without a fit."""
    missing = fits.missing()
    if missing:
        place, reason = next(iter(missing.items()))
        event = prediction.events[place]
        name, (row, col) = CLASSES[event["type"]].title, event["position"]
        first = f"event {place} ({name} at row {row}, column {col})"
        count = f"{len(missing)} of {len(prediction.events)} events"
        log.warning(f"{prediction.name}: {count} shown without a fit, first {first}: {reason}")


def _frame_blocks(prediction: Prediction, max_bytes: int) -> tuple[list[dict], list[Block]]:
    """Pack the maps of the frame that fit into the size; also return their descriptions."""
    blocks = [Block("mask", pack_bytes(np.ascontiguousarray(prediction.mask).tobytes()))]
    described: list[dict[str, Any]] = []
    least, most = (share * max_bytes for share in PICTURES_SHARE)
    spare = max_bytes - SCRIPT_ROOM - EVENT_ROOM * len(prediction.events)
    left = min(max(least, spare), most)
    for name, title, unit in PICTURES:
        if name not in prediction.maps:
            continue
        image = prediction.maps[name]
        picture = pack_picture(image, left)
        if picture is None:
            continue
        what = title if len(prediction.reads) == 1 else f"{title}, integration 0"
        described.append({"name": name, "title": what, "unit": unit} | _scaling(picture, image))
        blocks.append(Block(f"map-{name}", picture.packed))
        left -= len(picture.packed)
    return described, blocks


def _scaling(picture: Picture, image: np.ndarray) -> dict[str, Any]:
    """Return the scale of an image and its initial stretch."""
    scaling = picture._asdict()
    del scaling["packed"]
    return scaling | {"stretch": stretch(image)}


def _facts(prediction: Prediction, pictures: list[dict]) -> dict[str, Any]:
    """Return the data of the page other than events."""
    health: Sequence[Mapping[str, Any]] = prediction.run.get("health") or ()
    found: Counter[str] = Counter(event["type"] for event in prediction.events)
    return {
        "name": prediction.name,
        "version": ohana.__version__,
        "shape": prediction.shape,
        "integrations": len(prediction.reads),
        "pictures": pictures,
        "detections": _digest(prediction),
        "model": MODEL,
        "sections": sections(prediction),
        "warnings": warnings_of((entry["integration"], entry["warnings"]) for entry in health),
        "health": _health_picture(prediction, health),
        "classes": [
            {"key": key, "id": int(row.label), "found": found[key], "name": row.title}
            | {name: getattr(row, name) for name in ("short", "dark", "open_sign")}
            for key, row in CLASSES.items()
        ],
        "total": len(prediction.events),
    }


def _health_picture(prediction: Prediction, health: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the figure of the reads as the source of an image; None without a record of them.

    The integration with most warnings stands for all, as in the summary of the run.
    """
    if not health:
        return None
    from ohana.report.figures.health import health_figure  # matplotlib

    worst = max(range(len(health)), key=lambda number: len(health[number]["warnings"]))
    file = io.BytesIO()
    health_figure(prediction, worst).savefig(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _digest(prediction: Prediction) -> str | None:
    """Return the SHA-256 of the catalogue file, which identifies it in verdicts."""
    if prediction.folder is None:
        return None
    return hashlib.sha256((prediction.folder / DETECTIONS).read_bytes()).hexdigest()


def _left_out(events: list[Detection], chosen: Chosen) -> dict[str, Any]:
    """Count the omitted events of each class, with their highest significance."""
    kept = set(chosen.events.tolist())
    missing = [event for i, event in enumerate(events) if i not in kept]
    number: Counter[str] = Counter(event["type"] for event in missing)
    highest: dict[str, float] = {}
    for event in missing:
        kind, value = event["type"], event["significance"] or 0.0
        highest[kind] = max(highest.get(kind, 0.0), value)
    rows = [{"type": kind, "number": number[kind], "below": highest[kind]} for kind in number]
    return {"left_out": rows}


def _page(
    prediction: Prediction, facts: dict[str, Any], blocks: list[Block], events: Packed
) -> str:
    """Assemble the page."""
    blocks = [
        Block("facts", pack_json(facts)),
        *(Block(name, text) for name, text in events._asdict().items()),
        *blocks,
    ]
    items = json.dumps(plots(prediction.shape), separators=(",", ":"))
    parts = {
        "title": html.escape(prediction.name),
        "style": _asset("page.css") + _class_colours(),
        "bokeh": _bokeh_script(),
        "data": "\n".join(
            f'<script type="text/plain" id="{name}">{text}</script>' for name, text in blocks
        ),
        # The only place where data could close the script element.
        "plots": items.replace("</", "<\\/"),
        "script": "\n".join([_verdicts(), *(_asset(f"{name}.js") for name in SCRIPTS)]),
    }
    page = _asset("page.html")
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def _verdicts() -> str:
    """Return the verdicts for each class as a constant of the scripts."""
    rows = {
        key: {"key": row.shortcut, "sign": row.sign, "name": row.title}
        for key, row in CLASSES.items()
    }
    return f"const CLASS_VERDICTS = {json.dumps(rows)};"


def _class_colours() -> str:
    """Return the style of the marks of each class, on light and dark pages."""
    rules = []
    for row in CLASSES.values():
        rules += [
            f":root {{ --mark-{row.label:d}: {row.light}; }}",
            f':root[data-theme="dark"] {{ --mark-{row.label:d}: {row.dark}; }}',
            f".class-{row.label:d} {{ color: var(--mark-{row.label:d}); }}",
        ]
    return "\n".join(rules)


def _asset(name: str) -> str:
    return (files("ohana.report.page") / "web" / name).read_text("utf-8")


def _bokeh_script() -> str:
    """Return the script of bokeh; its smallest part is enough."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
