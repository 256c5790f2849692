"""Write an exposure that was simulated in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ohana.simulate.layouts import write_exposure

if TYPE_CHECKING:
    from ohana.simulate.exposure import Simulated


def write_fits(simulated: Simulated, path: str | Path) -> None:
    """Write a simulated exposure as FITS, in the layout of its settings.

    The truth is written by `Truth.save`.
    """
    write_exposure(path, simulated.cube, simulated.config)
