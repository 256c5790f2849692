"""Flags in the form of Roman: the input with ``groupdq`` and ``pixeldq``."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohana.products.fit import Fitted
from ohana.products.fits_file import origin
from ohana.products.flags import group_flags, pixel_flags
from ohana.ramp import Ramp
from ohana.read.unpack import Scratch
from ohana.results.catalogue import Detection
from ohana.utils.files import replacing


def write_flags(
    path: Path,
    source: Path,
    ramp: Ramp,
    fitted: Fitted,
    events: Sequence[Detection],
    run: dict[str, Any],
) -> None:
    """Write an ASDF file again with the flags of all events.

    Parameters
    ----------
    path : Path
        File to write.
    source : Path
        The input; what it has under other names stays.
    ramp, fitted : Ramp, Fitted
        Its ramp, and the outcome of it.
    events : sequence of dict
        The catalogue.
    run : dict
        Record of the run.
    """
    import asdf  # an extra

    scratch = Scratch()
    groups = np.memmap(scratch.path / "groupdq", np.uint8, "w+", shape=ramp.shape)
    for read, flags in enumerate(group_flags(fitted.jumps, fitted.full, len(groups), ramp.flags)):
        groups[read] = flags
    with warnings.catch_warnings():
        # Tags of data models that are not installed are kept as they are.
        warnings.simplefilter("ignore")
        with asdf.open(source, memmap=True) as file:
            tree = copy.copy(file.tree)
            if "roman" in tree:
                tree["roman"] = copy.copy(tree["roman"])
            top = tree.get("roman", tree)
            before = top["pixeldq"] if "pixeldq" in top else np.zeros(ramp.shape[1:])
            top["groupdq"] = groups.view(np.ndarray)
            top["pixeldq"] = pixel_flags(events, np.asarray(before))
            tree["ohana"] = {key.lower(): value for key, value, _ in origin(run)}
            with replacing(path) as temporary:
                asdf.AsdfFile(tree).write_to(temporary)
