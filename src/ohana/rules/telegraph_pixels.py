"""Telegraph noise of a row block: from candidates to events, and what is left in their ramps."""

from __future__ import annotations

import numpy as np

from ohana.config import DetectorConfig
from ohana.differences import Differences
from ohana.events import Event, Steps, join_steps
from ohana.jumps import Ramps, scan
from ohana.labels import Label
from ohana.noise import Noise
from ohana.rules.telegraph_noise import CANDIDATE, TelegraphFit, fit_telegraph_noise, screen
from ohana.steps import find_steps

#: Measures of the level model that go to the catalogue.
CATALOGUED = (
    "n_levels",
    "transitions",
    "low",
    "high",
    "amplitude",
    "dwell_low",
    "dwell_high",
    "frequency",
    "fit_quality",
    "chi2_gain",
)


def find_telegraph_noise(
    ramps: Ramps,
    noise: Noise,
    steps: Steps,
    model: Differences,
    gain: float,
    config: DetectorConfig,
) -> tuple[np.ndarray, TelegraphFit]:
    """Find the ramps of a block that jump between levels.

    Parameters
    ----------
    ramps : Ramps
        n ramps.
    noise : Noise
        Arrays of shape (n,).
    steps : Steps
        Their steps; ``col`` is the index of the ramp. A fall makes a ramp a candidate.
    model : Differences
        Covariance coefficients.
    gain : float
        [e-/DN]
    config : DetectorConfig
        Fields ``rtn_*``.

    Returns
    -------
    index : ndarray of int, shape (m,)
        Ramps with telegraph noise.
    fit : TelegraphFit
        Their level models.
    """
    sigma = np.sqrt(ramps.variance)
    candidate = screen(ramps.data, ramps.stop, sigma, noise.rate, model, gain) > CANDIDATE
    candidate[steps.col[steps.amplitude < 0]] = True
    index = np.flatnonzero(candidate)
    some = ramps.select(index)
    rate = some.shot * gain
    fit = fit_telegraph_noise(some.data, some.stop, sigma[index], rate, model, gain, config)
    columns = (values[..., fit.accepted] for values in fit)
    return index[fit.accepted], TelegraphFit(*columns)


def without_levels(
    ramps: Ramps,
    dof: np.ndarray,
    index: np.ndarray,
    fit: TelegraphFit,
    model: Differences,
    config: DetectorConfig,
    steps: Steps,
) -> Steps:
    """Replace the steps of telegraph-noise ramps by those that their levels do not explain.

    A hit in such a pixel must be larger than the levels are apart, and nothing may fall.
    """
    rest = ramps.select(index)
    rest = rest._replace(data=rest.data - fit.model)
    left, _ = find_steps(rest, dof[index], scan(rest, model), model, config)
    falls = np.zeros(len(index), bool)
    falls[left.col[left.amplitude < 0]] = True
    left = left.select(~falls[left.col] & (left.amplitude > fit.amplitude[left.col]))
    left = left._replace(col=index[left.col].astype(np.int32))
    return join_steps([steps.select(~np.isin(steps.col, index)), left])


def telegraph_events(index: np.ndarray, fit: TelegraphFit, cols: int) -> list[Event]:
    """Make an event of each pixel of a block that is ``cols`` wide."""
    events = []
    for i, pixel in enumerate(index):
        row, col = divmod(int(pixel), cols)
        events.append(
            Event(
                Label.TELEGRAPH_NOISE,
                np.array([row], np.int32),
                np.array([col], np.int32),
                np.array([-1], np.int32),
                fit.amplitude[i : i + 1],
                fit.significance[i : i + 1],
                None,
                float(fit.confidence[i]),
                extra={name: getattr(fit, name)[i].item() for name in CATALOGUED},
            )
        )
    return events
