"""The task of one worker: find the events of one exposure."""

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

#: The log and the number of threads of torch belong to a process, not to one of its threads.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What is common to all exposures of a run.

    Attributes
    ----------
    output : Path
        Output folder; its path must be valid for the workers.
    model : str, optional
        Model file, loaded once by each worker.
    request : Request
        Settings and kinds of results.
    lock : str
        Of the run, see `ohana.batch.lock.locked`.
    reuse : bool
        Reuse corrected cubes of earlier runs.
    """

    output: Path
    model: str | None
    request: Request
    lock: str
    reuse: bool = True


def find_in(job: Job, exposure: InputExposure, predictor: Predictor | None = None) -> Entry:
    """Find the events of an exposure; failures are part of the result, never raised.

    Parameters
    ----------
    job : Job
        The run.
    exposure : InputExposure
        One of its inputs.
    predictor : Predictor, optional
        Used in place of the one that this process keeps for all exposures of the run.
    """
    folder = job.output / exposure.name
    try:
        with _one_at_a_time, writing_log(folder):
            try:
                predictor = predictor or _predictor(job.model, _settings(job.request.config))
                return _find(job, exposure.path, folder, predictor)
            except Exception as error:
                log.log(FILE_ONLY, "".join(traceback.format_exception(error)).rstrip())
                raise
    except Exception as error:
        return {"status": FAILED, "error": one_line_message(error)}


def _find(job: Job, path: Path, folder: Path, predictor: Predictor) -> Entry:
    for what, here, there in (
        ("version of ohana", __version__, job.request.version),
        ("network", network_of(predictor), job.request.network),
    ):
        if here != there:
            raise OhanaError(f"{what}: this worker has {here}, wanted {there}")
    options = job.request.options
    own = {name: value for name, value in options.items() if name not in EXTRAS}
    results = job.request._replace(options=own)
    # Catalogues, products and page are made from results; current ones are not made again.
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
    """Refuse to write after the end of the run: another one may be using its folder."""
    if not is_held(job.output, job.lock):
        raise OhanaError(f"{path}: the run of this job has ended: results are discarded")


def _settings(config: DetectorConfig) -> DetectorConfig:
    """Return settings with the number of threads of this worker, unless they have one."""
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
    """Return the manifest entry of an exposure with results."""
    return {
        "status": DONE,
        "started": record["started"],
        "seconds": record["seconds"]["total"],
        "host": record["machine"]["host"],
        "events": {item["label"]: item["events"] for item in record["classes"]},
    }
