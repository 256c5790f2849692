"""Jump detection of other packages on the same ramps, for comparison.

Both codes are part of stcal (``pip install stcal``): the two-point differences of the JWST
jump step (Anderson and Gordon 2011, PASP 123, 1237) and jump detection by likelihood (Brandt
2024, PASP 136, 045005). Their input is that of ohana's own search: the corrected reads with their
first saturated read, and the noise of each pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from ohana.correction.load import CorrectedRamp, load_block
from ohana.errors import OhanaError
from ohana.ramp import DO_NOT_USE, SATURATED, DetectorInfo, Ramp, RampBlock, row_blocks
from ohana.refpix.border import border_mask

#: Flag bits of the other codes.
JUMP_DET = 4
FLAGS = {"GOOD": 0, "DO_NOT_USE": DO_NOT_USE, "SATURATED": SATURATED, "JUMP_DET": JUMP_DET}
FLAGS |= {"PERSISTENCE": 1024, "NO_GAIN_VALUE": 2**19, "UNRELIABLE_SLOPE": 2**24}
FLAGS |= {"REFERENCE_PIXEL": 2**31}
#: Pixels per call: likelihood fits hold some twenty arrays of this size. Chosen.
AT_ONCE = 2048
#: Maximum deviation of the time between reads from its mean [fraction]. Chosen.
EVEN = 1e-3


class FlaggedPixels(NamedTuple):
    """Steps that a code has flagged, one entry for each pixel and read, int64 (n,) each."""

    row: np.ndarray
    col: np.ndarray
    read: np.ndarray


#: Flags jumps of a block: data, flags, noise of one read [DN], facts, threshold [sigma].
OtherCode = Callable[[np.ndarray, np.ndarray, np.ndarray, DetectorInfo, float], np.ndarray]


def two_point(
    data: np.ndarray, flags: np.ndarray, noise: np.ndarray, facts: DetectorInfo, threshold: float
) -> np.ndarray:
    """Flag jumps by the two-point differences of the JWST jump step.

    Parameters
    ----------
    data : ndarray of float32, shape (T, R, W)
        Reads [DN], finite.
    flags : ndarray of uint8, shape (T, R, W)
        Reads that are saturated or must not be used, in the bits of JWST's GROUPDQ.
    noise : ndarray, shape (R, W)
        Noise of one read [DN].
    facts : DetectorInfo
        Gain and averaged frames.
    threshold : float
        [sigma]

    Returns
    -------
    ndarray of bool, shape (T, R, W)
        Flagged at the later read of a difference.
    """
    from stcal.jump.jump import detect_jumps_data
    from stcal.jump.jump_class import JumpData

    gain = np.full(noise.shape, facts.gain)
    # It takes the noise of the difference of two frames.
    job = JumpData(None, gain, np.sqrt(2 * facts.nframes) * noise, FLAGS)
    job.init_arrays_from_arrays(data[None], flags[None].copy(), np.zeros(noise.shape, np.uint32))
    job.nframes, job.dt_group = facts.nframes, np.ones(1)
    job.n_reads_groupdiff = np.full(1, 2.0 * facts.nframes)
    job.rejection_thresh = job.three_grp_thresh = job.four_grp_thresh = threshold
    job.flag_4_neighbors, job.max_cores = False, "none"
    return (detect_jumps_data(job)[0][0] & JUMP_DET) > 0


def likelihood(
    data: np.ndarray, flags: np.ndarray, noise: np.ndarray, facts: DetectorInfo, threshold: float
) -> np.ndarray:
    """Flag jumps by likelihood ramp fitting; parameters and result as in `two_point`."""
    from stcal.ramp_fitting.likely_fit import likely_ramp_fit
    from stcal.ramp_fitting.ramp_fit_class import RampData

    found, group = flags[None].copy(), facts.nframes + facts.groupgap
    job = RampData()
    blank = np.zeros(noise.shape, np.float32)
    job.set_arrays(data[None], found, np.zeros(noise.shape, np.uint32), blank)
    job.set_meta("", facts.frame_time, group * facts.frame_time, facts.groupgap, facts.nframes)
    job.set_dqflags(FLAGS)
    job.rejection_threshold = threshold
    with np.errstate(all="ignore"):
        likely_ramp_fit(job, np.sqrt(2 * facts.nframes) * noise, np.full(noise.shape, facts.gain))
    return (job.groupdq[0] & JUMP_DET) > 0


#: Other codes by their names in ``--compare``.
OTHER_CODES: dict[str, OtherCode] = {"stcal": two_point, "likelihood": likelihood}


def requested_codes(names: str) -> list[str]:
    """Return the codes of a list like ``stcal,likelihood``.

    Examples
    --------
    >>> requested_codes("stcal,nothing")
    Traceback (most recent call last):
        ...
    ohana.errors.OhanaError: --compare: wanted some of stcal, likelihood, got 'nothing'
    """
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in OTHER_CODES:
            raise OhanaError(f"--compare: wanted some of {', '.join(OTHER_CODES)}, got {name!r}")
    if find_spec("stcal") is None:
        raise OhanaError("--compare: needs the package stcal, which is not installed")
    return wanted


def flag_ramp(
    source: CorrectedRamp,
    noise: np.ndarray,
    code: OtherCode,
    threshold: float,
    use: np.ndarray | None = None,
) -> FlaggedPixels:
    """Flag the jumps of an exposure with another code, in row blocks.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and reference correction.
    noise : ndarray, shape (H, W)
        Noise of one read [DN]; pixels where it is not finite are left out.
    code : callable
        One of `OTHER_CODES`.
    threshold : float
        [sigma]
    use : ndarray of bool, shape (H, W), optional
        Pixels to search.

    Raises
    ------
    OhanaError
        The reads are not evenly spaced in time.
    """
    ramp = source.ramp
    _check_even(ramp)
    use = np.ones(noise.shape, bool) if use is None else use
    found = []
    for rows in row_blocks(ramp.shape[1]):
        block, _ = load_block(source, rows)
        searched = use[rows] & np.isfinite(noise[rows]) & ~border_mask(ramp, rows)
        row, col = np.nonzero(searched)
        pixels = _pixels(block, noise[rows], searched)
        for start in range(0, len(row), AT_ONCE):
            # The other codes take images: a line of pixels is one.
            data, flags, some = (part[..., None, start : start + AT_ONCE] for part in pixels)
            read, _, pixel = np.nonzero(code(data, flags, some, ramp.facts, threshold))
            found.append(np.stack([row[pixel + start] + rows.start, col[pixel + start], read]))
    return FlaggedPixels(*np.concatenate([np.empty((3, 0), np.int64), *found], axis=1))


def _check_even(ramp: Ramp) -> None:
    interval = np.diff(ramp.times)
    if np.ptp(interval) > EVEN * interval.mean():
        raise OhanaError(
            f"{ramp.source}: --compare wants evenly spaced reads, "
            f"got intervals from {interval.min():g} to {interval.max():g} s"
        )


def _pixels(
    block: RampBlock, noise: np.ndarray, searched: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return reads (T, n), flags (T, n) and noise (n,) of some pixels of a block."""
    data, stop = block.data[:, searched], block.stop[searched]
    full = np.arange(len(data))[:, None] >= stop
    flags = np.where(full, SATURATED, 0) + np.where(np.isnan(data), DO_NOT_USE, 0)
    return np.nan_to_num(data), flags.astype(np.uint8), noise[searched]
