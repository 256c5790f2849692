"""Snowballs: a round core in a halo that lands in one read and goes on growing slowly."""
