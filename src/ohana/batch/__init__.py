"""Many exposures: workers, earlier results, and the outcome of each exposure."""
