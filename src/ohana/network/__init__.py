"""The network: inference, and its events merged with those of the rules.

PyTorch is needed by `unet3d`, `model_file`, `device` and `inference` only.
"""
