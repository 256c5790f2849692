"""The network over a whole exposure: window by window, in memory that does not grow with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ohana.classes import Label, label_of
from ohana.config import DetectorConfig
from ohana.events import PixelMaps, Steps
from ohana.network.device import Engine, for_inference, keeping_memory, using_threads
from ohana.network.inputs import USABLE, NetworkInput, network_input
from ohana.network.model_file import Network
from ohana.network.probabilities import NetworkOutput, Voxels, join_voxels
from ohana.network.step_fits import Picked, measure_voxels
from ohana.network.tiling import Span, tile
from ohana.network.tuning import TUNING
from ohana.ramp import RampBlock
from ohana.rampfit.covariance import DifferenceCovariance, covariance_of
from ohana.rampfit.load import CorrectedRamp, load_block

if TYPE_CHECKING:
    from ohana.utils.progress import Progress


class Window(NamedTuple):
    """All reads of some rows and columns, with what is known of them.

    ``rows`` and ``cols`` say what is kept; ``block``, ``steps`` and ``maps`` are those of the
    whole with all around, and rows and columns of ``steps`` count from its corner.
    """

    rows: Span
    cols: Span
    block: RampBlock
    steps: Steps
    maps: PixelMaps


@torch.inference_mode()
def run_network(
    source: CorrectedRamp,
    steps: Steps,
    maps: PixelMaps,
    network: Network,
    config: DetectorConfig,
    progress: Progress,
) -> NetworkOutput:
    """Ask the network about all pixels and reads of an integration.

    Parameters
    ----------
    source : CorrectedRamp
        Ramp and its correction.
    steps : Steps
        Known steps of the whole array.
    maps : PixelMaps
        Per-pixel results of the whole array, from the same walk.
    network : Network
        From `ohana.network.model_file.load_network`.
    config : DetectorConfig
        ``threads`` and ``network_precision`` count here.
    progress : callable
        Called with ``"network"``, the windows done and the windows in all.

    Returns
    -------
    NetworkOutput
        Empty if there are fewer reads than a network can look at (``TUNING.min_reads``).

    Raises
    ------
    OhanaError
        If the device does not multiply in the precision of the settings, or the file cannot be
        read.

    Notes
    -----
    Windows carry as much around them as the network can see, and begin at multiples of its
    stride: where they are cut changes nothing.
    """
    telegraph = np.zeros(maps.stop.shape, np.float32)
    outputs = {label_of(name): i for i, name in enumerate(network.classes)}
    known = frozenset(outputs) - {Label.BACKGROUND}
    if source.ramp.shape[0] < TUNING.min_reads:
        return NetworkOutput(join_voxels([]), telegraph, known)
    engine = for_inference(network.model, config.network_precision)
    model = covariance_of(source.ramp)
    parts, voxels = tile(source.ramp.shape, network.model), []
    windows, pixel_reads = len(parts.rows) * len(parts.cols), math.prod(source.ramp.shape)
    progress("network", 0, pixel_reads)
    with using_threads(config.threads), keeping_memory():
        for rows, cols in product(parts.rows, parts.cols):
            # Nothing of a window is kept while the next one is read.
            level, found = _look_at(
                window_of(source, steps, maps, rows, cols),
                model,
                engine,
                parts.times,
                outputs,
                config,
            )
            telegraph[rows.kept, cols.kept] = level
            voxels.append(found)
            progress("network", pixel_reads * len(voxels) // windows, pixel_reads)
    return NetworkOutput(join_voxels(voxels), telegraph, known)


def _look_at(
    window: Window,
    model: DifferenceCovariance,
    engine: Engine,
    times: list[Span],
    outputs: dict[Label, int],
    config: DetectorConfig,
) -> tuple[np.ndarray, Voxels]:
    """Return the mean probability of telegraph noise, and where hits are seen, in a window."""
    known = (window.block, window.maps, window.steps, model)
    picked, level = _ask(engine, network_input(*known, config.threads), window, times, outputs)
    return level, _moved(measure_voxels(picked, *known), window)


def window_of(
    source: CorrectedRamp, steps: Steps, maps: PixelMaps, rows: Span, cols: Span
) -> Window:
    """Read a window."""
    at = (rows.whole, cols.whole)
    # Which neighbours a block has decides where its ramps end: the maps had all.
    block = load_block(source, *at)[0]._replace(stop=maps.stop[at])
    return Window(rows, cols, block, steps.within(*at), maps.cut(*at))


def _moved(voxels: Voxels, window: Window) -> Voxels:
    """Count rows and columns from those of the array instead of the corner of the window."""
    row = voxels.row + np.int32(window.rows.whole.start)
    return voxels._replace(row=row, col=voxels.col + np.int32(window.cols.whole.start))


def _ask(
    engine: Engine, seen: NetworkInput, window: Window, times: list[Span], outputs: dict[Label, int]
) -> tuple[Picked, np.ndarray]:
    """Return where a hit is seen, and the mean probability of telegraph noise, of what is kept.

    ``outputs`` holds the channel of each class that the network knows.
    """
    charge = Label.COSMIC_RAY, Label.SNOWBALL
    rows, cols = window.rows.inside, window.cols.inside
    usable = seen.reads[USABLE, :, rows, cols] > 0
    total = torch.zeros(usable.shape[1:], device=engine.device)
    places, chances = [], []
    for reads, logits in _logits(engine, seen, window, times):
        chance = torch.softmax(logits.float(), 0)
        known = torch.from_numpy(usable[reads]).to(engine.device)
        none = torch.zeros_like(chance[0])
        of_class = {label: chance[i] for label, i in outputs.items()}
        total += torch.where(known, of_class.get(Label.TELEGRAPH_NOISE, none), 0.0).sum(0)
        hit = torch.stack([of_class.get(label, none) for label in charge])
        place = torch.nonzero(hit.amax(0) >= TUNING.store_threshold, as_tuple=True)
        chances.append(hit[:, place[0], place[1], place[2]].cpu().numpy())
        read, row, col = (index.cpu().numpy() for index in place)
        places.append((read + reads.start, row, col))
    read, row, col = map(np.concatenate, zip(*places, strict=True))
    row, col = row + rows.start, col + cols.start
    # A rise into saturation cannot be used like others, yet it may well be a hit.
    stop = window.block.stop[row, col]
    state = seen.reads[USABLE, read, row, col]
    keep = (read > 0) & ((state > 0) | ((read == stop) & (state < 0)))
    ray, ball = np.concatenate(chances, 1)[:, keep]
    telegraph = total.cpu().numpy() / np.maximum(usable.sum(0), 1)
    return ((read[keep], row[keep], col[keep]), (ray, ball)), telegraph


def _logits(
    engine: Engine, seen: NetworkInput, window: Window, times: list[Span]
) -> Iterator[tuple[slice, Tensor]]:
    """Yield some reads after the other, and the logits (classes, t, r, c) of what is kept."""
    rows, cols = window.rows.inside, window.cols.inside
    for time in times:
        x, begin = engine.input(seen, time.whole), time.whole.start
        for reads, logits in engine.model.logits(x, (time.inside, rows, cols)):
            yield slice(reads.start + begin, reads.stop + begin), logits
