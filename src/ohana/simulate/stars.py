"""Stars: where they are, how bright, and their profile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohana.simulate.detector import log_uniform, stamp

#: Wings of the stellar profile (Moffat 1969, A&A 3, 455), and where they are cut [pixel].
MOFFAT_BETA = 3.0
STAR_RADIUS = 12


class Places(NamedTuple):
    """Rows and columns [pixel] and brightness of sources, float (n,) each."""

    row: np.ndarray
    col: np.ndarray
    level: np.ndarray


def draw_places(
    count: int, limits: tuple[float, float], shape: tuple[int, int], rng: np.random.Generator
) -> Places:
    """Draw sources, log-uniform in brightness."""
    rows, cols = (rng.uniform(-0.5, size - 0.5, count) for size in shape)
    return Places(rows, cols, log_uniform(limits, rng, count))


def star_map(stars: Places, fwhm: float, shape: tuple[int, int]) -> np.ndarray:
    """Return the light of stars, float32 (rows, cols), in the unit of their brightness."""
    light = np.zeros(shape, np.float32)
    width = fwhm / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    for row, col, total in zip(*stars, strict=True):
        window, distance = stamp(row, col, STAR_RADIUS, shape)
        profile = (1 + (distance / width) ** 2) ** -MOFFAT_BETA
        light[window] += total * (MOFFAT_BETA - 1) / (np.pi * width**2) * profile
    return light
