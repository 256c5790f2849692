"""Choice of the array of reads in a file with several arrays (HDF5, zarr)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ohana.errors import OhanaError

#: Name of the array if the settings give none.
NAME = "data"


def pick_array(path: Path, found: Mapping[str, Any], wanted: str | None, kind: str) -> Any:
    """Return the array named ``wanted``, else ``data``, else the only one that can be reads.

    Parameters
    ----------
    path : Path
        The file.
    found : mapping
        Name -> array, all that the file holds.
    wanted : str, optional
        ``config.dataset``.
    kind : str
        What the format calls an array.

    Raises
    ------
    OhanaError
        There is none of that name.
    """
    cubes = [name for name, item in found.items() if len(item.shape or ()) in (3, 4)]
    if wanted is None:
        wanted = cubes[0] if len(cubes) == 1 and NAME not in found else NAME
    if wanted.strip("/") not in found:
        raise OhanaError(
            f"{path}: wanted {kind} {wanted!r}, got {', '.join(sorted(found)) or 'none'}; "
            "set `dataset` in the configuration"
        )
    return found[wanted.strip("/")]


def require_cube(what: str, array: Any) -> None:
    """Refuse an array that is not (T, H, W) or (N, T, H, W) of real numbers."""
    if array.dtype.kind not in "iuf" or len(array.shape or ()) not in (3, 4):
        raise OhanaError(
            f"{what}: wanted real numbers of shape (reads, rows, columns), "
            f"got {array.dtype} of shape {array.shape}"
        )


def attributes(item: Any) -> dict[str, Any]:
    """Return the attributes of an array or group as a header."""
    return {str(key).upper(): value for key, value in item.attrs.items()}
