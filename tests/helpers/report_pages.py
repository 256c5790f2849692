"""A small prediction with known ramps, as a folder, for the tests of the report."""

import json
from pathlib import Path

import numpy as np

from ohana.results.prediction import Prediction, open_prediction

READS, HEIGHT, WIDTH = 24, 64, 80
#: Row, column, read, step [DN], confidence, source of the cosmic rays, brightest first.
RAYS = (
    (10, 20, 8, 400.0, 0.99, "rules"),
    (12, 60, 15, 120.0, 0.9, "both"),
    (40, 66, 20, 60.0, 0.6, "unet"),
)
RTN, BALL = (30, 30), (50, 20)


def entry(kind, pixels, read, step, confidence=0.95, source="rules", **more):
    """Return an entry of the catalogue."""
    rows, cols = np.transpose(pixels).tolist()
    return {
        "type": kind,
        "centroid": [float(np.mean(rows)), float(np.mean(cols))],
        "position": pixels[0],
        "mean_intensity": step,
        "max_intensity": step,
        "spatial_extent": len(pixels),
        "significance": round(step / 3, 3),
        "bbox": [min(rows), min(cols), max(rows) + 1, max(cols) + 1],
        "first_frame": read,
        "confidence": confidence,
        "source": source,
        "integration": 0,
        "pixels": pixels,
    } | more


def write_prediction(folder: Path, empty: bool = False) -> Path:
    """Write a prediction of three cosmic rays, telegraph noise and a snowball, or of none."""
    random = np.random.default_rng(5)
    shape = (READS, HEIGHT, WIDTH)
    cube = 5.0 * np.arange(READS)[:, None, None] + random.normal(0, 3, shape)
    mask, events = np.zeros((HEIGHT, WIDTH), np.uint8), []
    if not empty:
        for row, col, read, step, confidence, source in RAYS:
            pixels = [[row, col], [row, col + 1]]
            cube[read:, row, col : col + 2] += step, step / 2
            events.append(entry("cosmic_ray", pixels, read, step, confidence, source))
        cube[:, *RTN] += 80 * (np.arange(READS) // 5 % 2)
        events.append(entry("telegraph_noise", [list(RTN)], None, 80.0, transitions=4))
        disk = np.hypot(*(np.indices((9, 9)) - 4)) < 4.5
        cube[12:, BALL[0] - 4 : BALL[0] + 5, BALL[1] - 4 : BALL[1] + 5] += 9000 * disk
        pixels = [list(BALL), *(np.argwhere(disk) + BALL - 4).tolist()]
        unique = [pixel for i, pixel in enumerate(pixels) if pixel not in pixels[:i]]
        events.append(entry("snowball", unique, 12, 9000.0, core_radius=4.5))
    for number, label in (("cosmic_ray", 1), ("telegraph_noise", 2), ("snowball", 3)):
        for event in events:
            if event["type"] == number:
                mask[tuple(np.transpose(event["pixels"]))] = label
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "detections.json").write_text(json.dumps(events), "utf-8")
    np.save(folder / "prediction_mask.npy", mask)
    np.save(folder / "x_processed.npy", (cube[1:] - cube[0]).astype(np.float32))
    flat = np.ones((HEIGHT, WIDTH), np.float32)
    np.savez(
        folder / "x_temporal.npz",
        rate=random.normal(5, 0.2, flat.shape).astype(np.float32),
        noise=3 * flat,
        neighbour_noise=3 * flat,
        shot=0 * flat,
        dof=20 * flat,
        best_step=random.normal(0, 1, flat.shape).astype(np.float32),
        best_significance=random.normal(0, 1, flat.shape).astype(np.float32),
        best_read=flat.astype(np.int32),
        flicker=0 * flat,
        stop=np.full(flat.shape, READS, np.int32),
        first_usable=np.zeros(flat.shape, np.int32),
        frame_time=1.0,
        fingerprint="",
    )
    return folder


def small_prediction(folder: Path, empty: bool = False) -> Prediction:
    """Write a small prediction and open it."""
    return open_prediction(write_prediction(folder, empty))
