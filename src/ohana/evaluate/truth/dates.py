"""Accuracy of first reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohana.classes import Label
from ohana.detect.matching import nearest
from ohana.evaluate.bins import Bin
from ohana.evaluate.truth.limits import READ_TOLERANCE, chance_to_date
from ohana.evaluate.truth.pairs import Pairing
from ohana.simulate.truth import Truth

#: S/N above which the first read of events is scored. Chosen.
DATED_SNR = 8.0


@dataclass(frozen=True)
class Dating:
    """First reads of bright events that were found at their place, at whatever read.

    Attributes
    ----------
    offsets : list of int
        By how many reads each is found late; negative if early.
    within_one : Bin
        Those right to `READ_TOLERANCE` read; ``expected`` is what read noise would allow.
    """

    offsets: list[int]
    within_one: Bin

    @property
    def exact(self) -> Bin:
        """Number of exact first reads."""
        return Bin(DATED_SNR, np.inf, len(self.offsets), self.offsets.count(0))


def date_events(truth: Truth, compared: Pairing, label: Label) -> Dating:
    """Compare first reads, in pixels that no other event has part in."""
    true, found = compared.true, compared.found
    asked = (true.label == label) & (true.axes["snr"] >= DATED_SNR)
    members = true.members.select(true.members.alone() & asked[true.members.event])
    ours = found.members.select(found.label[found.members.event] == label)
    offset = nearest(members.lag(ours), members.event, len(true))
    placed = np.flatnonzero(np.isfinite(offset))
    allowed = sum(chance_to_date(truth, truth.events[k]) for k in placed)
    right = int((np.abs(offset[placed]) <= READ_TOLERANCE).sum())
    within = Bin(DATED_SNR, np.inf, len(placed), right, float(allowed))
    return Dating(offset[placed].astype(int).tolist(), within)
