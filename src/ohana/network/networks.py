"""Table of the networks: a new one needs its module and a row here."""

from __future__ import annotations

from typing import Any

from ohana.network.contract import Network3D
from ohana.network.unet3d import Architecture, UNet3D, UNetSettings

#: Name in model files -> network, and the dataclass that describes its size.
NETWORKS: dict[str, tuple[type[Network3D], Any]] = {
    "ohana.UNet3D": (UNet3D, Architecture),
}
#: The network that `ohana-train` trains, and the settings of a training that determine its size.
TRAINED: Any = UNet3D
TRAINED_SETTINGS = UNetSettings
