"""The folder of one exposure: whether it is as wanted, and how new results get there."""

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

#: Results that come last, in this order: without all of them a folder counts as unfinished.
LAST = ("prediction_mask.npy", "detections.json", RUN)
#: Endings of the files that save work when settings of later stages change.
REUSED = ("_processed.npy", "_temporal.npz")


class Request(NamedTuple):
    """What decides the results of an exposure, besides the exposure.

    ``network`` is its fingerprint, None for rules alone; ``options`` are the arguments of
    `ohana.Predictor.predict` that add results.
    """

    config: DetectorConfig
    network: str | None
    options: Mapping[str, Any]
    version: str = __version__


def is_current(folder: Path, fingerprint: str, wanted: Request) -> bool:
    """Tell whether a folder holds all that is wanted of an input, made by the same means.

    More than is wanted does no harm.
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
    if made != (fingerprint, wanted.config.fingerprint(), wanted.network, wanted.version):
        return False
    options = record.get("options", {})
    if any(_lacks(options.get(name), value) for name, value in wanted.options.items()):
        return False
    # Corrected cubes are large, and may have been removed since.
    needed = wanted.options.get("processed", True)
    return all(
        _size(folder / name) == size
        for name, size in record["files"].items()
        if needed or not name.endswith(REUSED[0])
    )


def _lacks(had: Any, wanted: Any) -> bool:
    """Tell whether an option asks for more than it had: a list, for any more of its kinds."""
    if isinstance(wanted, list | tuple):
        return bool(set(wanted) - set(had or ()))
    return bool(wanted) and not had


def _covers(made: Any, wanted: Any) -> bool:
    """Tell whether results of one kind are enough: a flag, or a list of forms."""
    if isinstance(wanted, list | tuple):
        return set(wanted) <= set(made or ())
    return not wanted or made == wanted


def _record(folder: Path) -> dict[str, Any]:
    """Return the record of the run that a folder is from; empty if there is none that counts."""
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
    """Give a folder beside ``folder`` to make its results in; it is removed at the end.

    Parameters
    ----------
    folder : Path
        Of the exposure.
    reuse : bool
        Let the corrected cube that is in ``folder`` be used again, if it fits.
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
    """Move finished results to their folder, in place of those of an earlier run.

    At no time is there a mixture that looks complete: the old record and catalogue go first,
    the new ones come last. Files that no run has written stay.

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
    """Move what was made of results to them, and note it in their record.

    Returns
    -------
    dict
        The record of the run, with those of ``options`` that there is something of, and its files.
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
    """Remove what an earlier run has written, and what stands where results will be."""
    old = _record(folder).get("files", {})
    remove_run(folder)
    for name in [*old, *(path.name for path in part.iterdir())]:
        path = folder / Path(name).name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_unfinished(output: Path) -> None:
    """Remove what processes that ended early have left in an output folder."""
    remove_parts(output, ".*")
