"""What was found to be shared, for people: notices and a table per read."""

from __future__ import annotations

import numpy as np

from ohana.correction.load import CorrectedRamp
from ohana.rampfit.covariance import covariance_of
from ohana.utils.formatting import ranges


def describe(source: CorrectedRamp) -> list[str]:
    """Describe what all pixels share, one line for each kind."""
    shared, quality = source.shared, source.ramp.quality
    notices = []
    if shared is not None and shared.surface.any():
        change = float(np.ptp(shared.surface, axis=0).max())
        notices.append(f"light: shared changes of up to {change:.3g} DN taken off")
    if shared is not None and (shared.col_level.any() or shared.row_level.any()):
        change = max(float(np.ptp(x, axis=0).max()) for x in (shared.col_level, shared.row_level))
        notices.append(f"offsets of outputs, columns or rows: up to {change:.3g} DN taken off")
    if shared is not None and len(shared.shapes):
        count = len(shared.shapes)
        notices.append(
            f"shapes in time that each pixel has with its own amplitude: {count} taken off"
        )
    if quality is None:
        return notices
    factor = _noise_factor(source)
    usual = float(np.median(factor))
    noisy = np.flatnonzero(factor > 1.1 * usual)
    if usual > 1:
        notices.append("noise: all pixels wander from read to read by more than shot noise")
    if len(noisy):
        worst = float(factor.max()) / usual
        notices.append(f"noise: reads {ranges(noisy)} above the others, up to {worst:.2g} times")
    if quality.heavy_tails:
        notices.append("noise: heavy tails; levels of single reads are no telegraph noise")
    if quality.unsearched.any():
        reads = ranges(np.flatnonzero(quality.unsearched))
        notices.append(f"reads {reads}: more pixels step than particles hit, not searched")
    return notices


def table(source: CorrectedRamp) -> dict[str, np.ndarray]:
    """Return what was found for each read: a column of T numbers for each kind.

    ``light [DN]`` is the shared change of the light since read 0, the median over the array;
    ``offset [DN]`` the scatter of the offsets of outputs, columns and rows; ``noise factor`` the
    noise of the read over the usual one.
    """
    shared, reads = source.shared, len(source.ramp.times)
    columns = {name: np.zeros(reads) for name in ("light [DN]", "offset [DN]")}
    if shared is not None:
        columns["light [DN]"] = np.median(shared.surface, axis=(1, 2))
        offsets = [shared.col_level, shared.row_level]
        columns["offset [DN]"] = np.max([x.reshape(reads, -1).std(axis=1) for x in offsets], axis=0)
    columns["noise factor"] = _noise_factor(source)
    return {name: values for name, values in columns.items() if np.ptp(values) > 0}


def _noise_factor(source: CorrectedRamp) -> np.ndarray:
    """Return the noise of each read over the usual one, that of its difference included (T,)."""
    quality = source.ramp.quality
    if quality is None:
        return np.ones(len(source.ramp.times))
    usual = covariance_of(source.ramp).read - quality.extra
    extra = np.append(0.0, quality.extra / np.maximum(usual, 1e-12))
    return np.sqrt(np.maximum(quality.white, 1.0) + extra)
