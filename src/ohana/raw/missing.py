"""Values that are no data: zeros, rails and other constants, and repeats of the read before.

Telemetry and copying lose whole reads, rows, outputs or chunks, never single pixels: a run of
neighbours along a row shares one value that is off their ramps, or has exactly the values of the
read before. Noise makes either practically impossible. No value takes the place of a lost one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ohana.raw.missing_kernels import blank, find_runs, judge_runs
from ohana.raw.tuning import TUNING

#: Kinds of missing data by their number in `find_missing`, and what they are for people.
KINDS = ("zeros", "constant", "repeat")
MEANING = {"zeros": "zeros", "constant": "a constant", "repeat": "the read before again"}
#: Notices on missing data, at most.
MAX_NOTICES = 8
#: Rows of a read that lost data in more pieces than this are reported as one.
MAX_PIECES = 3


@dataclass(frozen=True)
class Missing:
    """A part of some reads that holds no data.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    reads, rows, cols : tuple of int
        First and last.
    values : int
        Number of values left out.
    """

    kind: str
    reads: tuple[int, int]
    rows: tuple[int, int]
    cols: tuple[int, int]
    values: int


def find_missing(data: np.ndarray, limit: float = np.inf, repeats: bool = True) -> np.ndarray:
    """Find what is missing in whole rows of all reads.

    Parameters
    ----------
    data : ndarray of float32, shape (T, R, W)
        Raw reads [DN]; they become NaN where there is no data.
    limit : float
        Value from which on a read is saturated [DN].
    repeats : bool
        Look for repeats of the read before too.

    Returns
    -------
    ndarray of int32, shape (n, 5)
        Read, row, first column, the one behind the last, and index in `KINDS` of each run.

    Examples
    --------
    >>> ramps = np.random.default_rng(1).normal(1000, 5, (8, 2, 64)).astype(np.float32)
    >>> ramps[3, 1, 16:48] = 0
    >>> find_missing(ramps).tolist(), int(np.isnan(ramps).sum())
    ([[3, 1, 16, 48, 0]], 32)
    """
    runs = _runs(data, limit)
    if not repeats:
        runs = runs[runs[:, 4] == 0]
    lost = np.zeros(len(runs), np.bool_)
    judge_runs(data, runs, lost)
    runs = runs[lost]
    first = data[runs[:, 0], runs[:, 1], runs[:, 2]]
    runs[:, 4] = np.where(runs[:, 4] > 0, 2, np.where(first == 0, 0, 1))
    blank(data, runs)
    return runs


def _runs(data: np.ndarray, limit: float) -> np.ndarray:
    """Return all constant and repeated runs (n, 5), see `find_runs`."""
    least = min(TUNING.run, data.shape[2])
    runs = np.empty((0, 5), np.int32)
    # Nearly all data have none: then one pass is enough.
    count = find_runs(data, least, np.float32(limit), runs) if least > 1 else 0
    if count:
        runs = np.empty((count, 5), np.int32)
        find_runs(data, least, np.float32(limit), runs)
    return runs


def has_runs(data: np.ndarray, limit: float = np.inf) -> bool:
    """Return whether part of a row may be missing, so that the whole row must be looked at."""
    return len(_runs(data, limit)) > 0


def summed_up(runs: np.ndarray) -> tuple[Missing, ...]:
    """Join runs of missing data, from `find_missing` with rows of the array, to rectangles.

    Examples
    --------
    >>> summed_up(np.array([[3, 7, 0, 64, 0], [4, 7, 0, 64, 0], [3, 8, 0, 64, 0]]))[0]
    Missing(kind='zeros', reads=(3, 3), rows=(7, 8), cols=(0, 63), values=128)
    """
    found: list[Missing] = []
    for kind in np.unique(runs[:, 4]):
        of_kind = runs[runs[:, 4] == kind]
        for read in np.unique(of_kind[:, 0]):
            for piece in _pieces(of_kind[of_kind[:, 0] == read]):
                _, top, left, _, _ = piece.min(axis=0).tolist()
                _, bottom, _, right, _ = piece.max(axis=0).tolist()
                values = int((piece[:, 3] - piece[:, 2]).sum())
                at = (int(read), int(read))
                found.append(Missing(KINDS[kind], at, (top, bottom), (left, right - 1), values))
    return tuple(_joined(found))


def _pieces(runs: np.ndarray) -> list[np.ndarray]:
    """Divide the runs of a read at gaps between their rows; many pieces stay together."""
    runs = runs[np.argsort(runs[:, 1], kind="stable")]
    cuts = np.flatnonzero(np.diff(runs[:, 1]) > 1) + 1
    return np.split(runs, cuts) if len(cuts) < MAX_PIECES else [runs]


def _joined(found: Sequence[Missing]) -> list[Missing]:
    """Join the same part of consecutive reads."""
    joined: list[Missing] = []
    for item in sorted(found, key=lambda m: (m.kind, m.rows, m.cols, m.reads)):
        last = joined[-1] if joined else None
        same = last and (last.kind, last.rows, last.cols) == (item.kind, item.rows, item.cols)
        if last and same and item.reads[0] == last.reads[1] + 1:
            reads, values = (last.reads[0], item.reads[1]), last.values + item.values
            joined[-1] = Missing(last.kind, reads, last.rows, last.cols, values)
        else:
            joined.append(item)
    return sorted(joined, key=lambda m: (m.reads, m.rows))


def tell_missing(missing: Sequence[Missing], shape: tuple[int, int]) -> list[str]:
    """Describe missing data for the user, at most `MAX_NOTICES` lines.

    Examples
    --------
    >>> tell_missing([Missing("zeros", (15, 15), (10, 59), (0, 127), 6400)], (128, 128))
    ['read 15: rows 10 to 59 hold no data (zeros), left out']
    """
    lines = [_line(item, shape) for item in missing]
    if len(lines) > MAX_NOTICES:
        lines[MAX_NOTICES - 1 :] = [f"no data in {len(lines) - MAX_NOTICES + 1} more places"]
    return lines


def _line(item: Missing, shape: tuple[int, int]) -> str:
    """Describe one part without data."""
    height, width = shape
    several = "s" if item.reads[1] > item.reads[0] else ""
    where = []
    for name, (first, last), size in (("row", item.rows, height), ("column", item.cols, width)):
        if (first, last) != (0, size - 1):
            where.append(f"{name}s {first} to {last}" if last > first else f"{name} {first}")
    each = item.reads[1] - item.reads[0] + 1
    full = each * (item.rows[1] - item.rows[0] + 1) * (item.cols[1] - item.cols[0] + 1)
    part = "" if item.values == full else f"{item.values} values in "
    text = f"read{several} {item.reads[0]}" + (f" to {item.reads[1]}" if several else "")
    place = part + (" of ".join(reversed(where)) or "all pixels")
    return f"{text}: {place} hold no data ({MEANING[item.kind]}), left out"
