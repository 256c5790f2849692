"""Numbers of the telegraph-noise rule that are no settings.

Kernels take them when they are compiled, and their cache does not notice a change here: delete
``__pycache__`` after one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned

#: Counts false alarms in ramps of pure noise.
FALSE_ALARMS = "benchmarks/telegraph_noise.py --only false"


@dataclass(frozen=True)
class TelegraphTuning:
    """Numbers of the telegraph-noise rule, in the order in which they act."""

    # Screening of all pixels
    noise_error: float = tuned(0.04, "", "Relative error of the noise of a pixel, by default")
    noisy_pixel: float = tuned(
        3.0, "sigma", "Excess of noise from which a pixel is screened with its neighbours' noise"
    )
    candidate: float = tuned(
        3.0, "", "Screening statistic of candidates: 0.2 to 0.5 % of pixels of noise", FALSE_ALARMS
    )
    curve_gain: float = tuned(
        9.0, "chi-squared", "A candidate is screened again without a curve that explains this much"
    )
    screened_dwells: tuple[float, ...] = tuned(
        (3.0, 8.0, 20.0, 60.0),
        "reads",
        "Dwell times d for which the memory of the correlation sums, exp(-2 / d), is best",
    )
    skewness: float = tuned(
        5.0,
        "sigma",
        "Correction of correlation sums for their skewness, times root degrees of freedom",
    )
    fall_memories: tuple[float, ...] = tuned(
        (0.0, 0.6), "per read", "Memories of the sums of falls"
    )
    fall_scales: tuple[float, ...] = tuned(
        (1.08, 1.6),
        "",
        "Sum of falls per reads**0.4 exceeded in 1 of 1000 pixels of noise",
        "simulated noise",
    )
    fall_exponent: float = tuned(
        0.4, "", "Exponent of the number of reads in the limit of the sums of falls"
    )
    min_fall: float = tuned(2.0, "sigma", "Least depth of a fall that counts")
    restart: float = tuned(
        4.5, "sigma", "Upward innovation that restarts the pedestal: the step of a cosmic ray"
    )
    length_shift: float = tuned(
        0.3,
        "",
        "Rise of the threshold of all sums but falls per e-fold in reads: costs less than 1 % of"
        " the telegraph noise that the fit accepts",
    )
    reference_reads: float = tuned(60.0, "reads", "Length of a ramp at which that rise begins")
    min_white: float = tuned(
        0.1, "", "Least white noise of a read after averaging of shot noise, over its read noise"
    )
    pedestal_variance: float = tuned(1e6, "noise**2", "Prior variance of the pedestal: free")
    max_drift: float = tuned(
        20.0,
        "noise",
        "Prior error of the rate times the length of a ramp: a jump must not pass for a rate",
    )
    drift_shot: float = tuned(10.0, "", "Prior variance of the rate over that by shot noise")
    # Linear part of a ramp
    max_steps: int = tuned(4, "steps", "Most steps of cosmic rays in a ramp")
    curve_cost: float = tuned(8.0, "log-likelihood", "Cost of a curvature")
    level_cost: float = tuned(8.0, "log-likelihood", "Cost of a third level")
    step_cost: float = tuned(10.0, "log-likelihood", "Cost of a step of a cosmic ray beside levels")
    lone_step_cost: float = tuned(
        1.0,
        "log-likelihood",
        "Cost of the size of a step without levels, beside log(reads) for its"
        " read: explanations without levels are favoured",
    )
    max_fall: float = tuned(
        0.3,
        "noise",
        "Scale of the fall of a ramp from first to last read: charge only accumulates,"
        " and upward steps on a falling ramp look like two levels",
    )
    nonlinear_signal: float = tuned(
        100.0, "noise", "Signal above which a ramp may curve: non-linearity, persistence"
    )
    poor_fit_noise: float = tuned(
        6.0,
        "noise_error",
        "Excess of chi-squared per read of a poor fit due to the error of the noise",
    )
    poor_fit_sigma: float = tuned(6.0, "sigma", "Further excess of chi-squared of a poor fit")
    # Search for levels
    amplitude_ratio: float = tuned(1.5, "", "Ratio of successive amplitudes of the grid")
    amplitude_count: int = tuned(8, "", "Amplitudes of the grid")
    duties: tuple[float, ...] = tuned((0.5, 0.2, 0.8), "", "Fraction of the time in the high level")
    prices: tuple[float, ...] = tuned(
        (9.0, 4.0), "chi-squared", "Prices of a transition; the lowest one last"
    )
    min_amplitude: float = tuned(0.6, "noise", "Least amplitude of the grid in long ramps")
    short_ramp_amplitude: float = tuned(
        2.0, "noise", "Least amplitude of the grid in ramps of 30 reads; falls as 1 / sqrt(reads)"
    )
    starts_per_price: int = tuned(2, "", "Starts from the grid for each price")
    best_starts: int = tuned(2, "", "Starts that are improved")
    third_levels: tuple[float, ...] = tuned(
        (0.5, 1.6, -0.6, 0.25, 0.75, 3.0, -2.0),
        "amplitude",
        "Starts of a third level above the lower one",
    )
    first_iterations: int = tuned(
        2, "iterations", "Expectation maximisation of each improved start"
    )
    final_iterations: int = tuned(6, "iterations", "Expectation maximisation of the best model")
    path_lead: float = tuned(
        2.1,
        "log-likelihood",
        "Lead of the cheapest path, per reads**0.31: costs 1 % of telegraph noise within reach",
    )
    path_lead_exponent: float = tuned(
        0.31, "", "Exponent of the number of reads in the lead of the path"
    )
    start_lead: float = tuned(
        2.5,
        "log-likelihood",
        "Lead of the best start over the explanation without levels: rare in noise",
    )
    third_level_lead: float = tuned(
        8.0, "log-likelihood", "Lead of two levels from which a third is tried"
    )
    rounds: int = tuned(2, "", "Rounds in which levels and steps are fitted in turn")
    leave_prior: float = tuned(0.5, "moves", "Pseudo-count of moves from a level")
    stay_prior: float = tuned(5.0, "reads", "Pseudo-count of reads in a level")
    min_moves: float = tuned(0.5, "moves", "Least expected number of each move in a ramp")
    max_leave: float = tuned(0.4, "per read", "Largest probability to leave a level")
    # Score and confidence
    rare_noise: float = tuned(
        9.0, "log-likelihood", "One pixel in exp(9) may have any noise, whatever its neighbours'"
    )
    lead_allowance: float = tuned(
        3.0,
        "log-likelihood",
        "Gain of levels over a plain ramp required beyond their lead over other explanations",
    )
    few_transitions: tuple[float, ...] = tuned(
        (99.0, 12.0, 6.0, 3.0), "score", "Penalty for 0, 1, ... transitions: two are a mere box"
    )
    shot_noise_bonus: float = tuned(
        5.4,
        "score",
        "Bonus of long ramps of shot noise, which rarely looks like levels",
        FALSE_ALARMS,
    )
    shot_noise_gain: float = tuned(
        0.3, "", "Gain of the Kalman filter from which on the full bonus is given", FALSE_ALARMS
    )
    bonus_reads: float = tuned(25.0, "reads", "Longest ramp without that bonus", FALSE_ALARMS)
    confidence: tuple[float, float] = tuned(
        (0.85, 11.1),
        "",
        "Slope and middle of the logistic confidence in the score; the middle varies from 10.5 to"
        " 11.1, the upper end keeps false alarms below 5 in a million",
        "benchmarks/telegraph_noise.py --only calibrate",
    )
    # Pixels that switch together
    coherent_events: int = tuned(
        3, "events", "Fewest other events that switch in a read for it to count as shared"
    )
    coherent_chance: float = tuned(
        1e-4, "", "Probability of so many transitions at the same read below which they are shared"
    )
    coherent_distance: int = tuned(
        2, "pixels", "Distance up to which pixels of a row or column may share a trap's charge"
    )
    min_reads: int = tuned(10, "reads", "Fewest usable reads of a ramp that is searched")

    # Noise with heavy tails
    lasting_level: float = tuned(
        1.6, "reads", "Mean dwell time above which a level is none of single reads"
    )
    strong_levels: float = tuned(
        0.9, "", "Fit quality above which levels of single reads count all the same"
    )


TUNING = TelegraphTuning()
