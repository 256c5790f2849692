"""The products of an exposure, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ohana.classes import Label
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.products import hst as hst_form
from ohana.products import jwst as jwst_form
from ohana.products import roman as roman_form
from ohana.products.fit import Fitted, fit_integration
from ohana.products.fits_file import ascii_text, origin, write_image, write_primary, writing
from ohana.products.flags import pixel_flags
from ohana.products.ramps import Integration
from ohana.ramp import Ramp
from ohana.read import hst as hst_input
from ohana.read import jwst as jwst_input
from ohana.read import open_exposure
from ohana.read.fits import form_of
from ohana.read.fits_images import scan
from ohana.read.unpack import unpack_gzip
from ohana.results.run_record import input_of
from ohana.utils.progress import no_progress

if TYPE_CHECKING:
    from types import ModuleType

    from ohana.read.fits_images import FitsFile
    from ohana.results.prediction import Prediction
    from ohana.utils.progress import Progress

#: Endings of the files.
PRODUCTS, FLAGGED = "_products.fits", "_flagged.fits"


def write_products(
    prediction: Prediction, folder: Path | None = None, progress: Progress | None = None
) -> list[Path]:
    """Write flags and rates of an exposure for further pipelines.

    Parameters
    ----------
    prediction : Prediction
        Opened from a folder that ``ohana-predict`` has written; its input must still be there.
    folder : Path, optional
        Where to write; beside the prediction if absent.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Returns
    -------
    list of Path
        ``EXPOSURE_products.fits`` with MASK, RATE and ERR, and what holds the flags of reads: for
        JWST and HST ``EXPOSURE_flagged.fits``, for ASDF ``EXPOSURE_flagged.asdf``, the input with
        its flags; otherwise GROUPDQ and PIXELDQ in the first.

    Raises
    ------
    OhanaError
        The input is not there or has changed, or a file cannot be written.
    """
    if prediction.folder is None or not prediction.run:
        raise OhanaError(f"{prediction.folder}: wanted a prediction with its run.json")
    folder = prediction.folder if folder is None else folder
    source = input_of(prediction.folder, prediction.run)
    ramps = open_exposure(source, DetectorConfig(**prediction.run["config"]))
    parts = [integration_of(prediction, ramp, i) for i, ramp in enumerate(ramps)]
    progress = progress or no_progress
    fitted = [fit_integration(part, progress) for part in parts]
    progress("products", 0, 1)
    flagged = _write_flagged(folder, prediction, source, ramps, fitted)
    path = folder / f"{prediction.name}{PRODUCTS}"
    _write_images(path, prediction, ramps, fitted, flags=not flagged)
    progress("products", 1, 1)
    return [*flagged, path]


def _write_flagged(
    folder: Path,
    prediction: Prediction,
    source: Path,
    ramps: Sequence[Ramp],
    fitted: Sequence[Fitted],
) -> list[Path]:
    """Write the input with its flags, if its mission has a format for that."""
    path, events, run = folder / f"{prediction.name}{FLAGGED}", prediction.events, prediction.run
    file, form, _scratch = _form(source)
    if file is not None and form is jwst_input:
        jwst_form.write_ramp(path, file, ramps, fitted, events, run)
    elif file is not None and form is hst_input:
        hst_form.write_quality(path, file, fitted[0], events, run)
    elif _is_asdf(source):
        path = path.with_suffix(".asdf")
        roman_form.write_flags(path, source, ramps[0], fitted[0], events, run)
    else:
        return []
    return [path]


def integration_of(prediction: Prediction, ramp: Ramp, index: int) -> Integration:
    """Return one integration of a prediction, ready to be fitted.

    Parameters
    ----------
    prediction : Prediction
        Opened from a folder.
    ramp : Ramp
        The integration in its input.
    index : int
        Place in the file.
    """
    reads, _, width = prediction.shape

    def load(rows: slice) -> np.ndarray:
        return prediction.cube(slice(reads), rows, slice(width), index)

    return Integration(
        [event for event in prediction.events if event["integration"] == ramp.integration],
        prediction.shape,
        prediction.features[index],
        prediction.covariance(index),
        ramp.facts.frame_time,
        ramp.facts.gain,
        load,
        DetectorConfig(**prediction.run["config"]),
    )


def _form(source: Path) -> tuple[FitsFile | None, ModuleType | None, object]:
    """Return the input and the module of its format, if it is FITS.

    The last is to be kept as long as the file is needed.
    """
    if source.is_dir():
        return None, None, None
    with open(source, "rb") as stream:
        start = stream.read(8)
    if start.startswith(b"\x1f\x8b"):
        plain, scratch = unpack_gzip(source)
        file = scan(source, plain)
    elif start == b"SIMPLE  ":
        file, scratch = scan(source), None
    else:
        return None, None, None
    return file, form_of(file), scratch


def _is_asdf(source: Path) -> bool:
    if source.is_dir():
        return False
    with open(source, "rb") as stream:
        return stream.read(5) == b"#ASDF"


def _write_images(
    path: Path,
    prediction: Prediction,
    ramps: Sequence[Ramp],
    fitted: Sequence[Fitted],
    flags: bool,
) -> None:
    """Write mask, rates and errors, and flags if they are in no other file."""
    shape, several = ramps[0].shape, len(ramps) > 1
    classes = ", ".join(f"{label.value} {label.key}" for label in Label)
    lead = (len(ramps),) if several else ()
    with writing(path) as out:
        cards = [("EXPOSURE", ascii_text(prediction.name), "name of the exposure")]
        write_primary(out, [*cards, *origin(prediction.run)])
        write_image(out, "MASK", shape[1:], [prediction.mask], [("COMMENT", classes, "")])
        size = (*lead, *shape[1:])
        rates, errors = [fit.rate for fit in fitted], [fit.error for fit in fitted]
        write_image(out, "RATE", size, rates, [("BUNIT", "DN/s", "events left out")])
        write_image(out, "ERR", size, errors, [("BUNIT", "DN/s", "standard error of RATE")])
        if flags:
            bits = [("COMMENT", "1 do not use, 2 saturated, 4 step since the read before", "")]
            reads = jwst_form.all_group_flags(ramps, fitted)
            write_image(out, "GROUPDQ", (*lead, *shape), reads, bits)
            bits = [("COMMENT", "1 do not use, 32768 telegraph noise", "")]
            bad = ramps[0].bad_pixels
            before = np.zeros(shape[1:]) if bad is None else bad
            write_image(out, "PIXELDQ", shape[1:], [pixel_flags(prediction.events, before)], bits)
