"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ohana.labels import Label
from ohana.training.labels import IGNORE

#: How much a voxel of each class counts. A cosmic ray is a few voxels, telegraph noise all reads
#: of a pixel, a snowball thousands of voxels; what is learned of one is worth about as much.
WEIGHTS = {
    Label.BACKGROUND: 1.0,
    Label.COSMIC_RAY: 6.0,
    Label.TELEGRAPH_NOISE: 1.0,
    Label.SNOWBALL: 1.0,
}


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the weighted cross-entropy, per voxel that counts.

    Parameters
    ----------
    logits : Tensor, shape (N, classes, T, H, W)
        From `ohana.unet.model.UNet3D`.
    labels : Tensor of uint8 or int64, shape (N, T, H, W)
        Classes; `IGNORE` does not count, and if that is all, the loss is 0.

    Examples
    --------
    >>> labels = torch.tensor([[[[0, 1, IGNORE]]]])
    >>> sure = 20.0 * functional.one_hot(labels % 254, 4).movedim(-1, 1)
    >>> bool(loss(sure.float(), labels) < 1e-6), round(float(loss(0 * sure.float(), labels)), 4)
    (True, 1.3863)
    """
    weight = torch.tensor([WEIGHTS[Label(k)] for k in range(logits.shape[1])], device=logits.device)
    if not (labels != IGNORE).any():
        return 0.0 * logits.float().sum()  # the mean of nothing would be NaN
    return functional.cross_entropy(
        logits.float(), labels.long(), weight, ignore_index=IGNORE, reduction="mean"
    )
