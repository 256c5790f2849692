"""Split of exposures into training and validation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zarr

from ohana.errors import OhanaError
from ohana.training.dataset import OhanaDataset
from ohana.training_sets.store import split_path

log = logging.getLogger("ohana")


class ExposureSplit(NamedTuple):
    """Some exposures of one training set."""

    folder: Path
    names: list[str]


def split_exposures(
    folders: list[Path], part: float, seed: int
) -> tuple[list[ExposureSplit], list[ExposureSplit]]:
    """Set exposures of each training set aside for validation.

    Exposures with and without events are split separately, so that both are on both sides where
    there are at least two. Of one with and one without, the former is for training.

    Parameters
    ----------
    folders : list of Path
        Training sets.
    part : float
        Fraction of the exposures to set aside.
    seed : int
        Seed of the draw.

    Returns
    -------
    training, validation : list of ExposureSplit
        Exposures of each side; folders without any are left out.

    Raises
    ------
    OhanaError
        A training set is missing or incomplete, or there is only one exposure.
    """
    sets = [_groups(folder) for folder in folders]
    groups = [group for kinds in sets for group in kinds.values()]
    if all(len(group) < 2 for group in groups):
        # No set has two of a kind, so they are drawn from all sets together.
        alike = [[one for kinds in sets for one in kinds.get(empty, [])] for empty in (False, True)]
        groups = [group for group in alike if group]
    if sum(map(len, groups)) < 2:
        raise OhanaError(
            f"{folders[0]}: wanted at least 2 exposures, for training and validation, got 1"
        )
    aside = [_count(len(group), part) for group in groups]
    if not any(aside):
        log.warning(
            "only one exposure with events and one without: the former is for training, the latter "
            "for validation, which makes scores meaningless: further indices add exposures"
        )
        aside = [0, 1]
    rng = np.random.default_rng(seed)
    training: dict[Path, list[str]] = {}
    validation: dict[Path, list[str]] = {}
    for group, count in zip(groups, aside, strict=True):
        for place, which in enumerate(rng.permutation(len(group))):
            folder, name = group[which]
            side = validation if place < count else training
            side.setdefault(folder, []).append(name)
    return _parts(training), _parts(validation)


def _groups(folder: Path) -> dict[bool, list[tuple[Path, str]]]:
    """Return the exposures (folder, name) of a set, keyed by whether they lack events."""
    groups: dict[bool, list[tuple[Path, str]]] = {}
    for name in OhanaDataset(folder).names:
        baseline = _is_baseline(split_path(folder, "training") / name)
        groups.setdefault(baseline, []).append((folder, name))
    return groups


def _is_baseline(exposure: Path) -> bool:
    try:
        return bool(zarr.open_group(exposure, mode="r").attrs["baseline"])
    except (KeyError, OSError, ValueError) as error:
        raise OhanaError(f"{exposure}: incomplete exposure: {error}") from error


def _count(exposures: int, part: float) -> int:
    """Return the number of exposures to set aside: at least one, but not all."""
    return min(max(round(part * exposures), 1), exposures - 1)


def _parts(names: dict[Path, list[str]]) -> list[ExposureSplit]:
    return [ExposureSplit(folder, sorted(own)) for folder, own in names.items()]
