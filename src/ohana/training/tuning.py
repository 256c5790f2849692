"""Numbers of training and calibration that are not settings."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class TrainingTuning:
    """Numbers that decide what a network learns; those of `TrainConfig` are settings."""

    # Samples
    event_fraction: float = tuned(0.75, "", "Fraction of the windows drawn around an event")
    noisier_fraction: float = tuned(0.3, "", "Fraction of the windows to which noise is added")
    max_added_noise: float = tuned(
        1.0, "read noise", "Largest noise that is added, in units of each pixel's own"
    )
    min_known_significance: float = tuned(
        5.0, "sigma", "Known steps that are fainter after noise is added are dropped"
    )
    grid: int = tuned(8, "pixel", "Sides of windows are multiples of this")

    # Optimisation
    warm_up: float = tuned(0.05, "", "Fraction of all steps in which the learning rate rises")
    max_warm_up: int = tuned(1000, "steps", "Longest rise of the learning rate")
    average_delay: int = tuned(
        10, "steps", "The average of the weights keeps (1 + n) / (this + n) of itself at step n"
    )
    max_gradient: float = tuned(
        1.0, "", "Norm to which longer gradients are shortened, so that no sample dominates"
    )

    # Calibration
    calibration_voxels: float = tuned(
        1.5e8, "pixel reads", "Size of all simulated exposures: two minutes on two cores"
    )
    max_exposures: int = tuned(10, "exposures", "Largest number of exposures per recipe")
    max_side: int = tuned(256, "pixel", "Larger arrays are cut to this, with fewer events")
    max_events: int = tuned(
        60, "events", "Events of a class used per exposure, so that no odd exposure dominates"
    )
    ridge: float = tuned(
        1.0, "events", "Strength of the penalty that holds weights at those of `Logistic`"
    )


TUNING = TrainingTuning()
