"""Packing of numbers for the page: quantised, deflated, encoded as text."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any, NamedTuple

import numpy as np

#: Code of a missing value.
BLANK = -32768
#: Largest code of a value.
LARGEST = 32767
#: Offset added to all codes, so that small ones of either sign share their upper byte.
LIFT = 128
#: Values below this are quantised linearly, brighter ones logarithmically [scatter of the image].
#: Chosen.
SOFT = 32.0
#: Quantisation steps per scatter tried for images, finest first. Chosen.
FINENESS = (8, 4, 2)
#: Binning of images that are too large otherwise [pixel]. Chosen.
BINS = (1, 2, 4, 8)


def pack(codes: np.ndarray) -> str:
    """Write int16 codes as text: lifted, lower bytes before upper ones, deflated, base 64."""
    lifted = (codes.astype(np.int32).ravel() + LIFT).astype(np.uint16)
    planes = lifted.astype("<u2").view(np.uint8).reshape(-1, 2).T
    return pack_bytes(planes.tobytes())


def pack_bytes(raw: bytes) -> str:
    """Deflate bytes and write them in base 64."""
    # For noise, short searches with Huffman coding give smaller and faster results.
    deflate = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS, 9, zlib.Z_FILTERED)
    return base64.b64encode(deflate.compress(raw) + deflate.flush()).decode("ascii")


def pack_json(value: Any) -> str:
    """Write plain values as deflated JSON."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


class Scale(NamedTuple):
    """Value of a code: ``zero + step * code``."""

    zero: float
    step: float

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest codes; values out of range are clipped, NaN becomes blank."""
        with np.errstate(invalid="ignore"):
            codes = np.round((values - self.zero) / self.step)
        codes = np.where(np.isfinite(values), np.clip(codes, -LARGEST, LARGEST), BLANK)
        return codes.astype(np.int16)


def scale_for(values: np.ndarray, step: float) -> Scale:
    """Return a scale for all values, in steps of ``step`` or as fine as 16 bits allow.

    Examples
    --------
    >>> scale_for(np.array([-1.0, 3.0]), 0.5)
    Scale(zero=1.0, step=0.5)
    """
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    least = (high - low) / (2 * LARGEST)
    return Scale((low + high) / 2, max(float(step), least) or 1.0)


def changes(codes: np.ndarray) -> np.ndarray:
    """Return first differences of codes along axis 0, after the first code, modulo 2^16."""
    wide = codes.astype(np.int32)
    steps = np.diff(wide, axis=0, prepend=np.zeros_like(wide[:1]))
    return ((steps + 32768) % 65536 - 32768).astype(np.int16)


def noise_of(ramps: np.ndarray) -> float:
    """Return the scatter of one read from the first differences along axis 0, 0 if unknown."""
    steps = np.diff(ramps, axis=0)
    steps = steps[np.isfinite(steps)]
    if steps.size < 2:
        return 0.0
    return float(1.4826 * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2))


class Picture(NamedTuple):
    """A map of the whole frame as the page holds it.

    A code c stands for ``zero + soft * sinh(c / codes_per_soft)``.
    """

    zero: float
    soft: float
    codes_per_soft: float
    bin: int
    shape: tuple[int, int]
    packed: str


def pack_picture(image: np.ndarray, budget: float) -> Picture | None:
    """Pack a map (H, W) as finely as ``budget`` bytes allow; None if they are too few.

    Faint values are spaced by a fraction of the scatter of the map, bright ones by a fraction of
    themselves; a very large map is averaged over squares.
    """
    for bins in BINS:
        binned = _binned(image, bins)
        for fineness in FINENESS:
            # Some rows are tried first, so that most scales that do not fit cost little.
            some = binned[:: max(len(binned) // 64, 1)]
            share = some.size / binned.size
            if len(_pack_picture(some, fineness, bins).packed) * 0.95 > budget * share + 500:
                continue
            picture = _pack_picture(binned, fineness, bins)
            if len(picture.packed) <= budget:
                return picture
    return None


def _pack_picture(image: np.ndarray, fineness: int, bins: int) -> Picture:
    known = image[np.isfinite(image)].astype(float)
    zero = float(np.median(known)) if known.size else 0.0
    scatter = float(1.4826 * np.median(np.abs(known - zero))) if known.size else 0.0
    soft = SOFT * (scatter or (float(np.std(known)) if known.size else 0.0) or 1.0)
    scaled = np.arcsinh((image.astype(float) - zero) / soft)
    codes = Scale(0.0, 1 / (SOFT * fineness)).codes(scaled)
    return Picture(zero, soft, SOFT * fineness, bins, image.shape, pack(codes))


def _binned(image: np.ndarray, bins: int) -> np.ndarray:
    """Average squares of ``bins`` pixels without NaN, also incomplete ones at the edges."""
    if bins == 1:
        return image
    rows, cols = (np.arange(0, size, bins) for size in image.shape)
    known = np.isfinite(image)
    total = np.add.reduceat(np.add.reduceat(np.where(known, image, 0.0), rows), cols, axis=1)
    number = np.add.reduceat(np.add.reduceat(known.astype(float), rows), cols, axis=1)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
