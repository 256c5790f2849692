"""Many exposures: who works on which, what is there already, and what became of each."""
