"""Numbers of inference, of the network's input and of the merge with the rules."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class NetworkTuning:
    """Numbers of this stage; the detection threshold of each class is in `ohana.classes`."""

    min_reads: int = tuned(4, "reads", "Shortest ramp that a network is run on")

    # Input channels
    significance_ceiling: float = tuned(
        8.0,
        "sigma",
        "Limit c of steps, levels and flicker in the input: x becomes x / sqrt(1 + (x / c)^2)",
        "fixed with the weights of the pretrained network",
    )
    max_log_noise_ratio: float = tuned(
        2.0,
        "",
        "Limit of |ln(noise of a pixel / noise of its neighbours)| in the input",
        "fixed with the weights of the pretrained network",
    )
    flicker_unit: float = tuned(
        3.0,
        "sigma",
        "Screening statistic of telegraph noise that enters the input as 1",
        "fixed with the weights of the pretrained network",
    )
    max_dof: float = tuned(
        1e3, "", "Degrees of freedom of the noise beyond which its own error is neglected"
    )

    # Output
    store_threshold: float = tuned(
        0.02, "", "Lowest probability of a cosmic ray or snowball at which a voxel is stored"
    )
    member_threshold: float = tuned(
        0.08,
        "",
        "Lowest probability at which a voxel can belong to a cosmic ray and its step is measured",
    )
    max_probability: float = tuned(
        1.0 - 1e-6, "", "Upper limit of the probability of a voxel, so that its odds are finite"
    )
    refit_threshold: float = tuned(
        0.7,
        "",
        "Lowest probability of telegraph noise at which levels are fitted to a pixel in which the "
        "rules found none",
    )
    min_known_fraction: float = tuned(
        0.5,
        "",
        "Fraction of the pixels of a snowball seed inside snowballs of the rules beyond which the "
        "seed is one of these",
    )

    # Merge with the rules
    min_shared_fraction: float = tuned(
        0.5,
        "",
        "Fraction of the pixels of one event inside another of a different class from which only "
        "one of both is kept",
    )
    max_log_odds: float = tuned(
        7.0, "", "Limit of the log-odds of rules and network: beyond it neither is that reliable"
    )
    prior_candidates: float = tuned(
        4.0,
        "events",
        "Weight of the calibration's real fraction in that of an exposure, in candidates",
    )
    real_fraction_rounds: int = tuned(
        100,
        "",
        "Rounds of expectation maximisation for the real fraction",
        "Saerens et al. 2002, Neural Comput. 14, 21; rounds chosen",
    )

    # Before training
    background_log_odds: float = tuned(
        5.0, "", "Logit of background before training, since events are rare"
    )


TUNING = NetworkTuning()
