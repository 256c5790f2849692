"""Numbers that tell missing data and resets from data, which are no settings.

Compiled loops take theirs when they are compiled: remove ``__pycache__`` after a change here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class RawTuning:
    """Numbers of missing data and resets, in the order in which they act."""

    # Missing data
    run: int = tuned(16, "pixels", "Fewest neighbours along a row that lose their data together")
    run_sample: int = tuned(15, "pixels", "Pixels of a run, and differences of each, looked at")
    majority: float = tuned(0.75, "", "Fraction of the pixels of a run that must leave their ramps")
    off_and_back: float = tuned(
        5.0, "sigma", "Distance of a constant from reads before and after, of falls to the end too"
    )
    off_at_an_end: float = tuned(
        20.0,
        "sigma",
        "The same with reads on one side only",
        "what settles after a reset moves less",
    )
    ramp_margin: float = tuned(
        5.0, "", "Reads at the usual rate that a constant at an end must be away as well"
    )
    wide_run: int = tuned(
        256,
        "pixels",
        "A rise to the end in a run shorter than this, or than half a row, may be saturation",
    )
    come_back: float = tuned(
        0.5, "", "Fraction of a rise after which all of it that falls again was no charge"
    )
    max_lone_rail: int = tuned(
        2, "reads", "A single pixel at the rail for up to so many reads, and back, has no value"
    )
    least_rail_jump: float = tuned(
        0.01, "", "Such a pixel has jumped by more than this fraction of the saturation level"
    )
    repeat_chance: float = tuned(
        1e-17, "", "Probability by which a run of pixels may repeat its values, below: a repeat"
    )

    # Resets within a ramp
    reset_rows: int = tuned(8, "rows", "Sampled for resets")
    reset_sample: int = tuned(2048, "pixels", "Taken of these rows")
    reset_signal: float = tuned(3.0, "sigma", "Signal of the pixels that show a reset")
    reset_pixels: int = tuned(100, "pixels", "Fewest of them")
    reset_range: tuple[float, float] = tuned(
        (0.7, 1.3), "", "Median fall in a reset over the signal up to then"
    )
    reset_return: float = tuned(0.3, "", "Fraction of the signal that must not return at once")
    max_shared_jump: float = tuned(
        0.7, "", "A signal of which more than this came in one read is an offset that jumped"
    )


TUNING = RawTuning()
