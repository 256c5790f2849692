"""The exposure to which events are added: usable pixels, noise, regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.events import pixels_of
from ohana.pipeline import FoundEvents
from ohana.ramp import Ramp
from ohana.rampfit.covariance import DifferenceCovariance, covariance_of
from ohana.rampfit.gls import fit_steps
from ohana.refpix.border import border_mask
from ohana.simulate.config import SimulationConfig
from ohana.simulate.true_signal import NoiseLimits

#: Full well if the file gives no saturation [e-]. Chosen.
USUAL_WELL = 8e4
#: Reduction of chi-squared by telegraph noise that is just detected.
TELEGRAPH_CHI2 = 60.0


class Regions(NamedTuple):
    """Parts of an array: outputs where it has several, else a grid.

    ``rows`` and ``cols`` are their edges; number r * (len(cols) - 1) + c.
    """

    kind: str
    rows: np.ndarray
    cols: np.ndarray

    def __len__(self) -> int:
        return (len(self.rows) - 1) * (len(self.cols) - 1)

    def of(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Return the part that pixels lie in."""
        r = np.searchsorted(self.rows, row, "right") - 1
        return r * (len(self.cols) - 1) + np.searchsorted(self.cols, col, "right") - 1

    def bounds(self, number: int) -> tuple[slice, slice]:
        """Return rows and columns of one part."""
        r, c = divmod(number, len(self.cols) - 1)
        rows, cols = self.rows[r : r + 2], self.cols[c : c + 2]
        return slice(int(rows[0]), int(rows[1])), slice(int(cols[0]), int(cols[1]))


#: Side from which on arrays are divided into 4 x 4 parts, else 2 x 2 [pixel]. Chosen.
LARGE = 256


def regions_of(ramp: Ramp) -> Regions:
    """Divide an array into its outputs, or a grid if it has one output.

    Examples
    --------
    >>> halves = Regions("output", np.array([0, 8]), np.array([0, 4, 8]))
    >>> len(halves), halves.bounds(1)
    (2, (slice(0, 8, None), slice(4, 8, None)))
    """
    _, height, width = ramp.shape
    outputs = ramp.facts.outputs
    whole = [np.array([0, height]), np.array([0, width])]
    if outputs > 1:
        along = 1 if abs(ramp.facts.fast_axis) == 1 else 0
        whole[along] = np.linspace(0, (height, width)[along], outputs + 1).round().astype(int)
        return Regions("output", *whole)
    parts = 4 if min(height, width) >= LARGE else 2
    return Regions(
        "part",
        *(np.linspace(0, n, min(parts, n) + 1).round().astype(int) for n in (height, width)),
    )


@dataclass(frozen=True)
class ExposureModel:
    """Properties of an exposure that matter for adding events.

    Attributes
    ----------
    ramp : Ramp
        The exposure.
    model : DifferenceCovariance
        Covariance of its differences.
    limits : NoiseLimits
        Noise, rate [e-] and end of each ramp.
    simulation : SimulationConfig
        Its timing and full well, for the simulator.
    lit, usable : ndarray of bool, shape (H, W)
        Pixels that see light; those of them of ordinary length and with known noise.
    taken : dict
        For each class the pixels that must not be used, since something was found there.
    reads : tuple of int
        First and last read that a new event can have.
    regions : Regions
        Outputs or parts of the array.
    """

    ramp: Ramp
    model: DifferenceCovariance
    limits: NoiseLimits
    simulation: SimulationConfig
    lit: np.ndarray
    usable: np.ndarray
    taken: dict[Label, np.ndarray]
    reads: tuple[int, int]
    regions: Regions


