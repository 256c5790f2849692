"""Numbers of the snowball rule that are no settings."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class SnowballTuning:
    """Numbers of the snowball rule, in the order in which they act."""

    # Cores
    core_pixels: int = tuned(
        10, "pixels", "An unsaturated core reaches half the step of its pixel of this rank"
    )
    saturating_pixels: int = tuned(
        4, "pixels", "Fewest pixels that jump into saturation together as (part of) a core"
    )
    bright_level: float = tuned(
        0.5, "", "Bright: at least this fraction of the typical step of a core"
    )
    flat_level: float = tuned(
        0.8, "", "Flat: at least this fraction of the 90 % quantile of the steps of a core"
    )
    min_flat_fraction: float = tuned(
        0.55, "", "Least flat fraction of an unsaturated core; a blurred cosmic ray has 0.33"
    )
    min_filled_fraction: float = tuned(
        0.8, "", "Least number of pixels of a core over the area of the smallest allowed disk"
    )
    radius_tolerance: float = tuned(
        0.5, "pixel", "Measured radii may miss the limits of the settings by this much"
    )
    pair_below: float = tuned(0.85, "", "Circularity below which a pair of disks is tried")
    pair_gain: float = tuned(0.07, "", "Gain in circularity that a pair of disks needs")
    fit_margin: int = tuned(3, "pixels", "Margin around a core in the fit of its disk")
    core_read_tolerance: int = tuned(
        2, "reads", "One core may appear within this many reads: averaged frames split it"
    )
    growth_reads: int = tuned(20, "reads", "Reads over which a core may grow")
    ring_width: float = tuned(5.0, "pixel", "Width of the fainter ring that follows around a core")
    core_growth: float = tuned(2.5, "pixel", "Growth of the core radius that is never another core")
    ring_level: float = tuned(
        0.2, "", "Largest step of the ring that follows over that of the core"
    )
    growth_quantile: float = tuned(
        0.8, "", "Fraction of the pixels of later growth within its reach"
    )
    min_visible_fraction: float = tuned(
        0.04, "", "Least visible fraction of a core: less of a rim fits any disk"
    )
    max_hidden_fraction: float = tuned(
        0.6, "", "Largest fraction of a core on pixels that were saturated before"
    )
    # Window of a candidate
    extra_radii: float = tuned(
        0.6, "core radii", "Margin of the window around the dense part of the halo"
    )
    extra_pixels: int = tuned(4, "pixels", "Further margin of the window")
    halo_filled_fraction: float = tuned(
        0.2, "", "Least fraction of pixels with steps of their own in the dense part of a halo"
    )
    window_growth: float = tuned(1.5, "", "Factor by which a window too small for the halo grows")
    neighbour_radii: float = tuned(
        4.0, "core radii", "Distance from another snowball within which its step is fitted too"
    )
    short_ramp: int = tuned(
        100, "reads", "Length below which the noise of ramps is measured again without their steps"
    )
    min_differences: int = tuned(
        5, "differences", "Fewest from which noise and other steps are fitted beside a step"
    )
    noise_margin: int = tuned(
        64, "pixels", "Margin of the window in the noise of ramps of very few differences"
    )
    # Halo
    footprint_sigma: float = tuned(
        3.0, "sigma", "A pixel belongs to the footprint above this many errors of a step"
    )
    profile_clip: float = tuned(
        4.0, "sigma", "Deviation from the profile beyond which a step is no part of it"
    )
    min_rate_pixels: int = tuned(
        20, "pixels", "Fewest pixels beyond the ring from which the rate around is measured"
    )
    # Classification
    rim_ring: tuple[float, float] = tuned(
        (0.5, 2.5), "pixel", "Ring outside the core in which the halo is brightest"
    )
    min_contrast: float = tuned(
        4.0, "", "Least level of a saturated core over the step of its halo"
    )
    confidence: tuple[float, float, float, float] = tuned(
        (-14.69, 1.92, 15.05, 8.81),
        "",
        "Logistic confidence: constant, and weights of log10 contrast, circularity, log10 size",
        "benchmarks/snowballs.py --calibrate",
    )
    plain_radius: float = tuned(
        5.0, "pixel", "Core radius up to which size adds no confidence: parallel tracks reach it"
    )
    trail_radii: float = tuned(0.4, "core radii", "Least length of a trail beyond the rim")
    trail_pixels: float = tuned(
        2.0, "pixel", "Least length of a trail beyond the rim of a small core"
    )
    trail_sigma: float = tuned(10.0, "sigma", "Least excess of a trail above the profile")


TUNING = SnowballTuning()
