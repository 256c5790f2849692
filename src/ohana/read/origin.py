"""Which detector took an exposure, and when, as far as its header tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ohana.ramp import Origin

#: Header keys of the begin of an exposure as a modified Julian date, and as a date.
MJD_KEYS = ("EXPSTART", "MJD-BEG", "MJD-OBS", "MJD_OBS")
DATE_KEYS = ("DATE-BEG", "DATE-OBS", "DATE_OBS")
#: Keys of the time of day, where the date has none.
TIME_KEYS = ("TIME-OBS", "UTSTART", "UT")
MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)


def origin_of(headers: Iterable[Mapping[str, Any]]) -> Origin:
    """Settle where an exposure comes from; what no header tells is empty.

    Parameters
    ----------
    headers : iterable of mapping
        Headers of the file, the one that counts most first.

    Examples
    --------
    >>> origin_of([{"DETECTOR": "nrca1 ", "DATE-OBS": "2024-02-29", "TIME-OBS": "12:30:00.5"}])
    Origin(telescope='', instrument='', detector='NRCA1', start='2024-02-29T12:30:00.500', \
corner=(0, 0))
    >>> origin_of([{"EXPSTART": 60369.25, "SUBSTRT1": 5, "SUBSTRT2": 9}]).start
    '2024-02-29T06:00:00.000'
    """
    from ohana.read.facts import number, text

    headers = list(headers)

    def first(key: str) -> str:
        return next((found for header in headers if (found := text(header, key))), "")

    def corner(key: str) -> int:
        values = (number(header, key) for header in headers)
        return max(int(next((value for value in values if value is not None), 1)) - 1, 0)

    days = (number(header, key) for key in MJD_KEYS for header in headers)
    date = next((value for value in days if value is not None and value > 0), None)
    texts = (first(key) for key in DATE_KEYS)
    time = next((found for key in TIME_KEYS if ":" in (found := first(key))), "")
    begin = _of_days(date) if date is not None else _of_text(next(filter(None, texts), ""), time)
    return Origin(
        telescope=first("TELESCOP"),
        instrument=first("INSTRUME"),
        detector=first("DETECTOR"),
        start=begin.isoformat(timespec="milliseconds") if begin else "",
        corner=(corner("SUBSTRT2"), corner("SUBSTRT1")),
    )


def _of_days(days: float) -> datetime | None:
    """Return the time of a modified Julian date."""
    try:
        # Doubles hold a present date to a microsecond only.
        seconds = round(86400 * days, 3)
        return (MJD_ZERO + timedelta(seconds=seconds)).replace(tzinfo=None)
    except OverflowError:
        return None


def _of_text(date: str, time: str) -> datetime | None:
    """Return the time of a date as FITS writes it, which is UTC where it says nothing else."""
    try:
        begin = datetime.fromisoformat(date if "T" in date or not time else f"{date}T{time}")
    except ValueError:
        return None
    return begin.astimezone(UTC).replace(tzinfo=None) if begin.tzinfo else begin
