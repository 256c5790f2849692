"""Open exposures of any format: one module per format, each returns ramps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Ramp, row_blocks
from ohana.raw.resets import with_resets
from ohana.read.formats import ENDINGS, FORMATS, Format
from ohana.read.saturation import with_full_level
from ohana.refpix.direction import in_order
from ohana.refpix.readout import with_readout

__all__ = ["open_exposure"]

WANTED = "FITS (also .fits.gz), ASDF, HDF5, zarr, .npy or a folder of TIFF frames"

#: Rows read at a time when a ramp seems to be empty.
_ROWS = 64


def open_exposure(path: str | Path, config: DetectorConfig | None = None) -> list[Ramp]:
    """Open an exposure: one ramp for each of its integrations, no pixels in memory.

    Parameters
    ----------
    path : str or Path
        A FITS file (a cube, one read per extension, JWST ``_uncal`` and ``_ramp``, HST WFC3/IR
        ``_raw`` and ``_ima``; also with gzip), an ASDF file (Roman level 1), an HDF5 file, a zarr
        store (a folder or a zip file), a ``.npy`` file, or a folder of TIFF frames. The content
        decides, not the ending.
    config : DetectorConfig, optional
        Its values for the detector override the header.

    Returns
    -------
    list of Ramp
        In the order of the file.

    Raises
    ------
    OhanaError
        The input cannot be read, or is not a ramp.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "dark.npy"
    >>> np.save(path, np.ones((5, 8, 8), np.uint16))
    >>> [ramp] = open_exposure(path, DetectorConfig(gain=2.0))
    >>> ramp.name, ramp.shape, ramp.facts.gain, ramp.facts.sources["gain"]
    ('dark', (5, 8, 8), 2.0, 'config')
    """
    path = Path(path)
    try:
        opener = _opener(path)
        with warnings.catch_warnings():
            # Warnings on odd header cards are hidden; what matters becomes an error or a notice.
            warnings.simplefilter("ignore")
            ramps = opener(path, config or DetectorConfig())
        ramps = complete(ramps)
    except OhanaError as error:
        raise OhanaError(" ".join(str(error).split())) from error.__cause__
    except OSError as error:
        reason = " ".join(str(error.strerror or error).split())
        raise OhanaError(f"{error.filename or path}: cannot be read: {reason}") from error
    return ramps


def complete(ramps: list[Ramp]) -> list[Ramp]:
    """Return the integrations of an exposure with what only their data tell.

    That is resets within a ramp and, where settings and header are silent, the direction of counts
    and reads, the saturation level, outputs and border.

    Raises
    ------
    OhanaError
        An integration has no finite value.
    """
    for ramp in ramps:
        refuse_empty(ramp)
    ramps = [with_full_level(with_resets(ramp)) for ramp in in_order(ramps)]
    return with_readout(ramps)


def _opener(path: Path) -> Callable[[Path, DetectorConfig], list[Ramp]]:
    """Choose by the content; only the library that is needed is imported, as all are slow."""
    if path.is_dir():
        from ohana.read.zarr_store import is_zarr, read_zarr

        if is_zarr(path):
            return read_zarr
        from ohana.read.tiff import read_folder

        return read_folder
    return _format_of(path).load_reader()


def _format_of(path: Path) -> Format:
    """Return the format that the first bytes of a file show."""
    if not path.exists():
        raise OhanaError(f"{path}: no such file or folder")
    with open(path, "rb") as file:
        start = file.read(16)
    for each in FORMATS:
        if start.startswith(each.magic):
            return each
    if not start:
        raise OhanaError(f"{path}: the file is empty")
    if path.suffix.lower() in ENDINGS:
        wanted = ENDINGS[path.suffix.lower()].name
        raise OhanaError(f"{path}: not a {wanted} file: it starts with {start!r}")
    ending = f"ending {path.suffix!r}" if path.suffix else "no ending"
    raise OhanaError(f"{path}: wanted {WANTED}, got a file with {ending} and unknown content")


def refuse_empty(ramp: Ramp) -> None:
    """Refuse a ramp without a single finite value; read on only if read 0 has none."""
    planes = ramp.planes
    if planes.dtype.kind in "iu" and planes.blank is None:
        return
    if np.isfinite(planes.select(slice(0, 1)).read()).any():
        return
    for rows in row_blocks(planes.shape[0], _ROWS):
        if np.isfinite(planes.read(rows)).any():
            return
    which = f" of integration {ramp.integration}" if ramp.integration else ""
    raise OhanaError(f"{ramp.source}: not one finite value in all {len(planes)} reads{which}")
