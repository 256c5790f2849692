"""Light that changes during an exposure, moves, or is not seen alike by all pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohana.simulate.config import SimulationConfig
from ohana.simulate.stars import Places, star_map


@dataclass(frozen=True)
class UnsteadyLight:
    """What arrives in each pixel of the active part, frame by frame.

    Attributes
    ----------
    config : SimulationConfig
        Settings.
    response : ndarray of float32, shape (rows, cols)
        Part of the light that each pixel sees, 1 on average.
    stars : Places
        Stars [e-/s], and their mean map below.
    star_light, hot, others : ndarray of float32, shape (rows, cols)
        Mean rates of stars, of hot pixels, and of what no light causes: warm and filling pixels
        [e-/s].
    factor : ndarray, shape (frames,)
        The varying light before each frame, relative to that of a steady exposure.
    offsets : ndarray, shape (frames, 2)
        Where the stars are, in rows and columns [pixel].
    patch : ndarray of float32, shape (rows, cols)
        Diffuse light that arrives before ``patch_frame`` [e-].
    patch_frame : int
        -1 if there is none.
    """

    config: SimulationConfig
    response: np.ndarray
    stars: Places
    star_light: np.ndarray
    hot: np.ndarray
    others: np.ndarray
    factor: np.ndarray
    offsets: np.ndarray
    patch: np.ndarray
    patch_frame: int

    def expected(self, frame: int) -> np.ndarray:
        """Return the mean charge between the previous frame and this one, (rows, cols) [e-]."""
        config = self.config
        time, whole = config.frame_times - config.frame_times[0], config.collecting_time
        start, end = time[max(frame - 1, 0)], time[frame]
        light = np.float32(config.sky * self.factor[frame]) + self._stars(frame)
        charge = (light * self.response + self.others + np.float32(config.dark_current)) * (
            end - start
        )
        # Hot pixels slow down: their charge grows as a power of time.
        power = config.hot_power
        charge += self.hot * whole * ((end / whole) ** power - (start / whole) ** power)
        if frame == self.patch_frame:
            charge += self.patch * self.response
        return charge

    def _stars(self, frame: int) -> np.ndarray:
        light = self.star_light
        if self.config.jitter:
            down, right = self.offsets[frame]
            moved = Places(self.stars.row + down, self.stars.col + right, self.stars.level)
            light = star_map(moved, self.config.psf_fwhm, light.shape)
        return light * np.float32(self.factor[frame] if self.config.varying == "all" else 1.0)

    def mean_rate(self) -> np.ndarray:
        """Return the rate averaged over the exposure, without the patch [e-/s]."""
        config = self.config
        mean = np.average(self.factor[1:], weights=np.diff(config.frame_times))
        of_stars = mean if config.varying == "all" else 1.0
        light = np.float32(config.sky * mean) + self.star_light * np.float32(of_stars)
        return light * self.response + self.others + self.hot + np.float32(config.dark_current)


def draw_unsteady_light(
    config: SimulationConfig,
    stars: Places,
    star_light: np.ndarray,
    hot: np.ndarray,
    others: np.ndarray,
    rng: np.random.Generator,
) -> UnsteadyLight:
    """Draw how the light changes, each cause from a stream of its own."""
    pixels, phase, shaking, place = rng.spawn(4)
    spread = np.float32(config.response_spread)
    response = 1 + spread * pixels.standard_normal(config.active_shape, np.float32)
    patch, read = draw_patch(config, place)
    frames = len(config.frame_times)
    return UnsteadyLight(
        config,
        np.maximum(response, 0),
        stars,
        star_light,
        hot,
        others,
        light_factor(config, phase.uniform(0, 2 * np.pi)),
        config.jitter * shaking.standard_normal((frames, 2)),
        patch,
        int(config.first_frames[read]) if config.patch else -1,
    )


def light_factor(config: SimulationConfig, phase: float) -> np.ndarray:
    """Return the light before each frame relative to a steady one, (frames,), none below 0."""
    times = config.frame_times - config.frame_times[0]
    middle = (times + np.append(0, times[:-1])) / 2
    trend = config.light_trend * middle / max(config.collecting_time, 1e-9)
    turns = middle / (config.oscillation_period * config.read_intervals[-1])
    wave = config.light_oscillation * np.sin(2 * np.pi * turns + phase)
    return np.maximum(1 + trend + wave, 0)


def draw_patch(config: SimulationConfig, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Draw a diffuse patch: its mean charge [e-], (rows, cols), and the read it comes before.

    Half the array lies within its contour of half the peak, and its edge is soft.
    """
    shape = np.array(config.active_shape)
    row, col = rng.uniform(0.25, 0.75, 2) * shape
    radius = np.sqrt(shape.prod() / (2 * np.pi))
    y, x = np.ogrid[: shape[0], : shape[1]]
    profile = 0.5 ** ((np.hypot(y - row, x - col) / radius) ** 4)
    return (config.patch * profile).astype(np.float32), int(rng.integers(1, config.reads))
