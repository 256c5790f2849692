"""The network: inference, and the merge of its events with those of the rules.

Only `contract`, `networks`, `unet3d`, `model_file`, `device`, `tiling` and `inference` need
PyTorch.
"""
