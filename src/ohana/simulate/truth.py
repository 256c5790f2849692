"""What was put into an exposure, pixel by pixel, and how well the best estimator could see it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ohana.differences import differences
from ohana.errors import OhanaError
from ohana.files import replacing
from ohana.gls import fit_steps
from ohana.labels import Label, label_of
from ohana.simulate.config import SimulationConfig

#: A pixel belongs to an event's footprint where its charge exceeds this many errors of a step.
FOOTPRINT_SIGMA = 3.0
#: Ramps fitted in one go: keeps the work arrays of long ramps in the cache's reach.
FITS_AT_ONCE = 1024


@dataclass(frozen=True)
class TrueEvent:
    """One event of the truth.

    Attributes
    ----------
    label : Label
        Its class.
    first_frame : int or None
        First read that contains it; None for telegraph noise.
    rows, cols : ndarray of int32, shape (n,)
        Its pixels, in the whole array.
    reads : ndarray of int32, shape (n,)
        First read that contains the event in each pixel; -1 for telegraph noise.
    charge : ndarray of float32, shape (n,)
        Signal that it adds to each pixel, coupling of pixels included, up to the full
        well [e-]; for telegraph noise the difference of the extreme levels.
    snr : ndarray of float32, shape (n,)
        Charge over the error of the best linear estimator of a step at that read; 0 where
        the pixel is full by then. For telegraph noise the root of ``facts["chi2"]``.
    gain : float
        [e-/DN]
    facts : dict
        What else is known, plain values. Cosmic ray: ``length`` [pixel], ``charge`` [e-].
        Snowball: ``center``, ``core_radius`` [pixel], ``halo_level`` [e-], ``halo_length``
        [pixel]. Telegraph noise: ``levels`` [e-], ``dwell`` [reads], ``transitions`` (first
        read of each new state), ``states`` (one more than transitions), ``chi2`` (what the
        path removes from chi-squared over a straight ramp).
    """

    label: Label
    first_frame: int | None
    rows: np.ndarray
    cols: np.ndarray
    reads: np.ndarray
    charge: np.ndarray
    snr: np.ndarray
    gain: float = 1.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def amplitude(self) -> np.ndarray:
        """Step of each pixel [DN]."""
        return self.charge / np.float32(self.gain)

    @property
    def footprint(self) -> np.ndarray:
        """Pixels that can be seen to belong to the event, bool (n,)."""
        return self.snr > FOOTPRINT_SIGMA


@dataclass(frozen=True)
class Truth:
    """All events of an exposure of shape (T, H, W), and the settings that made it."""

    shape: tuple[int, int, int]
    events: list[TrueEvent]
    config: SimulationConfig

    def of(self, label: Label) -> list[TrueEvent]:
        """Return the events of one class."""
        return [event for event in self.events if event.label == label]

    def save(self, path: str | Path) -> None:
        """Write the truth as JSON."""
        content = {
            "shape": self.shape,
            "config": self.config.model_dump(),
            "events": [_plain(event) for event in self.events],
        }
        with replacing(Path(path)) as temporary:
            temporary.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False))

    @classmethod
    def load(cls, path: str | Path) -> Truth:
        """Read a truth that `save` has written."""
        try:
            content = json.loads(Path(path).read_text())
            events = [_event(item) for item in content["events"]]
            config = SimulationConfig(**content["config"])
            return cls(tuple(content["shape"]), events, config)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise OhanaError(f"{path}: wanted a truth written by ohana, got {reason}") from error


_COLUMNS = {
    "rows": np.int32,
    "cols": np.int32,
    "reads": np.int32,
    "charge": np.float32,
    "snr": np.float32,
}


def _plain(event: TrueEvent) -> dict[str, Any]:
    columns = {
        name: getattr(event, name).tolist()
        if kind is np.int32
        else np.round(getattr(event, name).astype(float), 3).tolist()
        for name, kind in _COLUMNS.items()
    }
    head = {"type": event.label.key, "first_frame": event.first_frame, "gain": event.gain}
    return head | columns | {"facts": event.facts}


def _event(item: dict[str, Any]) -> TrueEvent:
    columns = {name: np.array(item[name], kind) for name, kind in _COLUMNS.items()}
    return TrueEvent(
        label_of(item["type"]),
        item["first_frame"],
        **columns,
        gain=item["gain"],
        facts=item["facts"],
    )


def step_errors(
    reads: np.ndarray, stop: np.ndarray, noise: np.ndarray, rate: np.ndarray
) -> np.ndarray:
    """Return the standard error of a step at given reads, with the slope free.

    Parameters
    ----------
    reads, stop : ndarray of int, shape (n,)
        First read with the step; first read that cannot be used.
    noise, rate : ndarray, shape (n,)
        Noise of one read [e-] and charge per read [e-].

    Returns
    -------
    ndarray of float64, shape (n,)
        Errors [e-]; ``inf`` where the ramp is too short to tell. Where the step itself fills
        the pixel, the error of the difference of two reads.
    """
    # In units of the noise the error depends on rate / noise**2 alone; ratios within 1 % (0.5 %
    # of the error) and with the same end share one fit.
    ratio = np.round(np.log(np.maximum(rate, 1e-6) / noise**2), 2)
    kinds, which = np.unique(np.stack([ratio, stop]), axis=1, return_inverse=True)
    which, out = which.ravel(), np.empty(len(reads))
    model = differences(np.arange(max(stop.max(initial=2), reads.max(initial=1) + 1)))
    step = np.arange(1, len(model.dt) + 1)[:, None]
    for begin in range(0, kinds.shape[1], FITS_AT_ONCE):
        logarithm, end = kinds[:, begin : begin + FITS_AT_ONCE]
        blank = np.where(step < end, 0.0, np.nan)
        known = fit_steps(blank, np.ones(len(end)), np.exp(logarithm), model).information
        here = np.flatnonzero((which >= begin) & (which < begin + FITS_AT_ONCE))
        with np.errstate(divide="ignore"):
            out[here] = noise[here] / np.sqrt(known[reads[here] - 1, which[here] - begin])
    filled = reads == stop
    out[filled] = np.sqrt(2 * noise[filled] ** 2 + rate[filled])
    return out


def path_chi2(path: np.ndarray, noise: float, rate: float) -> float:
    """Return how much a known path lowers chi-squared against a straight ramp.

    Parameters
    ----------
    path : ndarray, shape (T,)
        Offset at each read [e-].
    noise, rate : float
        Noise of one read [e-] and charge per read [e-].
    """
    if len(path) < 3 or not np.ptp(path):
        return 0.0
    steps = np.diff(path).astype(float)[:, None]
    model = differences(np.arange(len(path)))
    return float(fit_steps(steps, np.array([noise**2]), np.array([rate]), model).chi2[0])
