"""Values that JSON knows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def plain(value: Any, digits: int = 6) -> Any:
    """Return numbers, strings, lists and dicts that JSON knows; None for what is not finite.

    Examples
    --------
    >>> plain({"step": np.float32(1 / 3), "pixels": np.arange(2), "error": np.inf}, digits=3)
    {'step': 0.333, 'pixels': [0, 1], 'error': None}
    """
    if isinstance(value, dict):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value
