"""Time-reversed ramps: all the noise of an exposure, without charge that arrives.

Time is reversed, and the slope of each pixel is restored::

    y(t) = x(end - t) + 2 rate t

A reversed ramp falls; adding twice its rate makes it rise again. The rate is the one from which
the shot noise follows. It includes noise that resembles a step, so rate and noise are the same in
both directions. Shot noise, read noise, 1/f noise and the sign of the curvature are unchanged, but
every upward step has become a downward step. All charge found in such a ramp is false.

Reversing the sign as well would turn cosmic rays into upward steps again. Reversing the sign alone
would reverse the curvature.

False alarms from effects that are not symmetric in time cannot be counted this way: decay after a
reset, saturating pixels, the skewness of Poisson noise of few electrons. For the last, pure noise
is simulated too (`noise_source`). Telegraph noise is symmetric, so its count is only a check; but
its single jumps, which forwards are taken for cosmic rays, are counted. Pixels in which charge was
found forwards are no part of the area, because their downward steps may hide the effect of noise;
what is found in them backwards counts all the same, or bad pixels never would.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ohana.correction.load import CorrectedRamp, load_block
from ohana.events import PixelMaps
from ohana.ramp import Planes, row_blocks
from ohana.rampfit.covariance import covariance_of, may_split_jump
from ohana.rampfit.difference_stats import difference_stats
from ohana.rampfit.noise import tile_medians, weighted

#: Degrees of freedom over the median below which a pixel has noise of its own. Chosen.
ITS_OWN = 0.9


@dataclass(frozen=True, kw_only=True)
class BackwardPlanes(Planes):
    """Corrected reads in reverse order, plus twice the rate of each pixel.

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
    """Return the time-reversed ramps of an exposure as an exposure.

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
    # Unusable reads are NaN already; saturation and correction have been applied.
    backward = replace(
        ramp,
        planes=planes,
        times=ramp.times[0] + ramp.times[-1] - ramp.times[::-1],
        frames=None if ramp.frames is None else ramp.frames[::-1],
        facts=replace(ramp.facts, saturation=np.inf),
        flags=None,
        reference_done=True,
        quality=None if ramp.quality is None else ramp.quality.backwards(),
        resets=(),
    )
    return CorrectedRamp(backward)


@dataclass(frozen=True, kw_only=True)
class NoisePlanes(Planes):
    """Reads that are drawn on access, reproducibly.

    Attributes
    ----------
    forward : CorrectedRamp
        The exposure to imitate.
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
    """Return an exposure of pure noise.

    Parameters
    ----------
    source : CorrectedRamp
        The exposure to imitate.
    maps : PixelMaps
        Its per-pixel maps.
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
    ramp = replace(ramp, planes=planes, facts=facts, flags=None, reference_done=True)
    ramp = replace(ramp, quality=None, resets=())
    return CorrectedRamp(ramp)


def _plausible(maps: PixelMaps) -> np.ndarray:
    """Return the noise map with outliers replaced by the noise around them.

    A pixel keeps its own scatter where that stands out, see `ohana.rampfit.noise`: in short
    ramps that is mostly chance or an event, which must not be simulated as permanent.
    """
    noise, known = maps.noise.copy(), np.isfinite(maps.noise)
    if known.any():
        outlier = known & (maps.dof < ITS_OWN * np.median(maps.dof[known]))
        for rows in row_blocks(len(noise)):
            if outlier[rows].any():
                typical = tile_medians(noise[rows], known[rows])
                noise[rows][outlier[rows]] = typical[outlier[rows]]
    return noise
