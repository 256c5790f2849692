"""The commands: parse options, read settings, make one call, print the outcome."""
