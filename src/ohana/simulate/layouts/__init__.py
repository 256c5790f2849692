"""File layouts of instruments for simulated exposures."""
