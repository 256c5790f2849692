"""Verdicts of a reviewer on detections: the file exported by the report."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ohana.classes import CLASSES, ClassKey, Label, label_of
from ohana.errors import OhanaError
from ohana.results.catalogue import Detection, read_catalogue
from ohana.results.prediction_files import DETECTIONS, find_parts, require_prediction
from ohana.results.run_record import read_run

#: First field of the file.
FORMAT = "ohana-verdicts-1"
#: Verdicts other than a class: class confirmed, and no event.
RIGHT, WRONG = "right", "wrong"


class Verdict(NamedTuple):
    """Class of one detection in the catalogue and according to the reviewer.

    Attributes
    ----------
    event : int
        Index in the catalogue, from 0.
    found : Label
        Class in the catalogue.
    judged : Label
        Class according to the reviewer; `Label.BACKGROUND` for no event.
    """

    event: int
    found: Label
    judged: Label


if TYPE_CHECKING:
    VerdictKey = str
else:
    VerdictKey = Literal[(RIGHT, WRONG, *CLASSES)]


@with_config(ConfigDict(extra="ignore"))
class _Entry(TypedDict):
    event: Annotated[int, Field(ge=0)]
    type: ClassKey
    verdict: VerdictKey


@with_config(ConfigDict(extra="ignore"))
class _File(TypedDict):
    format: str
    exposure: str
    detections: str
    verdicts: list[_Entry]


_FILE = TypeAdapter(_File)


def read_verdicts(path: str | Path, folder: str | Path) -> tuple[list[Verdict], list[Detection]]:
    """Read verdicts on the detections of a folder.

    Parameters
    ----------
    path : str or Path
        File exported by the report.
    folder : str or Path
        Output folder of `ohana-predict`.

    Returns
    -------
    verdicts : list of Verdict
        In the order of the catalogue.
    detections : list of dict
        The whole catalogue.

    Raises
    ------
    OhanaError
        A file cannot be read, or the verdicts are on other detections.
    """
    folder = Path(folder)
    require_prediction(folder)
    file = _parse(Path(path))
    name, _ = find_parts(folder, read_run(folder))
    if file["exposure"] != name:
        raise OhanaError(
            f"{path}: wanted verdicts on {name}, the exposure of {folder}, "
            f"got those on {file['exposure']}"
        )
    catalogue = folder / DETECTIONS
    mark = hashlib.sha256(catalogue.read_bytes()).hexdigest()
    if file["detections"] != mark:
        raise OhanaError(
            f"{path}: wanted verdicts on the detections in {catalogue} (SHA-256 {mark[:12]}...), "
            f"got those on others ({file['detections'][:12]}...), as of an earlier run"
        )
    detections = read_catalogue(catalogue)
    verdicts = [_verdict(path, entry, detections) for entry in file["verdicts"]]
    known: set[int] = set()
    for verdict in verdicts:
        if verdict.event in known:
            raise OhanaError(f"{path}: event {verdict.event}: wanted one verdict, got two")
        known.add(verdict.event)
    return sorted(verdicts), detections


def _parse(path: Path) -> _File:
    try:
        file = _FILE.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise OhanaError(f"{path}: cannot read verdicts: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise OhanaError(f"{path}: {where}: {first['msg']}") from None
    if file["format"] != FORMAT:
        raise OhanaError(f"{path}: format: wanted {FORMAT}, got {file['format']}")
    return file


def _verdict(path: str | Path, entry: _Entry, detections: list[Detection]) -> Verdict:
    number = entry["event"]
    if number >= len(detections):
        raise OhanaError(
            f"{path}: event {number}: wanted one of {len(detections)} detections, from 0"
        )
    kind = detections[number]["type"]
    if entry["type"] != kind:
        raise OhanaError(
            f"{path}: event {number}: wanted type {kind}, as found, got {entry['type']}"
        )
    found, verdict = label_of(kind), entry["verdict"]
    special = {RIGHT: found, WRONG: Label.BACKGROUND}
    return Verdict(number, found, special[verdict] if verdict in special else label_of(verdict))
