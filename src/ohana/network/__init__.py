"""The network: the only part of the package that needs PyTorch."""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise ImportError("ohana.network needs PyTorch: pip install 'ohana[unet]'")
