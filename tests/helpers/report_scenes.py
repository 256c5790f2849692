"""A small exposure put together by hand, with one event of each class: nothing is detected."""

import numpy as np

from ohana import catalogue, paint_mask
from ohana.classes import Label
from ohana.events import Event
from ohana.results.prediction import Prediction, prediction_of
from ohana.results.prediction_files import Maps

READS, SIZE = 40, 64
#: Row and column of the cosmic ray's strongest pixel, the telegraph noise, the snowball.
HIT, FLICKER, BALL = (12, 40), (50, 10), (36, 30)
NOISE, RATE = 4.0, 2.0


def event_of(label, rows, cols, frame, steps, **extra):
    rows, cols, steps = (
        np.asarray(values, kind)
        for values, kind in ((rows, np.int32), (cols, np.int32), (steps, np.float32))
    )
    confidence = {Label.COSMIC_RAY: 0.98, Label.TELEGRAPH_NOISE: 0.6, Label.SNOWBALL: 0.9}[label]
    reads = np.full(len(rows), frame or -1, np.int32)
    return Event(label, rows, cols, reads, steps, steps / 5, frame, confidence, extra=extra)


def make_events():
    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.hypot(y - BALL[0], x - BALL[1])
    step = np.where(away < 4, 30_000.0, 150 * np.exp(-(away - 4) / 4))
    member = away < 14
    rows, cols = np.nonzero(member)
    flicker = {"transitions": 4, "n_levels": 2, "low": -30.0, "high": 30.0, "amplitude": 60.0}
    flicker |= {"dwell_low": 9.0, "dwell_high": 7.0}
    return [
        event_of(
            Label.COSMIC_RAY, HIT[0] + np.array([0, 0, 1, 1]), HIT[1] + np.arange(4), 9,
            [900.0, 500.0, 300.0, 120.0], step_amplitude=1820.0, step_error=9.0,
        ),
        event_of(
            Label.SNOWBALL, rows, cols, 20, step[member], core_radius=4.0, halo_radius=13.0,
            circularity=0.95, growth=0.1,
        ),
        event_of(Label.TELEGRAPH_NOISE, [FLICKER[0]], [FLICKER[1]], None, [60.0], **flicker),
    ]  # fmt: skip


def make_cube(events):
    """Corrected reads 1 to T - 1 of noise, a rate, and the events."""
    rng = np.random.default_rng(8)
    ramp = rng.normal(0, NOISE, (READS, SIZE, SIZE)) + RATE * np.arange(READS)[:, None, None]
    for event in events:
        if event.first_frame is not None:
            ramp[event.first_frame :, event.rows, event.cols] += event.amplitude
    ramp[:, FLICKER[0], FLICKER[1]] += 60 * (np.arange(READS) // 8 % 2)
    return (ramp - ramp[0])[1:].astype(np.float32)


def make_prediction(events=None):
    """Return the exposure with some of its events, and with the maps of a folder."""
    events = make_events() if events is None else events
    bare = prediction_of(make_cube(events), catalogue(events), name="scene")
    y, x = np.mgrid[:SIZE, :SIZE]
    core = np.hypot(y - BALL[0], x - BALL[1]) < 4
    balls = any(event.label == Label.SNOWBALL for event in events)
    flat = np.ones((SIZE, SIZE), np.float32)
    maps = {
        "rate": RATE * flat,
        "stop": np.where(core & balls, 20, READS).astype(np.int32),
        "first_usable": np.zeros((SIZE, SIZE), np.int32),
        "noise": NOISE * flat,
        "neighbour_noise": NOISE * flat,
        "shot": 0 * flat,
        "dof": 50 * flat,
    }
    features = (Maps(tuple(maps), maps.__getitem__),)
    mask = paint_mask(events, (SIZE, SIZE))
    return Prediction(**{**vars(bare), "features": features, "mask": mask})
