"""Figures and movies, drawn with matplotlib."""
