"""Folders with results, as `ohana-predict` writes them, made by hand."""

import json
from pathlib import Path

FACTS = {
    "gain": 2.0,
    "frame_time": 10.0,
    "border": 4,
    "border_sides": [True] * 4,
    "fast_axis": 1,
    "slow_axis": 2,
    "nframes": 1,
    "groupgap": 0,
    "sources": {"gain": "header GAIN"},
}
ORIGIN = {
    "telescope": "JWST",
    "instrument": "NIRCAM",
    "detector": "NRCA1",
    "start": "",
    "corner": [0, 0],
}


def event(kind="cosmic_ray", row=20, col=30, **fields):
    """Return a catalogue entry of one pixel."""
    common = {
        "type": kind,
        "centroid": [float(row), float(col)],
        "position": [row, col],
        "mean_intensity": 100.0,
        "max_intensity": 100.0,
        "spatial_extent": 1,
        "significance": 12.0,
        "bbox": [row, col, row + 1, col + 1],
        "first_frame": None if kind == "telegraph_noise" else 5,
        "confidence": 0.9,
        "source": "rules",
        "integration": 0,
        "pixels": [[row, col]],
    }
    return common | fields


def telegraph(row, col, amplitude=50.0, dwell_low=4.0, dwell_high=2.0, **fields):
    """Return an entry of telegraph noise."""
    levels = {"amplitude": amplitude, "dwell_low": dwell_low, "dwell_high": dwell_high}
    return event("telegraph_noise", row, col, n_levels=2, transitions=6, **levels, **fields)


def write_results(folder, events=(), start="", shape=(20, 64, 108), origin=None, **changes):
    """Write ``detections.json`` and ``run.json`` of an exposure, and return the folder.

    64 x 108 pixels with a border of 4 are 5600 that see light; 20 reads 10 s apart.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(list(events))
    (folder / "detections.json").write_text(text)
    facts = FACTS | changes.pop("facts", {})
    run = {
        "format": "ohana-run-1",
        "exposure": folder.name,
        "input": {"fingerprint": str(folder)},
        "shape": list(shape),
        "integrations": [{"integration": 0}],
        "times": [10.0 * (read + 1) for read in range(shape[0])],
        "frames": None,
        "facts": facts | {"origin": ORIGIN | {"start": start} | (origin or {})},
        "started": "2026-01-01T00:00:00+00:00",
        "config": {"detectors_side_by_side": 1, "detector_index": 0},
        "config_fingerprint": "usual",
        "network": None,
        "versions": {"ohana": "1"},
        "files": {"detections.json": len(text)},
    }
    (folder / "run.json").write_text(json.dumps(run | changes))
    return folder
