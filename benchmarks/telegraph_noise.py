"""Completeness, false alarms, confusion and speed of the telegraph-noise rule.

The ramps are drawn here, without the simulator: shot noise, read noise, Markov levels. Signal
is measured by the chi-squared that the true path takes off a straight ramp (expected value).
The rule is given a read noise that is wrong by 3 % and runs without limits on the amplitude.

Examples::

    python benchmarks/telegraph_noise.py                        # the table in the documentation
    python benchmarks/telegraph_noise.py --only false --pixels 2e6
    python benchmarks/telegraph_noise.py --only calibrate       # confidence of the rule
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from machine import describe
from ohana.config import DetectorConfig
from ohana.detect.telegraph.fit import TelegraphFit, fit_telegraph_noise
from ohana.detect.telegraph.hidden_markov import forward
from ohana.detect.telegraph.models import fit_nuisance, whiten_ramp
from ohana.detect.telegraph.screen import screen
from ohana.detect.telegraph.tuning import TUNING
from ohana.rampfit.covariance import difference_covariance

GAIN = 1.5
NOISE_ERROR = 0.03
CHUNK = 20000
SETTINGS = DetectorConfig(rtn_amplitude_range=(0.0, 1e6), rtn_frequency_range=(1e-6, 0.5))


class Kind(NamedTuple):
    """A kind of ramp: reads, frame time [s], read noise [e-], signal [e-/s]."""

    reads: int
    frame_time: float
    noise: float
    signal: float

    @property
    def per_frame(self) -> float:
        """Signal per frame [e-]."""
        return self.signal * self.frame_time

    def __str__(self) -> str:
        sampling = f"{self.reads:4d} x {self.frame_time:4.1f} s"
        return f"{sampling} {self.noise:3.0f} e- {self.signal:6.2f} e-/s"


KINDS = (
    Kind(450, 1.4, 15, 0.01),
    Kind(450, 1.4, 5, 0.01),
    Kind(450, 1.4, 15, 0.1),
    Kind(450, 1.4, 15, 1.0),
    Kind(450, 10.0, 10, 1.0),
    Kind(450, 1.4, 15, 20.0),
    Kind(60, 10.0, 15, 0.01),
    Kind(60, 10.0, 25, 1.0),
    Kind(60, 10.0, 5, 1.0),
    Kind(20, 10.0, 15, 0.01),
    Kind(20, 10.0, 10, 1.0),
    Kind(12, 10.0, 15, 0.1),
    Kind(10, 10.0, 15, 0.1),
    Kind(8, 10.0, 15, 0.1),
)


def quiet(kind: Kind, n: int, rng: np.random.Generator) -> np.ndarray:
    """Ramps (T, n) without any event [e-], read by read."""
    ramps = rng.standard_normal((kind.reads, n), np.float32) * np.float32(kind.noise)
    if kind.signal > 0:
        ramps += np.cumsum(rng.poisson(kind.per_frame, ramps.shape), axis=0, dtype=np.int32)
    return ramps


def paths(
    kind: Kind, n: int, rng: np.random.Generator, third: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Levels (T, n) between 0 and 1 with 4 to 50 transitions, and mean dwells (2, n) [reads]."""
    parts, dwells, found = [], [], 0
    while found < n:
        period = np.exp(rng.uniform(np.log(4.0), np.log(kind.reads / 1.2), 4 * n))
        duty = rng.uniform(0.2, 0.8, 4 * n)
        dwell = period * np.array([1.0 - duty, duty])
        count = 3 if third else 2
        leave = 1.0 - np.exp(-1.0 / (np.insert(dwell, 1, period / 2, axis=0) if third else dwell))
        state = np.empty((kind.reads, 4 * n), np.int8)
        state[0] = (rng.random(4 * n) < duty) * (count - 1)
        for k in range(1, kind.reads):
            go = rng.random(4 * n) < leave[state[k - 1], np.arange(4 * n)]
            other = (state[k - 1] + rng.integers(1, count, 4 * n)) % count
            state[k] = np.where(go, other, state[k - 1])
        transitions = (np.diff(state, axis=0) != 0).sum(axis=0)
        good = (transitions >= 4) & (transitions <= 50)
        levels = np.array([0.0, 0.4, 1.0]) if third else np.array([0.0, 1.0])
        parts.append(levels[state[:, good]])
        dwells.append(dwell[:, good])
        found += good.sum()
    return np.concatenate(parts, axis=1)[:, :n], np.concatenate(dwells, axis=1)[:, :n]


