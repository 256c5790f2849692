"""The folder of one exposure: whether its results are up to date, and how new ones replace them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from ohana import __version__
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.extras import Made
from ohana.results.run_record import RUN, read_run, remove_run, write_run
from ohana.utils.files import make_folder, part_of, remove_parts

#: Results moved last, in this order: a folder that lacks one of them counts as unfinished.
LAST = ("prediction_mask.npy", "detections.json", RUN)
#: Endings of files that can be reused when settings of later stages change.
REUSED = ("_processed.npy", "_temporal.npz")


class Request(NamedTuple):
    """What determines the results of an exposure besides its data.

    ``network`` is its fingerprint, None for rules alone; ``options`` are the arguments of
    `ohana.Predictor.predict` that add results.
    """

    config: DetectorConfig
    network: str | None
    options: Mapping[str, Any]
    version: str = __version__


def is_current(folder: Path, fingerprint: str, request: Request) -> bool:
    """Return whether a folder holds all requested results of an input, from the same settings.

    Results that were not requested do no harm.
    """
    record = _record(folder)
    if not record:
        return False
    made = (
        record["input"]["fingerprint"],
        record["config_fingerprint"],
        record["network"],
        record["versions"]["ohana"],
    )
    if made != (fingerprint, request.config.fingerprint(), request.network, request.version):
        return False
    options = record.get("options", {})
    if any(_lacks(options.get(name), value) for name, value in request.options.items()):
        return False
    # Corrected cubes are large, and may have been removed since.
    needed = request.options.get("processed", True)
    return all(
        _size(folder / name) == size
        for name, size in record["files"].items()
        if needed or not name.endswith(REUSED[0])
    )


def _lacks(had: Any, requested: Any) -> bool:
    """Return whether an option requests more than before; for a list, any further item."""
    if isinstance(requested, list | tuple):
        return bool(set(requested) - set(had or ()))
    return bool(requested) and not had


def _record(folder: Path) -> dict[str, Any]:
    """Return the record of the run that wrote a folder; empty if there is no valid one."""
    try:
        return read_run(folder)
    except OhanaError:
        return {}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@contextmanager
def unfinished(folder: Path, reuse: bool) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` for its results; it is removed at the end.

    Parameters
    ----------
    folder : Path
        Of the exposure.
    reuse : bool
        Reuse the corrected cube in ``folder`` if its fingerprint matches.
    """
    part = part_of(folder.with_name(f".{folder.name}"))
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    try:
        if reuse:
            for old in folder.glob("*"):
                if old.name.endswith(REUSED):
                    with suppress(OSError):  # a file system without links: made again
                        os.link(old, part / old.name)
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def publish(part: Path, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Move finished results to their folder, replacing those of an earlier run.

    A mixture of old and new files is never taken for complete: the old record and catalogue are
    removed first, the new ones are moved last. Files that no run has written are kept.

    Returns
    -------
    dict
        The record of the run, with ``options`` and all files.
    """
    names = sorted({path.name for path in part.iterdir()} - set(LAST)) + list(LAST)
    files = {n: _size(part / n) for n in names if n != RUN and (part / n).is_file()}
    record = read_run(part) | {"options": dict(options), "files": files}
    write_run(part, record)
    _remove_results(make_folder(folder), part)
    _move(part, folder, names)
    return record


def publish_extras(made: Made, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Move files made from results into their folder, and add them to its record.

    Returns
    -------
    dict
        The record of the run, with the ``options`` that succeeded and their files.
    """
    record = read_run(folder)
    record["files"] |= {path.name: _size(path) for path in made.files}
    record["options"] |= {k: v for k, v in options.items() if v and k not in made.failed}
    for path in made.files:
        _move(path.parent, folder, [path.name])
    write_run(folder, record)
    return record


def _move(part: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files, in this order."""
    for name in names:
        try:
            os.replace(part / name, folder / name)
        except OSError as error:
            raise OhanaError(f"{folder / name}: cannot write: {error.strerror}") from error


def _remove_results(folder: Path, part: Path) -> None:
    """Remove the files of an earlier run, and whatever has the name of a new file."""
    old = _record(folder).get("files", {})
    remove_run(folder)
    for name in [*old, *(path.name for path in part.iterdir())]:
        path = folder / Path(name).name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_unfinished(output: Path) -> None:
    """Remove temporary folders that interrupted processes have left behind."""
    remove_parts(output, ".*")
