"""The manifest of an output folder, ``manifest.json``: what became of each exposure."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ohana.errors import OhanaError
from ohana.utils.files import process_name, replacing
from ohana.utils.formatting import json_lines

#: Name of the file.
MANIFEST = "manifest.json"
#: First field of the file.
FORMAT = "ohana-manifest-1"
#: What can be of an exposure.
DONE, FAILED, WAITING = "done", "failed", "waiting"
#: During a run the file is written again after so long [s], and at most this part of the time.
EVERY, SHARE = 2.0, 0.02

#: What is known of an exposure.
Entry = dict[str, Any]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Manifest:
    """What became of the exposures of an output folder, in this run and earlier ones.

    A file that is lost or behind costs nothing but the reasons of failures: whether an exposure
    is done, its own ``run.json`` says.

    Attributes
    ----------
    folder : Path
        Output folder.
    entries : dict
        Name of each exposure -> its fields, see ``docs/many_exposures.md``.
    started : str
        When this run, or the look at it, began.
    """

    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    started: str = field(default_factory=_now)
    _next: float = 0.0

    def save(self, state: str = "running") -> None:
        """Write the file, whole or not at all.

        Parameters
        ----------
        state : str
            Of the run: ``running``, ``finished`` or ``interrupted``.
        """
        begin = time.monotonic()
        count = Counter(entry["status"] for entry in self.entries.values())
        contents = {
            "format": FORMAT,
            "run": state,
            "started": self.started,
            "updated": _now(),
            "process": process_name(),
            "exposures_by_status": {status: count[status] for status in (DONE, FAILED, WAITING)},
            "exposures": dict(sorted(self.entries.items())),
        }
        with replacing(self.folder / MANIFEST) as temporary:
            temporary.write_text(json_lines(contents), "utf-8")
        now = time.monotonic()
        self._next = now + max(EVERY, (now - begin) / SHARE)

    def save_now_and_then(self) -> None:
        """Write the file if it is time to."""
        if time.monotonic() >= self._next:
            self.save()


def read_manifest(folder: str | Path) -> Manifest:
    """Read the manifest of an output folder; one without entries if there is none.

    Raises
    ------
    OhanaError
        The file cannot be read, or is no manifest.

    Examples
    --------
    >>> import tempfile
    >>> manifest = Manifest(Path(tempfile.mkdtemp()), {"dark": {"status": "waiting"}})
    >>> manifest.save()
    >>> read_manifest(manifest.folder).entries
    {'dark': {'status': 'waiting'}}
    """
    path = Path(folder) / MANIFEST
    try:
        contents = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Manifest(Path(folder))
    except (OSError, ValueError) as error:
        raise OhanaError(f"{path}: wanted the manifest of a run, got {error}") from None
    got = contents.get("format") if isinstance(contents, dict) else type(contents).__name__
    if got != FORMAT:
        raise OhanaError(f"{path}: wanted the manifest of a run ({FORMAT}), got {got}")
    return Manifest(Path(folder), contents["exposures"])
