"""Whether counts rise or fall with light, and which read came first.

Just after a reset all pixels are at the pedestal; light makes them differ, the longer the more.
What a pixel differs from its neighbours at the end of a ramp is therefore its light, and at the
beginning it is the pattern of the bias, which the light knows nothing of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ohana.ramp import Planes, Ramp
from ohana.refpix.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD

#: Minimum number of reads: the ends of three parts of the ramp.
MIN_READS = 4
#: Edge of the squares within which pixels are neighbours [pixel].
SQUARE = 16
#: Largest error of the part of the contrast that is in the last read.
MAX_ERROR = 0.1


class Direction(NamedTuple):
    """What is known of a ramp as stored: do counts fall, is the last read first."""

    falling: bool
    backward: bool


def in_order(ramps: list[Ramp]) -> list[Ramp]:
    """Return the integrations of an exposure in order of time, with counts that rise with light.

    Settings and formats decide; where both are silent, the data of the first integration do.

    Parameters
    ----------
    ramps : list of Ramp
        As stored.
    """
    facts = ramps[0].facts
    names = ("polarity", "read_order")
    silent = all(facts.sources.get(name, "default") == "default" for name in names)
    seen = measure_direction(ramps[0]) if silent else None
    direction = seen or Direction(facts.polarity == "falling", facts.read_order == "backward")
    changed = {name for name, so in zip(names, direction, strict=True) if so}
    if not changed:
        return ramps
    sources = facts.sources | dict.fromkeys(changed, "measured") if seen else facts.sources
    return [_directed(ramp, direction, sources) for ramp in ramps]


def _directed(ramp: Ramp, direction: Direction, sources: dict[str, str]) -> Ramp:
    """Return one integration with its reads turned round, its counts mirrored, and notices."""
    facts = replace(
        ramp.facts,
        polarity="falling" if direction.falling else "rising",
        read_order="backward" if direction.backward else "forward",
        sources=sources,
    )
    ramp = replace(ramp, facts=facts)
    if direction.backward:
        note = f"reads: the last is stored first ({sources['read_order']})"
        ramp = replace(_turned(ramp), notes=(*ramp.notes, note))
    if direction.falling:
        note = f"counts: they fall with light and are mirrored ({sources['polarity']})"
        ramp = _mirrored(replace(ramp, notes=(*ramp.notes, note)))
    return ramp


def _turned(ramp: Ramp) -> Ramp:
    """Return a ramp with its reads in the opposite order."""
    turn = slice(None, None, -1)
    return replace(
        ramp,
        planes=ramp.planes.select(turn),
        times=ramp.times[0] + (ramp.times[-1] - ramp.times[turn]),
        flags=None if ramp.flags is None else ramp.flags.select(turn),
        frames=None if ramp.frames is None else ramp.frames[turn],
    )


def _mirrored(ramp: Ramp) -> Ramp:
    """Return a ramp with its counts mirrored: about the middle of the converter, or about zero."""
    planes, facts = ramp.planes, ramp.facts
    low, high = _range(planes)
    scale = np.ones(len(planes)) if planes.scale is None else planes.scale
    mirrored = replace(planes, scale=-scale, zero=low + high - planes.zero)
    if np.isfinite(facts.saturation) and not facts.sources["saturation"].startswith("default"):
        saturation = low + high - facts.saturation
        # A level of ramps that rise lies above the pedestal and says nothing here.
        if saturation <= np.nanmedian(mirrored.select(slice(0, 1)).read()):
            saturation = high if high else np.inf
        facts = replace(facts, saturation=saturation)
    return replace(ramp, planes=mirrored, facts=facts)


def _range(planes: Planes) -> tuple[float, float]:
    """Return the lowest and highest value of a 16-bit converter [DN]; 0 and 0 for other types."""
    if planes.dtype.itemsize != 2 or planes.dtype.kind not in "iu" or planes.scale is not None:
        return 0.0, 0.0
    limits, zero = np.iinfo(planes.dtype), float(np.max(planes.zero))
    return limits.min + zero, limits.max + zero


def measure_direction(ramp: Ramp) -> Direction | None:
    """Tell the direction of a ramp from a few of its reads, None where they do not.

    Only what differs from the usual is ever claimed: light must be bright, steady over the ramp
    and of one sign, and the pixels' contrast must be that of one end of the ramp.

    Parameters
    ----------
    ramp : Ramp
        As stored.
    """
    reads = len(ramp.planes)
    if reads < MIN_READS:
        return None
    which = np.unique(np.round(np.linspace(0, reads - 1, 4)).astype(int))
    step = max(1, -(-ramp.shape[1] * ramp.shape[2] // 2**18))
    images = ramp.planes.select(np.r_[which, 1]).read(slice(None, None, step))
    return direction_of(images[:4], images[4])


def direction_of(images: np.ndarray, second: np.ndarray) -> Direction | None:
    """Tell the direction of a ramp from four reads that are equally far apart, and the second.

    Parameters
    ----------
    images : ndarray of float32, shape (4, H, W)
        From the first to the last [DN].
    second : ndarray of float32, shape (H, W)
        The read after the first: what changes by then is noise.
    """
    valid = np.isfinite(images).all(axis=0) & np.isfinite(second)
    if valid.mean() < 0.5:
        return None
    first, last, next_read = (
        _beside_neighbours(np.where(valid, image, np.nan))
        for image in (images[0], images[3], second)
    )
    change, typical = last - first, images[3] - images[0]
    common = float(np.median(typical[valid]))
    noise = SIGMA_OF_MAD * float(np.nanmedian(np.abs((next_read - first)[valid])))
    if not noise > 0:
        return None
    if abs(common) > TUNING.lamp * noise:
        lit = valid & (np.abs(typical) > 0.5 * abs(common))
    else:
        lit = valid & (np.abs(change) > max(TUNING.bright * noise, 2 * abs(common)))
        lit = _scattered(lit)
    if lit.sum() < TUNING.min_bright:
        return None
    steady = _steady(images[:, lit])
    if steady.mean() < TUNING.min_steady or steady.sum() < TUNING.min_bright:
        return None
    if np.mean(typical[lit][steady] < 0) < TUNING.same_sign:
        return None
    share = _in_last(first, last, valid & (np.abs(change) > TUNING.contrast * noise))
    if share is None or 1 - TUNING.in_last < share < TUNING.in_last:
        return None
    backward = share < 0.5
    return Direction(falling=not backward, backward=backward)


def _beside_neighbours(image: np.ndarray) -> np.ndarray:
    """Return an image less the median of each square, whose pixels share outputs and light."""
    height, width = image.shape
    down, across = (-(-size // SQUARE) for size in image.shape)
    padded = np.full((down * SQUARE, across * SQUARE), np.nan, image.dtype)
    padded[:height, :width] = image
    squares = padded.reshape(down, SQUARE, across, SQUARE).transpose(0, 2, 1, 3)
    flat = squares.reshape(down, across, -1)
    ordered = np.sort(flat, axis=2)
    count = np.isfinite(flat).sum(axis=2)
    middle = np.maximum(count - 1, 0)[:, :, None] // 2
    level = np.take_along_axis(ordered, middle, axis=2)[:, :, 0]
    return image - np.repeat(np.repeat(level, SQUARE, 0), SQUARE, 1)[:height, :width]


def _scattered(lit: np.ndarray) -> np.ndarray:
    """Leave out the bright pixels of rows and columns that are bright as a whole: odd read-out."""
    rows, cols = (lit.mean(axis=axis, keepdims=True) < TUNING.max_in_line for axis in (1, 0))
    return lit & rows & cols


def _steady(lit: np.ndarray) -> np.ndarray:
    """Tell which bright pixels (4, P) change by about the same in each third of the ramp."""
    low, high = TUNING.thirds
    part = np.diff(lit, axis=0) * np.sign(lit[3] - lit[0])
    size = np.abs(lit[3] - lit[0])
    return np.all((part > low * size) & (part < high * size), axis=0)


def _in_last(first: np.ndarray, last: np.ndarray, which: np.ndarray) -> float | None:
    """Return how much of the pixels' contrast is in the last read, 0 to 1; None if too few tell.

    It is the slope of a straight line through the contrast of the last read against the change,
    in which the brightest pixels have less weight.
    """
    if which.sum() < TUNING.min_contrast:
        return None
    change = last[which] - first[which]
    ends = np.stack([first[which], last[which]]) * np.sign(change)
    size = np.abs(change)
    weight = np.minimum(size, np.quantile(size, 0.9))
    share = float(np.sum(weight * ends[1]) / np.sum(weight * size))
    error = float(np.sqrt(np.sum((weight * (ends[1] - share * size)) ** 2)))
    return share if error < MAX_ERROR * np.sum(weight * size) else None
