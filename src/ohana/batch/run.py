"""A run over many exposures: lock, comparison with earlier results, workers, manifest."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ohana.batch.folders import Request, is_current, remove_unfinished
from ohana.batch.inputs import InputExposure, expand
from ohana.batch.job import Job, entry_of, find_in, network_of
from ohana.batch.lock import locked
from ohana.batch.manifest import DONE, FAILED, MANIFEST, WAITING, Entry, Manifest, read_manifest
from ohana.errors import one_line_message
from ohana.predictor import Predictor
from ohana.results.corrected_cube import input_fingerprint
from ohana.results.run_record import read_run
from ohana.utils.files import make_folder
from ohana.utils.progress import Progress, no_progress

log = logging.getLogger("ohana")
#: Threads that compare inputs with earlier results; they wait for disks, not for processors.
READERS = 16


class Workers(NamedTuple):
    """Which processes work on a run.

    Attributes
    ----------
    processes : int, optional
        Processes on this machine; if absent, as many as its cores, its memory and the number of
        exposures allow. One is the calling process itself.
    scheduler : str, optional
        Address of a dask scheduler whose workers are used instead; the paths of the inputs and
        of the output folder must be valid for them.
    redo : bool
        Process exposures again whose results are up to date.
    """

    processes: int | None = None
    scheduler: str | None = None
    redo: bool = False


@dataclass(frozen=True)
class BatchResult:
    """Outcome of a run over many exposures; ``str()`` gives a line.

    Attributes
    ----------
    output : Path
        Folder with a folder for each exposure, and the manifest.
    done, current : int
        Exposures processed now, and those whose results were up to date.
    failed : dict
        Name of an exposure -> what went wrong.
    incomplete : dict
        Name of an exposure with results -> what could not be made from them: kind -> reason.
    seconds : float
        Duration.
    """

    output: Path
    done: int
    current: int
    failed: dict[str, str]
    incomplete: dict[str, dict[str, str]]
    seconds: float

    @property
    def exposures(self) -> int:
        """Number of all."""
        return self.done + self.current + len(self.failed)

    def __str__(self) -> str:
        return (
            f"{self.output}: {self.done} exposures done, {self.current} there before, "
            f"{len(self.failed)} failed, in {self.seconds:.1f} s; see {self.output / MANIFEST}"
        )


def run_batch(
    inputs: Sequence[str | Path],
    output_dir: str | Path,
    predictor: Predictor | None = None,
    options: Mapping[str, Any] | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> BatchResult:
    """Find the events of many exposures, each into a folder of its own.

    Results of an earlier run are kept if input, settings, network and version are the same, so
    an interrupted run continues where it stopped. An exposure that fails does not stop the
    others.

    Parameters
    ----------
    inputs : sequence of str or Path
        Files, folders of TIFF frames, or patterns such as ``night/*.fits``.
    output_dir : str or Path
        For the folders of the exposures and the manifest.
    predictor : Predictor, optional
        Settings and network; the default settings and rules alone if absent.
    options : mapping, optional
        Arguments of `Predictor.predict` for all of them, such as ``{"processed": False}``.
    workers : Workers, optional
        Which processes are used.
    progress : callable, optional
        Called with the name of a stage, the parts done and the parts in all.

    Raises
    ------
    OhanaError
        A pattern matches nothing, two inputs have one name, another run writes to the folder,
        or the scheduler does not answer. What is wrong with an exposure is part of the result.

    Notes
    -----
    With more than one worker, processes are started: a script must then keep its calls under
    ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "dark.npy", np.random.default_rng(1).normal(9e3, 9, (5, 16, 16)))
    >>> (folder / "broken.npy").touch()
    >>> batch = run_batch([folder / "*.npy"], folder / "out", workers=Workers(processes=1))
    >>> batch.done, list(batch.failed)
    (1, ['broken'])
    """
    start, workers = time.perf_counter(), workers or Workers()
    exposures, predictor = expand(inputs), predictor or Predictor()
    request = Request(predictor.config, network_of(predictor), dict(options or {}))
    output = make_folder(Path(output_dir)).resolve()
    with locked(output) as lock:
        remove_unfinished(output)
        manifest = Manifest(output, read_manifest(output).entries)
        entries = _compare(exposures, output, request, workers.redo)
        manifest.entries |= entries
        manifest.save()
        current = sum(entry["status"] == DONE for entry in entries.values())
        log.info(f"{len(exposures)} exposures, {current} of them there already")
        job = Job(output, _absolute_model(predictor.model_path), request, lock, not workers.redo)
        missing = [item for item in exposures if entries[item.name]["status"] == WAITING]
        state = "interrupted"
        try:
            with closing(_results(job, missing, predictor, workers)) as results:
                _record_outcomes(results, manifest, len(missing), progress)
            state = "finished"
        finally:
            remove_unfinished(output)
            manifest.save(state)
    entries = {exposure.name: manifest.entries[exposure.name] for exposure in exposures}
    failed = {n: entry["error"] for n, entry in entries.items() if entry["status"] == FAILED}
    incomplete = {n: entry["failed"] for n, entry in entries.items() if "failed" in entry}
    done = len(exposures) - current - len(failed)
    seconds = time.perf_counter() - start
    return BatchResult(Path(output_dir), done, current, failed, incomplete, seconds)


def _compare(
    exposures: Sequence[InputExposure], output: Path, request: Request, redo: bool
) -> dict[str, Entry]:
    """Return the state of each exposure before the run: done, waiting, or not readable."""
    same = {
        "config": request.config.fingerprint(),
        "network": request.network,
        "ohana": request.version,
        "options": request.options,
    }

    def compare(exposure: InputExposure) -> Entry:
        entry: Entry = {"input": str(exposure.path), "fingerprint": None, **same}
        folder = output / exposure.name
        try:
            entry["fingerprint"] = input_fingerprint(exposure.path)
        except OSError as error:
            reason = f"{exposure.path}: cannot be read: {error.strerror or error}"
            return entry | {"status": FAILED, "error": reason}
        if not redo and is_current(folder, entry["fingerprint"], request):
            return entry | entry_of(read_run(folder))
        return entry | {"status": WAITING}

    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip((e.name for e in exposures), pool.map(compare, exposures), strict=True))


def _absolute_model(model: str | Path | None) -> str | None:
    """Return the path of a model file that is valid from any working directory."""
    if model is None:
        return None
    from ohana.network.model_file import PRETRAINED  # torch: only with a network

    return PRETRAINED if str(model) == PRETRAINED else str(Path(model).absolute())


def _results(
    job: Job, missing: Sequence[InputExposure], predictor: Predictor, workers: Workers
) -> Generator[tuple[InputExposure, Entry | Exception], None, None]:
    """Yield exposures and their outcomes in the order in which they are finished."""
    processes, config = 1, predictor.config
    if missing and workers.scheduler is None and workers.processes != 1:
        from ohana.batch.resources import plan_workers

        paths = [exposure.path for exposure in missing]
        network = predictor.network is not None
        processes, threads = plan_workers(paths, config, network, workers.processes)
        config = config.model_copy(update={"threads": threads})
    if workers.scheduler is None and processes == 1:
        for exposure in missing:
            yield exposure, find_in(job, exposure, predictor)
    elif missing:
        from ohana.utils.workers import by_dask

        log.info(f"{processes} workers" if workers.scheduler is None else workers.scheduler)
        there = replace(job, request=job.request._replace(config=config))
        yield from by_dask(partial(find_in, there), missing, workers.scheduler, processes)


def _record_outcomes(
    results: Iterator[tuple[InputExposure, Entry | Exception]],
    manifest: Manifest,
    total: int,
    progress: Progress | None,
) -> None:
    """Record the outcome of each exposure in the manifest and the log."""
    progress = progress or no_progress
    progress("exposures", 0, total)
    for number, (exposure, result) in enumerate(results, 1):
        if isinstance(result, Exception):  # of its worker; those of the exposure are in its entry
            result = {"status": FAILED, "error": _lost(result)}
        entry = manifest.entries[exposure.name] | result
        manifest.entries[exposure.name] = entry
        manifest.save_now_and_then()
        if entry["status"] == FAILED:
            log.error(f"{exposure.name}: {entry['error']}")
        else:
            found = ", ".join(f"{count} {label}" for label, count in entry["events"].items())
            log.debug(f"{exposure.name}: {found} in {entry['seconds']:.1f} s on {entry['host']}")
        for kind, reason in entry.get("failed", {}).items():
            log.warning(f"{exposure.name}: no {kind}: {reason}")
        progress("exposures", number, total)


def _lost(error: Exception) -> str:
    """Describe why a worker has returned nothing for an exposure."""
    if type(error).__name__ == "KilledWorker":  # the library is slow to import
        return "its workers ended, one after another: killed, or out of memory"
    return one_line_message(error)
