"""Make the exposures of a training set, by one process or many."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import zarr
from dask.system import CPU_COUNT

from ohana.config_file import load_settings
from ohana.errors import OhanaError
from ohana.simulate import exposure_rng, simulate_exposure
from ohana.training_sets.claims import compare_settings, note_settings
from ohana.training_sets.codec import TimeDelta
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.draws import DRAWN, simulation_config
from ohana.training_sets.exposure import (
    ELSEWHERE,
    FOUND,
    MADE,
    OnReads,
    is_finished,
    make_exposure,
)
from ohana.training_sets.labels import COLUMNS
from ohana.training_sets.store import compressor, create_store, patch_corners
from ohana.training_sets.tasks import SPLITS, Task, tasks
from ohana.utils import workers as cluster
from ohana.utils.files import make_folder

if TYPE_CHECKING:
    from ohana.utils.progress import Progress

log = logging.getLogger("ohana")
#: Height and width of the simulated piece that tells how well reads compress [pixel].
SAMPLE = 128
#: Streams of random numbers are numbered from 0 by detector: this one belongs to no exposure.
SAMPLE_STREAM = 2**32 - 2
#: Exposures in the order in which they are done, and what became of each.
Results = Iterator[tuple[Task, str | Exception]]


@dataclass(frozen=True)
class Creation:
    """What became of the exposures.

    Attributes
    ----------
    made, found, elsewhere : int
        Made now; finished before; being made by another process at the same time.
    failed : dict
        Name of an exposure -> what went wrong.
    """

    made: int
    found: int
    elsewhere: int
    failed: dict[str, Exception]


class DataSetCreator:
    """Make a training set.

    Parameters
    ----------
    config : CreatorConfig, str or Path, optional
        Settings, or a YAML file with settings.

    Notes
    -----
    With more than one worker, processes are started: a script must then keep its calls under
    ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import tempfile
    >>> config = CreatorConfig(
    ...     output_dir=tempfile.mkdtemp(), image_shape=(32, 32), num_frames=4, patch_size=16,
    ...     overlap=0, outputs=1, gain_library=[1.5], workers=1,
    ... )
    >>> DataSetCreator(config).create(0, 0).made
    2
    """

    def __init__(self, config: CreatorConfig | str | Path | None = None) -> None:
        if isinstance(config, str | Path):
            config = load_settings(config, CreatorConfig)
        self.config = config or CreatorConfig()

    def create(
        self,
        start_index: int,
        end_index: int,
        *,
        scheduler: str | None = None,
        progress: Progress | None = None,
    ) -> Creation:
        """Make the exposures of some indices that are not there yet.

        Parameters
        ----------
        start_index, end_index : int
            First and last index.
        scheduler : str, optional
            Address of a dask scheduler whose workers do it; they must see ``output_dir``.
            Without one, ``config.workers`` processes are started here.
        progress : callable, optional
            Called with the name of the stage, the pixel-reads done and those in all.

        Raises
        ------
        OhanaError
            Settings differ from those of the set that is there, or there is no room for it.
        """
        if not 0 <= start_index <= end_index:
            raise OhanaError(
                "start_index, end_index: wanted 0 <= start_index <= end_index, "
                f"got {start_index} and {end_index}"
            )
        folder, contents = make_folder(Path(self.config.output_dir)), self.config.contents()
        compare_settings(folder, contents)
        every = tasks(self.config, start_index, end_index)
        missing = [task for task in every if not is_finished(self.config, task)]
        log.info(f"{len(every)} exposures, {len(every) - len(missing)} of them there already")
        if missing:
            log.info(check_room(self.config, len(missing)))
        note_settings(folder, contents)
        for split in SPLITS:
            create_store(folder, split, self.config.num_classes)
        return self._run(missing, len(every), scheduler, progress)

    def _run(
        self, missing: list[Task], total: int, scheduler: str | None, progress: Progress | None
    ) -> Creation:
        count: Counter[str] = Counter({FOUND: total - len(missing)})
        failed: dict[str, Exception] = {}
        workers = min(self.config.workers or CPU_COUNT, max(len(missing), 1))
        meter = _Meter(self.config, len(missing), progress)
        if scheduler is None and workers == 1:
            results = one_by_one(self.config, missing, meter.reads_done)
        else:
            results = by_dask(self.config, missing, scheduler, workers)
        for task, result in results:
            if isinstance(result, Exception):
                failed[task.name] = result
            else:
                count[result] += 1
            meter.exposure_done()
        return Creation(count[MADE], count[FOUND], count[ELSEWHERE], failed)


class _Meter:
    """Report how many pixel-reads are done."""

    def __init__(self, config: CreatorConfig, exposures: int, progress: Progress | None) -> None:
        self.progress = progress
        self.pixels = config.image_shape[0] * config.image_shape[1]
        self.exposure = self.pixels * config.num_frames
        self.done, self.total = 0, exposures * self.exposure
        if exposures:
            self._report(0)

    def reads_done(self, reads: int) -> None:
        """Report reads of an exposure that goes on; the last ones are reported with it."""
        if reads * self.pixels < self.exposure:
            self._report(self.done + reads * self.pixels)

    def exposure_done(self) -> None:
        self.done += self.exposure
        self._report(self.done)

    def _report(self, done: int) -> None:
        if self.progress is not None:
            self.progress("simulating", done, self.total)


class Room(NamedTuple):
    """Room for one exposure on disk [bytes]: what it will take, and what it can take at most."""

    likely: float
    most: int


def room_for_exposure(config: CreatorConfig) -> Room:
    """Estimate the room from the sizes of arrays, and a small exposure that is compressed."""
    (height, width), (high, wide) = config.image_shape, config.patch_size
    patches = len(patch_corners(config.image_shape, config.patch_size, config.overlap))
    reads = patches * config.num_frames * high * wide * 2
    reference = 4 * config.num_frames * (2 * width + height) if config.border else 0
    # No more than one event for each pixel.
    labels = height * width * sum(np.dtype(kind).itemsize for kind in COLUMNS.values())
    ratio = compression(config)
    return Room(reads / ratio + reference, reads + reference + labels)


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


def check_room(config: CreatorConfig, exposures: int) -> str:
    """Return a line about the room that some exposures need, and what is free.

    Raises
    ------
    OhanaError
        If even what they will likely take is not there.
    """
    likely, most = (exposures * part for part in room_for_exposure(config))
    free = shutil.disk_usage(Path(config.output_dir)).free
    line = (
        f"{exposures} exposures need about {likely / 1e9:.3g} GB, "
        f"{most / 1e9:.3g} GB at most; {free / 1e9:.3g} GB are free"
    )
    if likely > free:
        raise OhanaError(f"{config.output_dir}: disk too small: {line}")
    return line + (": may not be enough" if most > free else "")


def one_by_one(config: CreatorConfig, missing: list[Task], on_reads: OnReads) -> Results:
    """Make exposures in this process."""
    for task in missing:
        try:
            result: str | Exception = make_exposure(config, task, on_reads)
        except Exception as error:  # the others go on; it is reported at the end
            result = error
        yield task, result


def by_dask(
    config: CreatorConfig, missing: list[Task], scheduler: str | None, workers: int
) -> Results:
    """Make exposures as `ohana.utils.workers.by_dask` does."""
    # Workers elsewhere may run in another folder.
    there = config.model_copy(update={"output_dir": str(Path(config.output_dir).resolve())})
    return cluster.by_dask(partial(make_exposure, there), missing, scheduler, workers)
