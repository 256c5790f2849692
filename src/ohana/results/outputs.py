"""The files of one integration: its corrected cube, reused where possible, and its maps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from ohana.config import DetectorConfig
from ohana.correction.fit import corrected_ramp
from ohana.correction.load import Corrected, CorrectedRamp
from ohana.events import PixelMaps
from ohana.ramp import Ramp
from ohana.results.corrected_cube import (
    Processed,
    fingerprint,
    mark_of,
    open_processed,
    writing_processed,
)
from ohana.results.maps import read_features, write_features
from ohana.results.run_record import RUN, IntegrationFiles
from ohana.utils.progress import Progress


class Outputs(NamedTuple):
    """A ramp, the files of its results, and the fingerprint of its corrected cube."""

    ramp: Ramp
    cube: Path
    features: Path
    made_of: str

    @property
    def cube_shape(self) -> tuple[int, int, int]:
        """(T - 1, H, W): read 0 is zero and not stored."""
        reads, height, width = self.ramp.shape
        return reads - 1, height, width


def outputs_of(ramp: Ramp, stem: Path, config: DetectorConfig) -> Outputs:
    """Name the files of a ramp, whose names begin with ``stem``."""
    return Outputs(
        ramp,
        stem.with_name(f"{stem.name}_processed.npy"),
        stem.with_name(f"{stem.name}_temporal.npz"),
        fingerprint(ramp, config),
    )


def corrected_source(
    outputs: Outputs, config: DetectorConfig, progress: Progress
) -> tuple[CorrectedRamp, list[str]]:
    """Return the ramp with its corrections, or the reused corrected cube; and notices."""
    progress("reference", 0, 1)
    source, notices = corrected_ramp(outputs.ramp, config)
    progress("reference", 1, 1)
    corrected = _reused(outputs)
    if corrected is None:
        return source, notices
    # Light and offsets are subtracted already; how the reads differ is not in the cube.
    used_again = CorrectedRamp(source.ramp, corrected=corrected)
    return used_again, [*notices[1:], f"{outputs.cube.name}: used again"]


def _reused(outputs: Outputs) -> Corrected | None:
    """Return the corrected cube of an earlier run with the same input and settings, else None."""
    cube = outputs.cube
    planes = open_processed(cube, outputs.cube_shape) if cube.exists() else None
    features = read_features(outputs.features) if planes else None
    if planes is None or features is None or features[1] != mark_of(cube, outputs.made_of):
        return None
    maps = features[0]
    return Corrected(planes, maps["first_usable"], maps["stop"])


def writing_cube(outputs: Outputs, wanted: bool) -> AbstractContextManager[Processed | None]:
    """Return a writer for the corrected cube, or None if it is not requested."""
    return writing_processed(outputs.cube, outputs.cube_shape) if wanted else nullcontext()


def write_maps(outputs: Outputs, maps: PixelMaps, with_cube: bool) -> IntegrationFiles:
    """Write the per-pixel maps, with the mark of the corrected cube if it belongs to them."""
    cube, made_of = outputs.cube, outputs.made_of
    mark = mark_of(cube, made_of) if with_cube else made_of
    write_features(outputs.features, maps, mark, outputs.ramp.facts.frame_time)
    return IntegrationFiles(outputs.ramp, outputs.features, cube if with_cube else None)


def files_of(folder: Path, parts: Sequence[IntegrationFiles]) -> tuple[Path, ...]:
    """Return the files of a run."""
    every = [file for part in parts for file in (part.features, part.processed) if file]
    return (*every, *(folder / name for name in ("prediction_mask.npy", "detections.json", RUN)))
