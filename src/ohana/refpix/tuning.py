"""Numbers of the measured read-out structure that are no settings."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class ReadoutTuning:
    """Numbers of the measured read-out structure, in the order in which they act."""

    # Direction of counts, and order of reads
    bright: float = tuned(
        30.0, "noises of a difference", "Change of a pixel over the ramp that is light"
    )
    lamp: float = tuned(
        200.0, "noises of a difference", "The same of all pixels: more than any settling"
    )
    max_in_line: float = tuned(
        0.25, "", "Part of the pixels of a row or column beyond which it is odd as a whole"
    )
    min_bright: int = tuned(20, "pixels", "Fewest bright pixels that show a direction")
    same_sign: float = tuned(0.95, "", "Fewest of them that change in the same direction")
    thirds: tuple[float, float] = tuned(
        (0.15, 0.55),
        "",
        "Part of the change in each third of the ramp if light is steady; settling is not",
    )
    min_steady: float = tuned(
        0.25, "", "Part of the bright pixels that must change so; hits of particles do not"
    )
    contrast: float = tuned(
        5.0, "noises of a difference", "Change beside that of its neighbours that tells the order"
    )
    min_contrast: int = tuned(50, "pixels", "Fewest such pixels")
    in_last: float = tuned(
        0.75, "", "Part of the contrast that the last read (or the first) must have to be later"
    )

    # Number of outputs
    sampled_reads: int = tuned(24, "reads", "Sampled over the ramp")
    sampled_lines: int = tuned(64, "lines", "Sampled over the array, at least")
    min_segment: int = tuned(2, "columns", "Fewest of a quarter of an output")
    min_changes: int = tuned(7, "changes", "Fewest that tell outputs apart")
    jump_significance: float = tuned(
        6.0, "sigma", "Correlation of the jumps at a boundary in two halves of the lines"
    )
    jump_contrast: float = tuned(
        4.0, "", "Variance of the jumps at boundaries over those elsewhere, at least"
    )
    jump_power: float = tuned(
        2.5, "sigma", "The same in units of its error where nothing jumps, at least"
    )
    min_boundaries: float = tuned(0.75, "", "Part of the boundaries that must have such jumps")

    # Width of the border
    widest: int = tuned(8, "pixels", "Widest border that is looked for")
    narrowest: int = tuned(2, "pixels", "Narrowest: one dark line may be a defect")
    compared_lines: int = tuned(24, "lines", "Within the array, compared with those at its edge")
    light_significance: float = tuned(
        10.0, "sigma", "Step of the light at the border over the scatter of lines and pixels"
    )
    dark_level: float = tuned(
        0.35, "of the light", "Largest change of a line of the border: its output drifts"
    )
    dark_spread: float = tuned(0.12, "of the light", "Largest difference of these lines")
    lit_level: float = tuned(0.7, "of the light", "Least light of the lines beside the border")
    full_level: float = tuned(1.4, "of the light", "Most light of the lines beside the border")


TUNING = ReadoutTuning()
