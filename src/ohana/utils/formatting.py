"""Values for JSON, and tables for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def json_safe(value: Any, digits: int = 6) -> Any:
    """Return values that JSON can represent; None for numbers that are not finite.

    Examples
    --------
    >>> json_safe({"step": np.float32(1 / 3), "pixels": np.arange(2), "error": np.inf}, digits=3)
    {'step': 0.333, 'pixels': [0, 1], 'error': None}
    """
    if isinstance(value, dict):
        return {str(key): json_safe(item, digits) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [json_safe(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Align a table with its headings in the first row; numbers to the right.

    Examples
    --------
    >>> print(columns([("class", "found"), ("snowball", "6"), ("cosmic ray", "247")]))
    class       found
    snowball        6
    cosmic ray    247
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def json_lines(record: dict[str, Any]) -> str:
    """Return JSON with one field on each line, also of the fields of a field."""
    encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode
    lines = []
    for name, value in record.items():
        text = encode(value)
        if isinstance(value, dict) and value:
            inner = ",\n  ".join(f"{encode(key)}: {encode(item)}" for key, item in value.items())
            text = f"{{\n  {inner}\n }}"
        lines.append(f" {encode(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def ranges(numbers: Sequence[int] | np.ndarray) -> str:
    """Return ascending whole numbers as ranges.

    Examples
    --------
    >>> ranges([3, 4, 5, 9])
    '3-5, 9'
    """
    values = np.asarray(numbers)
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    parts = [f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs if len(run)]
    return ", ".join(parts)
