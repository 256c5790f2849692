"""Many processes, one training set: who makes what, and under which settings."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ohana.errors import OhanaError
from ohana.utils.files import make_folder, process_name

#: Where exposures are made before they are moved into their store.
UNFINISHED = "unfinished"
#: What decides the contents of a set.
SETTINGS = "settings.json"


def note_settings(output_dir: Path, contents: dict[str, Any]) -> None:
    """Note what decides the contents of a training set, or compare with what was noted before.

    Raises
    ------
    OhanaError
        As in `compare_settings`, or the note cannot be written.
    """
    note = output_dir / SETTINGS
    own = note.with_name(f".{process_name()}-settings.json")
    try:
        own.write_text(json.dumps(contents, indent=1, allow_nan=False))
        # Of several processes that begin together one makes this link, the others see it.
        os.link(own, note)
    except FileExistsError:
        compare_settings(output_dir, contents)
    except OSError as error:
        raise OhanaError(f"{note}: cannot write: {error.strerror or error}") from error
    finally:
        own.unlink(missing_ok=True)


def compare_settings(output_dir: Path, contents: dict[str, Any]) -> None:
    """Compare settings with those noted for the set, if there are any.

    Raises
    ------
    OhanaError
        If they differ; it names the settings that do.
    """
    note = output_dir / SETTINGS
    try:
        before = json.loads(note.read_text())
        names = before.keys() | contents.keys()
    except FileNotFoundError:
        return
    except (OSError, ValueError, AttributeError) as error:
        raise OhanaError(f"{note}: wanted the settings of a training set, got {error}") from error
    differ = [name for name in sorted(names) if before.get(name) != contents.get(name)]
    if differ:
        what = "; ".join(
            f"{name} was {json.dumps(before.get(name))}, now {json.dumps(contents.get(name))}"
            for name in differ
        )
        raise OhanaError(
            f"{note.parent}: holds a training set made with other settings ({what}): "
            "choose another output_dir, or remove it"
        )


@contextmanager
def claim(output_dir: Path, name: str) -> Iterator[Path | None]:
    """Give a folder to make an exposure in; None while another process makes the same one.

    The claim is a lock of the operating system: it ends with its process, however that ends.
    What a process that died has left of the exposure is removed. Where a file system has no
    locks two processes may make the same exposure, and the first to finish wins.
    """
    part = own_part(output_dir, name)
    lock = part.with_name(f"{name}.lock")
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for old in part.parent.glob(f"{name}.part-*"):
                shutil.rmtree(old, ignore_errors=True)
        except BlockingIOError:
            yield None
            return
        except OSError:
            pass
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
            lock.unlink(missing_ok=True)


def own_part(output_dir: Path, name: str) -> Path:
    """Return the name of a folder that no other process writes to."""
    return make_folder(output_dir / UNFINISHED) / f"{name}.part-{process_name()}"


def publish(part: Path, target: Path) -> None:
    """Move a finished folder to its place in one step; one that is there already stays."""
    try:
        part.rename(target)
    except OSError:
        if not target.exists():
            raise
