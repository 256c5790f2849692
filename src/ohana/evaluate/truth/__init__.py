"""Comparison of detections with the known truth of a simulated exposure."""
