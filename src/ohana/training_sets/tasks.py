"""The exposures of a training set, their names, and the split into training and test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ohana.simulate.exposure import exposure_rng
from ohana.training_sets.config import CreatorConfig

#: Number of the random stream of the split; others are numbered by detector.
SPLIT_STREAM = 2**32 - 1

SPLITS = ("training", "test")


@dataclass(frozen=True)
class Task:
    """One exposure to make.

    ``detector`` counts in the gain library; ``k`` counts the exposures of one detector and
    index, those with events first; ``split`` is one of `SPLITS`.
    """

    detector: int
    detector_name: str
    gain: float
    index: int
    k: int
    baseline: bool
    split: str

    @property
    def name(self) -> str:
        """Name of the exposure's group in the store."""
        return f"{self.detector_name}-{self.index:05d}-{self.k:03d}"


def tasks(config: CreatorConfig, start_index: int, end_index: int) -> list[Task]:
    """Return the exposures of some indices, the last one included.

    Examples
    --------
    >>> config = CreatorConfig(gain_library=[1.5])
    >>> [task.name for task in tasks(config, 3, 4)]
    ['detector_0-00003-000', 'detector_0-00003-001', 'detector_0-00004-000', 'detector_0-00004-001']
    """
    return [task for index in range(start_index, end_index + 1) for task in _tasks(config, index)]


def _tasks(config: CreatorConfig, index: int) -> Iterator[Task]:
    events, baselines = config.num_exposure_events, config.num_baseline_exposures
    tested = np.concatenate(
        [_tested(config, index, events, 0), _tested(config, index, baselines, 1)], axis=1
    )
    for detector, (name, gain) in enumerate(config.gain_library.items()):
        for k in range(events + baselines):
            split = SPLITS[int(tested[detector, k])]
            yield Task(detector, name, gain, index, k, k >= events, split)


def _tested(config: CreatorConfig, index: int, count: int, stream: int) -> np.ndarray:
    """Return which exposures of an index are for tests, bool (detectors, count).

    The cumulative number of test exposures over all indices is ``test_fraction`` of all, rounded;
    within an index they are drawn. The result does not depend on which indices are made.
    """
    size = len(config.gain_library) * count
    place = index * size + np.arange(size + 1)
    chosen = np.diff(np.floor(place * config.test_fraction + 0.5)) > 0
    order = exposure_rng(config.seed, SPLIT_STREAM, index, stream).permutation(size)
    return chosen[order].reshape(len(config.gain_library), count)
