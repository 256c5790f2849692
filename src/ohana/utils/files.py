"""Atomic writing: a file appears complete or not at all."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ohana.errors import OhanaError


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
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
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


def process_name() -> str:
    """Return a name that is unique among running processes on all hosts that share a folder."""
    return f"{socket.gethostname()}-{os.getpid()}"
