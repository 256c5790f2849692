"""Numbers of the statistics of a ramp that are no settings.

Compiled loops take theirs when they are compiled: remove ``__pycache__`` after a change here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class RampfitTuning:
    """Numbers of the statistics of a ramp, in the order in which they act."""

    # Where a ramp ends
    max_slow_rise: float = tuned(
        3.0, "", "A rise into saturation up to this many times the one before is no jump"
    )
    max_lone_saturated: int = tuned(
        2, "pixels", "Pixels of a 3 x 3 square saturated by read 1, up to which none is a core"
    )

    # Reads that are lost
    lost_variance: float = tuned(
        400.0, "read variances", "Of a read that is lost: it carries no weight"
    )

    # Robust sums over the differences
    clip: float = tuned(
        5.0, "sigma", "Differences further than this from the median are excluded as events"
    )
    median_sample: int = tuned(
        31, "differences", "Sampled for the median of a ramp that has twice as many or more"
    )
    min_differences: int = tuned(
        5, "differences", "Fewest from which a pixel's own spread separates noise from events"
    )
    few_spread: float = tuned(
        2.0, "", "With fewer, the spread of all pixels times this; the spread of a few is low"
    )
    max_deviant: float = tuned(
        4.0, "sigma", "A most deviant difference beyond this is excluded from the rate"
    )

    # Noise of a pixel and of its neighbourhood
    other_rate: float = tuned(
        3.0, "sigma", "A pixel whose rate is this far from that of its tile keeps its own"
    )
    outlier: float = tuned(
        4.0, "sigma", "A pixel whose scatter is this far above expectation keeps its own"
    )
    min_dof: float = tuned(
        2.0, "", "With fewer degrees of freedom all pixels have the noise of their tile"
    )
    min_prior_dof: float = tuned(
        0.5, "", "Fewest degrees of freedom that the noise of the neighbourhood counts for"
    )
    prior_quantiles: tuple[float, float] = tuned(
        (0.16, 0.84),
        "",
        "Quantiles of the measured variances that determine how much pixels differ",
        "one sigma of a normal distribution",
    )
    min_prior_excess: float = tuned(
        2.0, "sigma", "Excess spread of the variances below which pixels do not differ"
    )
    full_ramp_fraction: float = tuned(
        0.5, "", "Ramps with less than this fraction of the typical length do not enter the prior"
    )
    min_read_noise_fraction: float = tuned(
        1e-3, "", "Least read variance over the typical scatter where Poisson noise explains all"
    )

    # A step at every read
    min_information: float = tuned(
        1e-9,
        "",
        "Least fraction of the information about a step left with all else free",
        "far above the rounding errors in double precision",
    )
    min_information_single: float = tuned(
        1e-5, "", "The same in single precision", "far above the rounding errors"
    )
    min_pair_determinant: float = tuned(
        1e-5, "", "Least determinant of two neighbouring steps over that of unrelated ones"
    )
    min_curve_determinant: float = tuned(
        1e-4, "", "Least determinant of a rate and a curve over that of unrelated columns"
    )
    split_jump_cost: float = tuned(
        2.0,
        "chi-squared",
        "What a step in two differences must explain beyond one in a single difference",
        "with its further parameter it is then no more frequent by chance",
    )

    # All steps of a ramp
    scan_margin: float = tuned(
        0.05, "sigma", "Error of a significance from the scan in single precision, generous"
    )
    tie: float = tuned(1e-4, "", "Relative difference of significances that count as equal")
    min_saturating_dof: float = tuned(
        4.0,
        "",
        "Least degrees of freedom of the noise of a pixel that saturates in one read",
        "5 sigma then take 67 times the noise; the core of a snowball leaves few reads to measure",
    )
    max_later_rise: float = tuned(
        0.5, "", "A pixel that jumps to saturation rises by less than this part of the jump later"
    )
    max_excluded_fraction: float = tuned(
        0.5, "", "A curve with steps in more of its differences is the growing core of a snowball"
    )

    # Ramps that curve, and pixels that fill
    nonlinear_signal: float = tuned(
        2000.0, "DN", "Accumulated signal from which non-linearity and persistence are considered"
    )
    nonlinear_differences: int = tuned(
        6, "differences", "Fewest that separate curvature from a step"
    )
    decay_step: float = tuned(
        2**0.5, "", "Ratio of the decay times that are tried, from one read on"
    )
    decay_lengths: float = tuned(
        3.0, "", "Longest decay time tried, as a part of the ramp; longer ones are parabolas"
    )
    kinks: int = tuned(6, "", "Reads at which a rise of the rate is tried first, at most about")
    near_kink: float = tuned(
        0.5, "", "Part of what it must explain from which the read of a rise is looked for"
    )
    kink_margin: int = tuned(
        3, "differences", "Fewest on either side of a change of the rate; it is a step with fewer"
    )
    kink_differences: int = tuned(
        6, "differences", "Fewest after a change of the rate in a ramp that ends in saturation"
    )
    curve_differences: int = tuned(
        3, "differences", "Fewest that separate a curve from a step, or two if the step is split"
    )
    curve_cost: float = tuned(
        6.0,
        "chi-squared",
        "What a curve must explain beyond a single step that it replaces",
        "no more than one step in a thousand is then lost",
    )
    step_cost: float = tuned(
        12.0,
        "chi-squared",
        "What a further step in a ramp must explain beyond a curve that replaces all steps",
    )
    patch_reach: int = tuned(
        2, "pixels", "Pixels this far around one with a step tell together whether it bends"
    )
    patch_pixels: int = tuned(6, "pixels", "Fewest that tell it")
    patch_gain: float = tuned(
        25.0, "chi-squared", "What a curve must explain of their mean ramp", "5 sigma"
    )
    max_misfit: float = tuned(
        0.3, "", "A step below this part of what the curve adds in that read is its misfit"
    )
    max_kink_misfit: float = tuned(
        0.6, "", "The same where the rate rises, somewhere between two reads", "half, with noise"
    )
    max_sag_misfit: float = tuned(
        0.05, "", "So is one below this part of the largest distance from a straight ramp"
    )
    max_nonlinear_rise: float = tuned(
        0.3,
        "",
        "In a bright ramp of few reads: a difference this much above the others is a step",
        "non-linearity changes the rate by 10 to 20 % before a pixel is full",
    )
    rise_differences: int = tuned(
        4, "differences", "With no more, rises alone are preferred to a fall: charge never falls"
    )
    max_negative: float = tuned(
        4.0, "noise of a difference", "Most that the rate of such a ramp may be below zero"
    )
    max_bend: float = tuned(
        1.0,
        "",
        "A hot pixel of few reads bends: a step below this part of its remaining rate is none",
        "in darks of three reads the first difference of hot pixels is about 1.6 times the second",
    )
    hot_rate: float = tuned(
        3.0, "", "A pixel is hot if its rate is this many times that of the pixels around it"
    )
    full_rate: float = tuned(
        0.02, "", "A pixel is full when no more than this part of its signal is still to come"
    )
    full_differences: int = tuned(
        2, "differences", "Fewest in which a pixel stays at its level if it is full"
    )

    # Temporal features
    persistence_level: float = tuned(
        0.5, "", "A ramp persists off its level while beyond this fraction of its largest step"
    )


TUNING = RampfitTuning()
