"""Simulated exposures in the file layouts of instruments.

``cube`` is a FITS cube as from a test bench, ``jwst`` an ``_uncal`` file, ``wfc3`` a ``_raw``
file of HST WFC3/IR and ``roman`` a level 1 ASDF file. `ohana.read` knows a file by its content:
its name is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ohana.simulate.config import SimulationConfig
from ohana.simulate.layouts import cube, jwst, roman, wfc3
from ohana.simulate.layouts.orientation import file_shape
from ohana.utils.files import replacing

if TYPE_CHECKING:
    from ohana.simulate.scene import Simulated

LAYOUTS = {"cube": cube, "jwst": jwst, "roman": roman, "wfc3": wfc3}


def write_exposure(
    path: str | Path, frames: Iterable[np.ndarray], config: SimulationConfig
) -> None:
    """Write the reads of an exposure, one at a time, in the layout of the settings.

    The file appears only when it is complete.

    Parameters
    ----------
    path : str or Path
        FITS file to write.
    frames : iterable of ndarray of uint16, shape (H, W)
        All reads in order of time [DN], in the orientation of the file
        (`ohana.simulate.layouts.orientation.to_file`).
    config : SimulationConfig
        Contents of the header, and the layout.

    Raises
    ------
    ValueError
        If reads are missing, too many or of another shape or type, or if a file of this layout
        cannot represent the settings.
    OhanaError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from ohana.read import open_exposure
    >>> config = SimulationConfig(layout="jwst", detector="NRCA1", reads=5, rows=64, cols=64)
    >>> path = Path(tempfile.mkdtemp()) / "x_uncal.fits"
    >>> write_exposure(path, np.full(config.shape, 7000, np.uint16), config)
    >>> [ramp] = open_exposure(path)
    >>> ramp.shape, ramp.facts.frame_time
    ((5, 64, 64), 1.4)
    """
    layout = LAYOUTS[config.layout]
    for name, values in layout.ONLY.items():
        if getattr(config, name) not in values:
            wanted = " or ".join(map(str, values))
            raise ValueError(
                f"{name}: wanted {wanted} in the layout {config.layout}, "
                f"got {getattr(config, name)}"
            )
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        layout.write(file, _checked(frames, config), config)


def write_fits(simulated: Simulated, path: str | Path) -> None:
    """Write an exposure that was simulated in memory; its truth is written by `Truth.save`."""
    write_exposure(path, simulated.cube, simulated.config)


def _checked(frames: Iterable[np.ndarray], config: SimulationConfig) -> Iterator[np.ndarray]:
    """Yield the frames after a check that they match the header."""
    shape, count = file_shape(config), 0
    for count, frame in enumerate(frames, start=1):
        if count > config.reads:
            break
        if frame.shape != shape or frame.dtype != np.uint16:
            raise ValueError(
                f"frames: wanted uint16 {shape}, got {frame.dtype} {frame.shape} in read "
                f"{count - 1}"
            )
        yield frame
    if count != config.reads:
        more = "more" if count > config.reads else count
        raise ValueError(f"frames: wanted {config.reads}, got {more}")
