"""The exposures of a run, and the names of their folders."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ohana.errors import OhanaError
from ohana.read.integrations import exposure_name


class InputExposure(NamedTuple):
    """An input, and the name of the folder for its results."""

    name: str
    path: Path


def is_pattern(text: str) -> bool:
    """Return whether a text is a pattern of file names, not the name of an existing file.

    Examples
    --------
    >>> is_pattern("night/*.fits"), is_pattern("night/dark.fits")
    (True, False)
    """
    return glob.has_magic(text) and not os.path.lexists(text)


def expand(inputs: Sequence[str | Path]) -> list[InputExposure]:
    """Return the exposures of paths and patterns without duplicates, in the order given.

    Parameters
    ----------
    inputs : sequence of str or Path
        Patterns are those of a shell; ``**`` also matches nested folders. The files of a pattern
        are sorted by name. A folder is one exposure.

    Raises
    ------
    OhanaError
        No file matches a pattern, or two inputs would have the same folder.
    """
    found: dict[str, Path] = {}
    for text in map(str, inputs):
        for path in map(Path, _matches(text)):
            name = exposure_name(path)
            twin = found.setdefault(name, path)
            if twin != path and twin.absolute() != path.absolute():
                raise OhanaError(f"{path}: {twin} would write to the same folder {name}")
    return [InputExposure(name, path.absolute()) for name, path in found.items()]


def _matches(text: str) -> list[str]:
    if not is_pattern(text):
        return [text]
    paths = sorted(glob.glob(text, recursive=True))
    if not paths:
        raise OhanaError(f"{text}: no file matches this pattern")
    return paths
