"""Events as regions for SAOImage DS9."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohana.classes import CLASSES, Label
from ohana.results.catalogue import Detection, member_pixels
from ohana.utils.files import replacing

#: DS9 counts pixels from 1, with the centre of the first one at (1, 1).
FIRST = 1
#: Size of the marker of single pixels [screen pixel]. Chosen.
MARK = 9


def write_regions(path: Path, events: Sequence[Detection]) -> Path:
    """Write events as a DS9 region file in image coordinates.

    Cosmic rays are polygons around their pixels, telegraph noise is marked with a point, a
    snowball with two circles: its core, and dashed its halo. Colours are those of all pictures;
    tags name class, integration and first read, so that DS9 can choose by them.

    Parameters
    ----------
    path : Path
        File to write.
    events : sequence of dict
        See `ohana.results.catalogue.Detection`.
    """
    lines = [
        "# Region file format: DS9 version 4.1",
        "global width=1 select=1 edit=0 move=0 delete=1",
        "image",
    ]
    for event in events:
        lines += regions_of(event)
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "ascii")
    return path


def regions_of(event: Detection) -> list[str]:
    """Return the lines of one event.

    Examples
    --------
    >>> spot = {"type": "telegraph_noise", "position": [4, 9], "first_frame": None}
    >>> regions_of(spot | {"integration": 0})
    ['point(10,5) # point=box 9 color=#5CB8F0 tag={telegraph_noise} tag={integration 0}']
    """
    frame = event["first_frame"]
    tags = [event["type"], f"integration {event['integration']}"]
    tags += [] if frame is None else [f"read {frame}"]
    style = f"color={CLASSES[event['type']].dark} " + " ".join(f"tag={{{tag}}}" for tag in tags)
    if event["type"] == Label.TELEGRAPH_NOISE.key:
        row, col = event["position"]
        return [f"point({col + FIRST},{row + FIRST}) # point=box {MARK} {style}"]
    if event["type"] == Label.SNOWBALL.key:
        return _circles(event, style)
    corners = ",".join(f"{value + FIRST:g}" for value in _hull(*member_pixels(event)).ravel())
    return [f"polygon({corners}) # {style}"]


def _circles(event: Detection, style: str) -> list[str]:
    """Return the circles of a snowball; by its area where its radii are not known."""
    row, col = event["centroid"]
    measured: dict[str, Any] = dict(event)
    core = measured.get("core_radius") or np.sqrt(event["spatial_extent"] / np.pi)
    halo = measured.get("halo_radius") or 0.0
    centre = f"{col + FIRST:.2f},{row + FIRST:.2f}"
    lines = [f"circle({centre},{core:.2f}) # {style} tag={{core}}"]
    if halo > core:
        lines.append(f"circle({centre},{halo:.2f}) # dash=1 {style} tag={{halo}}")
    return lines


def _hull(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return the corners (x, y) of the convex hull around pixels, anticlockwise.

    By Andrew's monotone chain (1979, Inf. Proc. Lett. 9, 216), on the corners of the pixels.
    """
    around = np.array([(x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)])
    points = (np.column_stack([cols, rows])[:, None] + around).reshape(-1, 2)
    ordered = np.unique(points, axis=0).tolist()
    return np.array(_chain(ordered)[:-1] + _chain(ordered[::-1])[:-1])


def _chain(points: list[list[float]]) -> list[list[float]]:
    """Return the half of the hull that turns left along sorted points."""
    chain: list[list[float]] = []
    for x, y in points:
        while len(chain) > 1:
            (x1, y1), (x2, y2) = chain[-2:]
            if (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) > 0:
                break
            chain.pop()
        chain.append([x, y])
    return chain
