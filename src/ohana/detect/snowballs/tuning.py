"""Numbers of the snowball rule that are no settings."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned

#: The script that measures completeness, footprints and false snowballs.
BENCHMARK = "chosen with benchmarks/snowballs.py"


@dataclass(frozen=True)
class SnowballTuning:
    """Numbers of the snowball rule, in the order in which they act."""

    # Cores
    core_pixels: int = tuned(
        10,
        "pixels",
        "An unsaturated core reaches half the step of its pixel of this rank",
        BENCHMARK,
    )
    saturating_pixels: int = tuned(
        4,
        "pixels",
        "Fewest pixels that jump into saturation together as (part of) a core",
        BENCHMARK,
    )
    bright_level: float = tuned(
        0.5, "", "Bright: at least this fraction of the typical step of a core", "half maximum"
    )
    flat_level: float = tuned(
        0.8, "", "Flat: at least this fraction of the 90 % quantile of the steps of a core"
    )
    min_flat_fraction: float = tuned(
        0.55,
        "",
        "Least flat fraction of an unsaturated core; a blurred cosmic ray has 0.33",
        BENCHMARK,
    )
    min_filled_fraction: float = tuned(
        0.8, "", "Least number of pixels of a core over the area of the smallest allowed disk"
    )
    radius_tolerance: float = tuned(
        0.5, "pixel", "Measured radii may miss the limits of the settings by this much"
    )
    pair_below: float = tuned(
        0.85, "", "Circularity below which a pair of disks is tried", BENCHMARK
    )
    pair_gain: float = tuned(0.07, "", "Gain in circularity that a pair of disks needs", BENCHMARK)
    fit_margin: int = tuned(3, "pixels", "Margin around a core in the fit of its disk")
    core_read_tolerance: int = tuned(
        2, "reads", "One core may appear within this many reads: averaged frames split it"
    )
    growth_reads: int = tuned(20, "reads", "Reads over which a core may grow", BENCHMARK)
    ring_width: float = tuned(
        5.0, "pixel", "Width of the fainter ring that follows around a core", BENCHMARK
    )
    core_growth: float = tuned(
        2.5, "pixel", "Growth of the core radius that is never another core", BENCHMARK
    )
    ring_level: float = tuned(
        0.2, "", "Largest step of the ring that follows over that of the core", BENCHMARK
    )
    growth_quantile: float = tuned(
        0.8, "", "Fraction of the pixels of later growth that lie within its reach", BENCHMARK
    )
    min_visible_fraction: float = tuned(
        0.04, "", "Least visible fraction of a core: less of a rim fits any disk", BENCHMARK
    )
    max_hidden_fraction: float = tuned(
        0.6, "", "Largest fraction of a core on pixels that were saturated before", BENCHMARK
    )
    # Window of a candidate
    extra_radii: float = tuned(
        0.6, "core radii", "Halo beyond the outermost single-pixel steps: this much"
    )
    extra_pixels: int = tuned(4, "pixels", "... and this many pixels")
    halo_filled_fraction: float = tuned(
        0.2, "", "Fraction of a ring with single-pixel steps up to which the halo is dense"
    )
    window_growth: float = tuned(1.5, "", "Factor by which a window too small for the halo grows")
    neighbour_radii: float = tuned(
        4.0, "core radii", "Another snowball is fitted too within this distance of its centre"
    )
    short_ramp: int = tuned(
        100, "reads", "In shorter ramps steps pass for noise: it is measured without them"
    )
    min_differences: int = tuned(
        5, "differences", "With fewer, noise and other steps cannot be fitted beside a step"
    )
    noise_margin: int = tuned(
        64, "pixels", "Margin of the window from which the noise of very short ramps is taken"
    )
    # Halo
    footprint_sigma: float = tuned(
        3.0,
        "sigma",
        "A pixel belongs to the footprint above this many errors of a step",
        "definition",
    )
    profile_clip: float = tuned(
        4.0, "sigma", "Deviation from the profile beyond which a step is no part of it"
    )
    min_rate_pixels: int = tuned(
        20, "pixels", "Fewest pixels beyond the ring from which the rate around is measured"
    )
    # Classification
    rim_ring: tuple[float, float] = tuned(
        (0.5, 2.5), "pixel", "Ring outside the core in which the halo is brightest", BENCHMARK
    )
    min_contrast: float = tuned(
        4.0, "", "Least step of a saturated core over that of its halo", BENCHMARK
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
    trail_radii: float = tuned(
        0.4, "core radii", "Least length of a trail beyond the rim: this much,"
    )
    trail_pixels: float = tuned(2.0, "pixel", "... and at least this much")
    trail_sigma: float = tuned(10.0, "sigma", "Least excess of a trail above the profile")


TUNING = SnowballTuning()
