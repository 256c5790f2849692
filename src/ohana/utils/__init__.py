"""Files, processes and messages; nothing about detectors."""
