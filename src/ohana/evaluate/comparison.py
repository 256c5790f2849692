"""ohana against other codes: pixels found and false, on the same ramps with known truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ohana.classes import Label, label_of, labels_with
from ohana.correction.load import CorrectedRamp
from ohana.detect.matching import Members
from ohana.evaluate.bins import Bin
from ohana.evaluate.other_codes import OTHER_CODES, FlaggedPixels, flag_ramp
from ohana.evaluate.truth.limits import is_detectable
from ohana.evaluate.truth.pixels import ray_pixels
from ohana.results.catalogue import Detection, member_pixels
from ohana.simulate.truth import Truth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bins of the matched-filter S/N of a cosmic ray's pixel.
SNR_BINS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 25.0, 50.0)
#: Range and step of the search for the threshold of another code [sigma]. Chosen.
THRESHOLDS, FINE = (2.0, 12.0), 0.02
#: Minimum number of false pixels allowed to other codes, per million; below it a single odd pixel
#: would decide. Chosen.
MIN_FALSE_PER_MPIX = 20.0
#: Names for tables and plots.
TITLES = {"ohana": "ohana", "stcal": "two-point (JWST jump)", "likelihood": "likelihood"}


class Score(NamedTuple):
    """Scores of one code.

    Attributes
    ----------
    name : str
        ``ohana``, or a key of `OTHER_CODES`.
    threshold : float
        At which it was run [sigma].
    false, empty : int
        Flagged pixels without any event, and number of pixels searched.
    pixels : list of Bin
        Cosmic-ray pixels by S/N, found at their read.
    telegraph : Bin
        Detectable telegraph pixels; ``found`` counts those with any step flagged as a jump.
    """

    name: str
    threshold: float
    false: int
    empty: int
    pixels: list[Bin]
    telegraph: Bin

    @property
    def false_rate(self) -> float:
        """False pixels per million."""
        return 1e6 * self.false / max(self.empty, 1)


def flags_of(detections: Sequence[Detection], integration: int = 0) -> FlaggedPixels:
    """Return pixels and reads of the cosmic rays and snowballs of a catalogue."""
    charge = labels_with("adds_charge")
    found = [
        (*member_pixels(entry), entry["first_frame"])
        for entry in detections
        if label_of(entry["type"]) in charge and entry["integration"] == integration
    ]
    parts = [np.stack([rows, cols, np.full(len(rows), read)]) for rows, cols, read in found]
    return FlaggedPixels(
        *np.concatenate([np.empty((3, 0), np.int64), *parts], axis=1).astype(np.int64)
    )


def empty_pixels(truth: Truth, stop: np.ndarray) -> np.ndarray:
    """Return the pixels in which any flag is false, bool (H, W).

    They see light, no event has part in them, and they never fill up. Likelihood fits flag many
    of those that do at any threshold: they take the covariance from the median of all
    differences, saturated ones included.

    Parameters
    ----------
    truth : Truth
        Events of the exposure.
    stop : ndarray of int, shape (H, W)
        First read that cannot be used, T where there is none.
    """
    empty = np.zeros(truth.shape[1:], bool)
    inside = np.s_[truth.config.border : -truth.config.border or None]
    empty[inside, inside] = True
    for event in truth.events:
        empty[event.rows, event.cols] = False
    return empty & (stop >= truth.shape[0])


def count_pixels(flagged: FlaggedPixels, among: np.ndarray) -> int:
    """Count the flagged pixels among some, given as bool (H, W)."""
    hit = np.zeros_like(among)
    hit[flagged.row, flagged.col] = True
    return int((hit & among).sum())


def allowed_false(ours: int, empty: int) -> int:
    """Return the false pixels allowed to another code, at least `MIN_FALSE_PER_MPIX`."""
    return max(ours, round(1e-6 * MIN_FALSE_PER_MPIX * empty))


def equal_threshold(count: Callable[[float], int], target: int) -> float:
    """Return the lowest threshold at which a count is no larger than a target [sigma].

    Examples
    --------
    >>> round(equal_threshold(lambda threshold: int(100 / threshold), 20), 1)
    4.8
    """
    low, high = THRESHOLDS
    while high - low > FINE:
        middle = (low + high) / 2
        low, high = (low, middle) if count(middle) <= target else (middle, high)
    return high


def score(
    name: str, threshold: float, truth: Truth, flagged: FlaggedPixels, empty: np.ndarray
) -> Score:
    """Compare flagged steps with the truth; ``empty`` is what `empty_pixels` gives."""
    width = truth.shape[2]
    return Score(
        name,
        threshold,
        count_pixels(flagged, empty),
        int(empty.sum()),
        ray_pixels(truth, _members(flagged, width), SNR_BINS),
        _telegraph(truth, flagged),
    )


def _members(flagged: FlaggedPixels, width: int) -> Members:
    pixel = np.int64(width) * flagged.row + flagged.col
    order = np.argsort(pixel, kind="stable")
    return Members(len(pixel), order, pixel[order], order, flagged.read[order])


def _telegraph(truth: Truth, flagged: FlaggedPixels) -> Bin:
    events = [event for event in truth.of(Label.TELEGRAPH_NOISE) if is_detectable(event)]
    hit = np.zeros(truth.shape[1:], bool)
    hit[flagged.row, flagged.col] = True
    taken = sum(bool(hit[event.rows[0], event.cols[0]]) for event in events)
    return Bin(0.0, np.inf, len(events), taken)


def compare(
    truth: Truth,
    source: CorrectedRamp,
    maps: Mapping[str, np.ndarray],
    detections: Sequence[Detection],
    codes: Sequence[str],
    threshold: float,
) -> list[Score]:
    """Score ohana's catalogue and some other codes at equal false alarms.

    The threshold of each code is set to the lowest that gives no more false pixels than ohana has
    (`allowed_false`), in the pixels of this exposure without any event.

    Parameters
    ----------
    truth : Truth
        What is in the exposure.
    source : CorrectedRamp
        The exposure, with its reference correction.
    maps : mapping of ndarray
        ``noise`` of one read [DN], used by all codes, and ``stop``, the first read that cannot
        be used, (H, W) each.
    detections : sequence of dict
        ohana's catalogue.
    codes : sequence of str
        Keys of `OTHER_CODES`.
    threshold : float
        At which ohana was run [sigma].
    """
    empty = empty_pixels(truth, maps["stop"])
    scores = [score("ohana", threshold, truth, flags_of(detections), empty)]
    target = allowed_false(scores[0].false, scores[0].empty)
    for name in codes:
        flag = partial(flag_ramp, source, maps["noise"], OTHER_CODES[name])

        def false(at: float, flag: Callable[..., FlaggedPixels] = flag) -> int:
            return count_pixels(flag(at, empty), empty)

        at = equal_threshold(false, target)
        scores.append(score(name, at, truth, flag(at), empty))
    return scores


def comparison_table(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """Return the rows of a table, headings first."""
    bins = [f"S/N {one.low:g}-{one.high:g}" for one in scores[0].pixels]
    heading = ("code", "threshold", "false/million", *bins, "telegraph as jump")
    rows = []
    for one in scores:
        parts = [_percent(part) for part in (*one.pixels, one.telegraph)]
        rows.append((TITLES[one.name], f"{one.threshold:.2f}", f"{one.false_rate:.0f}", *parts))
    return [heading, *rows]


def _percent(part: Bin) -> str:
    return f"{part.fraction:.1%}" if part.count else "-"


def plot_comparison(scores: Sequence[Score], ax: Axes) -> None:
    """Draw the completeness of cosmic-ray pixels against S/N, one line for each code."""
    for one, marker in zip(scores, "os^", strict=False):
        full = [part for part in one.pixels if part.count]
        middle = [np.sqrt(part.low * part.high) for part in full]
        values = np.array([part.fraction for part in full])
        error = np.sqrt(values * (1 - values) / [part.count for part in full])
        label = f"{TITLES[one.name]}, {one.threshold:.2f} $\\sigma$"
        ax.errorbar(middle, values, error, marker=marker, capsize=2, markersize=4, label=label)
    ax.set(xscale="log", ylim=(-0.03, 1.03), xlabel="S/N of the pixel", ylabel="found")
    ax.minorticks_off()
    ax.set_xticks([2, 3, 5, 10, 20, 50], ["2", "3", "5", "10", "20", "50"])
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small")
