"""Output of a network and events made by hand, for tests of the merge with the rules."""

from __future__ import annotations

import numpy as np

from ohana.classes import Label
from ohana.events import Event
from ohana.network.probabilities import VOXEL_TYPES, NetworkOutput, Voxels, join_voxels

#: Fields of the catalogue that the rules give every event of a class.
EXTRA = {
    Label.COSMIC_RAY: {"step_error": 3.0, "saturated": False, "extended": False},
    Label.TELEGRAPH_NOISE: {"transitions": 4},
    Label.SNOWBALL: {"core_radius": 4.0, "circularity": 0.9},
}


def event(label, pixels, first=10, confidence=0.8, source="rules", amplitude=100.0):
    """Make an event of pixels [(row, col), ...], each less bright by 1 DN than the one before."""
    rows, cols = np.array(pixels, np.int32).T
    height = (amplitude - np.arange(len(rows))).astype(np.float32)
    reads = np.full(len(rows), -1 if first is None else first, np.int32)
    sigma = height / np.float32(10)
    extra = dict(EXTRA[label], step_amplitude=float(height.sum()))
    return Event(
        label, rows, cols, reads, height, sigma, first, confidence, source=source, extra=extra
    )


def ray(pixels, first=10, confidence=0.8, source="rules", amplitude=100.0):
    return event(Label.COSMIC_RAY, pixels, first, confidence, source, amplitude)


def square(row, col, size):
    """List the pixels of a square."""
    return [(row + r, col + c) for r in range(size) for c in range(size)]


def voxels(rows, cols, reads, ray=0.0, ball=0.0, amplitude=100.0, error=10.0):
    """Make voxels; numbers stand for all of them."""
    columns = [*np.broadcast_arrays(rows, cols, reads, ray, ball, amplitude, error)]
    columns.append(columns[5] / columns[6])
    return Voxels(
        *(np.array(v, kind).ravel() for v, kind in zip(columns, VOXEL_TYPES, strict=True))
    )


def output(*parts, telegraph=(), shape=(24, 24)):
    """Make an output from voxels and telegraph noise [(row, col, probability), ...]."""
    levels = np.zeros(shape, np.float32)
    for row, col, probability in telegraph:
        levels[row, col] = probability
    return NetworkOutput(join_voxels(list(parts)), levels)


def output_on(events, probability=0.95, shape=(24, 24)):
    """Make an output that classifies these events right."""
    parts, telegraph = [], []
    for e in events:
        if e.label == Label.TELEGRAPH_NOISE:
            telegraph += [(r, c, probability) for r, c in zip(e.rows, e.cols, strict=True)]
        else:
            kind = "ray" if e.label == Label.COSMIC_RAY else "ball"
            parts.append(
                voxels(e.rows, e.cols, e.reads, amplitude=e.amplitude, **{kind: probability})
            )
    return output(*parts, telegraph=telegraph, shape=shape)


def output_of(truth, noise, probability=0.95):
    """Make the output of a network that knows the truth of an exposure."""
    parts, telegraph = [], np.zeros(truth.shape[1:], np.float32)
    for e in truth.events:
        if e.label == Label.TELEGRAPH_NOISE:
            telegraph[e.rows, e.cols] = probability
        else:
            kind = "ray" if e.label == Label.COSMIC_RAY else "ball"
            step = {"amplitude": e.amplitude, "error": noise}
            parts.append(voxels(e.rows, e.cols, e.reads, **step, **{kind: probability}))
    return NetworkOutput(join_voxels(parts), telegraph)
