"""The width of the reference border on each side: lines at the edge that do not see the light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ohana.refpix.tuning import TUNING
from ohana.utils.tuning import SIGMA_OF_MAD

#: Lines just within the border that must be lit.
LIT_LINES = 4
#: Allowance for the noise of lines in the largest difference of dark ones, in their errors.
DARK_ERRORS = 3.0
#: Fewest pixels of a line.
MIN_PIXELS = 24


class Lines(NamedTuple):
    """Lines at the edge of an array: their median changes, and those of the lines within [DN].

    ``error`` is that of the change of one line.
    """

    level: np.ndarray
    light: float
    error: float


def lines_of(signal: np.ndarray) -> Lines | None:
    """Return the median changes of the lines at an edge, None if there are too few values.

    Parameters
    ----------
    signal : ndarray, shape (lines, pixels)
        Change over the ramp [DN], from the edge inwards, NaN where unknown.
    """
    depth = TUNING.widest + LIT_LINES
    inside = slice(depth, depth + TUNING.compared_lines)
    if len(signal) < inside.stop or signal.shape[1] < MIN_PIXELS:
        return None
    lines = signal[: inside.stop]
    if np.isfinite(lines).mean(axis=1).min() < 0.5:
        return None
    level = np.nanmedian(lines, axis=1)
    # Neighbouring lines, so that a gradient of the light is no scatter.
    spread = SIGMA_OF_MAD / np.sqrt(2) * float(np.median(np.abs(np.diff(level[inside]))))
    pixel = SIGMA_OF_MAD * float(np.nanmedian(np.abs(lines[inside] - level[inside, None])))
    error = max(spread, 1.25 * pixel / np.sqrt(signal.shape[1]))
    return Lines(level, float(np.median(level[inside])), error)


def border_widths(signals: Sequence[np.ndarray]) -> list[int | None]:
    """Count the dark lines at each edge of an array in which all others are lit.

    Parameters
    ----------
    signals : sequence of ndarray, shape (lines, pixels)
        One for each side, see `lines_of`.

    Returns
    -------
    list of int or None
        0 where the first line is lit like the others; None if it cannot be told.
    """
    sides = [lines_of(signal) for signal in signals]
    widths = [None if lines is None else _width(lines) for lines in sides]
    found = {width for width in widths if width}
    if len(found) == 1:
        # An output may drift by as much as there is light: then one side tells of another.
        [known] = found
        for side, lines in enumerate(sides):
            if lines is not None and widths[side] is None and _ends(lines, known):
                widths[side] = known
    return widths


def _width(lines: Lines) -> int | None:
    """Count the dark lines at one edge, by themselves."""
    if not lines.light > TUNING.light_significance * lines.error:
        return None
    dark = np.abs(lines.level[: TUNING.widest + 1]) < TUNING.dark_level * lines.light
    width = int(np.argmin(np.append(dark, False)))
    return width if width <= TUNING.widest and _ends(lines, width) else None


def _ends(lines: Lines, width: int) -> bool:
    """Tell whether the light ends at a line, and is the same on either side of it.

    That of a shadow is not.
    """
    dark = lines.level[:width]
    zero = float(np.median(dark)) if width else 0.0
    light = lines.light - zero
    if not light > TUNING.light_significance * lines.error:
        return False
    beside = (lines.level[width : width + LIT_LINES] - zero) / light
    if np.any(beside < TUNING.lit_level) or np.any(beside > TUNING.full_level):
        return False
    return not width or bool(
        width >= TUNING.narrowest
        and np.ptp(dark) < TUNING.dark_spread * light + DARK_ERRORS * lines.error
    )
