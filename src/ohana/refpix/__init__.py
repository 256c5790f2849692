"""Reference-pixel correction: drifts of the outputs and 1/f noise common to rows."""
