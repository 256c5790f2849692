"""Snowballs: a round core in a halo that appears in one read, and then grows slowly."""
