"""The ramps of an exposure backwards: all of its noise, and no charge that arrives.

Time is reversed, and the slope of each pixel is put back::

    y(t) = x(end - t) + 2 rate t

A ramp read backwards falls; twice its rate makes it rise again. The rate is that from which its
shot noise is taken: what noise has made look like a step is part of it, so that the ramp has the
same rate, and the same noise, in both directions. Rate, shot noise, read noise and
1/f noise are what they were, and a ramp that flattens still flattens. But every step upward has
become a step downward: charge that arrived now leaves. Whatever is found as charge in such a ramp
is false.

Reversing the sign as well would not do: a cosmic ray would come out as a step upward again, at
another read, and be found as before. Reversing the sign alone would turn the curvature round.

What this cannot count: false alarms of things that are not alike in both directions. A decay
after the reset, a pixel that fills up, or the skewness of Poisson noise of few electrons make more
(or fewer) steps upward than downward; for the last there is `ohana.evaluate.pure_noise`, whose
counts stand beside these. Telegraph noise looks the same both ways, so that its
count is a check and nothing more; but single jumps of telegraph noise, which forwards pass for
cosmic rays, are counted. Pixels in which charge was found forwards are left out: their steps
downward would hide what noise does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ohana.events import PixelMaps
from ohana.ramp import Planes, row_blocks
from ohana.rampfit.covariance import covariance_of, may_split_jump
from ohana.rampfit.difference_stats import difference_stats
from ohana.rampfit.load import CorrectedRamp, load_block
from ohana.rampfit.noise import tile_medians, weighted

#: A pixel with so much less than the usual degrees of freedom has a noise of its own.
ITS_OWN = 0.9


@dataclass(frozen=True, kw_only=True)
class BackwardPlanes(Planes):
    """Corrected reads in reverse order with twice the rate of each pixel put on top.

    Attributes
    ----------
    forward : CorrectedRamp
        The exposure as it is.
    stop : ndarray of int, shape (H, W)
        First read that cannot be used, counted forwards.
    order : ndarray of int
        Read of the exposure that each read here is.
    """

    forward: CorrectedRamp
    stop: np.ndarray
    order: np.ndarray

    def select(self, reads: slice | np.ndarray) -> BackwardPlanes:
        """Return the planes of some reads only."""
        return replace(self, offsets=self.offsets[reads], order=self.order[reads])

    def read(self, rows: slice = slice(None), cols: slice = slice(None)) -> np.ndarray:
        """Return all reads of some rows and columns as float32 (T, rows, cols); NaN if unusable."""
        block, _ = load_block(self.forward, rows, cols)
        stop, ramp = np.ascontiguousarray(self.stop[rows, cols]), self.forward.ramp
        model = covariance_of(ramp)
        rate = difference_stats(
            block.data, stop, model.dt, weighted(model)[1], may_split_jump(model)
        ).rate
        out = block.data[self.order]
        out[self.order[:, None, None] >= stop] = np.nan
        before_end = (ramp.times[-1] - ramp.times[self.order]) / ramp.facts.frame_time
        # One read at a time: the work array stays small.
        for plane, time in zip(out, before_end, strict=True):
            plane += (2 * time * rate).astype(np.float32)
        return out


def backward_source(source: CorrectedRamp, maps: PixelMaps) -> CorrectedRamp:
    """Give the ramps of an exposure backwards, as an exposure of its own.

    Parameters
    ----------
    source : CorrectedRamp
        The exposure.
    maps : PixelMaps
        What was measured in it: where ramps end.
    """
    ramp = source.ramp
    last = len(ramp.planes) - 1
    planes = BackwardPlanes(
        **vars(ramp.planes),
        forward=source,
        stop=maps.stop,
        order=np.arange(last, -1, -1),
    )
    # What cannot be used is NaN already; saturation and correction lie behind.
    backward = replace(
        ramp,
        planes=planes,
        times=ramp.times[0] + ramp.times[-1] - ramp.times[::-1],
        frames=None if ramp.frames is None else ramp.frames[::-1],
        facts=replace(ramp.facts, saturation=np.inf),
        flags=None,
        reference_done=True,
    )
    return CorrectedRamp(backward)


@dataclass(frozen=True, kw_only=True)
class NoisePlanes(Planes):
    """Reads that are drawn whenever they are asked for, the same ones every time.

    Attributes
    ----------
    forward : CorrectedRamp
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

    forward: CorrectedRamp
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


def noise_source(source: CorrectedRamp, maps: PixelMaps, seed: int) -> CorrectedRamp:
    """Give an exposure of pure noise.

    Parameters
    ----------
    source : CorrectedRamp
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
    return CorrectedRamp(replace(ramp, planes=planes, facts=facts, flags=None, reference_done=True))


def _plausible(maps: PixelMaps) -> np.ndarray:
    """Return the noise map with outliers replaced by the noise around them.

    A pixel keeps its own scatter where that stands out, see `ohana.rampfit.noise`: of a few reads
    that is mostly chance or an event, which must not be drawn as if it were always there.
    """
    noise, known = maps.noise.copy(), np.isfinite(maps.noise)
    if known.any():
        outlier = known & (maps.dof < ITS_OWN * np.median(maps.dof[known]))
        for rows in row_blocks(len(noise)):
            if outlier[rows].any():
                typical = tile_medians(noise[rows], known[rows])
                noise[rows][outlier[rows]] = typical[outlier[rows]]
    return noise
