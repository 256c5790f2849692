"""Outputs and border of the detector, measured where neither header nor settings say them.

Only a sample of reads and of lines is read. What the sample does not show clearly stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ohana.ramp import DetectorInfo, Ramp, side_widths
from ohana.refpix.edges import border_widths
from ohana.refpix.outputs import count_outputs
from ohana.refpix.tuning import TUNING

#: Sources of what is assumed of full frames, by their shape and by that of their file.
FULL_FRAME = "default (full frame)"
BENCH_FRAME = "default (full frame, one read per extension)"
#: Sources of properties that the data may correct.
GUESSES = ("default", FULL_FRAME, BENCH_FRAME)
#: Fewest reads whose median is the beginning, or the end, of a ramp.
ENDS = 3
#: A pixel that is saturated in fewer than this part of the reads is left out, not the reads.
MAX_SATURATED = 0.2


class Sample(NamedTuple):
    """Some reads of some lines along either axis, float32 [DN], NaN where not usable.

    Attributes
    ----------
    times : ndarray, shape (S,)
        Of the reads [s].
    rows : ndarray, shape (S, R, W)
        Some rows.
    cols : ndarray, shape (S, C, H)
        Some columns, transposed.
    """

    times: np.ndarray
    rows: np.ndarray
    cols: np.ndarray


def with_readout(ramps: list[Ramp]) -> list[Ramp]:
    """Return the integrations of an exposure with outputs and border measured in the first.

    Parameters
    ----------
    ramps : list of Ramp
        In order of time, with counts that rise with light.
    """
    facts = ramps[0].facts
    guessed = {name for name in ("outputs", "border") if facts.sources.get(name) in GUESSES}
    if not guessed:
        return ramps
    sample = sample_of(ramps[0])
    changes: dict[str, Any] = {}
    notes: list[str] = []
    if "outputs" in guessed:
        changes |= measure_outputs(sample, facts, notes)
    if "border" in guessed:
        changes |= measure_border(sample, facts, notes)
    if not changes:
        return ramps
    told = dict.fromkeys(changes, "measured")
    return [
        replace(
            ramp,
            facts=replace(ramp.facts, **changes, sources=ramp.facts.sources | told),
            notes=(*ramp.notes, *notes),
        )
        for ramp in ramps
    ]


def sample_of(ramp: Ramp) -> Sample:
    """Read some reads of some rows and columns of a ramp."""
    reads, height, width = ramp.shape
    which = np.unique(np.round(np.linspace(0, reads - 1, TUNING.sampled_reads)).astype(int))
    planes = ramp.planes.select(which)
    parts = []
    for rows, cols in ((_lines(height), slice(None)), (slice(None), _lines(width))):
        data = planes.read(rows, cols)
        data[data >= ramp.facts.saturation] = np.nan
        if ramp.bad_pixels is not None:
            data[:, ramp.bad_pixels[rows, cols]] = np.nan
        parts.append(data)
    return Sample(ramp.times[which], parts[0], parts[1].swapaxes(1, 2))


def _lines(size: int) -> slice:
    """Return the lines of a sample, none of which can lie in the border of the other sides."""
    step = max(size // TUNING.sampled_lines, 1)
    edge = TUNING.widest if size > 4 * TUNING.widest else 0
    return slice(edge + step // 2, size - edge, step)


def measure_outputs(sample: Sample, facts: DetectorInfo, notes: list[str]) -> dict[str, int]:
    """Return the number of outputs where it shows, and their axis if no header has it."""
    known = facts.sources.get("fast_axis", "default") != "default"
    axes = (abs(facts.fast_axis),) if known else (1, 2)
    lines = {1: sample.rows, 2: sample.cols}
    seen = {axis: count_outputs(changes_of(sample.times, lines[axis])) for axis in axes}
    found = {axis: number for axis, number in seen.items() if number}
    if len(found) > 1:
        notes.append(
            f"outputs: {found[1]} side by side and {found[2]} one above the other (quadrants?) are "
            "treated as one; set `outputs` in the configuration"
        )
    if len(found) != 1:
        return {}
    [(axis, number)] = found.items()
    notes.append(f"outputs: {number}, measured from the offsets that their columns share")
    turned = {"fast_axis": 2, "slow_axis": 1} if axis != abs(facts.fast_axis) else {}
    return {"outputs": number} | turned


def changes_of(times: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the changes between reads, less the mean of each pixel: float32 (S - 1, ...) [DN].

    Parameters
    ----------
    times : ndarray, shape (S,)
        [s]
    data : ndarray of float32, shape (S, lines, pixels)
        [DN], NaN where unusable. Reads from which on many are saturated are left out; other
        pixels with unusable reads are 0.
    """
    count = usable_reads(data)
    if count < 2:
        return np.zeros((0, *data.shape[1:]), np.float32)
    change = np.diff(data[:count], axis=0)
    # Light is steady, so that it counts by time; equal intervals are left as they are.
    interval = np.diff(times[:count])
    change *= (interval.mean() / interval).astype(np.float32)[:, None, None]
    change -= change.mean(axis=0)
    change[:, np.isnan(change[0])] = 0.0
    return change


def usable_reads(data: np.ndarray) -> int:
    """Count the reads before those in which many pixels are saturated."""
    enough = np.flatnonzero(np.isfinite(data).mean(axis=(1, 2)) > 1 - MAX_SATURATED)
    return int(enough[-1]) + 1 if len(enough) else 0


def measure_border(sample: Sample, facts: DetectorInfo, notes: list[str]) -> dict[str, Any]:
    """Return the border of the sides on which it shows; the others stay as they are assumed."""
    assumed = side_widths(facts.border, facts.border_sides)
    rows, cols = change_of(sample.cols).T, change_of(sample.rows).T
    seen = border_widths((rows, rows[::-1], cols, cols[::-1]))
    widths = tuple(a if s is None else s for a, s in zip(assumed, seen, strict=True))
    if all(s is None for s in seen) or 2 * max(widths) >= min(len(rows), len(cols)):
        return {}
    border = max(widths)
    told = ", ".join("?" if s is None else str(s) for s in seen)
    if any(widths) or any(assumed):
        notes.append(
            f"border: {told} pixels (first rows, last rows, first columns, last columns) see no "
            "light, measured"
        )
    # Where there is none, all sides are alike too.
    return {"border": border, "border_sides": tuple(True if w == border else w for w in widths)}


def change_of(data: np.ndarray) -> np.ndarray:
    """Return by how much pixels change over the usable reads (lines, pixels) [DN]."""
    count = usable_reads(data)
    part = min(ENDS, count // 2)
    if not part:
        return np.full(data.shape[1:], np.nan, np.float32)
    return np.median(data[count - part : count], axis=0) - np.median(data[:part], axis=0)
