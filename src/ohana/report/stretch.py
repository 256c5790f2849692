"""Brightness of images in figures and on pages, and the colours of lines."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

#: Of white in a stretched image: this part of its pixels is not brighter [percent].
WHITE = 99.9
#: Of the range of the background this part is shown linearly.
LINEAR = 0.3
#: Pixels from which the ends of a stretch are determined.
SAMPLE = 1_000_000
#: Colours of measured values, fitted models, and of what is only a help to the eye.
INK, MODEL, FAINT = "#222222", "#CC3377", "#777777"


class Stretch(NamedTuple):
    """Brightness of an image: linear from ``low`` over ``soft``, then ever flatter to ``high``.

    With values as `numpy.arcsinh` of ``(value - low) / soft``, all three in units of the image.
    """

    low: float
    high: float
    soft: float

    def apply(self, values: ArrayLike) -> Any:
        """Return values on the bent scale, 0 at ``low``."""
        return np.arcsinh((np.asarray(values) - self.low) / self.soft)

    def invert(self, bent: ArrayLike) -> Any:
        """Undo `apply`."""
        return self.low + self.soft * np.sinh(bent)

    def __call__(self, values: ArrayLike) -> np.ndarray:
        """Return values from 0 (black) to 1 (white), float32; NaN stays."""
        return np.clip(self.apply(values) / self.apply(self.high), 0, 1).astype(np.float32)

    def ticks(self, apart: float = 0.09) -> list[float]:
        """Return round values for a colour bar, ``apart`` or more of its length from each other."""
        largest = max(abs(self.low), abs(self.high))
        powers = 10.0 ** np.arange(np.floor(np.log10(self.soft)) - 1, np.log10(largest) + 1)
        steps = np.outer((1, 2, 5), powers).ravel()
        chosen: list[float] = []
        # Zero first, then the roundest.
        for value in sorted({0.0, *steps, *-steps}, key=_roundness):
            place = self.apply(value) / self.apply(self.high)
            away = [abs(place - self.apply(other) / self.apply(self.high)) for other in chosen]
            if self.low <= value <= self.high and min(away, default=1) >= apart:
                chosen.append(float(value))
        if len(chosen) > 2:
            return sorted(chosen)
        # Far from zero there are hardly any: multiples of a round step instead.
        step = float(steps[steps >= (self.high - self.low) / 8].min())
        first, last = np.ceil(self.low / step), np.floor(self.high / step)
        return [float(step * count) for count in np.arange(first, last + 1)]


def _roundness(value: float) -> tuple[int, float]:
    """Order values: 0, powers of ten from the large ones down, fives, twos."""
    if value == 0:
        return 0, 0.0
    leading = round(abs(value) / 10 ** np.floor(np.log10(abs(value)) + 1e-9))
    return {1: 1, 5: 2, 2: 3}[leading], -abs(value)


def stretch(image: np.ndarray) -> Stretch:
    """Choose black, white and the linear part of an image.

    Black and the linear part are the range of IRAF's zscale algorithm, which follows the
    background; white leaves `WHITE` percent of the pixels below.

    Parameters
    ----------
    image : ndarray
        Of any shape and unit; NaN is left out.

    Examples
    --------
    >>> image = np.random.default_rng(1).normal(100, 5, (200, 200))
    >>> image[50:60, 50:60] = 20_000
    >>> chosen = stretch(image)
    >>> bool(80 < chosen.low < 95), chosen.high, float(chosen(20_000.0)), float(chosen(0.0))
    (True, 20000.0, 1.0, 0.0)
    """
    from astropy.visualization import ZScaleInterval

    values = np.asarray(image).ravel()
    values = values[:: max(values.size // SAMPLE, 1)]
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return Stretch(0.0, 1.0, 1.0)
    low, high = (float(limit) for limit in ZScaleInterval().get_limits(values))
    if not high > low:
        low, high = low - 0.5, low + 0.5
    white = max(float(np.percentile(values, WHITE)), high)
    return Stretch(low, white, LINEAR * (high - low))
