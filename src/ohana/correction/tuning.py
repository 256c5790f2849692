"""Numbers of the model of what pixels share that are no settings."""

from __future__ import annotations

from dataclasses import dataclass

from ohana.utils.tuning import tuned


@dataclass(frozen=True)
class CorrectionTuning:
    """Numbers of the model of what pixels share, in the order in which they act."""

    # Sample and tiles
    min_reads: int = tuned(3, "reads", "Shortest ramp in which anything shared can be told")
    min_pixels: int = tuned(1024, "pixels", "Fewest pixels from which anything shared is measured")
    few_differences: int = tuned(
        5, "differences", "With fewer the rate of a pixel is the mean, not the median"
    )
    tile_cols: int = tuned(32, "pixels", "Widest tile over which differences are averaged")
    max_blocks: int = tuned(
        16, "row blocks", "Blocks of 16 rows that are read for the model, evenly spaced"
    )
    sample_pixels: int = tuned(
        24000, "pixels", "Kept with all their reads, for noise and shapes in time"
    )
    start_sample: int = tuned(
        63, "pixels", "Pixels of a tile whose median begins the average of the others"
    )
    reject: float = tuned(
        3.0, "sigma", "Differences further than this from the average of a tile are rejected"
    )
    step: float = tuned(
        6.0, "sigma", "Difference above the average of its tile that counts as a step there"
    )
    min_tile_pixels: int = tuned(24, "pixels", "A tile with fewer usable pixels is not used")

    # Offsets and smooth changes over the array
    degree: int = tuned(3, "", "Degree of the polynomial of a smooth change over the array")
    tiles_per_term: int = tuned(4, "tiles", "Fewest for each coefficient of the polynomial")
    surface_reject: float = tuned(
        4.0, "sigma", "Tiles further than this from the surface do not determine it"
    )
    peak: float = tuned(
        10.0, "sigma", "A tile this far above the others may be the core of an event"
    )
    peaked_tiles: float = tuned(
        0.1, "", "Fraction of tiles above a third of the highest, up to which that is a peak"
    )
    covered_tiles: float = tuned(
        0.03, "", "Fraction of tiles that charge around a peak raises from which it hides the light"
    )
    odd_column: float = tuned(
        8.0, "sigma", "Excess of the chi-squared of a column whose offset is subtracted"
    )
    column_left_out: int = tuned(
        2, "differences", "Most deviant ones of a column that do not count, and one in 20 besides"
    )
    core_pixels: int = tuned(12, "pixels", "Of a tile that saturate in one read: a core fills")
    small_array: float = tuned(
        14.0, "areas of an event", "Size of an array that a single event may cover"
    )
    tiny_array: float = tuned(
        3.0, "areas of an event", "Size of an array in which nothing shared is told from a core"
    )
    calm_neighbours: int = tuned(
        4, "differences", "Whose smooth change replaces that of a difference with a peak"
    )
    min_drift: float = tuned(
        0.05,
        "read noises",
        "A shared change that bends no ramp by more than this is not subtracted",
    )
    min_chance: float = tuned(
        6.0, "sigma", "Significance of the excess of a shared change from which it is believed"
    )

    # Local changes
    local_threshold: float = tuned(
        5.0,
        "sigma",
        "Significance from which a tile, with those around it, differs from the others",
    )
    max_event_area: float = tuned(
        18000.0,
        "pixels",
        "Largest area that an event may raise in one read",
        "a halo that reaches 75 pixels",
    )
    sparse_areas: float = tuned(5.0, "", "Times this where rows between the tiles were not read")
    max_flat_peak: float = tuned(
        8.0, "", "Brightest over median tile of a large region, above which it is a snowball"
    )
    beside: float = tuned(
        2.0, "sigma", "Of both tiles that share a change where the rows between were not read"
    )
    lasting_reads: int = tuned(
        16, "reads", "A region that changes in three quarters of so many reads is light"
    )

    # Shapes in time with an amplitude for each pixel
    pixels_per_difference: int = tuned(
        8, "pixels", "Fewest for each difference from which shapes are found"
    )
    min_shape_differences: int = tuned(
        6, "differences", "Fewest in which a shape is told from a rate and a step"
    )
    shape_reject: float = tuned(
        4.0, "sigma", "Differences further than this from rate and shapes are left out"
    )
    no_amplitude: float = tuned(
        1.5, "sigma", "Amplitudes below this in a plain fit are not fitted any further"
    )
    shape_rounds: int = tuned(4, "", "Fits of a ramp, each without what the last left out")
    local_shape: float = tuned(
        0.8, "", "Power in two differences from which a shape is the noise of a read"
    )
    few_reads: int = tuned(4, "differences", "That may hold the charge of a few large events")
    in_few_reads: float = tuned(
        0.5, "", "Power in so few differences from which a shape is that of events"
    )
    shape_shrink: float = tuned(
        4.0, "", "Amplitudes lose the square of their error times this, over the amplitude"
    )
    max_templates: int = tuned(4, "", "Shapes in time, at most")
    template_excess: float = tuned(
        0.3,
        "",
        "Variance of a shape above that of noise by this fraction makes it a shared shape",
    )
    template_overlap: float = tuned(
        0.7, "", "Least overlap of the shapes that two halves of the pixels show"
    )

    # Noise of each read
    noise_threshold: float = tuned(
        6.0, "sigma", "Deviation of the noise of a read from the others that is believed"
    )
    noise_excess: float = tuned(
        0.05, "", "Least relative deviation of the variance of a read that counts"
    )
    noise_reject: float = tuned(
        4.0, "sigma", "Differences further than this from zero do not measure the noise"
    )
    noise_parts: int = tuned(48, "parts", "Of the array, of whose noise the median counts")
    least_noise: float = tuned(0.05, "", "Least variance of a read over the usual one")
    quiet_pixels: float = tuned(
        0.5, "", "Pixels whose scatter departs from the median by more do not measure the noise"
    )
    walk_excess: float = tuned(0.1, "", "Least random walk over the shot noise that counts as one")
    walk_chance: float = tuned(6.0, "sigma", "Significance from which a random walk is believed")
    min_walk_lag: int = tuned(3, "reads", "Least distance of reads that shows a random walk")
    median_efficiency: float = tuned(
        0.37, "", "Efficiency of the median deviation of a normal variable", "Hampel (1974)"
    )
    tail: float = tuned(3.5, "sigma", "Falls beyond this are the tail of the noise")
    heavy_tail: float = tuned(
        8.0, "", "Times more of them than Gaussian noise has, from which the tails are heavy"
    )
    crowded_pixels: float = tuned(
        0.03, "", "Fraction of the pixels of a tile that step in one read in which it is crowded"
    )
    crowded_tiles: float = tuned(
        0.35,
        "",
        "Fraction of crowded tiles from which a read is not searched",
        "more than a snowball whose halo reaches 60 pixels fills in an array of 256 x 256",
    )


TUNING = CorrectionTuning()
