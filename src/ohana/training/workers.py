"""Who makes the exposures: this process, processes of its own, or the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ohana import cluster
from ohana.training.config import CreatorConfig
from ohana.training.exposure import OnReads, make_exposure
from ohana.training.tasks import Task

#: Exposures in the order in which they are done, and what became of each.
Results = Iterator[tuple[Task, str | Exception]]


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
    """Make exposures as `ohana.cluster.by_dask` does."""
    # Workers elsewhere may run in another folder.
    there = config.model_copy(update={"output_dir": str(Path(config.output_dir).resolve())})
    return cluster.by_dask(partial(make_exposure, there), missing, scheduler, workers)
