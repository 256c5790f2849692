"""Small training sets for tests, and how to look into them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import zarr

from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.creator import DataSetCreator
from ohana.training_sets.labels import Runs
from ohana.training_sets.store import load_labels, split_path

#: No noise but the white one, no odd pixels: what is measured is what was asked for.
QUIET = {
    "read_noise_spread": 0.0,
    "pink_common": 0.0,
    "pink_output": 0.0,
    "odd_even": 0.0,
    "hot_fraction": 0.0,
    "saturating_fraction": 0.0,
    "pedestal_spread": 0.0,
    "ktc_noise": 0.0,
    "ipc": 0.0,
}

TINY: dict[str, Any] = {
    "image_shape": (40, 40),
    "num_frames": 8,
    "patch_size": 20,
    "overlap": 0,
    "window": 4,
    "test_fraction": 0.0,
    "num_exposure_events": 1,
    "num_baseline_exposures": 0,
    "cosmic_ray_per_exp_range": (3, 6),
    "snowballs_per_exp_range": (1, 1),
    "rtn_per_exp_range": (2, 4),
    "gain_library": {"detector_0": 1.5},
    "saturation_dn": 50000.0,
    "dark_current_range": (0.005, 0.05),
    "read_noise_range": (8.0, 16.0),
    "gaussian_noise_range": (0.0, 3.0),
    "cosmic_ray_charge_range": (200.0, 30000.0),
    "rtn_period_range": (4.0, 200.0),
    "rtn_offset_range": (20.0, 400.0),
    "rtn_duty_fraction_range": (0.2, 0.8),
    "snowball_radius_range": (3.0, 12.0),
    "snowball_halo_amplitude_ratio_range": (0.002, 0.008),
    "snowball_halo_decay_scale_range": (1.5, 6.0),
    "exp_time": 8.0,
    "outputs": 1,
    "simulation": QUIET,
    "workers": 1,
}


class Stored(NamedTuple):
    """One exposure of a store: its reads put together again, labels, events and attributes."""

    name: str
    cube: np.ndarray
    runs: Runs
    events: list[dict[str, Any]]
    facts: dict[str, Any]
    group: zarr.Group


def tiny(folder, **changes) -> CreatorConfig:
    return CreatorConfig(**TINY | {"output_dir": str(folder)} | changes)


def make(folder, last_index=0, **changes) -> list[Stored]:
    """Make a tiny training set; return the exposures to train on."""
    config = tiny(folder, **changes)
    done = DataSetCreator(config).create(0, last_index)
    assert not done.failed, done.failed
    return stored(folder)


def stored(folder, split="training") -> list[Stored]:
    root = zarr.open_group(split_path(folder, split), mode="r")
    return [_stored(name, root[name]) for name in sorted(root.group_keys())]


def _stored(name, group) -> Stored:
    facts = dict(group.attrs)
    reads, (rows, cols) = (
        facts["simulation"]["reads"],
        (facts["simulation"]["rows"], facts["simulation"]["cols"]),
    )
    patches, corners = group["patches"][...], group["corners"][...]
    cube = np.full((reads, rows, cols), 77777, np.int64)
    height, width = patches.shape[2:]
    for patch, (row, col) in zip(patches, corners, strict=True):
        cube[:, row : row + height, col : col + width] = patch
    return Stored(name, cube, load_labels(group), group["labels"].attrs["events"], facts, group)
