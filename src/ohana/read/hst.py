"""HST infrared exposures: WFC3/IR (and NICMOS) ``_raw`` and ``_ima``.

Each read is an IMSET of five extensions (SCI, ERR, DQ, SAMP, TIME), and the first IMSET is the
last read. Reference: WFC3 Data Handbook, sections 2.2 and 3.3.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import DetectorInfo, Planes, Ramp, suspect_pixels
from ohana.read.detector import RISING_FORWARD, Found, gather, number, text
from ohana.read.fits_images import FitsFile, Image, planes_of
from ohana.read.integrations import exposure_name, require_reads
from ohana.read.unpack import spool

#: Data quality bits of HST.
DECODING_ERROR, FILLED, DEAD, BAD_REFERENCE, SATURATED = 1, 2, 4, 128, 256
#: Flags of pixels that are used, but whose steps are mostly not real.
SUSPECT_FLAGS = {4: "dead", 16: "hot", 32: "unstable"}
#: The same as bits of `ohana.ramp.Ramp.flags`.
FLAG_DO_NOT_USE, FLAG_SATURATED = 1, 2

WFC3_BORDER = 5
#: As the WFC3 pipeline does, only the reference pixels on the left and right are used.
WFC3_SIDES = (False, False, True, True)
AMPLIFIERS = "ABCD"


def read(file: FitsFile, config: DetectorConfig) -> list[Ramp]:
    """Read the IMSETs of an exposure as counts [DN] in order of time.

    Count rates are multiplied by the exposure time of their read and electrons are divided
    by the gain. In a file of rates the reference pixels alone are left as counts by the HST
    pipeline, so that they become bad pixels here.

    Raises
    ------
    OhanaError
        If there are fewer than three IMSETs or their times do not ascend.
    """
    science = sorted(file.named("SCI"), key=lambda image: -image.version)
    require_reads(file.source, len(science), " (a calibrated image, _flt?)" * (len(science) == 1))
    times = _times(file, science)
    planes, scratch = planes_of(file, science)
    headers = [science[-1].header, file.header]
    known = _facts(file, times)
    facts, notes = gather(headers, config, planes, known)
    unit = text(science[-1].header, "BUNIT")
    rates = unit.endswith("/S")
    planes = _in_counts(file, planes, unit, times, facts)
    flags, bad, suspect, flags_scratch = _quality(
        file, [image.version for image in science], planes
    )
    if rates and facts.border:
        bad = _with_border(bad, planes.shape, facts.border)
    if text(file.header, "ZOFFCORR") == "COMPLETE":
        notes.append("read 0 has been subtracted already (ZOFFCORR)")
    ramp = Ramp(
        name=exposure_name(file.source),
        source=file.source,
        planes=planes,
        times=times,
        facts=facts,
        flags=flags,
        bad_pixels=bad,
        suspect=suspect,
        reference_done=text(file.header, "BLEVCORR") == "COMPLETE",
        notes=tuple(notes),
        scratch=(scratch, flags_scratch),
    )
    return [ramp]


def _times(file: FitsFile, science: list[Image]) -> np.ndarray:
    """Return the exposure time of each read [s], from its header or its TIME extension."""
    constants = {image.version: image.constant for image in file.named("TIME")}
    times = [number(image.header, "SAMPTIME") for image in science]
    times = [
        constants.get(image.version) if time is None else time
        for image, time in zip(science, times, strict=True)
    ]
    if None in times or not np.all(np.diff(np.array(times, np.float64)) > 0):
        raise OhanaError(
            f"{file.source}: wanted exposure times (SAMPTIME) that ascend from the last IMSET "
            f"to the first, got {times}"
        )
    return np.array(times, np.float64)


def _facts(file: FitsFile, times: np.ndarray) -> Found:
    """Return the values of header keys that only HST has."""
    found: Found = {
        **RISING_FORWARD,
        "frame_time": (float(np.median(np.diff(times))), "derived from header SAMPTIME"),
    }
    for name, stem in (("gain", "ATODGN"), ("read_noise", "READNSE")):
        values = [number(file.header, stem + amplifier) for amplifier in AMPLIFIERS]
        if all(values):  # raw files have zeros
            found[name] = (mean(v for v in values if v), f"header {stem}A-D, mean")
    if text(file.header, "INSTRUME") == "WFC3":
        found["border"] = (WFC3_BORDER, "default (WFC3)")
        found["border_sides"] = (WFC3_SIDES, "default (WFC3)")
    else:
        found["border"] = (0, "default (no reference pixels)")
    return found


def _in_counts(
    file: FitsFile, planes: Planes, unit: str, times: np.ndarray, facts: DetectorInfo
) -> Planes:
    """Return the reads with factors that convert their units to DN."""
    factor = np.ones(len(planes))
    if unit.endswith("/S"):
        # The rate of the zeroth read is per SAMPZERO: its SAMPTIME is 0.
        factor *= np.where(times > 0, times, number(file.header, "SAMPZERO") or 1.0)
    if unit.startswith("ELECTRON"):
        factor /= facts.gain
    if text(file.header, "ZOFFCORR") == "COMPLETE":
        # All reads are relative to read 0 now; what the file may still hold there is the
        # signal that came before it (ZSIGCORR), which the later reads do not have.
        factor[0] = 0.0
    if np.all(factor == 1):
        return planes
    scale = factor if planes.scale is None else planes.scale * factor
    return replace(planes, scale=scale, zero=planes.zero * factor)


def _quality(
    file: FitsFile, versions: list[int], planes: Planes
) -> tuple[Planes | None, np.ndarray | None, np.ndarray | None, object]:
    """Return flags of each read with the bits of `ohana.ramp.Ramp.flags`, bad and suspect pixels.

    A pixel is suspect if any read says so.
    """
    by_version = {image.version: image for image in file.named("DQ")}
    images = [by_version[version] for version in versions if version in by_version]
    if len(images) < len(versions) or all(image.constant == 0 for image in images):
        return None, None, None, None
    quality, scratch = planes_of(file, images)
    if quality.shape != planes.shape:
        raise OhanaError(
            f"{file.source}: mixed shapes: wanted DQ like SCI {planes.shape}, got {quality.shape}"
        )
    bits = quality.read_stored().astype(np.int32)  # 16 reads of 1024 x 1024 at most
    flags = np.where(bits & SATURATED, FLAG_SATURATED, 0).astype(np.uint8)
    flags[(bits & (DECODING_ERROR | FILLED)) != 0] |= FLAG_DO_NOT_USE
    bad = np.all(bits & (DEAD | BAD_REFERENCE), axis=0)
    translated, scratch = spool([(0, 0, flags)], flags.shape, flags.dtype, file.source)
    suspect = suspect_pixels(np.bitwise_or.reduce(bits, axis=0), SUSPECT_FLAGS)
    return translated, bad if bad.any() else None, suspect, scratch


def _with_border(bad: np.ndarray | None, shape: tuple[int, int], border: int) -> np.ndarray:
    """Add the border to the bad pixels."""
    with_border = np.ones(shape, bool)
    with_border[border:-border, border:-border] = False
    return with_border if bad is None else with_border | bad
