"""The width of the reference border on each side: lines at the edge that do not see the light."""

from __future__ import annotations

import numpy as np

from ohana.refpix.tuning import TUNING

#: From a median absolute deviation to the standard deviation of a normal distribution.
MAD = 1.4826
#: Lines just within the border that must be lit.
LIT_LINES = 4
#: Fewest pixels of a line.
MIN_PIXELS = 24


def border_width(signal: np.ndarray) -> int | None:
    """Count the dark lines at the beginning of an array in which all others are lit.

    The light must end within one line: a shadow does not. With little light nothing is known.

    Parameters
    ----------
    signal : ndarray, shape (lines, pixels)
        Change over the ramp [DN], from the edge inwards, NaN where unknown.

    Returns
    -------
    int or None
        0 where the first line is lit like the others; None if it cannot be told.
    """
    depth = TUNING.widest + LIT_LINES
    inside = slice(depth, depth + TUNING.compared_lines)
    if len(signal) < inside.stop or signal.shape[1] < MIN_PIXELS:
        return None
    lines = signal[: inside.stop]
    if np.isfinite(lines).mean(axis=1).min() < 0.5:
        return None
    level = np.nanmedian(lines, axis=1)
    light = float(np.median(level[inside]))
    # Neighbouring lines, so that a gradient of the light is no scatter.
    spread = MAD / np.sqrt(2) * float(np.median(np.abs(np.diff(level[inside]))))
    pixel = MAD * float(np.nanmedian(np.abs(lines[inside] - level[inside, None])))
    error = max(spread, 1.25 * pixel / np.sqrt(signal.shape[1]))
    if not light > TUNING.light_significance * error:
        return None
    part = level / light
    dark = np.abs(part) < TUNING.dark_level
    lit = (part > TUNING.lit_level) & (part < TUNING.full_level)
    width = int(np.argmin(dark[: TUNING.widest + 1])) if not dark[: TUNING.widest + 1].all() else -1
    if width < 0 or 0 < width < TUNING.narrowest or not lit[width : width + LIT_LINES].all():
        return None
    return width
