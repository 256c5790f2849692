"""ohana: find and classify transient anomalies in up-the-ramp data of HxRG detectors."""

__version__ = "0.1.0"
