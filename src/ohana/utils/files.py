"""Atomic writing: a file appears complete or not at all."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ohana.errors import OhanaError

#: In the names of folders that are not finished yet.
PART = ".part-"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of ``path``, renamed to ``path`` at the end.

    If the block fails the temporary file is removed and an older ``path`` stays as it was.

    Raises
    ------
    OhanaError
        For any `OSError`: no permission, no such folder, disk full.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("done")
    >>> target.read_text()
    'done'
    """
    path = Path(path)
    # The extension is kept, because numpy and astropy choose the format by it.
    temporary = path.with_name(f".{process_name()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OhanaError(f"{path}: cannot write: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """Make a folder for results if it is not there; its name is in any error."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OhanaError(f"{path}: cannot make this folder: {error.strerror or error}") from error
    return Path(path)


def create_text(path: Path, text: str) -> bool:
    """Create a text file as a whole; False if it exists, which leaves it as it is.

    Of several processes that try at the same time, on any hosts, exactly one creates it.

    Raises
    ------
    OhanaError
        For any other `OSError`, also where the file system has no hard links.
    """
    own = path.with_name(f".{process_name()}-{path.name}")
    try:
        own.write_text(text)
        os.link(own, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise OhanaError(f"{path}: cannot write: {error.strerror or error}") from error
    finally:
        own.unlink(missing_ok=True)
    return True


def is_at(file: IO, path: Path) -> bool:
    """Return whether an open file is still the one at a path.

    A lock on a file counts only then: its last holder may have removed the file.
    """
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def process_name() -> str:
    """Return a name that is unique among running processes on all hosts that share a folder."""
    return f"{socket.gethostname()}-{os.getpid()}"


def part_of(folder: Path) -> Path:
    """Return the folder in which this process makes the contents of another."""
    return folder.with_name(f"{folder.name}{PART}{process_name()}")


def remove_parts(folder: Path, pattern: str) -> None:
    """Remove unfinished folders whose final names match a pattern of `Path.glob`.

    Whoever calls this must hold a lock that keeps other processes from making these.
    """
    for part in folder.glob(f"{pattern}{PART}*"):
        shutil.rmtree(part, ignore_errors=True)