def chi2_of(kind: Kind, levels: np.ndarray) -> np.ndarray:
    """Chi-squared that levels (T, n) [e-] take off a straight ramp, expected value."""
    variance = 2.0 * kind.noise**2 + kind.per_frame
    off = -(kind.noise**2)
    columns = np.concatenate([np.ones((kind.reads - 1, 1)), np.diff(levels, axis=0)], axis=1)
    before, pivot = np.zeros(columns.shape[1]), np.inf
    normal = np.zeros((2, columns.shape[1]))
    for row in columns:
        ratio = off / pivot
        pivot = variance - off * ratio
        before = row - ratio * before
        normal += np.array([before * before, before * before[0]]) / pivot
    return (normal[0] - normal[1] ** 2 / normal[0, 0])[1:]


def with_noise(
    kind: Kind, n: int, rng: np.random.Generator, chi2: tuple[float, float], third: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ramps with telegraph noise [e-], amplitudes [e-], true dwells (2, n), true paths."""
    shape, dwells = paths(kind, n, rng, third)
    wanted = np.exp(rng.uniform(*np.log(chi2), n))
    amplitude = np.sqrt(wanted / chi2_of(kind, shape))
    sign = rng.choice([-1.0, 1.0], n)
    ramps = quiet(kind, n, rng) + (amplitude * sign * shape).astype(np.float32)
    dwells = np.where(sign > 0, dwells, dwells[::-1])
    return ramps, amplitude, dwells, shape


def add_hits(kind: Kind, ramps: np.ndarray, rng: np.random.Generator, hits: int) -> None:
    """Add cosmic rays to ramps [e-]: steps from below the noise to far above it."""
    n = ramps.shape[1]
    for _ in range(hits):
        read = rng.integers(1, kind.reads, n)
        step = np.exp(rng.uniform(np.log(0.5 * kind.noise), np.log(300 * kind.noise), n))
        ramps += np.where(np.arange(kind.reads)[:, None] >= read, step, 0.0).astype(np.float32)


class Outcome(NamedTuple):
    """Result of the rule on ramps: candidates, their fits, and seconds spent in either part."""

    candidate: np.ndarray
    fit: TelegraphFit
    screen_time: float
    fit_time: float

    def called(self) -> np.ndarray:
        """Return which of all ramps are called telegraph noise."""
        called = self.candidate.copy()
        called[self.candidate] = self.fit.accepted
        return called


def slope(ramps: np.ndarray) -> np.ndarray:
    """Slope of ramps by plain least squares [e- per frame]."""
    x = np.linspace(-1.0, 1.0, len(ramps), dtype=np.float32)
    return (x @ ramps) / (x @ x) * (x[1] - x[0])


def apply_rule(
    kind: Kind, ramps: np.ndarray, rng: np.random.Generator, rate: np.ndarray | None = None
) -> Outcome:
    """Screen ramps [e-] and fit the candidates; the rate is the slope if not given."""
    n = ramps.shape[1]
    data = ramps / np.float32(GAIN) + np.float32(5000.0)
    stop = np.full(n, kind.reads, np.int32)
    noise = kind.noise / GAIN * (1.0 + NOISE_ERROR * rng.standard_normal(n))
    rate = (slope(ramps) if rate is None else rate) / GAIN
    model = difference_covariance(np.arange(kind.reads) * kind.frame_time, kind.frame_time)
    start = time.thread_time()
    candidate = screen(data, stop, noise, rate, model, GAIN) > TUNING.candidate
    middle = time.thread_time()
    some = np.flatnonzero(candidate)
    picked = (stop[some], noise[some], rate[some])
    fit = fit_telegraph_noise(data[:, some], *picked, model, GAIN, SETTINGS)
    return Outcome(candidate, fit, middle - start, time.thread_time() - middle)


def completeness(kind: Kind, n: int, rng: np.random.Generator) -> None:
    """Print the part found, by chi-squared and number of transitions."""
    cells = []
    for chi2 in ((80.0, 120.0), (120.0, 200.0), (200.0, 500.0), (500.0, 5000.0)):
        ramps, _, _, shape = with_noise(kind, n, rng, chi2)
        outcome = apply_rule(kind, ramps, rng)
        few = (np.diff(shape, axis=0) != 0).sum(axis=0) <= 12
        called = outcome.called()
        part = [called.mean(), called[few].mean(), called[~few].mean() if (~few).any() else np.nan]
        cells.append("{:.3f} ({:.2f} {:.2f})".format(*part) + f" {outcome.candidate.mean():.3f}")
    print(f"{kind} | " + " | ".join(cells), flush=True)


def limit(kind: Kind, n: int, rng: np.random.Generator) -> None:
    """Print the part that could be detected with known levels and dwell times.

    Detected: the likelihood of the true levels leads that of a straight ramp by as much as the
    rule requires, with the true noise, and pedestal and rate fitted beside the true path.
    """
    cells = []
    x = np.arange(float(kind.reads))
    walk, white = np.full(kind.reads, kind.per_frame), np.full(kind.reads, kind.noise**2)
    walk[0] = 0.0
    none = np.empty(0, np.int64)
    for chi2 in ((80.0, 120.0), (120.0, 200.0), (200.0, 500.0), (500.0, 5000.0)):
        shape, dwells = paths(kind, n, rng)
        wanted = np.exp(rng.uniform(*np.log(chi2), n))
        signal = shape * np.sqrt(wanted / chi2_of(kind, shape))
        base = quiet(kind, n, rng).astype(np.float64)
        leads = np.empty(n)
        for i in range(n):
            ramp = whiten_ramp(base[:, i], x, walk, white)
            rest = fit_nuisance(ramp, 2, none)[1] + signal[:, i]
            straight = fit_nuisance(
                whiten_ramp(base[:, i] + signal[:, i], x, walk, white), 2, none
            )[2]
            leave = 1.0 - np.exp(-1.0 / dwells[:, i])
            move = np.array([[1.0 - leave[0], leave[0]], [leave[1], 1.0 - leave[1]]])
            levels = np.array([0.0, signal[:, i].max()])
            likely = forward(rest, ramp.filter, levels, move, np.empty((kind.reads, 2)))
            leads[i] = likely - straight
        cells.append(f"{(leads > TUNING.confidence[1]).mean():.3f}")
    print(f"{kind} | " + " | ".join(cells), flush=True)


def recovery(kind: Kind, n: int, rng: np.random.Generator) -> None:
    """Print how well amplitudes, dwell times and numbers of transitions come back."""
    ramps, amplitude, dwells, shape = with_noise(kind, n, rng, (200.0, 5000.0))
    outcome = apply_rule(kind, ramps, rng)
    found, fit = np.flatnonzero(outcome.called()), outcome.fit
    if not found.size:
        print(f"{kind} | none found", flush=True)
        return
    ratio = fit.amplitude[fit.accepted] / (amplitude[found] / GAIN)
    path = shape[:, found]
    moves = (np.diff(path, axis=0) != 0).sum(axis=0)
    dwell = np.log(
        np.array([fit.dwell_low, fit.dwell_high])[:, fit.accepted] / dwells[:, found]
    ) * np.sqrt(moves / 2)
    three = (fit.n_levels[fit.accepted] == 3).mean()
    print(
        f"{kind} | {np.median(ratio):.3f} {ratio.std():.3f} | "
        f"{np.median(fit.transitions[fit.accepted] / moves):.3f} | "
        f"{np.median(dwell):+.2f} {np.median(np.abs(dwell)) * 1.48:.2f} | {three:.3f}",
        flush=True,
    )


def three_levels(kind: Kind, n: int, rng: np.random.Generator) -> None:
    """Print the part of ramps with three levels that is found, and found to have three."""
    cells = []
    for chi2 in ((200.0, 500.0), (500.0, 5000.0)):
        outcome = apply_rule(kind, with_noise(kind, n, rng, chi2, third=True)[0], rng)
        found = outcome.fit.accepted.sum()
        three = (outcome.fit.n_levels[outcome.fit.accepted] == 3).sum() / max(found, 1)
        cells.append(f"{outcome.called().mean():.3f} {three:.3f}")
    print(f"{kind} | " + " | ".join(cells), flush=True)


def false_alarms(kind: Kind, n: int, rng: np.random.Generator) -> np.ndarray:
    """Print false alarms per million ramps without any event; returns the scores."""
    scores, passed, called, spent = [], 0, 0, np.zeros(2)
    for start in range(0, n, CHUNK):
        outcome = apply_rule(kind, quiet(kind, min(CHUNK, n - start), rng), rng)
        scores.append(outcome.fit.score)
        passed += outcome.candidate.sum()
        called += outcome.fit.accepted.sum()
        spent += outcome.screen_time, outcome.fit_time
    score = np.concatenate(scores)
    print(
        f"{kind} | {n / 1e6:.2f}e6 | {100 * passed / n:.2f} % | "
        f"{called} | {called / n * 1e6:.1f} | "
        f"{', '.join(str((score > s).sum()) for s in range(4, 14))} | "
        f"{n * kind.reads / spent[0] / 1e6:.0f} | {1e3 * spent[1] / max(passed, 1):.2f}",
        flush=True,
    )
    return score


def confusion(kind: Kind, n: int, rng: np.random.Generator) -> None:
    """Print how many ramps with cosmic rays are called telegraph noise."""
    cells = []
    for hits in (1, 2, 3):
        passed = called = 0
        spent = 0.0
        for start in range(0, n, CHUNK):
            ramps = quiet(kind, min(CHUNK, n - start), rng)
            rate = slope(ramps)
            add_hits(kind, ramps, rng, hits)
            outcome = apply_rule(kind, ramps, rng, rate)
            passed += outcome.candidate.sum()
            called += outcome.fit.accepted.sum()
            spent += outcome.fit_time
        cells.append(f"{100 * passed / n:5.1f} % {called:3d} {1e3 * spent / max(passed, 1):.2f} ms")
    print(f"{kind} | {n} | " + " | ".join(cells), flush=True)


def calibrate(n: int, rng: np.random.Generator) -> None:
    """Fit the confidence: logistic in the score, for one such pixel in 2500 of the array.

    The amplitude of the telegraph noise is log-uniform between the noise of a read and fifty
    times that; ramps too faint to be detected do not count.
    """
    false, true = [], []
    kinds = [kind for kind in KINDS if kind.reads >= 20]
    for kind in kinds:
        false.append(false_alarms(kind, n, rng))
        shape, _ = paths(kind, 3000, rng)
        amplitude = kind.noise * np.exp(rng.uniform(0.0, np.log(50.0), 3000))
        outcome = apply_rule(kind, quiet(kind, 3000, rng) + np.float32(amplitude * shape), rng)
        true.append(outcome.fit.score)
    score = np.concatenate(false + true)
    label = np.repeat([0.0, 1.0], [sum(map(len, false)), sum(map(len, true))])
    weight = np.where(label > 0, 4e-4 / 3000, 1.0 / n)
    some = (score > 5.0) & (score < 30.0)
    score, label, weight = score[some], label[some], weight[some] / weight[some].sum()

    def loss(parameters: np.ndarray) -> float:
        """Cross entropy."""
        odds = parameters[0] * (score - parameters[1])
        return float(np.sum(weight * (np.logaddexp(0.0, odds) - label * odds)))

    found = minimize(loss, [0.9, 12.0], method="Nelder-Mead").x
    print(f"confidence = ({found[0]:.2f}, {found[1]:.1f}) from {some.sum()} fits")


PARTS = {
    "completeness": (
        "part found (of those with 4-12, > 12 transitions), part that passes the screen\n"
        "ramps | chi2 80-120 | 120-200 | 200-500 | 500-5000",
        completeness,
        400,
    ),
    "limit": (
        "part that could be detected if levels and dwell times were known\n"
        "ramps | chi2 80-120 | 120-200 | 200-500 | 500-5000",
        limit,
        400,
    ),
    "recovery": (
        "ramps | amplitude found / true, scatter | transitions found / true | "
        "dwell times in their errors: offset, scatter | part called three levels",
        recovery,
        400,
    ),
    "three": ("ramps | chi2 200-500: found, with three levels | 500-5000", three_levels, 300),
    "confusion": (
        "ramps | pixels | one hit: candidates, called telegraph noise, ms each | two | three",
        confusion,
        20000,
    ),
    "false": (
        "ramps | pixels | candidates | called | per million | "
        "scores > 4, 5 ... 13 | Mvox/s of the screen | ms per candidate",
        false_alarms,
        200000,
    ),
}


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=[*PARTS, "calibrate"], help="one table, not all")
    parser.add_argument("--kinds", type=int, nargs="+", help="rows of the tables, from 0")
    parser.add_argument("--pixels", type=float, help="ramps per cell of a table")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print(describe())
    kinds = KINDS if arguments.kinds is None else [KINDS[i] for i in arguments.kinds]
    apply_rule(KINDS[-1], with_noise(KINDS[-1], 20, rng, (200.0, 900.0))[0], rng)
    if arguments.only == "calibrate":
        calibrate(int(arguments.pixels or 400000), rng)
        return
    for name, (header, part, pixels) in PARTS.items():
        if arguments.only in (None, name):
            print(f"\n{header}")
            for kind in kinds:
                part(kind, int(arguments.pixels or pixels), rng)


if __name__ == "__main__":
    main()
