"""The corrected reads of an exposure, without a search for events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ohana.config import DetectorConfig
from ohana.correction.fit import corrected_ramp
from ohana.correction.load import load_block
from ohana.ramp import Ramp, row_blocks
from ohana.read import open_exposure
from ohana.read.integrations import pick_integration
from ohana.results.corrected_cube import writing_processed


class Preprocessor:
    """Reads of an exposure without what all pixels share, less the first usable one.

    Parameters
    ----------
    config : DetectorConfig
        Its stages "reading", "detector" and "reference".

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "ramp.npy", np.arange(5.0)[:, None, None] + np.ones((1, 8, 8)))
    >>> path = Preprocessor().process(folder / "ramp.npy", folder / "corrected.npy")
    >>> np.load(path)[:, 0, 0].tolist()
    [1.0, 2.0, 3.0, 4.0]
    """

    def __init__(self, config: DetectorConfig | None = None) -> None:
        self.config = config or DetectorConfig()

    def blocks(self, ramp: Ramp) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield row blocks of one integration: rows, and float32 (T, rows, W) [DN].

        Unusable reads are NaN; saturated ones are unchanged.
        """
        source = corrected_ramp(ramp, self.config)[0]
        for rows in row_blocks(ramp.shape[1]):
            yield rows, load_block(source, rows)[0].data

    def process(self, path: str | Path, output: str | Path, integration: int = 0) -> Path:
        """Write reads 1 to T - 1 of an integration as float32 ``.npy`` (T - 1, H, W) [DN].

        Raises
        ------
        OhanaError
            The input is no ramp, has no such integration, or the output cannot be written.
        """
        ramps = open_exposure(Path(path), self.config)
        ramp = pick_integration(ramps, integration)
        reads, height, width = ramp.shape
        with writing_processed(Path(output), (reads - 1, height, width)) as cube:
            for rows, data in self.blocks(ramp):
                cube.write(data, rows)
        return Path(output)
