"""Numbers of labels that are not settings."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class LabelTuning:
    """Numbers that decide which pixels and reads are labelled."""

    min_snr: float = tuned(
        1.0, "", "S/N from which a change of a pixel's signal is labelled; training may ask more"
    )
    date_error: int = tuned(
        1, "reads", "Uncertainty of the date of a reviewed hit; reads this near do not count"
    )


TUNING = LabelTuning()
