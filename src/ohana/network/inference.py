"""Run a network over an exposure, window by window, in bounded memory."""

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
from ohana.correction.load import load_block
from ohana.detect.row_block import Searched
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

if TYPE_CHECKING:
    from ohana.utils.progress import Progress


class Window(NamedTuple):
    """All reads of some rows and columns, with their known steps and maps.

    ``rows`` and ``cols`` hold the part to keep and the whole with its context; ``block``,
    ``steps`` and ``maps`` cover the whole, and ``steps`` counts from its corner.
    """

    rows: Span
    cols: Span
    block: RampBlock
    steps: Steps
    maps: PixelMaps


@torch.inference_mode()
def run_network(
    searched: Searched,
    network: Network,
    config: DetectorConfig,
    progress: Progress,
) -> NetworkOutput:
    """Apply a network to all pixels and reads of an integration.

    Parameters
    ----------
    searched : Searched
        The ramp, its steps and its per-pixel maps.
    network : Network
        From `ohana.network.model_file.load_network`.
    config : DetectorConfig
        ``threads`` and ``network_precision`` act here.
    progress : callable
        Called with ``"network"``, the windows done and the windows in all.

    Returns
    -------
    NetworkOutput
        Empty if there are fewer than ``TUNING.min_reads`` reads.

    Raises
    ------
    OhanaError
        If the device does not support the precision of the settings, or the file cannot be read.

    Notes
    -----
    Windows include the context of the network and begin at multiples of its stride, so their
    borders have no effect on the result.
    """
    source = searched.source
    telegraph = np.zeros(searched.maps.stop.shape, np.float32)
    channel_of = {label_of(name): i for i, name in enumerate(network.classes)}
    known = frozenset(channel_of) - {Label.BACKGROUND}
    if source.ramp.shape[0] < TUNING.min_reads:
        return NetworkOutput(join_voxels([]), telegraph, known)
    engine = for_inference(network.model, config.network_precision)
    model = covariance_of(source.ramp)
    parts, voxels = tile(source.ramp.shape, network.model), []
    windows, pixel_reads = len(parts.rows) * len(parts.cols), math.prod(source.ramp.shape)
    progress("network", 0, pixel_reads)
    with using_threads(config.threads), keeping_memory():
        for rows, cols in product(parts.rows, parts.cols):
            # The arrays of a window are freed before the next one is read.
            level, possible = _process(
                window_of(searched, rows, cols),
                model,
                engine,
                parts.times,
                channel_of,
                config,
            )
            telegraph[rows.kept, cols.kept] = level
            voxels.append(possible)
            progress("network", pixel_reads * len(voxels) // windows, pixel_reads)
    return NetworkOutput(join_voxels(voxels), telegraph, known)


def _process(
    window: Window,
    model: DifferenceCovariance,
    engine: Engine,
    times: list[Span],
    channel_of: dict[Label, int],
    config: DetectorConfig,
) -> tuple[np.ndarray, Voxels]:
    """Return the mean probability of telegraph noise and the possible hits in a window."""
    known = (window.block, window.maps, window.steps, model)
    features = network_input(*known, config.threads)
    picked, telegraph = _select(engine, features, window, times, channel_of)
    return telegraph, _shifted(measure_voxels(picked, *known), window)


def window_of(searched: Searched, rows: Span, cols: Span) -> Window:
    """Read a window."""
    source, steps, maps = searched[:3]
    at = (rows.whole, cols.whole)
    # Neighbours decide where ramps end; for the maps, all of them were there.
    block = load_block(source, *at)[0]._replace(stop=maps.stop[at])
    return Window(rows, cols, block, steps.within(*at), maps.window(*at))


def _shifted(voxels: Voxels, window: Window) -> Voxels:
    """Convert rows and columns from the corner of the window to that of the array."""
    row = voxels.row + np.int32(window.rows.whole.start)
    return voxels._replace(row=row, col=voxels.col + np.int32(window.cols.whole.start))


def _select(
    engine: Engine,
    features: NetworkInput,
    window: Window,
    times: list[Span],
    channel_of: dict[Label, int],
) -> tuple[Picked, np.ndarray]:
    """Return possible hits and the mean probability of telegraph noise, in the part to keep.

    ``channel_of`` holds the output channel of each class that the network knows.
    """
    charge = Label.COSMIC_RAY, Label.SNOWBALL
    rows, cols = window.rows.inside, window.cols.inside
    usable = features.reads[USABLE, :, rows, cols] > 0
    total = torch.zeros(usable.shape[1:], device=engine.device)
    places, probabilities = [], []
    for reads, logits in _logits(engine, features, window, times):
        probability = torch.softmax(logits.float(), 0)
        known = torch.from_numpy(usable[reads]).to(engine.device)
        telegraph_noise = _of_class(Label.TELEGRAPH_NOISE, probability, channel_of)
        total += torch.where(known, telegraph_noise, 0.0).sum(0)
        hit = torch.stack([_of_class(label, probability, channel_of) for label in charge])
        place = torch.nonzero(hit.amax(0) >= TUNING.store_threshold, as_tuple=True)
        probabilities.append(hit[:, place[0], place[1], place[2]].cpu().numpy())
        read, row, col = (index.cpu().numpy() for index in place)
        places.append((read + reads.start, row, col))
    read, row, col = map(np.concatenate, zip(*places, strict=True))
    row, col = row + rows.start, col + cols.start
    # A rise into saturation is no usable step, but may be a hit.
    stop = window.block.stop[row, col]
    state = features.reads[USABLE, read, row, col]
    keep = (read > 0) & ((state > 0) | ((read == stop) & (state < 0)))
    cosmic_ray, snowball = np.concatenate(probabilities, 1)[:, keep]
    telegraph = total.cpu().numpy() / np.maximum(usable.sum(0), 1)
    return ((read[keep], row[keep], col[keep]), (cosmic_ray, snowball)), telegraph


def _of_class(label: Label, probability: Tensor, channel_of: dict[Label, int]) -> Tensor:
    """Return the probability of a class; 0 everywhere if the network does not know it."""
    if label not in channel_of:
        return torch.zeros_like(probability[0])
    return probability[channel_of[label]]


def _logits(
    engine: Engine, features: NetworkInput, window: Window, times: list[Span]
) -> Iterator[tuple[slice, Tensor]]:
    """Yield successive reads with their logits (classes, t, r, c), of the part to keep."""
    rows, cols = window.rows.inside, window.cols.inside
    for time in times:
        x, begin = engine.input(features, time.whole), time.whole.start
        for reads, logits in engine.model.logits(x, (time.inside, rows, cols)):
            yield slice(reads.start + begin, reads.stop + begin), logits
