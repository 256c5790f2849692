"""Level 1 exposures of the Wide Field Instrument of Roman, as ASDF.

Like the real ones these files have neither gain nor saturation level in them. The reference output
(``amp33``) is there, and empty. Nothing but numpy is needed to write them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from ohana.read.asdf_tree import BLOCK_MAGIC, HEADER, SIZE
from ohana.read.roman import BORDER, OUTPUTS
from ohana.simulate.config import SimulationConfig
from ohana.simulate.layouts.orientation import file_shape

#: As in `ohana.simulate.layouts.cube`. The files do not hold the read-out.
ONLY: dict[str, tuple[Any, ...]] = {
    "first_interval": (None,),
    "border": (BORDER,),
    "outputs": (OUTPUTS,),
    "fast_axis": (1, -1),
    "slow_axis": (2, -2),
}
#: Columns of the reference output.
AMP33 = 128

TREE = """#ASDF 1.0.0
#ASDF_STANDARD 1.6.0
%YAML 1.1
%TAG ! tag:stsci.edu:asdf/
--- !core/asdf-1.1.0
asdf_library: !core/software-1.0.0 {{name: ohana simulation, version: 0.1.0}}
roman:
  meta:
    telescope: ROMAN
    origin: ohana simulation, no real exposure
    instrument: {{name: WFI, detector: {detector}, optical_element: {element}}}
    exposure:
      type: {kind}
      frame_time: {frame_time!r}
      nresultants: {reads}
      read_pattern: {pattern}
  data: !core/ndarray-1.1.0
    source: 0
    datatype: uint16
    byteorder: little
    shape: [{reads}, {height}, {width}]
  amp33: !core/ndarray-1.1.0
    source: 1
    datatype: uint16
    byteorder: little
    shape: [{reads}, {height}, {amp33}]
...
"""


def write(file: BinaryIO, frames: Iterable[np.ndarray], config: SimulationConfig) -> None:
    """Write the tree, the block of the resultants as they come, and an empty reference output."""
    height, width = file_shape(config)
    lit = bool(config.sky or config.stars)
    tree = TREE.format(
        detector=config.detector or "WFI01",
        element="F158" if lit else "DARK",
        kind="WFI_IMAGE" if lit else "WFI_DARK",
        frame_time=config.frame_time,
        pattern=read_pattern(config),
        reads=config.reads,
        height=height,
        width=width,
        amp33=AMP33,
    )
    file.write(tree.encode("ascii"))
    file.write(_head(2 * config.reads * height * width))
    for frame in frames:
        file.write(frame.astype("<u2").tobytes())
    file.write(_head(2 * config.reads * height * AMP33))
    for _ in range(config.reads):
        file.write(bytes(2 * height * AMP33))


def read_pattern(config: SimulationConfig) -> list[list[int]]:
    """Return the reads, counted from 1, in each resultant.

    Examples
    --------
    >>> read_pattern(SimulationConfig(reads=3, nframes=2, groupgap=1))
    [[1, 2], [4, 5], [7, 8]]
    """
    if config.read_pattern is not None:
        return [list(group) for group in config.read_pattern]
    step = config.nframes + config.groupgap
    return [[step * k + 1 + j for j in range(config.nframes)] for k in range(config.reads)]


def _head(size: int) -> bytes:
    """Return what stands before an uncompressed block; its checksum is left out."""
    head = HEADER.pack(0, b"\0" * 4, size, size, size, bytes(16))
    return BLOCK_MAGIC + SIZE.pack(len(head)) + head
