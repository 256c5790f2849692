"""One run at a time for each output folder, also across machines."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from ohana.errors import OhanaError
from ohana.utils.files import create_text, is_at

#: Name of the lock.
LOCK = ".ohana-lock.json"


@contextmanager
def locked(folder: Path) -> Iterator[str]:
    """Keep other runs out of a folder until the block ends.

    The lock is a file that names its process. It is created as a hard link, which is atomic on
    shared file systems too. The lock of a dead process on this host is taken over; the state
    of a process on another host cannot be determined here.

    Parameters
    ----------
    folder : Path
        For results.

    Yields
    ------
    str
        The text of the lock, by which workers check that their run is still active (`is_held`).

    Raises
    ------
    OhanaError
        Another run writes there, or the lock cannot be made.
    """
    path = folder / LOCK
    text = json.dumps(_holder())
    try:
        while not create_text(path, text):
            _clear(path)
    except OSError as error:
        raise OhanaError(f"{path}: cannot clear this lock: {error.strerror or error}") from error
    try:
        yield text
    finally:
        if is_held(folder, text):
            path.unlink(missing_ok=True)


def is_held(folder: Path, text: str) -> bool:
    """Return whether the lock of a folder still has this text."""
    try:
        return (folder / LOCK).read_text() == text
    except OSError:
        return False


def _holder() -> dict[str, Any]:
    """Identify this process, also against a later one with the same number."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "begun": psutil.Process().create_time(),
        "since": datetime.now(UTC).isoformat(),
    }


def _clear(path: Path) -> None:
    """Remove the lock of a process that has ended; raise if it may still be running."""
    try:
        file = path.open()
    except FileNotFoundError:  # just released
        return
    with file:
        with suppress(OSError):  # a file system without such locks
            # Of several processes that find the same old lock, one removes it; the others retry.
            fcntl.flock(file, fcntl.LOCK_EX)
        if not is_at(file, path):
            return
        _refuse_living(path, file.read())
        path.unlink(missing_ok=True)


def _refuse_living(path: Path, text: str) -> None:
    try:
        holder = json.loads(text)
        host, pid, since = holder["host"], int(holder["pid"]), str(holder["since"])[:19]
        begun = float(holder["begun"])
    except (ValueError, KeyError, TypeError) as error:
        raise OhanaError(f"{path}: wanted the lock of a run, got {error}: remove it") from None
    here = host == socket.gethostname()
    if here and not _lives(pid, begun):
        return
    hint = "" if here else f"; if that process has ended, remove {path.name}"
    raise OhanaError(
        f"{path.parent}: another run writes to this folder: process {pid} on {host}, "
        f"since {since} UTC{hint}"
    )


def _lives(pid: int, begun: float) -> bool:
    """Return whether a process is alive; a later one with its number has another start time."""
    try:
        return abs(psutil.Process(pid).create_time() - begun) < 2
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
