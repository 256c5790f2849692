"""The record of a run, ``run.json``: input, settings, versions, results, timings.

A run writes it last, and the next run into the same folder removes it first: where it exists,
the results beside it are complete and consistent.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ohana import __version__
from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.results.corrected_cube import input_fingerprint
from ohana.utils.files import replacing
from ohana.utils.formatting import json_lines, json_safe

if TYPE_CHECKING:
    from ohana.ramp import Ramp
    from ohana.results.summary import Summary

#: Name of the file.
RUN = "run.json"
#: First field of the file.
FORMAT = "ohana-run-1"
#: Packages whose versions can change results; those of the network only where one is used.
PACKAGES = ("numpy", "scipy", "numba", "astropy")
NETWORK_PACKAGES = ("torch", "safetensors")


class IntegrationFiles(NamedTuple):
    """One integration and its files; ``processed`` is None if no cube was requested."""

    ramp: Ramp
    features: Path
    processed: Path | None


def run_record(
    summary: Summary,
    parts: Sequence[IntegrationFiles],
    config: DetectorConfig,
    network: Mapping[str, str] | None,
    started: datetime,
) -> dict[str, Any]:
    """Describe a run in plain values.

    Parameters
    ----------
    summary : Summary
        Its outcome.
    parts : sequence of IntegrationFiles
        One for each integration.
    config : DetectorConfig
        Settings.
    network : mapping, optional
        ``fingerprint`` of the network that was used besides the rules, and the ``device`` and
        ``precision`` of its inference.
    started : datetime
        With its time zone.
    """
    folder, facts = summary.folder, asdict(summary.facts)
    packages = PACKAGES if network is None else PACKAGES + NETWORK_PACKAGES
    return {
        "format": FORMAT,
        "exposure": summary.name,
        "input": _described_input(summary.source, folder),
        "shape": list(summary.shape),
        "integrations": [
            {
                "integration": part.ramp.integration,
                "features": part.features.name,
                "processed": part.processed.name if part.processed else None,
                "quality": part.ramp.quality and json_safe(part.ramp.quality._asdict(), 9),
            }
            for part in parts
        ],
        "times": json_safe(parts[0].ramp.times, 9),
        "frames": json_safe(parts[0].ramp.frames),
        "facts": json_safe(facts),
        "noise": json_safe(summary.noise),
        "rate": json_safe(summary.rate),
        "classes": [
            json_safe(asdict(item) | {"label": item.label.key}) for item in summary.classes
        ],
        "notices": list(summary.notices),
        "health": [each.record() for each in summary.health],
        "started": started.isoformat(timespec="seconds"),
        "seconds": json_safe(summary.stages | {"total": summary.seconds}, 4),
        "config": json_safe(config.model_dump(mode="json"), 15),
        "config_fingerprint": config.fingerprint(),
        "network": network and network["fingerprint"],
        "inference": network and {name: network[name] for name in ("device", "precision")},
        "versions": _versions(packages),
        "machine": {
            "host": platform.node(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "files": {path.name: path.stat().st_size for path in summary.files if path.exists()},
    }


def _described_input(source: Path, folder: Path) -> dict[str, Any]:
    """Describe the input: absolute path, path relative to the results, fingerprint."""
    absolute = source.resolve()
    return {
        "path": str(absolute),
        "relative": os.path.relpath(absolute, folder.resolve()),
        "modified": datetime.fromtimestamp(absolute.stat().st_mtime, UTC).isoformat(),
        "fingerprint": input_fingerprint(absolute),
    }


def _versions(packages: Sequence[str]) -> dict[str, str]:
    known = {"ohana": __version__, "python": platform.python_version()}
    for name in packages:
        try:
            known[name] = version(name)
        except PackageNotFoundError:  # not installed as a package of its own
            continue
    return known


def write_run(folder: Path, record: dict[str, Any]) -> Path:
    """Write the record of a run into the folder of its results, whole or not at all."""
    path = folder / RUN
    with replacing(path) as temporary:
        temporary.write_text(json_lines(record), "utf-8")
    return path


def remove_run(folder: Path) -> None:
    """Remove the record of an earlier run, and its catalogue, before its results are touched.

    Without the catalogue, what an interrupted run leaves is not taken for results.
    """
    for path in (folder / RUN, folder / "detections.json"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OhanaError(f"{path}: cannot be removed: {error.strerror}") from error


def read_run(folder: str | Path) -> dict[str, Any]:
    """Read the record of a run; empty if there is none, as after an interrupted run.

    Raises
    ------
    OhanaError
        The file cannot be read, or is not a record of this package.
    """
    path = Path(folder) / RUN
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OhanaError(f"{path}: cannot read record: {error.strerror}") from None
    except ValueError:
        raise OhanaError(f"{path}: wanted the record of a run, got no JSON") from None
    got = record.get("format") if isinstance(record, dict) else type(record).__name__
    if got != FORMAT:
        raise OhanaError(f"{path}: wanted the record of a run ({FORMAT}), got {got}")
    return record


def input_of(folder: str | Path, record: dict[str, Any]) -> Path:
    """Find the input of a run, by its absolute path or its path relative to the results.

    Raises
    ------
    OhanaError
        It is in neither place, or has changed.
    """
    known = record["input"]
    for path in (Path(known["path"]), Path(folder).resolve() / known["relative"]):
        if path.exists():
            if input_fingerprint(path) != known["fingerprint"]:
                raise OhanaError(f"{path}: has changed since the run in {folder}")
            return path
    raise OhanaError(f"{known['path']}: the input of {folder} is no longer there")
