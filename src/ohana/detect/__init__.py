"""Stage 6: which steps make a cosmic ray, a snowball or telegraph noise."""
