"""Who makes the exposures: this process, processes of its own, or the workers of a cluster."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ohana.errors import OhanaError
from ohana.training.config import CreatorConfig
from ohana.training.exposure import OnReads, make_exposure
from ohana.training.tasks import Task

#: How long to wait for the scheduler of a cluster [s].
SCHEDULER_TIMEOUT = 10

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
    """Make exposures on the workers of a scheduler, or in processes started for it.

    Raises
    ------
    OhanaError
        If the scheduler does not answer.
    """
    from distributed import Client, as_completed

    with _cluster(scheduler, workers) as cluster, _client(Client, cluster) as client:
        # Workers elsewhere may run in another folder.
        there = config.model_copy(update={"output_dir": str(Path(config.output_dir).resolve())})
        futures = {client.submit(make_exposure, there, task, pure=False): task for task in missing}
        for future in as_completed(futures):
            error = future.exception()
            yield futures[future], future.result() if error is None else error


@contextmanager
def _cluster(scheduler: str | None, workers: int) -> Iterator[Any]:
    """Give the address of a scheduler, or start processes of our own."""
    if scheduler is not None:
        yield scheduler
        return
    from distributed import LocalCluster

    with _interrupts_ignored():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",  # None is the fixed port 8787
            memory_limit=0,  # the system's own limits are enough
            silence_logs=logging.CRITICAL,
        )
    with cluster:
        yield cluster


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes started meanwhile leave Ctrl-C to this one, which then ends them in order."""
    if threading.current_thread() is not threading.main_thread():  # cannot set it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _client(kind: Any, cluster: Any) -> Any:
    try:
        return kind(cluster, timeout=SCHEDULER_TIMEOUT)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise OhanaError(f"scheduler {cluster}: cannot connect: {reason}") from error
