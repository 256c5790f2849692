"""The one error that a user's input or settings can cause."""

from __future__ import annotations


class OhanaError(Exception):
    """Bad input, settings or output place; the message is one line that names file and field."""
