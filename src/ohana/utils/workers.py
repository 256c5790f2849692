"""Tasks for many processes: started here, or the workers of a dask cluster."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from ohana.errors import OhanaError

log = logging.getLogger("ohana")

#: Timeout of the connection to a scheduler [s]. Chosen.
SCHEDULER_TIMEOUT = 10
#: Maximum number of tasks at a scheduler at a time: enough for as many workers, and bounded for
#: runs of 100 000 tasks. Chosen.
AHEAD = 2000
#: Number of workers that a task may lose before it is taken for the cause. Chosen.
LOST_WORKERS = 1
#: Run by each worker at its start, also when it is restarted.
_LEAVE_INTERRUPTS = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"

Task = TypeVar("Task")
Result = TypeVar("Result")


def by_dask(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    scheduler: str | None,
    workers: int,
) -> Iterator[tuple[Task, Result | Exception]]:
    """Call a function for each task on the workers of a scheduler, or in processes of our own.

    A task whose worker ends before it does begins again on another one, a few times; at last,
    when all others are done, alone.

    Parameters
    ----------
    function : callable
        Can be pickled, as tasks and results.
    tasks : iterable
        What to call it with.
    scheduler : str, optional
        Address of a dask scheduler.
    workers : int
        Processes to start where there is no scheduler, each for one task at a time.

    Yields
    ------
    task
        In the order in which they are done.
    result
        What the function returned or raised; a `distributed.KilledWorker` where that ended
        one worker after another.

    Raises
    ------
    OhanaError
        If the scheduler does not answer, or no longer.
    """
    from distributed import Client, KilledWorker

    with _quiet(), _cluster(scheduler, workers) as cluster, _client(Client, cluster) as client:
        if scheduler is not None and not client.nthreads():
            log.warning(f"scheduler {scheduler}: has no workers yet, waiting")
        suspects = []
        for task, result in _done(client, function, tasks):
            if isinstance(result, KilledWorker):
                suspects.append(task)
            else:
                yield task, result
        # Any task of a lost worker may be the cause: run alone, the cause can be identified.
        for task in suspects:
            yield from _done(client, function, [task])


def _done(
    client: Any, function: Callable[[Task], Result], tasks: Iterable[Task]
) -> Iterator[tuple[Task, Result | Exception]]:
    """Yield each task when it is done, with what the function returned or raised."""
    from distributed import as_completed

    running: dict[Any, Task] = {}
    waiting, done = iter(tasks), as_completed()
    while True:
        for task in islice(waiting, AHEAD - len(running)):
            future = client.submit(function, task, pure=False)
            running[future] = task
            done.add(future)
        if not running:
            return
        future = next(done)
        try:
            result: Result | Exception = future.result()
        except CancelledError:
            raise OhanaError("scheduler: connection lost") from None
        except Exception as error:  # of the task; the others go on
            result = error
        yield running.pop(future), result


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide log messages of the library: errors are reported in one line by the caller."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _cluster(scheduler: str | None, workers: int) -> Iterator[Any]:
    """Yield a scheduler address, or start processes on this machine."""
    if scheduler is not None:
        yield scheduler
        return
    import dask
    from distributed import LocalCluster

    settings = {"distributed.scheduler.allowed-failures": LOST_WORKERS}
    with _interrupts_ignored(), dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",  # None is the fixed port 8787
            # Mapped files count as memory in dask, so its limits would end healthy workers.
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            preload=[_LEAVE_INTERRUPTS],
        )
    try:
        yield cluster
    finally:
        try:
            cluster.close()
        except AssertionError as error:
            # A worker that is being started again right now cannot be joined. All results are in.
            log.debug(f"workers: not all of them ended in order: {error}")


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes started meanwhile ignore Ctrl-C; this one then ends them in order."""
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