def model_exposure(ramp: Ramp, found: FoundEvents) -> ExposureModel:
    """Describe an exposure in which events have been found.

    Raises
    ------
    OhanaError
        If it has no usable pixels.
    """
    maps, facts = found.maps, ramp.facts
    lit = ~border_mask(ramp)
    usable = np.isfinite(maps.noise) & np.isfinite(maps.rate) & lit
    if usable.any():
        first, stop = (int(np.median(x[usable])) for x in (maps.first_usable, maps.stop))
        usable &= (maps.first_usable <= first) & (maps.stop >= stop)
    if not usable.any() or stop - first < 3:
        raise OhanaError(f"{ramp.source}: no pixel with three usable reads to add events to")
    noise = float(np.median(maps.noise[usable]))
    gain = facts.gain
    limits = NoiseLimits(
        np.where(usable, maps.noise, noise).astype(np.float64) * gain,
        np.where(usable, maps.shot, 0).astype(np.float64) * gain**2,
        maps.stop,
    )
    everything, balls = (
        ndimage.binary_dilation(pixels_of(events, usable.shape), np.ones((5, 5), bool))
        for events in (found.events, [e for e in found.events if e.label == Label.SNOWBALL])
    )
    taken = dict.fromkeys((Label.COSMIC_RAY, Label.TELEGRAPH_NOISE), everything)
    return ExposureModel(
        ramp,
        covariance_of(ramp),
        limits,
        _simulation(ramp, usable),
        lit,
        usable,
        taken | {Label.SNOWBALL: balls},
        (first + 1, stop - 1),
        regions_of(ramp),
    )


def _simulation(ramp: Ramp, usable: np.ndarray) -> SimulationConfig:
    """Describe timing and full well of an exposure to the simulator."""
    facts, (reads, height, width) = ramp.facts, ramp.shape
    intervals = np.diff(ramp.times)
    usual = float(np.median(intervals))
    well = USUAL_WELL
    if np.isfinite(facts.saturation):
        level = ramp.planes.select(slice(0, 1)).read()[0][usable]
        # The simulator counts a pixel as saturated some 5 % below its full well.
        well = float(facts.saturation - np.nanmedian(level)) * facts.gain / 0.95
    timing: dict[str, Any] = {"reads": reads, "rows": height, "cols": width, "frame_time": usual}
    if ramp.frames is not None:
        # The last read of each resultant, from its mean.
        last = np.rint(ramp.times / facts.frame_time + (ramp.frames - 1) / 2).astype(int)
        last += max(ramp.frames[0] - last[0], 0)
        pattern = [range(a - n + 1, a + 1) for a, n in zip(last, ramp.frames, strict=True)]
        timing |= {"frame_time": facts.frame_time, "read_pattern": pattern}
    elif facts.nframes > 1:
        timing |= {
            "frame_time": facts.frame_time,
            "nframes": facts.nframes,
            "groupgap": facts.groupgap,
        }
    if ramp.frames is None and abs(intervals[0] - usual) > 1e-3 * usual:
        timing["first_interval"] = float(intervals[0])
    array: dict[str, Any] = {"border": 0, "outputs": 1, "gain": facts.gain}
    return SimulationConfig(**timing, **array, full_well=max(well, 1.0))


def just_found(site: ExposureModel, config: DetectorConfig) -> dict[Label, float]:
    """Estimate which charge is just found in an ordinary pixel [e-].

    The threshold in sigma times the error of a step in the middle of the ramp, or the floor in
    DN where that is higher; telegraph noise by the chi-squared it brings.
    """
    gain, noise, rate = site.ramp.facts.gain, site.limits.noise, site.limits.rate
    typical = np.array([np.median(noise[site.usable])]), np.array([np.median(rate[site.usable])])
    steps = np.zeros((len(site.model.dt), 1))
    known = fit_steps(steps, typical[0] ** 2, typical[1], site.model).information
    error = float(1 / np.sqrt(np.median(known[known > 0])))
    reads = site.reads[1] - site.reads[0] + 2
    return {
        Label.COSMIC_RAY: max(
            config.sigma_threshold * error,
            config.cosmic_ray_min_intensity * gain,
        ),
        Label.TELEGRAPH_NOISE: max(
            float(typical[0][0]) * np.sqrt(4 * TELEGRAPH_CHI2 / reads),
            config.rtn_amplitude_range[0] * gain,
        ),
    }
