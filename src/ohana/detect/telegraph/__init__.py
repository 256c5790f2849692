"""Telegraph noise: pixels that jump between two or three levels."""
