"""From the order in which a detector is read to the orientation of the images in a file.

The simulator works in read-out order: pixels of a row one after another along the columns, rows
one after another, all ascending. ``fast_axis`` and ``slow_axis`` of the settings say where these
directions lie in the file: 1 along the columns (FITS axis 1), 2 along the rows, negative where
the file is read in descending order (``FASTAXIS`` and ``SLOWAXIS`` of JWST).
"""

from __future__ import annotations

import numpy as np

from ohana.simulate.config import SimulationConfig


def to_file(array: np.ndarray, config: SimulationConfig) -> np.ndarray:
    """Turn images from read-out order to the orientation of the file.

    Parameters
    ----------
    array : ndarray, shape (..., H, W)
        Slow axis along the rows, fast axis along the columns.
    config : SimulationConfig
        Its ``fast_axis`` and ``slow_axis``.

    Returns
    -------
    ndarray, shape (..., H, W) or (..., W, H)
        A view of the array.

    Examples
    --------
    >>> config = SimulationConfig(fast_axis=-2, slow_axis=1)
    >>> to_file(np.array([[0, 1, 2], [3, 4, 5]]), config)
    array([[2, 5],
           [1, 4],
           [0, 3]])
    """
    turned = array[..., :: np.sign(config.slow_axis), :: np.sign(config.fast_axis)]
    return turned.swapaxes(-1, -2) if abs(config.fast_axis) == 2 else turned


def to_file_pixels(
    rows: np.ndarray, cols: np.ndarray, config: SimulationConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns in the file of pixels given in read-out order.

    Parameters
    ----------
    rows, cols : ndarray
        Places along the slow and the fast axis, of an array of ``config.rows`` x ``config.cols``.
    config : SimulationConfig
        Its size, ``fast_axis`` and ``slow_axis``.

    Examples
    --------
    >>> config = SimulationConfig(rows=64, cols=32, fast_axis=-2, slow_axis=1)
    >>> rows, cols = to_file_pixels(np.array([0, 9]), np.array([0, 2]), config)
    >>> rows, cols
    (array([31, 29]), array([0, 9]))
    """
    slow = rows if config.slow_axis > 0 else config.rows - 1 - rows
    fast = cols if config.fast_axis > 0 else config.cols - 1 - cols
    return (fast, slow) if abs(config.fast_axis) == 2 else (slow, fast)


def file_shape(config: SimulationConfig) -> tuple[int, int]:
    """Return (H, W) of the images in the file.

    Examples
    --------
    >>> file_shape(SimulationConfig(rows=64, cols=32, fast_axis=2, slow_axis=1))
    (32, 64)
    """
    turned = abs(config.fast_axis) == 2
    return (config.cols, config.rows) if turned else (config.rows, config.cols)
