"""Stage 1: reference-pixel correction.

Reference pixels see the drifts of the electronics but no light. In every read, each output loses
a level and a slope along the slow axis, odd and even columns apart, and then all outputs lose the
1/f noise that they share row by row. Blocks of the science array are corrected one by one; the
correction itself is known from the border alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohana.config import DetectorConfig
from ohana.ramp import Ramp
from ohana.refpix.border import Strips, border_strips, strips_of
from ohana.refpix.channels import Levels, fit_levels
from ohana.refpix.correction import Reference, subtract
from ohana.refpix.row_noise import row_term


class NoReferencePixels(ValueError):
    """There is no usable reference pixel."""


def fit_strips(
    strips: Strips,
    outputs: int = 1,
    transposed: bool = False,
    odd_even: bool = True,
    row_smoothing: float | None = None,
) -> Reference:
    """Fit the correction to the border alone.

    Only changes from read to read matter: every reference pixel's own mean is taken out first.

    Parameters
    ----------
    strips : Strips
        All reads of the border, in the orientation of the file; NaN where unusable.
    outputs : int
        Read-out channels side by side along the fast axis.
    transposed : bool
        The fast axis runs along the columns of the file (`FASTAXIS` = 2 or -2).
    odd_even : bool
        Treat odd and even columns separately where there are enough pixels.
    row_smoothing : float, optional
        Length of a fixed filter for the row term [rows]; the best weights are found if absent.

    Raises
    ------
    NoReferencePixels
        If none can be used.

    Notes
    -----
    The direction of reading along either axis makes no difference.
    """
    if transposed:
        strips = strips.transposed()
    reads, height, _ = strips.left.shape
    width = strips.bottom.shape[2]
    if not 1 <= outputs <= width:
        raise ValueError(f"outputs: wanted 1 to {width}, got {outputs}")
    levels = fit_levels(strips, outputs, odd_even)
    if not levels.used:
        raise NoReferencePixels("no reference pixel can be used")
    level, slope = _along_fast_axis(levels, width, height)
    none = np.zeros((reads, height), np.float32)
    flat = Reference(level, slope, none, False, np.zeros(height), levels.used, levels.total)
    noise = row_term(strips, flat, row_smoothing)
    return Reference(
        level, slope, noise.common, transposed, noise.weights, levels.used, levels.total
    )


def _along_fast_axis(levels: Levels, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Spread the terms of the outputs over their columns: level and slope, (T, W)."""
    cols = np.arange(width)
    terms = levels.terms[:, cols * levels.terms.shape[1] // width]
    level = terms[:, :, 0] + terms[:, :, 2] * (2 * (cols % 2) - 1)
    return level.astype(np.float32), (terms[:, :, 1] * 2 / (height - 1)).astype(np.float32)


def fit_reference(ramp: Ramp, config: DetectorConfig) -> tuple[Reference | None, str]:
    """Fit the correction of a ramp on disk, reading only its border.

    Returns
    -------
    reference : Reference or None
        None where there is nothing to correct with, or no wish to.
    notice : str
        One line for the user: what was done, or why nothing.

    Raises
    ------
    OhanaError
        If the array is too small for the border, or the file cannot be read.
    """
    facts = ramp.facts
    if not config.reference_correction:
        return None, "reference pixels: not used, reference_correction is off"
    if ramp.reference_done:
        return None, "reference pixels: already subtracted in the file"
    if not facts.border or not any(facts.border_sides):
        return None, "reference pixels: none in this array, nothing subtracted"
    strips = border_strips(ramp, config.threads)
    transposed = abs(facts.fast_axis) == 2
    try:
        reference = fit_strips(
            strips, facts.outputs, transposed, config.odd_even, config.row_smoothing
        )
    except NoReferencePixels as error:
        return None, f"reference pixels: {error}, nothing subtracted"
    return reference, describe(reference)


def describe(reference: Reference) -> str:
    """Describe the correction in one line."""
    text = f"reference pixels: {reference.used} of {reference.total} used"
    kept = np.flatnonzero(reference.weights >= 0.5)
    if not len(kept):
        return text + ", no 1/f noise common to rows"
    # Cosine mode k has a period of 2 n / k.
    rows = 2 * len(reference.weights) / max(kept[-1], 1)
    return text + f", 1/f noise common to rows subtracted for periods from {rows:.0f} rows"


@dataclass(frozen=True)
class ReferencePixelCorrector:
    """Reference-pixel correction of cubes in memory.

    Attributes
    ----------
    border : int
        Width of the reference-pixel border [pixel].
    outputs : int
        Read-out channels side by side along the fast axis.
    fast_axis : int
        1 (or -1) if outputs lie side by side along the columns, 2 (or -2) along the rows.
    config : DetectorConfig
        Its stage "reference".

    Examples
    --------
    >>> import numpy as np
    >>> cube = np.random.default_rng(1).normal(0, 10, (4, 64, 64)).astype(np.float32)
    >>> cube[2] += 50
    >>> corrected = ReferencePixelCorrector(border=4).correct(cube)
    >>> bool(abs(corrected[2].mean() - corrected[1].mean()) < 2)
    True
    """

    border: int = 4
    outputs: int = 1
    fast_axis: int = 1
    config: DetectorConfig = DetectorConfig()

    def correct(self, cube: np.ndarray) -> np.ndarray:
        """Return the corrected cube, float32 (T, H, W) [DN]; NaN stays NaN."""
        reference = fit_strips(
            strips_of(cube, self.border),
            self.outputs,
            abs(self.fast_axis) == 2,
            self.config.odd_even,
            self.config.row_smoothing,
        )
        corrected = np.array(cube, np.float32, order="C")
        subtract(corrected, reference)
        return corrected
