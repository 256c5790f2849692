"""Decoys: falls taken for cosmic rays. Charge never falls, so all of these are false.

The whole chain of cosmic rays runs on the ramps turned upside down. What noise makes it makes up
and down alike, so the decoys show, in this very exposure, how often a rise of some significance,
size and place is no charge (target-decoy false discovery rates: Elias & Gygi 2007, Nat. Methods
4, 207; inverted light curves: Thompson et al. 2018, ApJS 235, 38).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ohana.config import DetectorConfig
from ohana.detect.cosmic_rays import RayCandidates, charge_steps, ray_candidates
from ohana.detect.linking import link_steps, read_tolerance
from ohana.detect.telegraph.tuning import TUNING as TELEGRAPH
from ohana.detect.tuning import TUNING
from ohana.events import STEP_TYPES, PixelMaps, Steps, join_steps


def find_decoys(
    steps: Steps,
    maps: PixelMaps,
    border: np.ndarray,
    telegraph: np.ndarray,
    snowballs: np.ndarray,
    config: DetectorConfig,
) -> RayCandidates:
    """Run the chain of cosmic rays on falls.

    Parameters
    ----------
    steps : Steps
        All steps of the array, up and down.
    maps : PixelMaps
        Per-pixel results.
    border : ndarray of bool, shape (H, W)
        Reference pixels.
    telegraph : ndarray of bool, shape (H, W)
        Pixels of telegraph noise, which fall as often as they rise. Those that a fall alone made
        a candidate stay: a rise would not have done so.
    snowballs : ndarray of bool, shape (H, W)
        Pixels of snowballs, in which falls are no surprise.
    config : DetectorConfig
        As for cosmic rays.
    """
    # Pixels for which nothing but a fall made levels likely.
    calm = telegraph & (maps.flicker <= TELEGRAPH.candidate)
    calm &= maps.best_significance < TUNING.no_rise
    mirrored = mirrored_steps(join_steps([steps, _falls(maps, calm, config.sigma_threshold)]))
    left_out = snowballs | (telegraph & ~calm)
    away = border | left_out
    upside_down = replace(
        maps,
        best_step=maps.fall_step,
        best_significance=np.where(away, 0, maps.fall_significance),
        best_read=maps.fall_read,
    )
    falls = mirrored.select(charge_steps(mirrored, border))
    falls = falls.select(~left_out[falls.row, falls.col])
    tolerance = read_tolerance(falls.amplitude, maps.noise[falls.row, falls.col])
    group = link_steps(falls.row, falls.col, falls.read, tolerance, maps.stop.shape)
    return ray_candidates(falls, group, upside_down, config)


def _falls(maps: PixelMaps, where: np.ndarray, threshold: float) -> Steps:
    """Return the largest falls of pixels whose steps levels have replaced, as steps."""
    row, col = np.nonzero(where & (maps.fall_significance >= threshold))
    fall, sigma, read = (
        x[row, col] for x in (maps.fall_step, maps.fall_significance, maps.fall_read)
    )
    ones = np.ones(len(row))
    columns = (row, col, read, -fall, fall / sigma, -sigma, ones > 1, ones)
    return Steps(*(x.astype(kind) for x, kind in zip(columns, STEP_TYPES, strict=True)))


def mirrored_steps(steps: Steps) -> Steps:
    """Return the steps with rises and falls exchanged.

    A jump into saturation has no counterpart, a fall into it.
    """
    kept = steps.select(~steps.saturating | (steps.amplitude < 0))
    return kept._replace(amplitude=-kept.amplitude, significance=-kept.significance)
