"""Arrays in, anomalies out: entry point for pipelines with ramps in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ohana.config import DetectorConfig
from ohana.correction.fit import corrected_ramp
from ohana.correction.load import load_block
from ohana.detect.row_block import compile_kernels
from ohana.pipeline import find_events
from ohana.predictor import load_model
from ohana.products.fit import fit_integration
from ohana.products.flags import Jumps, group_flags
from ohana.products.ramps import Integration
from ohana.ramp import Planes, Ramp
from ohana.rampfit.covariance import covariance_of
from ohana.read import complete
from ohana.read.array import NAME, planes_of_array
from ohana.read.detector import gather, read_times
from ohana.read.integrations import MIN_READS
from ohana.read.jwst import pixel_quality
from ohana.results.catalogue import Detection, catalogue
from ohana.results.maps import paint_mask
from ohana.utils.progress import no_progress

if TYPE_CHECKING:
    from ohana.network.model_file import Network

log = logging.getLogger("ohana")


@dataclass(frozen=True)
class Anomalies:
    """Events, rates and flags of one ramp.

    Attributes
    ----------
    shape : tuple of int
        (T, H, W).
    events : list of dict
        The catalogue, see `ohana.results.catalogue.Detection`.
    mask : ndarray of uint8, shape (H, W)
        `ohana.classes.Label` of each pixel.
    rate, rate_error : ndarray of float32, shape (H, W)
        Count rate with all events excluded, and its standard error [DN/s].
    jumps : Jumps
        Reads that begin with a step of an event: arrays ``read``, ``row``, ``col``.
    saturated_from : ndarray of int32, shape (H, W)
        First saturated read, cores of snowballs included; T where there is none.
    maps : mapping
        Per-pixel maps (H, W) by name, see `ohana.events.PixelMaps`.
    given : Planes or None
        Input flags of the reads.
    """

    shape: tuple[int, int, int]
    events: list[Detection]
    mask: np.ndarray
    rate: np.ndarray
    rate_error: np.ndarray
    jumps: Jumps
    saturated_from: np.ndarray
    maps: Mapping[str, np.ndarray]
    given: Planes | None = None

    def flags(self) -> np.ndarray:
        """Return the flags of every read, uint8 (T, H, W), with the bits of JWST's GROUPDQ.

        4 (JUMP_DET) at the first read after a step of an event, 2 (SATURATED), and the input
        flags; `ohana.products.flags.group_flags` yields them read by read.
        """
        flags = np.empty(self.shape, np.uint8)
        planes = group_flags(self.jumps, self.saturated_from, self.shape[0], self.given)
        for read, plane in enumerate(planes):
            flags[read] = plane
        return flags


def find_anomalies(
    data: np.ndarray,
    *,
    config: DetectorConfig | None = None,
    gain: float | None = None,
    read_noise: float | np.ndarray | None = None,
    saturation: float | None = None,
    dq: np.ndarray | None = None,
    pixel_dq: np.ndarray | None = None,
    frame_time: float | None = None,
    nframes: int = 1,
    groupgap: int = 0,
    network: Network | str | Path | None = None,
) -> Anomalies:
    """Find cosmic rays, telegraph noise and snowballs in one ramp.

    The same stages run as in ``ohana-predict``, with the same result.

    Parameters
    ----------
    data : ndarray, shape (T, H, W)
        Reads in order of time [DN], of any real type; NaN where there is no value. It is not
        changed, and may be memory-mapped: some rows of all reads are in memory at a time.
    config : DetectorConfig, optional
        Settings; the arguments below override them.
    gain : float, optional
        [e-/DN]; 1 if unknown.
    read_noise : float or ndarray, shape (H, W), optional
        Noise of one frame [e-], NaN or 0 where it is to be measured. If absent it is that of the
        settings, or measured everywhere, which is better except in very short ramps.
    saturation : float, optional
        Value from which a read counts as saturated [DN].
    dq : ndarray of int, shape (T, H, W), optional
        Flags of the reads: 1 do not use, 2 saturated.
    pixel_dq : ndarray of int, shape (H, W), optional
        Flags of the pixels, with the bits of JWST's ``PIXELDQ``: 1 do not use; pixels that are hot,
        unstable and so on are used, but steps in them need more evidence.
    frame_time : float, optional
        Time between frames [s]; 1 if unknown.
    nframes, groupgap : int
        Frames averaged into each read, and dropped between two reads.
    network : Network, str or Path, optional
        Network to use besides the rules, as in `ohana.Predictor`.

    Returns
    -------
    Anomalies

    Raises
    ------
    ValueError
        An array has another shape or type than it should.
    OhanaError
        There is no finite value, or a setting does not fit the array.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> data = 3.0 * np.arange(30)[:, None, None] + rng.normal(0, 5, (30, 64, 64))
    >>> data[12:, 20, 30] += 400
    >>> found = find_anomalies(data, gain=1.5, frame_time=2.0)
    >>> [(event["type"], event["position"], event["first_frame"]) for event in found.events]
    [('cosmic_ray', [20, 30], 12)]
    >>> found.flags()[11:14, 20, 30].tolist()
    [0, 4, 0]
    >>> bool(abs(found.rate[20, 30] - 1.5) < 3 * found.rate_error[20, 30])  # 3 DN in 2 s
    True
    """
    _require(data, dq, pixel_dq)
    if nframes < 1 or groupgap < 0:
        got = f"{nframes} and {groupgap}"
        raise ValueError(f"nframes, groupgap: wanted at least 1 and at least 0, got {got}")
    given = {"gain": gain, "saturation": saturation, "frame_time": frame_time}
    settings = (config or DetectorConfig()).model_dump()
    config = DetectorConfig(**settings | {k: v for k, v in given.items() if v is not None})
    planes = planes_of_array(data)
    known = {"nframes": (nframes, "argument"), "groupgap": (groupgap, "argument")}
    facts, notes = gather([], config, planes, known)
    bad, suspect = (None, None) if pixel_dq is None else pixel_quality(np.asarray(pixel_dq))
    ramp = Ramp(
        name=str(NAME),
        source=NAME,
        planes=planes,
        times=read_times(len(data), facts),
        facts=facts,
        flags=None if dq is None else planes_of_array(dq),
        bad_pixels=bad,
        notes=tuple(notes),
        suspect=suspect,
        read_noise=_in_dn(read_noise, facts.gain, data.shape[1:]),
    )
    if isinstance(network, str | Path):
        network = load_model(network)
    return find_in_ramp(ramp, config, network)


def find_in_ramp(ramp: Ramp, config: DetectorConfig, network: Network | None = None) -> Anomalies:
    """Find the anomalies of a ramp.

    Parameters
    ----------
    ramp : Ramp
        From `ohana.open_exposure`, or made of arrays (`ohana.read.array`).
    config : DetectorConfig
        Settings.
    network : Network, optional
        Network to use besides the rules.
    """
    ramp = complete([ramp])[0]
    compile_kernels(log)
    source = corrected_ramp(ramp, config)[0]
    found = find_events(source, config, no_progress, network=network)
    events = catalogue([replace(event, integration=ramp.integration) for event in found.events])
    maps: dict[str, np.ndarray] = dict(vars(found.maps))
    fitted = fit_integration(
        Integration(
            events,
            ramp.shape,
            maps,
            covariance_of(source.ramp),
            ramp.facts.frame_time,
            ramp.facts.gain,
            lambda rows: load_block(source, rows)[0].data,
            config,
        )
    )
    mask = paint_mask(found.events, ramp.shape[1:])
    outcome = fitted.rate, fitted.error, fitted.jumps, fitted.full
    return Anomalies(ramp.shape, events, mask, *outcome, maps, ramp.flags)


def _require(data: np.ndarray, dq: np.ndarray | None, pixel_dq: np.ndarray | None) -> None:
    """Refuse anything but arrays with matching shapes."""
    shape: tuple[int, ...] = getattr(data, "shape", ())
    kind = getattr(data, "dtype", None)
    real = isinstance(kind, np.dtype) and kind.kind in "iuf"
    if not real or len(shape) != 3 or shape[0] < MIN_READS or 0 in shape:
        wanted = f"an array of real numbers (T, H, W) with T of at least {MIN_READS}"
        got = type(data).__name__ if kind is None else f"{kind} {tuple(shape)}"
        raise ValueError(f"data: wanted {wanted}, got {got}")
    if isinstance(data, np.ma.MaskedArray):
        raise ValueError("data: wanted NaN or dq where there is no value, got a masked array")
    for name, flags, wanted_shape in (("dq", dq, shape), ("pixel_dq", pixel_dq, shape[1:])):
        if flags is None:
            continue
        if np.shape(flags) != wanted_shape or np.asarray(flags).dtype.kind not in "iu":
            got = f"{np.asarray(flags).dtype} {np.shape(flags)}"
            raise ValueError(f"{name}: wanted whole numbers {wanted_shape}, got {got}")


def _in_dn(
    read_noise: float | np.ndarray | None, gain: float, shape: tuple[int, int]
) -> np.ndarray | None:
    """Return read noise of every pixel (H, W) [DN]."""
    if read_noise is None:
        return None
    noise = np.asarray(read_noise)
    if noise.shape not in ((), shape) or noise.dtype.kind not in "iuf":
        got = f"{noise.dtype} {noise.shape}"
        raise ValueError(f"read_noise: wanted a number or shape {shape}, got {got}")
    return np.broadcast_to(noise.astype(np.float64), shape) / gain
