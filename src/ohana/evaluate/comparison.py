"""ohana beside its peers: pixels found and false pixels, on the same ramps with known truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ohana.catalog import Detection, member_pixels
from ohana.evaluate.bins import Bin
from ohana.evaluate.limits import is_detectable
from ohana.evaluate.match import Members
from ohana.evaluate.peers import PEERS, Flagged, flag_ramp
from ohana.evaluate.pixels import ray_pixels
from ohana.labels import Label, label_of
from ohana.simulate.truth import Truth
from ohana.walk import Source

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bins of the matched-filter S/N of a cosmic ray's pixel.
SNR_BINS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 25.0, 50.0)
#: Range in which a peer's threshold is searched, and how finely [sigma].
THRESHOLDS, FINE = (2.0, 12.0), 0.02
#: Names for tables and plots.
TITLES = {"ohana": "ohana", "stcal": "two-point (JWST jump)", "likelihood": "likelihood"}


class Score(NamedTuple):
    """What one code finds.

    Attributes
    ----------
    name : str
        ``ohana``, or a key of `PEERS`.
    threshold : float
        At which it was run [sigma].
    false, empty : int
        Pixels without any event that are flagged, and all of these.
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


def flags_of(detections: Sequence[Detection], integration: int = 0) -> Flagged:
    """Return what a catalogue says of charge: pixels and reads of cosmic rays and snowballs."""
    charge = {Label.COSMIC_RAY, Label.SNOWBALL}
    found = [
        (*member_pixels(entry), entry["first_frame"])
        for entry in detections
        if label_of(entry["type"]) in charge and entry["integration"] == integration
    ]
    parts = [np.stack([rows, cols, np.full(len(rows), read)]) for rows, cols, read in found]
    return Flagged(*np.concatenate([np.empty((3, 0), np.int64), *parts], axis=1).astype(np.int64))


def empty_pixels(truth: Truth) -> np.ndarray:
    """Tell which light-sensitive pixels no event has part in, bool (H, W)."""
    empty = np.zeros(truth.shape[1:], bool)
    inside = np.s_[truth.config.border : -truth.config.border or None]
    empty[inside, inside] = True
    for event in truth.events:
        empty[event.rows, event.cols] = False
    return empty


def count_pixels(flagged: Flagged, among: np.ndarray) -> int:
    """Count the flagged pixels among some, given as bool (H, W)."""
    hit = np.zeros_like(among)
    hit[flagged.row, flagged.col] = True
    return int((hit & among).sum())


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


def score(name: str, threshold: float, truth: Truth, flagged: Flagged, false: int) -> Score:
    """Compare flagged steps with the truth; ``false`` is what `count_pixels` gives."""
    width = truth.shape[2]
    return Score(
        name,
        threshold,
        false,
        int(empty_pixels(truth).sum()),
        ray_pixels(truth, _members(flagged, width), SNR_BINS),
        _telegraph(truth, flagged),
    )


def _members(flagged: Flagged, width: int) -> Members:
    pixel = np.int64(width) * flagged.row + flagged.col
    order = np.argsort(pixel, kind="stable")
    return Members(len(pixel), order, pixel[order], order, flagged.read[order])


def _telegraph(truth: Truth, flagged: Flagged) -> Bin:
    events = [event for event in truth.of(Label.TELEGRAPH_NOISE) if is_detectable(event)]
    hit = np.zeros(truth.shape[1:], bool)
    hit[flagged.row, flagged.col] = True
    taken = sum(bool(hit[event.rows[0], event.cols[0]]) for event in events)
    return Bin(0.0, np.inf, len(events), taken)


def compare(
    truth: Truth,
    source: Source,
    noise: np.ndarray,
    detections: Sequence[Detection],
    peers: Sequence[str],
    threshold: float,
) -> list[Score]:
    """Score ohana's catalogue and some peers at equal false alarms.

    Each peer's threshold is set to the lowest that gives no more false pixels than ohana has, in
    the pixels of this exposure without any event.

    Parameters
    ----------
    truth : Truth
        What is in the exposure.
    source : Source
        The exposure, with its reference correction.
    noise : ndarray, shape (H, W)
        Noise of one read [DN], given to the peers.
    detections : sequence of dict
        ohana's catalogue.
    peers : sequence of str
        Keys of `PEERS`.
    threshold : float
        At which ohana was run [sigma].
    """
    empty = empty_pixels(truth)
    ours = flags_of(detections)
    target = count_pixels(ours, empty)
    scores = [score("ohana", threshold, truth, ours, target)]
    for name in peers:
        peer = PEERS[name]

        def false(at: float, peer=peer) -> int:
            return count_pixels(flag_ramp(source, noise, peer, at, empty), empty)

        at = equal_threshold(false, target)
        flagged = flag_ramp(source, noise, peer, at)
        scores.append(score(name, at, truth, flagged, count_pixels(flagged, empty)))
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
