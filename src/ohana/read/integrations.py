"""Ramps from planes and headers, one for each integration."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Planes, Ramp
from ohana.read.detector import Found, gather, read_times
from ohana.read.formats import ENDINGS

#: Minimum number of reads: a step and a slope are two unknowns, which need two differences.
MIN_READS = 3

_ENDINGS = re.compile(rf"({'|'.join(map(re.escape, ENDINGS))})+$", re.IGNORECASE)


def exposure_name(source: Path) -> str:
    """Return the name of a file without its endings.

    Examples
    --------
    >>> exposure_name(Path("night.2/dark_v1.5.fits.gz"))
    'dark_v1.5'
    """
    name = source.resolve().name
    return _ENDINGS.sub("", name) or name


def require_reads(source: Path, reads: int, what: str = "") -> None:
    """Refuse a ramp that is too short."""
    if reads < MIN_READS:
        raise OhanaError(f"{source}: wanted at least {MIN_READS} reads, got {reads}{what}")


def ramps_of(
    source: Path,
    planes: Planes,
    counts: Sequence[int],
    headers: Iterable[Mapping[str, Any]],
    config: DetectorConfig,
    default: Found | None = None,
    scratch: object | None = None,
    notes: Sequence[str] = (),
) -> list[Ramp]:
    """Return one ramp per integration for a format that has only reads and a header.

    Parameters
    ----------
    source : Path
        What the user gave.
    planes : Planes
        All reads of all integrations.
    counts : sequence of int
        (T,) or (N, T): reads, or integrations and reads.
    headers, config, default
        See `ohana.read.detector.gather`.
    scratch : object, optional
        Kept by the ramps.
    notes : sequence of str
        Notices so far.
    """
    reads = counts[-1]
    require_reads(source, reads)
    integrations = math.prod(counts[:-1])
    facts, more = gather(headers, config, planes.select(slice(0, reads)), default=default)
    return [
        Ramp(
            name=exposure_name(source),
            source=source,
            planes=planes.select(slice(i * reads, (i + 1) * reads)),
            times=read_times(reads, facts),
            facts=facts,
            integration=i,
            notes=(*notes, *more),
            scratch=scratch,
        )
        for i in range(integrations)
    ]


def pick_integration(ramps: Sequence[Ramp], integration: int) -> Ramp:
    """Return the ramp of an integration, by its number in the exposure.

    Raises
    ------
    OhanaError
        If the file does not hold it.
    """
    for ramp in ramps:
        if ramp.integration == integration:
            return ramp
    first, last = ramps[0].integration, ramps[-1].integration
    held = f"{first} to {last}" if last > first else f"only {first}"
    raise OhanaError(f"{ramps[0].source}: wanted integration {integration}, the file has {held}")
