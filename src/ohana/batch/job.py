"""Find the events of one exposure of many: what a worker does."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ohana import __version__
from ohana.batch.folders import Request, is_current, publish, publish_extras, unfinished
from ohana.batch.inputs import InputExposure
from ohana.batch.lock import is_held
from ohana.batch.manifest import DONE, FAILED, Entry
from ohana.config import DetectorConfig
from ohana.errors import OhanaError, one_line_message
from ohana.extras import EXTRAS, make_extras
from ohana.predictor import Predictor
from ohana.results.corrected_cube import input_fingerprint
from ohana.results.run_record import read_run
from ohana.utils.log_file import FILE_ONLY, writing_log

log = logging.getLogger("ohana")

#: Its log and the threads of torch belong to a process, not to one of its threads.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What all exposures of a run have in common.

    Attributes
    ----------
    output : Path
        Output folder, as workers see it.
    model : str, optional
        Model file, loaded once by each worker.
    wanted : Request
        Settings and kinds of results.
    lock : str
        Of the run, see `ohana.batch.lock.locked`.
    reuse : bool
        Use corrected cubes of earlier runs again.
    """

    output: Path
    model: str | None
    wanted: Request
    lock: str
    reuse: bool = True


def find_in(job: Job, exposure: InputExposure, predictor: Predictor | None = None) -> Entry:
    """Find the events of an exposure; what goes wrong is told by the result, never raised.

    Parameters
    ----------
    job : Job
        The run.
    exposure : InputExposure
        One of its inputs.
    predictor : Predictor, optional
        Used instead of one that this process loads for all exposures of the run.
    """
    folder = job.output / exposure.name
    try:
        with _one_at_a_time, writing_log(folder):
            try:
                predictor = predictor or _predictor(job.model, _settings(job.wanted.config))
                return _find(job, exposure.path, folder, predictor)
            except Exception as error:
                log.log(FILE_ONLY, "".join(traceback.format_exception(error)).rstrip())
                raise
    except Exception as error:
        return {"status": FAILED, "error": one_line_message(error)}


def _find(job: Job, path: Path, folder: Path, predictor: Predictor) -> Entry:
    for what, here, there in (
        ("version of ohana", __version__, job.wanted.version),
        ("network", network_of(predictor), job.wanted.network),
    ):
        if here != there:
            raise OhanaError(f"{what}: this worker has {here}, wanted {there}")
    options = job.wanted.options
    own = {name: value for name, value in options.items() if name not in EXTRAS}
    results = job.wanted._replace(options=own)
    # What is to be made of results that are there does not need new ones.
    if not (job.reuse and is_current(folder, input_fingerprint(path), results)):
        with unfinished(folder, job.reuse) as part:
            summary = predictor.predict(path, part, **own)
            files = tuple(folder / file.relative_to(part) for file in summary.files)
            log.log(FILE_ONLY, str(replace(summary, folder=folder, files=files)))
            _require_lock(job, path)
            publish(part, folder, own)
    if not any(options.get(name) for name in EXTRAS):
        return entry_of(read_run(folder))
    with unfinished(folder, False) as part:
        made = make_extras(folder, part, options)
        _require_lock(job, path)
        entry = entry_of(publish_extras(made, folder, options))
    return entry | ({"failed": made.failed} if made.failed else {})


def _require_lock(job: Job, path: Path) -> None:
    """Refuse to write for a run that is over: another one may be at work in its folder."""
    if not is_held(job.output, job.lock):
        raise OhanaError(f"{path}: the run that asked for this is over: results dropped")


def _settings(config: DetectorConfig) -> DetectorConfig:
    """Return settings with as many threads as a worker was given, unless they say how many."""
    distributed = sys.modules.get("distributed")
    if config.threads or distributed is None:
        return config
    try:
        return config.model_copy(update={"threads": distributed.get_worker().state.nthreads})
    except ValueError:  # this is no worker
        return config


@lru_cache(maxsize=1)
def _predictor(model: str | None, config: DetectorConfig) -> Predictor:
    """Load a network once for all exposures of a process."""
    return Predictor(model, config)


def network_of(predictor: Predictor) -> str | None:
    """Return the fingerprint of the network of a predictor, None for rules alone."""
    return None if predictor.network is None else predictor.network.fingerprint()


def entry_of(record: dict[str, Any]) -> Entry:
    """Return what the manifest says of an exposure whose results are there."""
    return {
        "status": DONE,
        "started": record["started"],
        "seconds": record["seconds"]["total"],
        "host": record["machine"]["host"],
        "events": {item["label"]: item["events"] for item in record["classes"]},
    }
