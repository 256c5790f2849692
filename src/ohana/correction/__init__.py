"""What is taken off before anything is called a step, and the ramps without it."""
