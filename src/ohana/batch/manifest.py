"""The manifest of an output folder, ``manifest.json``: the state of each exposure."""

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
#: States of an exposure.
DONE, FAILED, WAITING = "done", "failed", "waiting"
#: During a run the file is rewritten after this interval [s], and at most for this fraction of the
#: time; chosen.
EVERY, SHARE = 2.0, 0.02

#: Fields of an exposure.
Entry = dict[str, Any]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Manifest:
    """State of the exposures of an output folder, from this run and earlier ones.

    If the file is lost or out of date, only the reasons of failures are lost: whether an
    exposure is done is determined from its ``run.json``.

    Attributes
    ----------
    folder : Path
        Output folder.
    entries : dict
        Name of each exposure -> its fields, see ``docs/many_exposures.md``.
    started : str
        When this run began, or when the file was read.
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
        """Write the file if `EVERY` and `SHARE` allow."""
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
