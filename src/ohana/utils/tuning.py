"""Numbers that decide results and are no settings: each with unit, meaning and origin.

A stage keeps them in one frozen dataclass, in its module ``tuning.py``; docs/tuning.md lists all.
"""

from __future__ import annotations

from dataclasses import field, fields
from typing import Any, NamedTuple

#: Standard deviation of a normal variable over its median absolute deviation.
SIGMA_OF_MAD = 1.4826


class TunedNumber(NamedTuple):
    """A number of a stage, as docs/tuning.md shows it."""

    name: str
    value: Any
    unit: str
    meaning: str
    origin: str


def tuned(value: Any, unit: str, meaning: str, origin: str = "chosen") -> Any:
    """Return a field of a dataclass with its unit ("" for none), meaning and origin.

    Parameters
    ----------
    value : int, float or tuple
        The number.
    unit, meaning : str
        For people.
    origin : str
        A paper, a script that measures it, or ``chosen``.
    """
    known = {"unit": unit, "meaning": meaning, "origin": origin}
    return field(default=value, metadata=known)


def tuned_numbers(stage: Any) -> list[TunedNumber]:
    """List the numbers of a stage.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Example:
    ...     max_rise: float = tuned(3.0, "", "Rise over the one before", "chosen")
    >>> [(n.name, n.value, n.meaning) for n in tuned_numbers(Example())]
    [('max_rise', 3.0, 'Rise over the one before')]
    """
    return [
        TunedNumber(each.name, getattr(stage, each.name), **each.metadata) for each in fields(stage)
    ]
