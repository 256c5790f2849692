"""Training of the network; needs PyTorch and Lightning."""
