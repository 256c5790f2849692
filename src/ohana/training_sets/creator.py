"""Make the exposures of a training set, by one process or many."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dask.system import CPU_COUNT

from ohana.config_file import load_settings
from ohana.errors import OhanaError
from ohana.training_sets.claims import compare_settings, note_settings
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.disk_space import check_disk_space
from ohana.training_sets.exposure import (
    ELSEWHERE,
    FOUND,
    MADE,
    OnReads,
    is_finished,
    make_exposure,
)
from ohana.training_sets.store import create_store
from ohana.training_sets.tasks import SPLITS, Task, tasks
from ohana.utils import workers as cluster
from ohana.utils.files import make_folder
from ohana.utils.progress import Progress, no_progress

log = logging.getLogger("ohana")
#: Exposures in order of completion, with the result of each.
Results = Iterator[tuple[Task, str | Exception]]


@dataclass(frozen=True)
class Creation:
    """Results for the exposures.

    Attributes
    ----------
    made, found, elsewhere : int
        Made now; finished before; in work by another process.
    failed : dict
        Name of an exposure -> error.
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
        """Make the missing exposures of some indices.

        Parameters
        ----------
        start_index, end_index : int
            First and last index.
        scheduler : str, optional
            Address of a dask scheduler whose workers make them; they need ``output_dir``.
            Without one, ``config.workers`` processes are started here.
        progress : callable, optional
            Called with the name of the stage, the pixel-reads done and the pixel-reads in all.

        Raises
        ------
        OhanaError
            Settings differ from those of the existing set, or the disk is too small.
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
            log.info(check_disk_space(self.config, len(missing)))
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
        meter = _Meter(self.config, len(missing), progress or no_progress)
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
    """Reports the pixel-reads done."""

    def __init__(self, config: CreatorConfig, exposures: int, progress: Progress) -> None:
        self.progress = progress
        self.pixels = config.image_shape[0] * config.image_shape[1]
        self.exposure = self.pixels * config.num_frames
        self.done, self.total = 0, exposures * self.exposure
        if exposures:
            self._report(0)

    def reads_done(self, reads: int) -> None:
        """Report reads of the current exposure; its last ones are left to `exposure_done`."""
        if reads * self.pixels < self.exposure:
            self._report(self.done + reads * self.pixels)

    def exposure_done(self) -> None:
        """Report a finished exposure."""
        self.done += self.exposure
        self._report(self.done)

    def _report(self, done: int) -> None:
        self.progress("simulating", done, self.total)


def one_by_one(config: CreatorConfig, missing: list[Task], on_reads: OnReads) -> Results:
    """Make exposures in this process."""
    for task in missing:
        try:
            result: str | Exception = make_exposure(config, task, on_reads)
        except Exception as error:  # the others continue; it is reported at the end
            result = error
        yield task, result


def by_dask(
    config: CreatorConfig, missing: list[Task], scheduler: str | None, workers: int
) -> Results:
    """Make exposures on dask workers."""
    # Workers may run in another folder.
    there = config.model_copy(update={"output_dir": str(Path(config.output_dir).resolve())})
    return cluster.by_dask(partial(make_exposure, there), missing, scheduler, workers)
