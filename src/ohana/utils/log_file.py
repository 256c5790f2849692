"""The log beside the results, ``ohana.log``: every message of every run into that folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ohana.errors import OhanaError
from ohana.utils.files import make_folder

log = logging.getLogger("ohana")

#: Name of the file.
LOG = "ohana.log"
#: Level of messages for the file only, because a terminal shows them in another way.
FILE_ONLY = 5
logging.addLevelName(FILE_ONLY, "DETAIL")


class _Lines(logging.FileHandler):
    """Appends lines with time (UTC) and level; a full disk must not end the run."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="a", encoding="utf-8")
        form = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        form.converter = time.gmtime
        self.setFormatter(form)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Ignore the error: there is nowhere else to report it."""


@contextmanager
def writing_log(folder: Path) -> Iterator[Path]:
    """Append all messages to the log of a folder until the block ends.

    What is shown elsewhere stays for the levels of the other handlers to say.

    Parameters
    ----------
    folder : Path
        For the results, made if it is not there.

    Yields
    ------
    Path
        The log.

    Raises
    ------
    OhanaError
        If it cannot be written.
    """
    path = make_folder(folder) / LOG
    try:
        handler = _Lines(path)
    except OSError as error:
        raise OhanaError(f"{path}: cannot write: {error.strerror}") from error
    before = log.level
    log.addHandler(handler)
    log.setLevel(FILE_ONLY)
    try:
        yield path
    except BaseException as error:
        log.log(FILE_ONLY, f"ended by {type(error).__name__}")
        raise
    finally:
        log.removeHandler(handler)
        handler.close()
        log.setLevel(before)
