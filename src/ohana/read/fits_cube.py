"""FITS files of no particular mission: a cube of reads, or one read per extension."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.ramp import Ramp
from ohana.read.detector import Found
from ohana.read.fits_images import FitsFile, Image, planes_of
from ohana.read.integrations import ramps_of
from ohana.refpix.readout import BENCH_FRAME

#: Words in names of extensions that do not hold reads.
NOT_READS = re.compile(
    "ERR|ERRORS?|SIGMA|UNC|RMS|I?VAR|VARIANCE|COV|CHI|CHISQ|DQF?|PIXELDQ|GROUPDQ|FLAGS?|MASK|BPM|"
    "SAMP|TIME|EXPTIME|HITS|NPIX|WHT|WEIGHTS?|CON|CTX|ZEROFRAME|REFOUT|BKG|ASDF|PREVIEW|THUMBNAIL"
)

#: Number of outputs of a full-frame H2RG with one read per extension, as in Euclid ground tests.
BENCH_OUTPUTS = 32


def read(file: FitsFile, config: DetectorConfig) -> list[Ramp]:
    """Read a cube (T, H, W), several (N, T, H, W), or one read per extension.

    Raises
    ------
    OhanaError
        If the file holds no ramp.
    """
    images, shape, notes = _choose(file)
    planes, scratch = planes_of(file, images)
    default: Found = {}
    if len(images) > 1 and planes.shape == (2048, 2048):
        default["outputs"] = (BENCH_OUTPUTS, BENCH_FRAME)
    headers = [images[0].header, file.header]
    return ramps_of(file.source, planes, shape[:-2], headers, config, default, scratch, notes)


def _choose(file: FitsFile) -> tuple[list[Image], tuple[int, ...], list[str]]:
    """Return the images that hold reads, the shape (..., T, H, W) they make, and notices."""
    images = [_squeezed(image) for image in file.images if image.shape]
    if not images:
        held = "only tables" if file.tables else "no data"
        raise not_a_ramp(file.source, f"it holds {held}")
    images = [i for i in images if not any(map(NOT_READS.fullmatch, _words(i.name)))]
    cubes = [image for image in images if len(image.shape) in (3, 4)]
    if len(cubes) > 1:
        cubes = [image for image in cubes if image.name in ("SCI", "DATA")] or cubes
    if len(cubes) > 1:
        named = ", ".join(f"{image.position} ({image.name or 'no name'})" for image in cubes)
        raise not_a_ramp(file.source, f"several cubes, in extensions {named}")
    if cubes:
        return cubes, cubes[0].shape, []
    reads, notes = _one_read_each(file, [image for image in images if len(image.shape) == 2])
    return reads, (len(reads), *reads[0].shape), notes


def _one_read_each(file: FitsFile, images: list[Image]) -> tuple[list[Image], list[str]]:
    """Return the largest group of images whose names differ only by a number."""
    detectors = {found[0] for image in images if (found := re.findall(r"DET\d\d", image.name))}
    if len(detectors) > 1:
        what = f"one image for each of {len(detectors)} detectors, as in Euclid LE1"
        raise not_a_ramp(file.source, what)
    groups: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        groups[" ".join(_words(image.name))].append(image)
    if not groups:
        raise not_a_ramp(file.source, "no image that could be a read")
    reads = groups.pop("SCI", None) or groups.pop(max(groups, key=lambda stem: len(groups[stem])))
    left = [image for group in groups.values() for image in group]
    if left and left[0].position == 0 and left[0].shape == reads[0].shape:
        reads = [left.pop(0), *reads]
    if len(reads) < 2 and len(left) > 1:
        named = ", ".join(image.name for image in [*reads, *left])
        raise not_a_ramp(file.source, f"images of different kinds: {named}")
    if len(reads) == 1:
        raise not_a_ramp(file.source, "it is a two-dimensional image")
    notes = [f"left out {len(left)} images with other names, e.g. {left[0].name!r}"] if left else []
    return reads, notes


def _words(name: str) -> list[str]:
    """Return the words of a name, without numbers: ``DET11_SCI`` gives DET and SCI."""
    return [word for word in re.split(r"[^A-Z]+", name) if word]


def _squeezed(image: Image) -> Image:
    """Drop leading axes of length one."""
    shape = image.shape
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return image._replace(shape=shape)


def not_a_ramp(source: Path, what: str) -> OhanaError:
    """Return the error for a product that is not a ramp."""
    return OhanaError(f"{source}: wanted at least 3 reads of one detector, got {what}")
