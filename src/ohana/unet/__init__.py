"""The network: the only part of the package that needs PyTorch."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("ohana.unet needs PyTorch: pip install 'ohana[unet]'") from error
