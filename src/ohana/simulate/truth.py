"""The true events of an exposure, pixel by pixel, with the S/N of the best estimator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from ohana.classes import Label, label_of
from ohana.errors import OhanaError
from ohana.simulate.config import SimulationConfig
from ohana.utils.files import replacing

#: S/N of the charge from which a pixel belongs to the footprint of an event [sigma].
FOOTPRINT_SIGMA = 3.0


class PixelSteps(NamedTuple):
    """Changes of the signal, one entry per pixel and read, arrays of shape (n,).

    Attributes
    ----------
    row, col : ndarray of int32
        Pixel, in the whole array.
    read : ndarray of int32
        First read with the change, from 1 to T - 1.
    charge : ndarray of float32
        Signal added since the previous read [e-]; of either sign in telegraph noise.
    snr : ndarray of float32
        Charge over the error of the best linear estimator of a step at this read alone; 0 where
        the pixel is full by then.
    """

    row: np.ndarray
    col: np.ndarray
    read: np.ndarray
    charge: np.ndarray
    snr: np.ndarray

    @classmethod
    def blank(
        cls, row: np.ndarray, col: np.ndarray, read: np.ndarray, charge: np.ndarray
    ) -> PixelSteps:
        """Return steps whose S/N is not known yet."""
        columns = (row, col, read, charge, np.zeros(len(row)))
        return cls(*(x.astype(kind) for x, kind in zip(columns, _STEPS.values(), strict=True)))


#: Type of each column of `PixelSteps`.
_STEPS = {
    "row": np.int32,
    "col": np.int32,
    "read": np.int32,
    "charge": np.float32,
    "snr": np.float32,
}
NO_STEPS = PixelSteps(*(np.empty(0, kind) for kind in _STEPS.values()))


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
        First read that contains the event in each pixel, from 1 on; -1 for telegraph noise.
    charge : ndarray of float32, shape (n,)
        Signal added to each pixel between read 0 and the last [e-], including the coupling of
        pixels, up to the full well, for a linear pixel without other signal; for telegraph
        noise the difference of the extreme levels.
    snr : ndarray of float32, shape (n,)
        S/N of the best linear estimator of the signal for a known time profile, with the slope
        free; 0 where the pixel is full by then. For telegraph noise the root of
        ``facts["chi2"]``.
    gain : float
        [e-/DN]
    facts : dict
        Other properties, plain values. Cosmic ray: ``length`` [pixel], ``charge`` [e-],
        ``delta_ray``, ``secondary`` (whether it is part of a shower). Snowball: ``center``,
        ``core_radius`` [pixel], ``halo_level`` [e-], ``halo_length`` [pixel], ``trail``.
        Telegraph noise: ``levels`` [e-], ``dwell`` [reads], ``transitions`` (first read of each
        new state), ``states`` (one more than transitions), ``chi2`` (reduction of
        chi-squared relative to a straight ramp), ``reference_pixel`` (whether it lies in the
        border, where no events are searched for).
    repeated : PixelSteps
        All changes of pixels that change at more than one read: growth of snowballs,
        hits within averaged frames, telegraph noise.
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
    repeated: PixelSteps = NO_STEPS

    @property
    def amplitude(self) -> np.ndarray:
        """Step of each pixel [DN]."""
        return self.charge / np.float32(self.gain)

    @property
    def footprint(self) -> np.ndarray:
        """Pixels in which the event is measurable, bool (n,)."""
        return self.snr > FOOTPRINT_SIGMA

    def pixel_steps(self) -> PixelSteps:
        """Return all changes of signal by the event, in the order of reads.

        Changes of a few electrons are summed into larger ones. Those of a pixel add up to `charge`.

        Examples
        --------
        >>> row, read = np.array([7], np.int32), np.array([3], np.int32)
        >>> level = np.array([500.0], np.float32)
        >>> event = TrueEvent(Label.COSMIC_RAY, 3, row, row, read, level, level / 20)
        >>> steps = event.pixel_steps()
        >>> steps.read.tolist(), steps.charge.tolist(), steps.snr.tolist()
        ([3], [500.0], [25.0])
        """
        width = 1 + max(self.cols.max(initial=0), self.repeated.col.max(initial=0))
        several = np.isin(
            self.rows * width + self.cols, self.repeated.row * width + self.repeated.col
        )
        once = ~several & (self.reads > 0)
        single = (self.rows, self.cols, self.reads, self.charge, self.snr)
        every = [
            np.concatenate([mine[once], more])
            for mine, more in zip(single, self.repeated, strict=True)
        ]
        order = np.argsort(every[2], kind="stable")
        return PixelSteps(*(column[order] for column in every))


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
            if not isinstance(content, dict):
                raise TypeError("a list or a single value")
            events = [_event(item) for item in content["events"]]
            config = SimulationConfig(**content["config"])
            return cls(tuple(content["shape"]), events, config)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = _reason(error)
            raise OhanaError(f"{path}: wanted a truth written by ohana, got {reason}") from error


def _reason(error: Exception) -> str:
    """Return in one line what is wrong with a file."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"config: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"none of the key {error}"
    if isinstance(error, UnicodeDecodeError):
        return "bytes that are no text"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error).splitlines()[0]


_COLUMNS = dict(zip(("rows", "cols", "reads", "charge", "snr"), _STEPS.values(), strict=True))


def _plain(event: TrueEvent) -> dict[str, Any]:
    content: dict[str, Any] = {
        "type": event.label.key,
        "first_frame": event.first_frame,
        "gain": event.gain,
        "facts": event.facts,
    }
    content |= {name: _numbers(getattr(event, name)) for name in _COLUMNS}
    if len(event.repeated.row):
        content["repeated"] = {
            name: _numbers(column) for name, column in event.repeated._asdict().items()
        }
    return content


def _numbers(column: np.ndarray) -> list[Any]:
    """Return a column as plain numbers; those of electrons and S/N to three digits."""
    whole = np.issubdtype(column.dtype, np.integer)
    numbers: list[Any] = (column if whole else np.round(column.astype(float), 3)).tolist()
    return numbers


def _event(item: dict[str, Any]) -> TrueEvent:
    repeated = NO_STEPS
    if "repeated" in item:
        repeated = PixelSteps(**_columns(item["repeated"], _STEPS))
    return TrueEvent(
        label_of(item["type"]),
        item["first_frame"],
        **_columns(item, _COLUMNS),
        gain=item["gain"],
        facts=item["facts"],
        repeated=repeated,
    )


def _columns(item: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    """Return columns of equal lengths."""
    columns = {name: np.array(item[name], kind) for name, kind in kinds.items()}
    sizes = {name: column.shape for name, column in columns.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"columns of different lengths: {sizes}")
    return columns
