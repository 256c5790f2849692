"""Make one exposure of a training set: simulate it read by read and store it patch by patch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ohana import __version__
from ohana.classes import Label
from ohana.refpix.border import Strips, border_slices
from ohana.refpix.correction import Reference
from ohana.refpix.fit import fit_strips
from ohana.simulate import exposure_rng
from ohana.simulate.exposure import draw_scene, read_out, truth_of
from ohana.simulate.scene import Scene
from ohana.simulate.truth import TrueEvent, Truth
from ohana.training_sets.claims import claim, publish
from ohana.training_sets.config import CreatorConfig
from ohana.training_sets.draws import draw_values, simulation_config
from ohana.training_sets.labels import Runs, runs_of
from ohana.training_sets.store import (
    FORMAT,
    create_patches,
    cut_patches,
    patch_corners,
    save_labels,
    save_reference,
    shard_patches,
    split_path,
)
from ohana.training_sets.tasks import Task

#: Results for an exposure.
MADE, FOUND, ELSEWHERE = "made", "found", "elsewhere"

#: Threads of zarr while an exposure is stored, since there is one process per core.
ZARR_THREADS: dict[str, Any] = {"threading.max_workers": 1, "async.concurrency": 1}

#: Called with the number of reads done so far.
OnReads = Callable[[int], None]


def is_finished(config: CreatorConfig, task: Task) -> bool:
    """Return whether an exposure is in its store."""
    return (split_path(config.output_dir, task.split) / task.name).is_dir()


def make_exposure(config: CreatorConfig, task: Task, on_reads: OnReads | None = None) -> str:
    """Make one exposure, unless it exists or another process is making it.

    Returns
    -------
    str
        ``"made"``, ``"found"`` or ``"elsewhere"``.
    """
    if is_finished(config, task):
        return FOUND
    with claim(Path(config.output_dir), task.name) as part:
        if part is None:
            return ELSEWHERE
        if is_finished(config, task):  # by another process, just before the claim
            return FOUND
        with zarr.config.set(ZARR_THREADS):
            write_exposure(config, task, part, on_reads)
        publish(part, split_path(config.output_dir, task.split) / task.name)
    return MADE


def write_exposure(
    config: CreatorConfig, task: Task, folder: Path, on_reads: OnReads | None = None
) -> None:
    """Simulate an exposure and write its group; one window of reads is in memory at a time."""
    draws, scene_rng = exposure_rng(config.seed, task.detector, task.index, task.k).spawn(2)
    values = draw_values(config, task.baseline, draws)
    scene = draw_scene(simulation_config(config, task.gain, values), scene_rng)
    group = zarr.create_group(folder)
    strips = _write_reads(config, scene, group, on_reads)
    truth = truth_of(scene)
    save_reference(group, _reference(scene, strips))
    runs = runs_of(truth, scene.stop)
    save_labels(group, runs, _events(truth, runs))
    group.attrs.update(_metadata(config, task, values, truth))


def _write_reads(
    config: CreatorConfig, scene: Scene, group: zarr.Group, on_reads: OnReads | None
) -> Strips | None:
    """Store the patches window after window; return the reference border."""
    size, window = config.patch_size, min(config.window, config.num_frames)
    corners = patch_corners(config.image_shape, size, config.overlap)
    patches = create_patches(group, corners, config.num_frames, (window, *size))
    together = shard_patches(len(corners), window, size)
    strips = _empty_strips(config)
    for first, reads in _windows(read_out(scene), window, config):
        if strips is not None:
            _keep_border(strips, reads, first, scene.config.saturation, config.border)
        last = first + len(reads)
        for p in range(0, len(corners), together):
            some = slice(p, p + together)
            patches[some, first:last] = cut_patches(reads, corners[some], size)
        if on_reads is not None:
            on_reads(last)
    return strips


def _windows(
    frames: Iterator[np.ndarray], window: int, config: CreatorConfig
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield windows of reads as (first read, uint16 (n, H, W)), in a reused buffer."""
    buffer = np.empty((window, *config.image_shape), np.uint16)
    for t, frame in enumerate(frames):
        buffer[t % window] = frame
        if t % window == window - 1 or t == config.num_frames - 1:
            count = t % window + 1
            yield t + 1 - count, buffer[:count]


def _empty_strips(config: CreatorConfig) -> Strips | None:
    if not config.border:
        return None
    reads, (height, width), border = config.num_frames, config.image_shape, config.border
    shapes = [(reads, border, width)] * 2 + [(reads, height, border)] * 2
    return Strips(*(np.empty(shape, np.float32) for shape in shapes))


def _keep_border(
    strips: Strips, reads: np.ndarray, first: int, saturation: float, border: int
) -> None:
    """Copy the border of some reads, NaN where saturated, as `ohana.refpix.border` does."""
    sides = (strips.bottom, strips.top, strips.left, strips.right)
    for strip, where in zip(sides, border_slices(reads.shape[1:], border), strict=True):
        data = reads[:, *where].astype(np.float32)
        data[data >= saturation] = np.nan
        strip[first : first + len(reads)] = data


def _reference(scene: Scene, strips: Strips | None) -> Reference | None:
    return None if strips is None else fit_strips(strips, scene.config.outputs)


def _events(truth: Truth, runs: Runs) -> list[dict[str, Any]]:
    """Return the properties of each event, in the order of the labels."""
    pixels = np.bincount(runs.event, minlength=len(truth.events))
    return [_event(event, int(n)) for event, n in zip(truth.events, pixels, strict=True)]


def _event(event: TrueEvent, pixels: int) -> dict[str, Any]:
    brightest = int(event.charge.argmax()) if len(event.charge) else None
    return {
        "type": event.label.key,
        "first_frame": event.first_frame,
        "pixels": pixels,
        "position": None
        if brightest is None
        else [int(event.rows[brightest]), int(event.cols[brightest])],
        "charge": float(event.charge.sum(dtype=np.float64)),
        "snr": float(event.snr.max(initial=0)),
        "facts": event.facts,
    }


def _metadata(
    config: CreatorConfig, task: Task, values: dict[str, float | int], truth: Truth
) -> dict[str, Any]:
    counts = {label.key: len(truth.of(label)) for label in Label if label}
    return {
        "ohana_format": FORMAT,
        "ohana_version": __version__,
        "numpy_version": np.__version__,
        "settings_fingerprint": config.fingerprint(),
        "seed": config.seed,
        **asdict(task),
        "num_classes": config.num_classes,
        "window": min(config.window, config.num_frames),
        "drawn": values,
        "counts": counts,
        "simulation": truth.config.model_dump(mode="json"),
    }
