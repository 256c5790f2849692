"""Disk space that a training set needs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

from ohana.errors import OhanaError
from ohana.simulate import exposure_rng, simulate_exposure
from ohana.training_sets.codec import TimeDelta
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.draws import DRAWN, simulation_config
from ohana.training_sets.labels import COLUMNS
from ohana.training_sets.store import compressor, patch_corners

#: Height and width of the simulated array that measures the compression of reads [pixel].
SAMPLE = 128
#: Number of its random stream; those of exposures count from 0 by detector.
SAMPLE_STREAM = 2**32 - 2


class DiskSpace(NamedTuple):
    """Disk space of one exposure [bytes]: expected, and at most."""

    likely: float
    most: int


def disk_space_of_exposure(config: CreatorConfig) -> DiskSpace:
    """Estimate the space from the sizes of arrays and the compression of a small exposure."""
    (height, width), (high, wide) = config.image_shape, config.patch_size
    patches = len(patch_corners(config.image_shape, config.patch_size, config.overlap))
    reads = patches * config.num_frames * high * wide * 2
    reference = 4 * config.num_frames * (2 * width + height) if config.border else 0
    # At most one event per pixel.
    labels = height * width * sum(np.dtype(kind).itemsize for kind in COLUMNS.values())
    ratio = compression(config)
    return DiskSpace(reads / ratio + reference, reads + reference + labels)


def compression(config: CreatorConfig) -> float:
    """Return by how much reads shrink: a small exposure with all ranges at their high ends."""
    values = {drawn: getattr(config, name)[1] for name, drawn in DRAWN.items()}
    values |= {"cosmic_rays": 0, "snowballs": 0, "telegraph_pixels": 0, "stars": 0}
    whole = simulation_config(config, min(config.gain_library.values()), values)
    window = max(min(config.window, config.num_frames), 2)
    small = {"reads": window, "rows": SAMPLE, "cols": SAMPLE, "border": 0, "outputs": 1}
    sample = type(whole)(**whole.model_dump() | small | {"flash_read": None})
    rng = exposure_rng(config.seed, SAMPLE_STREAM, 0, 0)
    cube = simulate_exposure(sample, rng).cube
    array = zarr.create_array(
        {},
        shape=cube.shape,
        dtype=cube.dtype,
        chunks=cube.shape,
        filters=[TimeDelta()],
        compressors=[compressor()],
    )
    array[...] = cube
    return max(cube.nbytes / array.nbytes_stored(), 1.0)


def check_disk_space(config: CreatorConfig, exposures: int) -> str:
    """Return a line about the space that exposures need, and the free space.

    Raises
    ------
    OhanaError
        If the free space is less than expected to be needed.
    """
    likely, most = (exposures * part for part in disk_space_of_exposure(config))
    free = shutil.disk_usage(Path(config.output_dir)).free
    line = (
        f"{exposures} exposures need about {likely / 1e9:.3g} GB, "
        f"{most / 1e9:.3g} GB at most; {free / 1e9:.3g} GB are free"
    )
    if likely > free:
        raise OhanaError(f"{config.output_dir}: disk too small: {line}")
    return line + (": may not be enough" if most > free else "")
