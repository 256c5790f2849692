"""The one error that a user's input or settings can cause."""

from __future__ import annotations


class OhanaError(Exception):
    """Bad input, settings or output place; the message is one line that names file and field."""


def one_line_message(error: Exception) -> str:
    """Return the message of an error in one line.

    Examples
    --------
    >>> one_line_message(OhanaError("dark.fits: no such file or folder"))
    'dark.fits: no such file or folder'
    >>> one_line_message(KeyError("SCI"))
    "unexpected KeyError: 'SCI'"
    """
    what = " ".join(str(error).split())
    if isinstance(error, OhanaError):
        return what
    if isinstance(error, MemoryError):
        return "out of memory: try fewer --threads"
    return f"unexpected {type(error).__name__}: {what}"
