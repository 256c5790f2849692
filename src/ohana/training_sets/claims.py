"""One training set by many processes: claims on exposures, and common settings."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from ohana.errors import OhanaError
from ohana.utils.files import create_text, is_at, make_folder, part_of, remove_parts

#: Folder in which exposures are made before they are moved into their store.
UNFINISHED = "unfinished"
#: File of the settings that determine the contents of a set.
SETTINGS = "settings.json"


def note_settings(output_dir: Path, contents: dict[str, Any]) -> None:
    """Save the settings of a training set, or compare them with the saved ones.

    Raises
    ------
    OhanaError
        As in `compare_settings`, or the file cannot be written.
    """
    if not create_text(output_dir / SETTINGS, json.dumps(contents, indent=1, allow_nan=False)):
        compare_settings(output_dir, contents)


def compare_settings(output_dir: Path, contents: dict[str, Any]) -> None:
    """Compare settings with the saved ones of the set, if there are any.

    Raises
    ------
    OhanaError
        If they differ; the message names these settings.
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
    """Yield a folder for making an exposure; None while another process makes the same one.

    The claim is a lock of the operating system, which ends with its process in any case.
    Parts that dead processes left of the exposure are removed. Where a file system has no
    locks, two processes may make the same exposure, and the first to finish wins.
    """
    part = own_part(output_dir, name)
    lock = part.with_name(f"{name}.lock")
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken = not is_at(file, lock)
            if not taken:
                remove_parts(part.parent, escape(name))
        except BlockingIOError:
            taken = True
        except OSError:
            taken = False
        if taken:
            yield None
            return
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
            lock.unlink(missing_ok=True)


def own_part(output_dir: Path, name: str) -> Path:
    """Return the path of a folder for the parts of an exposure that only this process uses."""
    return part_of(make_folder(output_dir / UNFINISHED) / name)


def publish(part: Path, target: Path) -> None:
    """Move a finished folder to its place in one step; an existing one stays."""
    try:
        part.rename(target)
    except OSError:
        if not target.exists():
            raise
