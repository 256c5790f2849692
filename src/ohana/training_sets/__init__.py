"""Training sets: simulated exposures with known truth, cut into patches and stored as zarr."""
