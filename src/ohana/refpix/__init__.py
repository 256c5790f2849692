"""Correction of what the reference pixels see: drifts of the outputs and 1/f noise of rows."""
