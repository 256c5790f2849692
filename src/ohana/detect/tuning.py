"""Numbers of linking, cosmic rays and their confidence that are no settings."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class DetectTuning:
    """Numbers of linking, cosmic rays and their confidence, in the order in which they act."""

    # Linking
    dated_at: float = tuned(
        2.5, "read noises", "Step dated to the read; fainter ones less well, as its inverse square"
    )
    max_read_tolerance: int = tuned(8, "reads", "Largest error of the date of a faint step")

    # Cosmic rays
    max_fall: float = tuned(
        0.5, "", "A fall by this fraction of a rise of the same pixel shows that it was not charge"
    )
    max_undoing_fall: float = tuned(
        4.0, "", "A fall of more than this many times a rise does not undo it"
    )
    pair_reads: int = tuned(
        3, "reads", "A fall and a rise of its size, no further apart, are reads off the ramp"
    )
    pair_difference: float = tuned(0.1, "", "Relative difference up to which their sizes are equal")
    same_size: float = tuned(3.0, "sigma", "The same in units of the errors of both")
    like_pair: float = tuned(
        0.3, "", "Further rises that differ from such a pair by less, relatively, are no charge"
    )
    halo_margin: int = tuned(
        4, "pixels", "Width around a snowball in which faint steps belong to its halo, at least"
    )
    halo_margin_fraction: float = tuned(
        0.3, "", "The same as a fraction of the width of the halo, if that is more"
    )
    halo_reads: int = tuned(
        16, "reads", "Reads after a snowball in which faint steps around it belong to it"
    )
    halo_significance: float = tuned(
        2.0, "thresholds", "Significance up to which a step around a snowball is faint"
    )
    neighbour_reads: int = tuned(
        1, "reads", "Distance in time at which a fainter neighbour joins a cosmic ray"
    )
    max_date_significance: float = tuned(
        1e3, "sigma", "Significance beyond which a pixel has no more weight in the date of an event"
    )

    # Confidence of cosmic rays
    noise_band: tuple[float, float] = tuned(
        (3.5, 4.0),
        "sigma",
        "Best steps of pixels in this band are nearly all noise: they measure its frequency",
    )
    real_band: tuple[float, float] = tuned(
        (0.5, 4.0),
        "sigma",
        "Events this far above the threshold are nearly all real: they measure their density",
    )
    hidden_events: float = tuned(
        0.5, "events", "Added to the real events counted, for those that an empty band may hide"
    )
    max_confidence: float = tuned(
        0.98, "", "Largest confidence: not all that is false falls as well as it rises"
    )

    # Strata of an exposure
    noisy_pixel: float = tuned(
        1.5, "", "Noise over that of the pixels around from which a pixel is a noisy one"
    )
    bright_pixel: float = tuned(
        10.0, "", "Rate over the usual one from which a pixel is bright: hot, or in a star"
    )
    least_share: float = tuned(
        0.01, "", "Smallest part of pixels and reads that is taken for the ordinary one"
    )
    usual_decoys: float = tuned(
        0.3,
        "events",
        "Decoys per read, row or column assumed at least",
    )
    crowded_decoys: int = tuned(
        5, "events", "Fewest events from which a read, row or column may be a stratum of its own"
    )
    crowded_chance: float = tuned(
        1e-4, "", "Probability of so many decoys by chance from which on it is one"
    )
    crowded_pixels: float = tuned(
        0.01, "", "Part of all pixels that must rise in a read that particles do not explain ..."
    )
    crowded_array: float = tuned(
        0.1, "", "Part of all pixels in events of one read that nothing explains, however few"
    )
    crowded_events: tuple[float, float] = tuned(
        (10.0, 20.0), "", "... with more events than so many times those of a usual read, and more"
    )

    # Decoys
    no_rise: float = tuned(
        4.5, "sigma", "Best rise up to which the falls of a pixel alone have suggested levels"
    )
    decoy_widths: tuple[float, ...] = tuned(
        (1.25, 1.6, 2.5),
        "",
        "Factors in significance within which decoys are counted: the least with enough of them",
    )
    decoy_reach: float = tuned(
        2.5, "", "Without enough: factor in significance above which all fainter decoys count"
    )
    decoys_wanted: int = tuned(10, "events", "Decoys and candidates that are enough")
    false_shape: float = tuned(
        0.02, "", "Shape of the prior of false events that no decoy has shown: its mean without any"
    )
    decoy_doubt: float = tuned(
        1.0, "sigma", "Candidates beyond the decoys that are put down to chance"
    )
    suspect_shape: float = tuned(
        0.5, "", "Shape of the prior in pixels flagged by the mission, at most: half of its mean"
    )
    suspect_steps: tuple[float, float] = tuned(
        (1.5e-3, 1e-4),
        "per pixel",
        "Mean of that prior, of one pixel and of more: falls in flagged pixels of WFC3 exposures",
    )
    most_terms: int = tuned(200, "events", "Decoys up to which the excess is exact")


TUNING = DetectTuning()
