"""Figures, movies and the page of an exposure; begin with `ohana.report.visualizer`."""
