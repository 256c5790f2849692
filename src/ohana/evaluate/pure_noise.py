"""An exposure of nothing but noise: the rates and the read noise of a real one, and no events.

What is found in it is what Gaussian read noise and Poisson noise make by themselves. Unlike ramps
read backwards it has the skewness of Poisson noise, which makes steps upward of a few electrons
more frequent than steps downward; but it knows nothing of 1/f noise, drifts or telegraph noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ohana.events import PixelMaps
from ohana.noise import tile_medians
from ohana.ramp import Planes, row_blocks
from ohana.walk import Source

#: A pixel with so much less than the usual degrees of freedom has a noise of its own.
ITS_OWN = 0.9


@dataclass(frozen=True, kw_only=True)
class NoisePlanes(Planes):
    """Reads that are drawn whenever they are asked for, the same ones every time.

    Attributes
    ----------
    forward : Source
        The exposure that is imitated.
    maps : PixelMaps
        Its rates, and first and last usable reads.
    noise : ndarray of float32, shape (H, W)
        Read noise of one frame [DN].
    seed : int
        Of the draws; each row has its own stream, so that windows are parts of the whole.
    reads : ndarray of int
        Read of the exposure that each plane is.
    """

    forward: Source
    maps: PixelMaps
    noise: np.ndarray
    seed: int
    reads: np.ndarray

    def select(self, reads: slice | np.ndarray) -> NoisePlanes:
        """Return the planes of some reads only."""
        some = super().select(reads)
        return NoisePlanes(**vars(some) | {"reads": self.reads[reads]})

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as float32 (T, rows, cols); NaN if unusable."""
        lines = [self._line(row)[:, cols] for row in range(*rows.indices(self.shape[0]))]
        empty = np.empty((len(self), 0, len(range(*cols.indices(self.shape[1])))), np.float32)
        return np.stack(lines, axis=1) if lines else empty

    def _line(self, row: int) -> np.ndarray:
        """Draw one row, float32 (T, W)."""
        rng = np.random.default_rng([self.seed, row])
        ramp, maps = self.forward.ramp, self.maps
        facts = ramp.facts
        # Each read is the mean of frames around its time.
        count = ramp.averaged
        ends = np.cumsum(count)
        within = np.arange(ends[-1]) - np.repeat(ends - count, count)
        within = within - np.repeat((count - 1) / 2, count)
        times = np.repeat(ramp.times / facts.frame_time, count) + within
        waits = np.diff(times, prepend=times[0])
        rate = np.maximum(np.nan_to_num(maps.rate[row]), 0).astype(np.float64) * facts.gain
        charge = np.cumsum(rng.poisson(waits[:, None] * rate), axis=0)
        signal = np.add.reduceat(charge, ends - count) / (count * facts.gain)[:, None]
        signal = signal.astype(np.float32)
        white = rng.standard_normal(signal.shape, np.float32)
        signal += white * (self.noise[row] / np.sqrt(count, dtype=np.float32)[:, None])
        read = np.arange(len(signal))[:, None]
        signal[(read < maps.first_usable[row]) | (read >= maps.stop[row])] = np.nan
        return signal[self.reads]


def noise_source(source: Source, maps: PixelMaps, seed: int) -> Source:
    """Give an exposure of pure noise.

    Parameters
    ----------
    source : Source
        The exposure that is imitated.
    maps : PixelMaps
        What was measured in it.
    seed : int
        Of the draws.
    """
    ramp = source.ramp
    reads = np.arange(len(ramp.planes))
    planes = NoisePlanes(
        **vars(ramp.planes),
        forward=source,
        maps=maps,
        noise=_plausible(maps),
        seed=seed,
        reads=reads,
    )
    facts = replace(ramp.facts, saturation=np.inf)
    return Source(replace(ramp, planes=planes, facts=facts, flags=None, reference_done=True))


def _plausible(maps: PixelMaps) -> np.ndarray:
    """Return the noise map with outliers replaced by the noise around them.

    A pixel keeps its own scatter where that stands out, see `ohana.noise`: of a few reads that is
    mostly chance or an event, which must not be drawn as if it were always there.
    """
    noise, known = maps.noise.copy(), np.isfinite(maps.noise)
    if known.any():
        outlier = known & (maps.dof < ITS_OWN * np.median(maps.dof[known]))
        for rows in row_blocks(len(noise)):
            if outlier[rows].any():
                typical = tile_medians(noise[rows], known[rows])
                noise[rows][outlier[rows]] = typical[outlier[rows]]
    return noise
